"""The commands that derive the rest of the family from a base. Nothing heavy is imported before one is run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.embedded.stages import Job
    from tools.embedded.training import Report

MODELS = Path("models/embedded")
COMMANDS = {
    "decoder": "refine the decoder alone: the base's, or a style checkpoint's own",
    "style": "train all of the base's UNet on a style: a checkpoint of one file",
    "lora": "train a LoRA on a style",
    "inversion": "learn a new word: a textual inversion",
    "lcm": "distil the base into a LoRA for four steps without guidance",
    "inpainting": "widen the base to nine channels: an inpainting checkpoint of one file",
    "previews": "draw the sample picture of every member of the family",
}
STYLES = {"style": ("watercolour", "neon"), "lora": ("pixel", "ink")}
"""What is shipped; every rendered style can be trained either way."""


def add_commands(stages: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to a parser's subcommands."""
    for name, text in COMMANDS.items():
        command = stages.add_parser(name, parents=[common], help=text)
        command.add_argument("--models", type=Path, default=MODELS, help="where files are written")
        command.add_argument("--base", type=Path, default=MODELS / "darkroom-base", help="the checkpoint folder that all comes from")
        if name == "previews":
            command.add_argument("--only", default="", help="some of them: words of file names with commas between")
            continue
        command.add_argument("--rate", type=float, default=0.0, help="learning rate; 0: the stage's own")
        if name == "decoder":
            command.add_argument("--style", default="", choices=("", *STYLES["style"]), help="whose; none: the base's, with all pictures there are")
        if name in STYLES:
            command.add_argument("--style", required=True, choices=("watercolour", "neon", "pixel", "ink"), help=f"shipped: {', '.join(STYLES[name])}")


def run_command(options: argparse.Namespace, job: "Job", report: "Report") -> None:
    """Do one of them."""
    if options.stage == "previews":
        from tools.embedded import previews

        previews.draw_previews(options.models, job.workshop.folder, tuple(filter(None, options.only.split(","))), job.workers, report)
        return
    from tools.embedded import derived_stages

    wanted = derived_stages.Derivation(options.stage, options.base, options.models, getattr(options, "style", ""), options.rate)
    derived_stages.derive(job, wanted, report)

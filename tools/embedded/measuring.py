"""The commands that look at finished checkpoints: judge, edits, sheet. Nothing heavy is imported before one is run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.embedded.stages import Job
    from tools.embedded.training import Report

MODELS = Path("models/embedded")
COMMANDS = {
    "judge": "train the judge and let it judge the whole family",
    "edits": "repair, extend, repaint and zoom renders with a checkpoint, and judge what comes out",
    "sheet": "draw the contact sheet",
}


def add_commands(stages: Any, common: argparse.ArgumentParser) -> None:
    """Add the three commands to a parser's subcommands."""
    for name, text in COMMANDS.items():
        command = stages.add_parser(name, parents=[common], help=text)
        command.add_argument("--models", type=Path, default=MODELS, help="the folder with the checkpoints")
        command.add_argument("--cfg", type=float, help="CFG scale instead of the app's")
        if name == "sheet":
            command.add_argument("--output", type=Path, default=Path("outputs/embedded/contact-sheet.webp"))
            continue
        command.add_argument("--only", default="", help="some of them: names with commas between")
        command.add_argument("--write", action="store_true", help="put the table into the README of --models, between its markers")
        command.add_argument("--count", type=int, default=256 if name == "judge" else 20, help="pictures of a kind")
        if name == "edits":
            command.add_argument("--checkpoint", default="darkroom-base", help="its name in --models")


def run_command(options: argparse.Namespace, job: "Job", report: "Report") -> None:
    """Do one of the three."""
    from tools.embedded import edits, gallery, judging

    if options.stage == "sheet":
        gallery.draw_sheet(options.models, job.workshop.folder, options.output, options.cfg, options.threads, report)
        return
    only = tuple(filter(None, options.only.split(",")))
    readme = options.models / "README.md" if options.write else None
    wish = judging.Wish(options.models, options.count, only, options.cfg, readme)
    if options.stage == "judge":
        judging.run_judge(job, wish, options.threads, report)
    else:
        edits.run_edits(job, wish, options.checkpoint, options.threads, report)

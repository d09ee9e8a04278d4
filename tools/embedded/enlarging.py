"""The command line of the upscaler's training; see `upscaler`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.embedded.stages import Job
    from tools.embedded.training import Report

COMMANDS = ("upscaler",)


def add_commands(stages: Any, common: argparse.ArgumentParser) -> None:
    """Add `upscaler` to the stages."""
    command = stages.add_parser("upscaler", parents=[common], help="train the x4 upscaler and write its file")
    command.add_argument("--count", type=int, default=480, help="pictures of 512x512 to train on")
    command.add_argument("--checkpoint", type=Path, default=Path("models/embedded/darkroom-base"), help="folder of the autoencoder")
    command.add_argument("--target", type=Path, help="folder of the file; by default the run's own")


def run_command(options: argparse.Namespace, job: "Job", report: "Report") -> None:
    """Do the stage."""
    from tools.embedded.upscaler_file import upscaler_stage

    upscaler_stage(job, options.count, options.checkpoint, options.target or job.workshop.folder, report)

"""Command line of the training kit: `python -m tools.embedded <stage>`; see the README beside this file."""

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from tools.embedded import allocator, deriving, enlarging, measuring

DEFAULT_TARGET = Path("models/embedded/darkroom-base")


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--folder", type=Path, default=Path("outputs/embedded"), help="where the run keeps its files")
    common.add_argument("--device", default="cpu", help="cpu or cuda")
    common.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="processor threads")
    common.add_argument("--seed", type=int, default=0)
    common.add_argument("--steps", type=int, default=0, help="length of the whole training; 0: the stage's own")
    common.add_argument("--batch", type=int, default=0, help="samples per step; 0: the stage's own")
    common.add_argument("--pooling", type=int, default=1, help="unet: train on latents averaged over so many squared")
    common.add_argument("--workers", type=int, default=1, help="vae, unet and what is derived: processes of one thread each")
    common.add_argument("--stop-after", type=int, help="end after this many steps, to go on later")
    parser = argparse.ArgumentParser(prog="python -m tools.embedded", description="Make an embedded checkpoint, stage by stage.")
    stages = parser.add_subparsers(dest="stage", required=True)
    render = stages.add_parser("render", parents=[common], help="draw the training pictures")
    render.add_argument("--count", type=int, default=14_000)
    render.add_argument("--collection", default="all", help="all, square, wide, tall, watercolour, neon, pixel or ink")
    for name, text in TRAINED.items():
        stages.add_parser(name, parents=[common], help=text)
    adopted = stages.add_parser("adopt", parents=[common], help="go on from a finished checkpoint folder")
    adopted.add_argument("--target", type=Path, default=DEFAULT_TARGET)
    export = stages.add_parser("export", parents=[common], help="write the checkpoint folder")
    export.add_argument("--target", type=Path, default=DEFAULT_TARGET)
    deriving.add_commands(stages, common)
    measuring.add_commands(stages, common)
    enlarging.add_commands(stages, common)
    return parser


TRAINED = {
    "tokenizer": "learn the tokenizer",
    "text": "train the text encoder",
    "vae": "train the autoencoder",
    "cache": "encode captions and pictures for the UNet",
    "unet": "train the UNet",
}


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def _run(options: argparse.Namespace) -> None:
    """Import torch only now, after the allocator was settled, and do the stage."""
    import torch

    from tools.embedded import adopt, stages, workers
    from tools.embedded.data import Workshop
    from tools.embedded.training import Slice

    torch.set_num_threads(options.threads)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    part = Slice(options.stop_after, stop.is_set)
    job = stages.Job(Workshop(options.folder), options.device, options.seed, options.steps, options.batch, options.pooling, options.workers, part)
    if options.stage == "render":
        stages.render_stage(job, options.collection, options.count, options.threads, _say)
    elif options.stage == "export":
        stages.export_stage(job, options.target, _say)
    elif options.stage == "adopt":
        adopt.adopt(job, options.target, _say)
    elif options.stage in deriving.COMMANDS:
        deriving.run_command(options, job, _say)
    elif options.stage in measuring.COMMANDS:
        measuring.run_command(options, job, _say)
    elif options.stage in enlarging.COMMANDS:
        enlarging.run_command(options, job, _say)
    elif options.stage in ("vae", "unet") and options.workers > 1:
        workers.run_crew(getattr(stages, f"{options.stage}_crew_stage"), job, _say)
    else:
        getattr(stages, f"{options.stage}_stage")(job, _say)


def main() -> None:
    """Parse the arguments, start again with better allocator settings where they are missing, do the stage."""
    options = _parser().parse_args()
    missing = allocator.missing_settings()
    if missing:
        os.execve(sys.executable, [sys.executable, "-m", "tools.embedded", *sys.argv[1:]], dict(os.environ) | missing)
    _run(options)


if __name__ == "__main__":
    main()

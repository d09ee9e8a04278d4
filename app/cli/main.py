"""The commands, and what becomes of errors: 0 done, 1 the work failed, 2 bad input, 130 stopped; one sentence each.

Nothing heavy is imported before the command is known, so `--help` answers at once.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from app import __version__
from app.errors import StudioError
from app.flags import unknown_flag

if TYPE_CHECKING:
    from app.studio import EngineMaker

MAKES = {
    "txt2img": "a picture from a prompt",
    "img2img": "a picture from a picture and a prompt",
    "inpaint": "paint a part of a picture anew",
    "outpaint": "extend a picture to the left, right, top and bottom",
    "zoom": "an infinite zoom, as a video",
    "upscale": "a picture made larger",
    "grid": "many pictures with other values of up to three fields",
}
SHOWS = {"info": "the request that a picture holds", "models": "checkpoints and other model files, with family and hash", "parse": "how a prompt is read"}
USAGE = "usage: python -m app COMMAND [flags]"


def main(argv: Sequence[str], engine: "EngineMaker | None" = None) -> int:
    """Run a command and return the exit status.

    Args:
        engine: makes the engine; None: the real one.
    """
    try:
        return _run(list(argv), engine)
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    except BrokenPipeError:  # the reader of our output went away: `python -m app models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(argv: list[str], engine: "EngineMaker | None") -> int:
    command = argv[0] if argv else "--help"
    if command in ("-h", "--help"):
        sys.stdout.write(help_text())
        return 0
    if command == "--version":
        sys.stdout.write(f"Darkroom {__version__}\n")
        return 0
    if command not in MAKES | SHOWS:
        raise unknown_flag(command, [*MAKES, *SHOWS], "command")
    if command in SHOWS:
        from app.cli import parse, show

        shows: dict[str, Callable[[list[str]], int]] = {"info": show.info, "models": show.models, "parse": parse.parse}
        return shows[command](argv[1:])
    from app.cli.make import make

    with stopped_by_sigterm():
        return make(command, argv[1:], engine)


def help_text() -> str:
    """What `python -m app --help` says."""
    lines = [f"  {name:<10}{text}" for name, text in (MAKES | SHOWS).items()]
    return "\n".join([
        USAGE, "", "Pictures with latent diffusion, from the command line.", "", *lines, "",
        "python -m app COMMAND --help lists the flags of a command.", "",
        "  python -m app txt2img --prompt 'a lighthouse at night' --seed 1 -o lighthouse.png",
        "  python -m app info lighthouse.png", "",
    ])  # fmt: skip


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM stops a job as Ctrl+C does, so that finished pictures are kept."""
    before = None
    with contextlib.suppress(ValueError):  # not the main thread: no signals here
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)

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
WORKS = {"merge": "a checkpoint made of two or three others"}
SHOWS = {
    "info": "the request that a picture holds", "models": "what each model file is: family, prediction, precision, hash, what fits it",
    "parse": "how a prompt is read",
    "import": "use an installation of A1111, Forge, ComfyUI, Fooocus ... in place", "doctor": "what is wrong with this installation, and the cure",
}  # fmt: skip
NAMES = frozenset(MAKES | WORKS | SHOWS)
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
    if command not in MAKES | WORKS | SHOWS:
        raise unknown_flag(command, [*MAKES, *WORKS, *SHOWS], "command")
    if command in SHOWS:
        return shower(command)(argv[1:])
    with stopped_by_sigterm():
        if command in WORKS:
            from app.cli.merge import merge

            return merge(argv[1:])
        from app.cli.make import make

        return make(command, argv[1:], engine)


def shower(command: str) -> Callable[[list[str]], int]:
    """What does one of SHOWS. Only what it needs is imported: the doctor works where hardly anything does."""
    if command == "doctor":
        from app.doctor.checkup import doctor

        return doctor
    if command == "import":
        from app.cli.move import move

        return move
    from app.cli import models, parse, show

    return {"info": show.info, "models": models.models, "parse": parse.parse}[command]


def help_text() -> str:
    """What `python -m app --help` says."""
    lines = [f"  {name:<10}{text}" for name, text in (MAKES | WORKS | SHOWS).items()]
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

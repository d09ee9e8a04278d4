#!/usr/bin/env python3
"""The front door: flags -> Settings -> Studio -> serve. `./launch.sh [flags]` comes here when everything is installed."""

import contextlib
import logging
import os
import sys
from collections.abc import Sequence

from app import flags
from app.cli import main as commands
from app.errors import StudioError


def say(line: str) -> None:
    """One line for the person at the terminal, at once. A terminal that was closed is no reason to stop."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def main(argv: Sequence[str]) -> int:
    """Serve the page until Ctrl+C or SIGTERM. Returns the exit status: 0, or that of the error that was told in one sentence.

    A command of `python -m app` in front of the flags runs that instead.
    """
    if argv and argv[0] in commands.NAMES:
        return commands.main(argv)
    try:
        given = flags.parser_of().values(argv)
        if given.keys() & {"import", "forget_import"}:
            from app.cli import move

            move.asked(given, say)
        settings = flags.settings_of(given)
        for notice in settings.notices:
            say(notice)
        say("Darkroom is starting ...")
        level = logging.getLevelNamesMapping().get(os.environ.get("DARKROOM_LOG", "").upper(), logging.WARNING)
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        from app.serve import serve
        from app.studio import Studio

        studio = Studio(settings)
        try:
            say(count(sum(not file.problem for file in studio.shelf.checkpoints())))
            for name, reason in studio.extensions.failed.items():
                say(f"Extension '{name}' failed and was left out: {reason}")
            serve(studio, say)
        finally:
            studio.close()
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def count(checkpoints: int) -> str:
    """How many checkpoints there are, and where more belong."""
    if not checkpoints:
        return "No checkpoint was found; put one into models/ (see models/README.md) and press the refresh button."
    return f"{checkpoints} checkpoint{'s' if checkpoints > 1 else ''} found."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

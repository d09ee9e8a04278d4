"""`python -m app import`: use an installation of another program in place, say which are used, or use one no longer."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app import flags
from app.library import Library
from app.movein import record
from app.movein.move_in import move_in
from app.movein.page import page
from app.movein.pictures import take_in

EVERY = 50
"""Pictures between two words about how far it is."""


def move(argv: Sequence[str]) -> int:
    """Move in, list, or forget. Raises BadSettings, WorkFailed."""
    parser = flags.Parser(prog="python -m app import", description="Use an installation of A1111, Forge, SD.Next, ComfyUI, Fooocus or InvokeAI in place.")
    parser.add_argument("folder", nargs="?", help="the installation; without it those that are used are listed")
    parser.add_argument("--forget", action="store_true", help="use it no longer")
    flags.add_to(parser)
    given = parser.values(argv)
    folder, forget = given.pop("folder", None), given.pop("forget", False)
    if not folder:
        sys.stdout.write(listing(flags.settings_of(given).root))
    elif forget:
        sys.stdout.write(f"{leave(Path(folder), given)}\n")
    else:
        sys.stdout.write(page(move_in(Path(folder), flags.settings_of(given))))
        gallery(given)
    return 0


def asked(given: dict[str, Any], say: Callable[[str], None]) -> None:
    """What --import and --forget-import of the page's own command ask for, done and taken out of `given`."""
    for folder in given.pop("forget_import", ()):
        say(leave(Path(folder), {}))
    for folder in given.pop("import", ()):
        say(page(move_in(Path(folder), flags.settings_of({name: value for name, value in given.items() if name != "import"}))))


def leave(folder: Path, given: dict[str, Any]) -> str:
    """Forget an installation; its pictures leave the gallery at the next start. Returns a sentence."""
    gone = record.forget(flags.settings_of(given).root, folder)
    return f"{gone.program} in '{gone.path}' is used no longer; nothing in it was changed."


def listing(root: Path) -> str:
    """Which installations are used."""
    lines = [f"{item.program}  {item.path}" + (f"  ({record.told(gone)} not there)" if (gone := item.missing()) else "") for item in record.read(root).items]
    return "".join(f"{line}\n" for line in lines) or "No installation of another program is used; python -m app import FOLDER does so.\n"


def gallery(given: dict[str, Any]) -> None:
    """Take the pictures in now, with a word about how far it is; a page that starts does so in the background."""
    settings = flags.settings_of(given)
    library = Library(settings.outputs_dir)

    def on_picture(done: int, new: int) -> bool:
        if sys.stderr.isatty() and (done % EVERY == 0 or done == new):
            sys.stderr.write(f"\r{done} of {new} pictures looked at" + ("\n" if done == new else ""))
            sys.stderr.flush()
        return True

    try:
        added = take_in(library, settings, on_picture)
    finally:
        library.close()
    sys.stdout.write(f"{added} pictures are new in the gallery.\n")

"""Model files, styles and installations used in place. What reads them is imported here, where it may be missing."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.doctor.finding import Finding, note, ok, problem
from app.errors import StudioError
from app.movein import record
from app.settings import Settings

if TYPE_CHECKING:
    from app.engine.checkpoints.header import ModelFile

EMBEDDED = "darkroom-base"
MOST = 8


def models(settings: Settings) -> list[Finding]:
    """Which model files can be used; files that are damaged are problems, files of other programs' families are not."""
    try:
        from app.engine.checkpoints.find import Shelf
    except ImportError as error:
        return [note("models", f"Not looked at: {error}.")]
    shelf = Shelf(settings)
    everything = shelf.everything()
    broken = [file for file in everything if file.problem]
    damaged = [file for file in broken if is_damaged(file)]
    usable = sum(not file.problem for file in shelf.checkpoints())
    words = f"{usable} checkpoint{'' if usable == 1 else 's'} can be used, {len(everything) - len(broken)} of {len(everything)} files"
    none = problem("models", "There is no checkpoint that can be used.", "Put a .safetensors file into models/; see models/README.md.")
    found = [ok("models", words) if usable else none]
    found += [problem("models", f"{place(file)}: {file.problem}", "Get the file anew, or delete it.") for file in damaged[:MOST]]
    others = [file for file in broken if file not in damaged]
    found += [note("models", f"{place(file)}: {file.problem}") for file in others[:MOST]]
    more = max(0, len(damaged) - MOST) + max(0, len(others) - MOST)
    if more:
        found.append(note("models", f"{more} more files cannot be used.", "python -m app models lists them all."))
    return found


def is_damaged(file: "ModelFile") -> bool:
    """Whether a file that cannot be used is damaged: its header cannot be read, although it should be a safetensors file."""
    from app.engine.checkpoints.header import read_header

    if file.path.is_dir() or file.path.suffix.lower() != ".safetensors":
        return False
    try:
        read_header(file.path)
    except (StudioError, OSError):
        return True
    return False


def place(file: "ModelFile") -> str:
    return f"{file.kind} '{file.name}'"


def embedded(settings: Settings) -> Finding:
    """Is what Darkroom comes with still there and whole?"""
    folder = settings.root / "models" / "embedded"
    try:
        from app.engine.checkpoints.header import read_header
    except ImportError as error:
        return note("embedded", f"Not looked at: {error}.")
    needed = [folder / EMBEDDED / name for name in ("model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json")]
    wrong = [path.relative_to(settings.root).as_posix() + " is missing" for path in needed if not path.is_file()]
    weights = sorted(folder.rglob("*.safetensors"))
    for path in weights:
        try:
            read_header(path)
        except (StudioError, OSError) as error:
            wrong.append(str(error))
    if len([path for path in weights if EMBEDDED in path.parts]) < 3:
        wrong.append(f"weights of {EMBEDDED} are missing")
    if wrong:
        more = f" ({len(wrong) - 1} more things are wrong.)" if len(wrong) > 1 else ""
        return problem("embedded", f"{wrong[0].rstrip('.')}.{more}", "Get the folder models/embedded anew from Darkroom's files.")
    return ok("embedded", f"{EMBEDDED} and {len(weights) - 3} more files are whole")


def styles(settings: Settings) -> list[Finding]:
    """Can the files of styles be read?"""
    try:
        from app.styles import read_csv, read_json
    except ImportError as error:
        return [note("styles", f"Not looked at: {error}.")]
    found = []
    for path in (settings.styles_file, *settings.imported_styles):
        try:
            if path.is_file():
                _ = read_json(path) if path.suffix.lower() == ".json" else read_csv(path)
        except (OSError, ValueError) as error:
            cure = "Mend it; beside it lies a copy of the last good one." if path == settings.styles_file else "Mend it in the program that it is of."
            found.append(problem("styles", f"'{path}' cannot be read: {error}.", cure))
    return found


def imports(root: Path) -> list[Finding]:
    """Are the installations that are used in place still there?"""
    try:
        items = record.read(root).items
    except StudioError as error:
        return [problem("imports", error.message, error.hint)]
    found = []
    for item in items:
        gone = item.missing()
        if not item.path.is_dir():
            cure = f'Plug the disk in, or: ./launch.sh --forget-import "{item.path}"'
            found.append(problem("imports", f"{item.program} in '{item.path}' is not there any more.", cure))
        elif gone:
            cure = f'./launch.sh --import "{item.path}" looks through it again.'
            found.append(problem("imports", f"{item.program} in '{item.path}': {record.told(gone)} not there any more.", cure))
        else:
            found.append(ok("imports", f"{item.program} in '{item.path}'"))
    return found

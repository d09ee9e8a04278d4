"""What moving in came to, on one page: what was found, what is used, what is not and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from app.engine.checkpoints.header import ModelFile
from app.engine.families import FAMILIES
from app.movein.move_in import Moved
from app.request import TASKS

KINDS = (("checkpoint", "checkpoint"), ("lora", "LoRA"), ("embedding", "embedding"), ("vae", "VAE"), ("text encoder", "text encoder"))
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
MOST = 12
"""Lines of one list that are shown."""
LONGEST = 300
"""Characters of one of them: what settings say is not ours."""


def page(moved: Moved) -> str:
    """The page, as text of at most some forty lines."""
    item = moved.item
    lines = [f"{item.program} in '{item.path}' is used in place; nothing in it is copied or changed.", ""]
    lines += [_row(len(found), word, _told(found), _where(moved, kind)) for kind, word in KINDS if (found := _of(moved, kind)) or item.folders.get(kind)]
    if others := [file for file in moved.files if file.kind not in dict(KINDS)]:
        lines.append(_row(len(others), "other file", f": {_names(dict.fromkeys(file.kind for file in others), 4)}"))
    if "upscaler" in item.folders:
        lines.append(_row(len(moved.upscalers), "upscaler", "", _where(moved, "upscaler")))
    if moved.styles:
        lines.append(_row(len(moved.styles), "style", f", from {_names([moved.found.told(path) for path in item.styles], 4)}"))
    if moved.wildcards:
        lines.append(_row(len(moved.wildcards), "wildcard", "", _where(moved, "wildcards")))
    if "outputs" in item.folders:
        lines.append(_row(moved.pictures, "picture", _where(moved, "outputs"), ": the gallery shows them where they lie"))
    settings = _settings(moved)
    lines.append(_row(len(settings), "setting", f": {_names(settings, 10)}" if settings else " that differ from ours"))
    if item.flags:
        lines.append(_row(len(item.flags), "start option", f": {_names([_flag(name, value) for name, value in item.flags.items()], 10)}"))
    broken = [file for file in moved.files if file.problem]
    if pickles := [file for file in broken if file.path.suffix.lower() in PICKLES]:
        lines += ["", f"{_count(len(pickles), 'file')} of pickles, such as {pickles[0].path.name}: {pickles[0].problem}"]
    lines += _list("These files cannot be used:", [f"{file.name}: {file.problem}" for file in broken if file not in pickles])
    lines += _list("Not used:", [*moved.found.unused, *moved.notes])
    return "\n".join([*lines, "", "./launch.sh starts with it; one that is running sees it after a restart.",
                      f'It is used no longer after ./launch.sh --forget-import "{item.path}".', ""])  # fmt: skip


def _row(number: int, word: str, *more: str) -> str:
    return f"  {number:>7}  {word}{'' if number == 1 else 's'}{''.join(more)}"


def _of(moved: Moved, kind: str) -> list[ModelFile]:
    """The files of a kind, wherever they lie."""
    return [file for file in moved.files if file.kind == kind]


def _told(files: Sequence[ModelFile]) -> str:
    """": 8 SD 1.x, 2 SDXL, 2 that cannot be used"."""
    usable = [file for file in files if not file.problem]
    families = Counter(FAMILIES[file.family].label if file.family in FAMILIES else "" for file in usable)
    words = [f"{count} {label}" for label, count in families.most_common() if label]
    if len(usable) < len(files):
        words.append(f"{len(files) - len(usable)} that cannot be used")
    return f": {', '.join(words)}" if words else ""


def _where(moved: Moved, kind: str) -> str:
    """", in models/Lora, models/LyCORIS"."""
    folders = [moved.found.told(folder) for folder in moved.item.folders.get(kind, ())]
    return f", in {_names(folders, 4)}" if folders else ""


def _settings(moved: Moved) -> list[str]:
    """First values that are taken over, each once however many forms it is for."""
    found: dict[str, Any] = {}
    for task in (*TASKS, *moved.item.defaults):
        for name, value in moved.item.defaults.get(task, {}).items():
            label = str(TASKS[task].model_fields[name].title or name)
            found.setdefault(f"{label} {_short(value)}", None)
    return list(found)


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    text = " ".join((", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)).split())
    return f"'{text[:30]}...'" if len(text) > 33 else text


def _flag(name: str, value: Any) -> str:
    words = value if isinstance(value, list) else [] if value is True else [str(value)]
    return " ".join([f"--{name.replace('_', '-')}", *words])


def _names(names: Iterable[str], most: int) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _list(heading: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    more = [f"  and {len(sentences) - MOST} more"] if len(sentences) > MOST else []
    return ["", heading, *(f"  {' '.join(sentence.split())[:LONGEST]}" for sentence in sentences[:MOST]), *more]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"

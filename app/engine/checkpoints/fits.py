"""What goes with which checkpoint, told from headers alone."""

from collections.abc import Iterable

from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.problems import LABELS
from app.engine.families import group_of, latents_of

PAIR, MAX_PAIRS = ("sd1", "sdxl-refiner"), 24
"""Whose text encoders SDXL's two are: CLIP-L is that of SD 1.x, OpenCLIP-G that of the refiner. How many pairs are listed at most."""
TOWERS = {"sdxl": {"sdxl", "sd1", "sdxl-refiner"}, "sdxl-refiner": {"sdxl-refiner", "sdxl"}}
"""Group of a checkpoint -> families of the text encoder files that hold one that it reads: SDXL's two may lie in two files."""

TOLD = {"sd1", "sd2", "sdxl", "sdxl-refiner"}
"""Groups whose LoRAs are told apart; whether one fits a checkpoint of an extension's own group, its layers say."""


def fits(file: ModelFile, checkpoint: ModelFile) -> bool:
    """Whether a LoRA, an embedding, a VAE or a text encoder can be used with a checkpoint.

    Another checkpoint fits when parts can be borrowed from it: when it holds the text encoders that this one reads.
    """
    if file.problem or checkpoint.problem:
        return False
    match file.kind:
        case "vae":
            return _home(file) == _home(checkpoint) and latents_of(file.family) == latents_of(checkpoint.family)
        case "text encoder":
            group = group_of(checkpoint.family)
            return file.family in TOWERS.get(group, {group})
        case "lora" | "embedding":
            return group_of(file.family) == group_of(checkpoint.family) and _same(file.width, checkpoint.width)
        case "checkpoint":
            same = group_of(file.family) == group_of(checkpoint.family) and _same(file.width, checkpoint.width)
            return same and "text encoder" not in file.missing and _home(file) == _home(checkpoint)
        case _:
            return False


def _same(width: int, other: int) -> bool:
    return not width or not other or width == other


def _home(file: ModelFile) -> str:
    """The folder whose configs a file goes by: what is made for another base has other latents and other words."""
    if file.base is not None:
        return str(file.base)
    return str(file.path) if file.path.parent.name == "embedded" and file.path.parent.parent.name == "models" else ""


def other_family(file: ModelFile, name: str, group: str) -> str:
    """One sentence when a LoRA was made for another family than a checkpoint's, else "".

    Args:
        name: the checkpoint's.
        group: what its LoRAs must be made for, see `app.engine.families.group_of`.
    """
    theirs = group_of(file.family)
    if theirs in ("unknown", group) or group not in TOLD:
        return ""
    return f"'{file.name}' is {LABELS.get(theirs, 'a ' + theirs)} LoRA; '{name}' is {LABELS.get(group, 'a ' + group)} checkpoint."


def those_that_fit(checkpoint: ModelFile, files: Iterable[ModelFile]) -> list[ModelFile]:
    """Of the files those that can be used with the checkpoint, in their order."""
    return [file for file in files if file != checkpoint and fits(file, checkpoint)]


def pairs(texts: Iterable[ModelFile]) -> list[str]:
    """Names of text encoders that SDXL reads together, as the field Text encoder takes them: CLIP-L's, " + ", OpenCLIP-G's."""
    usable = [file for file in texts if file.kind == "text encoder" and not file.problem]
    return [f"{first.name} + {second.name}" for first in usable for second in usable if (first.family, second.family) == PAIR][:MAX_PAIRS]


def lacking(checkpoint: ModelFile, vae: ModelFile | None, texts: Iterable[ModelFile], on_disk: Iterable[ModelFile]) -> str:
    """One sentence when a checkpoint lacks a part that the request does not name either, else "".

    Args:
        vae, texts: what the request names instead of the checkpoint's own.
        on_disk: VAEs, text encoders and checkpoints; those that fit are offered by name.
    """
    missing = [part for part in checkpoint.missing if not (vae if part == "VAE" else tuple(texts))]
    if not missing:
        return ""
    offers = list(on_disk)
    said = [f"'{checkpoint.name}' holds no {' and no '.join(missing)}."]
    for part in missing:
        fitting = _texts_for(checkpoint, offers) if part == "text encoder" else [file.name for file in offers if file.kind == "vae" and fits(file, checkpoint)]
        said.append(f"Name one in the field {part[0].upper()}{part[1:]}: {_some(fitting)}." if fitting else f"There is no {part} on the disk that fits it.")
    return " ".join(said)


def _texts_for(checkpoint: ModelFile, offers: list[ModelFile]) -> list[str]:
    """What the field Text encoder takes for a checkpoint: files that hold all it reads, pairs of files, then other checkpoints."""
    group = group_of(checkpoint.family)
    whole = [file.name for file in offers if file.kind == "text encoder" and not file.problem and group_of(file.family) == group]
    borrowed = [file.name for file in offers if file.kind == "checkpoint" and file != checkpoint and fits(file, checkpoint)]
    return [*whole, *(pairs(offers) if group == "sdxl" else ()), *borrowed]


def _some(names: list[str], most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return f"{shown} or {len(names) - most} more" if len(names) > most else shown

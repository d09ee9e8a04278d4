"""Textual inversion files, from their tables of contents alone: whose vectors they hold, and which of them a prompt names.

Forms: A1111's and kohya's ("emb_params"; "string_to_param" in .pt), diffusers' ("<token>"), SDXL's ("clip_l" with "clip_g", or
"text_encoders_0" with "text_encoders_1"), and any file that holds a single matrix. LoRA files may bring words along, under names
that begin with "bundle_emb." and the word. A1111's pictures carry its own form (`pictured`).
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from app.engine.checkpoints.formats import header_of
from app.engine.checkpoints.header import Header, ModelFile
from app.engine.families import group_of
from app.errors import BadCheckpoint

Towers = Mapping[str, int]
"""Kind of each text encoder of a checkpoint ("clip-l", "openclip-h", "openclip-g") -> the width of its vectors."""
NAMES = {"clip_l": "clip_l", "clip_g": "clip_g", "text_encoders_0": "clip_l", "text_encoders_1": "clip_g"}
KINDS = {"clip-l": "clip_l", "openclip-g": "clip_g"}
TOWERS = {"sd1": ("clip-l",), "sd2": ("openclip-h",), "sdxl": ("clip-l", "openclip-g"), "sdxl-refiner": ("openclip-g",)}
"""Group of a checkpoint -> the kinds of its text encoders, in the order in which their states are joined."""
WIDTHS = {768: "clip-l", 1024: "openclip-h", 1280: "openclip-g"}
FLOATS = {"F16", "BF16", "F32", "F64"}


BUNDLED = "bundle_emb."


class Inversion(NamedTuple):
    """A textual inversion: its file, its word, and how the names of its tensors begin in a file that holds other things too."""

    file: ModelFile
    word: str
    prefix: str = ""


Known = ModelFile | Inversion
"""A file of its own, whose name is the word; or a word that some file brings along."""


class Vectors(NamedTuple):
    """Vectors for one text encoder: the tensor's name, how many there are, and how wide they are."""

    tensor: str
    rows: int
    width: int


def vectors_in(header: Header) -> dict[str, Vectors]:
    """"clip_l" and "clip_g" -> their vectors; "" -> vectors for whatever text encoder has their width; {} for no textual inversion."""
    shapes = {name: tensor.shape for name, tensor in header.tensors.items() if tensor.dtype in FLOATS and 1 <= len(tensor.shape) <= 2}
    named = {NAMES[name]: _vectors(name, shape) for name, shape in shapes.items() if name in NAMES}
    if named:
        return named
    plain = [name for name in shapes if name == "emb_params" or name.startswith("string_to_param")] or list(shapes)
    return {"": _vectors(plain[0], shapes[plain[0]])} if len(plain) == 1 else {}


def _vectors(name: str, shape: tuple[int, ...]) -> Vectors:
    return Vectors(name, shape[0] if len(shape) == 2 else 1, shape[-1])


def vectors_of(known: Known) -> dict[str, Vectors]:
    """`vectors_in` of a file. Raises BadCheckpoint: it has a problem, or is no textual inversion."""
    file, _, prefix = _inversion(known)
    if file.problem:
        raise BadCheckpoint(file.problem)
    header = header_of(file.path)
    if prefix:
        header = Header({name.removeprefix(prefix): tensor for name, tensor in header.tensors.items() if name.startswith(prefix)}, {})
    found = {tower: Vectors(prefix + vectors.tensor, vectors.rows, vectors.width) for tower, vectors in vectors_in(header).items()}
    if not found:
        raise BadCheckpoint(f"'{file.path.name}' is not a textual inversion of one word.")
    return found


def bundled_in(file: ModelFile) -> list[Inversion]:
    """The words that a LoRA file brings along, as pivotal tuning writes them. Raises BadCheckpoint."""
    return [Inversion(file, word, f"{BUNDLED}{word}.") for word in _bundled(file.path, file.fingerprint())] if not file.problem else []


@lru_cache(maxsize=64)
def _bundled(path: Path, state: object) -> tuple[str, ...]:
    rests = [name.removeprefix(BUNDLED) for name in header_of(path).tensors if name.startswith(BUNDLED)]
    return tuple(dict.fromkeys(rest.rpartition(".string_to_param")[0] or rest.rpartition(".")[0] for rest in rests))


def _inversion(known: Known) -> Inversion:
    return known if isinstance(known, Inversion) else Inversion(known, word_of(known))


def word_of(file: ModelFile) -> str:
    """What prompts call the textual inversion of a file: the last part of its name."""
    return file.name.rpartition("/")[2]


def towers_of(file: ModelFile) -> Towers | None:
    """The text encoders of a checkpoint, from its configs or its header; None when they do not tell. Never raises."""
    folder = file.path if file.path.is_dir() else file.base
    try:
        widths = _in_folder(folder) if folder else _in_file(file.path, file.fingerprint())
    except (BadCheckpoint, OSError, ValueError, KeyError, TypeError):
        return None
    kinds = TOWERS.get(group_of(file.family), ())
    known = {WIDTHS.get(width, ""): width for width in widths}
    if set(known) == set(kinds):
        return known
    return dict(zip(kinds, widths, strict=True)) if kinds and len(kinds) == len(widths) else None


def _in_folder(folder: Path) -> tuple[int, ...]:
    """Raises OSError, ValueError, KeyError or TypeError."""
    configs = [folder / name / "config.json" for name in ("text_encoder", "text_encoder_2")]
    return tuple(int(json.loads(path.read_text("utf-8"))["hidden_size"]) for path in configs if path.is_file())


@lru_cache(maxsize=32)
def _in_file(path: Path, state: object) -> tuple[int, ...]:
    """Widths of the embedding tables in a file. Raises BadCheckpoint."""
    tensors = header_of(path).tensors
    return tuple(tensors[name].shape[-1] for name in sorted(tensors) if name.endswith("token_embedding.weight") and tensors[name].shape)


def for_tower(found: Mapping[str, Vectors], kind: str, width: int) -> Vectors | None:
    """The vectors for one text encoder; None when there are none for it."""
    vectors = found.get(KINDS.get(kind, "")) or found.get("")
    return vectors if vectors is not None and vectors.width == width else None


def named_in(text: str, embeddings: Iterable[Known], towers: Towers | None) -> list[tuple[Inversion, int]]:
    """The textual inversions whose names occur in a text and that have vectors for all text encoders, and how many vectors each puts
    into a prompt. Of several with one name, in any case, the first; those that cannot be read are no words, nor are SDXL's for SD 1.

    Args:
        towers: of the checkpoint; None: not known, all fit.
    """
    found: list[tuple[Inversion, int]] = []
    names: set[str] = set()
    for inversion in map(_inversion, embeddings):
        name = inversion.word.lower()
        if name not in text.lower() or name in names or inversion.file.problem:
            continue
        try:
            vectors = vectors_of(inversion)
        except BadCheckpoint:
            continue
        if towers is not None and "clip_g" in vectors and "openclip-g" not in towers:
            continue
        fitting = list(vectors.values()) if towers is None else [for_tower(vectors, kind, width) for kind, width in towers.items()]
        if fitting and (counts := {one.rows for one in fitting if one is not None}) and None not in fitting:
            found.append((inversion, max(counts)))
            names.add(name)
    return found

"""The text encoders of a checkpoint, from itself or from files of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.checkpoints import build
from app.engine.checkpoints.embeddings import TOWERS
from app.engine.checkpoints.header import ModelFile, config_of
from app.engine.checkpoints.held import Held, header_of
from app.engine.checkpoints.networks import Parts, TextTower
from app.engine.checkpoints.recognise import part_weights
from app.engine.families import group_of
from app.engine.families.text_layout import KINDS, Place, flat, kind_of, places, text_config
from app.engine.prompt.vocabulary import Vocabulary, clip_vocabulary, folder_vocabulary
from app.errors import BadCheckpoint

HINT = "Choose one in the field Text encoder."
FOLDERS = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))


@dataclass(frozen=True)
class Found:
    """A text encoder that was found in a file or folder.

    Attributes:
        held: its tensors, named as `Place.plain` does.
        config: from the folder; None: read off the shapes.
        words: where its word list lies; None: it is CLIP's.
    """

    kind: str
    held: Held
    place: Place
    config: dict[str, Any] | None = None
    words: Path | None = None


@dataclass(frozen=True)
class BlankTower:
    """A text encoder that was found right, but whose weights are not read yet."""

    kind: str
    blank: build.Blank
    vocabulary: Vocabulary

    def filled(self) -> TextTower:
        """Raises BadCheckpoint."""
        return TextTower("text_encoder_2" if self.kind == "openclip-g" else "text_encoder", self.blank.filled(), self.vocabulary, self.kind)


def blank_texts(file: ModelFile, parts: Parts, dtype: torch.dtype) -> tuple[BlankTower, ...]:
    """The text encoders that the checkpoint's family asks for: from `parts` what those hold, the others from the checkpoint.

    Raises:
        BadCheckpoint: one is missing, damaged, or of a kind that the family does not read.
    """
    wanted = TOWERS.get(group_of(file.family), ("clip-l",))
    found: dict[str, Found] = {}
    for source in parts.texts:
        held = {tower.kind: tower for tower in find_texts(source, wanted)}
        if not held.keys() & set(wanted):
            said = " and ".join(KINDS[kind] for kind in held) or "no text encoder"
            raise BadCheckpoint(f"'{source.name}' holds {said}, but '{file.name}' reads {_all(wanted)}.", "Choose another one in the field Text encoder.")
        found = {**held, **found}
    if not set(wanted) <= found.keys():
        found = {tower.kind: tower for tower in find_texts(file, wanted)} | found
    missing = [kind for kind in wanted if kind not in found]
    if missing:
        which = "" if len(missing) == len(wanted) else f" of the kind {_all(tuple(missing))}"
        raise BadCheckpoint(f"'{file.path.name}' has no text encoder{which}; it reads {_all(wanted)}.", HINT)
    return tuple(_blank(found[kind], dtype) for kind in wanted)


def find_texts(file: ModelFile, wanted: tuple[str, ...]) -> Iterator[Found]:
    """The text encoders that a checkpoint, a file of text encoders, or a folder holds; of each, what is seen without reading numbers.

    Args:
        wanted: kinds that are asked for, see `kind_of`.

    Raises:
        BadCheckpoint
    """
    if not file.path.is_dir():
        names = list(header_of(file.path).tensors)
        for place in places(names):
            held = Held(file.path, [file.path], place.plain)
            kind = kind_of(place, *_size(held), wanted)
            based = file.base is not None and (file.base / "text_encoder").is_dir()
            yield Found(kind, held, place, config_of(file.base / "text_encoder") if based and file.base else None, file.base and file.base / "tokenizer")
        return
    if (file.path / "config.json").is_file():
        yield from _in_folder(file.path, file.path, part_weights(file.path, ""), None, wanted)
    for name, words in FOLDERS:
        if (file.path / name / "config.json").is_file():
            own = file.path / words
            weights = part_weights(file.path, name)
            yield from _in_folder(file.path, file.path / name, weights, own if own.is_dir() else None, ("openclip-g",) if name.endswith("2") else wanted)


def _in_folder(path: Path, folder: Path, files: tuple[Path, ...], words: Path | None, wanted: tuple[str, ...]) -> Iterator[Found]:
    config = config_of(folder)
    for place in places(name for file in files for name in header_of(file).tensors):
        held = Held(path, files, place.plain)
        yield Found(kind_of(place, *_size(held), wanted[:1]), held, place, config, words)
        return
    raise BadCheckpoint(f"'{path.name}' is incomplete: its text encoder misses the tensor 'embeddings.token_embedding.weight'.")


def _size(held: Held) -> tuple[int, int]:
    """(width, layers)"""
    width = next(tuple(tensor.shape)[-1] for name, tensor in held.shapes.items() if name.endswith("token_embedding.weight"))
    return width, sum(name.endswith(("layer_norm1.weight", "ln_1.weight")) for name in held.shapes)


def _blank(found: Found, dtype: torch.dtype) -> BlankTower:
    path, projects = found.held.path, found.kind == "openclip-g"
    shapes = build.fitting(path, lambda: flat(found.held.shapes, found.place))
    config = found.config or build.fitting(
        path, lambda: text_config(lambda name: tuple(shapes[name].shape) if name in shapes else (), found.kind, projected=bool(found.place.projection))
    )
    network: Any = build.text_encoder(config, path, projects=projects)

    def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        plain = flat(weights, found.place)
        return {name if name.startswith("text_projection") else f"text_model.{name}": value for name, value in plain.items()} if projects else plain

    blank = build.blank(network, found.held, dtype, convert, "text encoder")
    vocabulary = folder_vocabulary(found.words) if found.words else clip_vocabulary()
    _check_words(vocabulary, network, path)
    return BlankTower(found.kind, blank, vocabulary)


def _check_words(vocabulary: Vocabulary, network: Any, path: Path) -> None:
    words = network.config.vocab_size
    if max(vocabulary.start, vocabulary.end, len(vocabulary) - 1) >= words:
        raise BadCheckpoint(f"'{path.name}' does not fit together: its word list has {len(vocabulary)} words, its text encoder {words}.")


def _all(kinds: tuple[str, ...]) -> str:
    return " and ".join(KINDS[kind] for kind in kinds)

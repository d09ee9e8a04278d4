"""What a merge will do, tensor by tensor, decided from headers before anything is read. Torch-free.

Formulas (M: the multiplier, or a block's own weight): weighted sum A (1 - M) + B M; add difference A + (B - C) M. As in A1111, a
tensor that B or C lacks stays as A has it, and where A's first convolution has more input channels (inpainting, InstructPix2Pix,
depth) only its first channels are mixed with those of a plain B.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.engine.checkpoints.table import ITEM_BYTES
from app.engine.families import FAMILIES, group_of, latents_of
from app.engine.merging import blocks, names
from app.engine.merging.sources import Piece, Source, fits_a_single_file
from app.errors import BadCheckpoint, BadRequest
from app.merge_request import Merge

CONV_IN = names.UNET + "input_blocks.0.0.weight"
DTYPES = {"fp16": "F16", "bf16": "BF16", "fp32": "F32", "fp8": "F16"}
FP8_LEAST = 1024
"""Of the UNet's matrices and kernels, those with at least so many values are float8 in an fp8 file."""
FLOATS = frozenset(("F8_E4M3", "F8_E5M2", "F16", "BF16", "F32", "F64"))


@dataclass(frozen=True)
class Step:
    """One tensor of the result: `a` * `keep` + `terms` * `factor`, where the second of two terms is taken from the first.

    Attributes:
        a, terms: (letter of the parent, tensor)
        raw: the bytes of `a` are taken as they are.
        channels: 0, or how many of A's input channels the terms have; the others stay.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    a: tuple[str, Piece]
    keep: float = 1.0
    factor: float = 0.0
    terms: tuple[tuple[str, Piece], ...] = ()
    raw: bool = False
    channels: int = 0

    @property
    def bytes(self) -> int:
        """Of the result."""
        return self.a[1].count * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Plan:
    """A whole merge.

    Attributes:
        steps: in the order in which they are written.
        weights: how much of B goes where.
        base: name of the folder checkpoint that the result takes its configs from ("darkroom.base"), or "".
    """

    request: Merge
    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    weights: blocks.Weights
    base: str = ""

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(step.bytes for step in self.steps)


def make(request: Merge, parents: Mapping[str, Source], vae: Source | None, embedded: Path) -> Plan:
    """Decide everything.

    Args:
        parents: "A", and "B" and "C" as the method asks for.
        embedded: models/embedded, where folder checkpoints lie that single files may name as their base.

    Raises:
        BadRequest: the fields do not go together; BadCheckpoint: the parents do not, or one is broken.
    """
    check_letters(request)
    a = parents["A"]
    bases = {source.letter: _base(source, embedded) for source in parents.values()}
    for source in parents.values():
        _check_kin(a, source, bases)
    if not fits_a_single_file(a.file, a.pieces, bases["A"]):
        raise BadCheckpoint(f"{a} is a diffusers folder whose settings a single file cannot hold.", "Take a single file as A.")
    known = blocks.blocks_of(a.pieces)
    weights = blocks.read(request.blocks, known, request.multiplier)
    maker = _Maker(request, parents, vae, weights, known[-1])
    steps = [step for name in maker.names() if (step := maker.step(name))]
    steps.sort(key=lambda step: -ITEM_BYTES[step.dtype])  # wide values first, so that all lie at multiples of their size
    return Plan(request, (*parents.values(), *((vae,) if vae else ())), tuple(steps), weights, bases["A"])


def check_letters(request: Merge) -> None:
    """Which of B and C the method needs. Raises BadRequest."""
    wanted = {"Weighted sum": "b", "Add difference": "bc", "No interpolation": ""}[request.method]
    for letter, name in (("b", request.model_b), ("c", request.model_c)):
        if letter in wanted and not name:
            raise BadRequest(f"{request.method} needs a checkpoint {letter.upper()} (model_{letter}).")
        if letter not in wanted and name:
            raise BadRequest(f"{request.method} takes no checkpoint {letter.upper()} (model_{letter}).", "Leave it empty, or choose another method.")
    if request.blocks.strip() and not wanted:
        raise BadRequest("Block weights (blocks) say how much of B is mixed in, but no interpolation has no B.", "Leave them empty.")


class _Maker:
    """Makes the steps."""

    def __init__(self, request: Merge, parents: Mapping[str, Source], vae: Source | None, weights: blocks.Weights, last: str) -> None:
        self._request, self._vae, self._weights, self._last = request, vae, weights, last
        self._a, self._others = parents["A"], [parents[letter] for letter in ("B", "C") if letter in parents]
        self._ema = names.ema_names(self._a.pieces)
        self._check_unets()
        if vae is not None:
            self._check_vae(vae)

    def names(self) -> list[str]:
        """Of all tensors of the result, in the order of A's file; those of the VAE that is baked in stand where A's did."""
        own = [name for name in self._a.pieces if not (self._vae and name.startswith(names.VAE))]
        return [*own, *(self._vae.pieces if self._vae else ())]

    def step(self, name: str) -> Step | None:
        """What makes one tensor; None when it is left out."""
        if self._vae and name in self._vae.pieces:
            return self._written(name, "VAE", self._vae.pieces[name])
        piece = self._a.pieces[name]
        if name.startswith(names.EMA) and not self._request.keep_ema:
            return None
        if not name.startswith(names.MODEL) or piece.dtype not in FLOATS:
            return Step(name, piece.dtype, piece.shape, ("A", piece), raw=True)
        weight = self._weights.of(self._ema.get(name, name), self._last)
        if not self._others or weight == 0 or any(name not in other.pieces for other in self._others):
            return self._written(name, "A", piece)
        return self._mixed(name, piece, weight)

    def _written(self, name: str, letter: str, piece: Piece) -> Step:
        return Step(name, self._dtype(name, piece), piece.shape, (letter, piece))

    def _mixed(self, name: str, piece: Piece, weight: float) -> Step:
        channels = 0
        for other in self._others:
            shape = other.pieces[name].shape
            if shape != piece.shape:
                channels = self._channels(name, piece.shape, other, shape)
        if channels and len({other.pieces[name].shape for other in self._others}) > 1:
            raise BadCheckpoint(f"B and C take different numbers of input channels, so their difference says nothing ('{name}').")
        terms = tuple((other.letter, other.pieces[name]) for other in self._others)
        keep = 1 - weight if self._request.method == "Weighted sum" else 1.0
        return Step(name, self._dtype(name, piece), piece.shape, ("A", piece), keep, weight, terms, channels=channels)

    def _channels(self, name: str, shape: tuple[int, ...], other: Source, found: tuple[int, ...]) -> int:
        """How many input channels A's first convolution shares with that of `other`. Raises BadCheckpoint for every other difference."""
        if self._ema.get(name, name) == CONV_IN and len(shape) == len(found) == 4 and (shape[0], *shape[2:]) == (found[0], *found[2:]):
            if found[1] == 4 < shape[1]:
                return 4
            raise BadCheckpoint(
                f"The UNet of {other} takes {found[1]} input channels, that of A {shape[1]}.",
                "Take the inpainting, depth or instruction checkpoint as A." if shape[1] < found[1] else "",
            )
        raise BadCheckpoint(f"A and {other} do not fit together: '{name}' has the shape {shape} in A, but {found} in {other.letter}.")

    def _dtype(self, name: str, piece: Piece) -> str:
        large = name.startswith(names.UNET) and len(piece.shape) >= 2 and piece.count >= FP8_LEAST
        return "F8_E4M3" if self._request.save_as == "fp8" and large else DTYPES[self._request.save_as]

    def _check_unets(self) -> None:
        for other in self._others:
            if missing := next((name for name in self._a.pieces if name.startswith(names.UNET) and name not in other.pieces), ""):
                raise BadCheckpoint(f"{other} has no tensor '{missing}', which the UNet of A has; they are not of one kind.")

    def _check_vae(self, vae: Source) -> None:
        own = {name: piece.shape for name, piece in self._a.pieces.items() if name.startswith(names.VAE)}
        if not vae.pieces:
            raise BadCheckpoint(f"'{vae.file.name}' holds no VAE whose tensors could be baked in.")
        for name, shape in own.items():
            if name.removeprefix(names.VAE).startswith(names.VAE_PARTS) and (name not in vae.pieces or vae.pieces[name].shape != shape):
                raise BadCheckpoint(f"The VAE '{vae.file.name}' does not fit A: '{name}' is missing or has another shape.")
        if not own and latents_of(vae.file.family) != latents_of(self._a.file.family):
            raise BadCheckpoint(f"The VAE '{vae.file.name}' was made for {_label(vae.file.family)}, but A is {_label(self._a.file.family)}.")


def _base(source: Source, embedded: Path) -> str:
    """The folder checkpoint that a parent takes its configs from, or that it is; "" for all that are like everybody's."""
    if source.file.base:
        return source.file.base.name
    return source.file.path.name if source.file.path.is_dir() and source.file.path.parent.resolve() == embedded.resolve() else ""


def _check_kin(a: Source, other: Source, bases: Mapping[str, str]) -> None:
    """Both are of one group of families, predict the same, and have one base. Raises BadCheckpoint."""
    if group_of(a.file.family) != group_of(other.file.family):
        raise BadCheckpoint(f"{other} is {_label(other.file.family)}, but {a} is {_label(a.file.family)}; only checkpoints of one kind can be merged.")
    if (says := other.file.prediction) and (ours := a.file.prediction) and says != ours:
        raise BadCheckpoint(f"{other} predicts {says}, but {a} predicts {ours}; what is in between predicts neither.")
    if bases[other.letter] != bases["A"]:
        names_of = [f"'{name}'" if name else "no other checkpoint" for name in (bases[other.letter], bases["A"])]
        raise BadCheckpoint(f"{other} takes its word list and layers from {names_of[0]}, but {a} from {names_of[1]}.")


def _label(family: str) -> str:
    return FAMILIES[family].label if family in FAMILIES else family

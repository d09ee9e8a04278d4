"""Block weights: how much of B each block of the UNet takes. Torch-free.

The blocks are numbered as the merge extensions of A1111 number them: IN00 to IN11, M00, OUT00 to OUT11 for SD 1 and 2 (25 numbers,
or 26 with one for the text encoder and the VAE in front), IN00 to IN08, M00, OUT00 to OUT08 for SDXL (19, or 20). The embedding of
the time (and of SDXL's size) belongs to IN00, the last layers ("out.") to the last OUT.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.engine.merging.names import UNET
from app.errors import BadRequest

LIMIT = 2.0
_PLACE = re.compile(rf"^{re.escape(UNET)}(input_blocks|middle_block|output_blocks)\.(\d+)\.")
Curve = Callable[[float], float]


@dataclass(frozen=True)
class Weights:
    """How much of B goes where.

    Attributes:
        base: for the text encoder, the VAE, and all blocks that are not named.
        blocks: name of a block -> its own weight; empty: `base` everywhere.
    """

    base: float
    blocks: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str, last: str) -> float:
        """The weight of a tensor by its LDM name. `last`: name of the last OUT block."""
        return self.blocks.get(block_of(name, last), self.base) if self.blocks else self.base


def block_of(name: str, last: str = "OUT11") -> str:
    """"IN00", "M00", "OUT11" ...; "" for what is not part of the UNet."""
    if not name.startswith(UNET):
        return ""
    if found := _PLACE.match(name):
        return "M00" if found[1] == "middle_block" else f"{'IN' if found[1] == 'input_blocks' else 'OUT'}{int(found[2]):02d}"
    return last if name.startswith(UNET + "out.") else "IN00"


def blocks_of(names: Iterable[str]) -> tuple[str, ...]:
    """All blocks of a UNet, in the order in which they are numbered."""
    found = {(match[1], int(match[2])) for name in names if (match := _PLACE.match(name))}
    ins, outs = (sorted(number for side, number in found if side == kind) for kind in ("input_blocks", "output_blocks"))
    return (*(f"IN{number:02d}" for number in ins), "M00", *(f"OUT{number:02d}" for number in outs))


def read(text: str, blocks: Sequence[str], multiplier: float) -> Weights:
    """Weights from a preset's name or a list of numbers; without either the multiplier everywhere. A list of one number more than
    there are blocks begins with the one for the text encoder; otherwise that takes the multiplier. Raises BadRequest."""
    if not text.strip():
        return Weights(multiplier)
    if curve := PRESETS.get(text.strip().upper().replace(" ", "_").replace("-", "_")):
        last = len(blocks) - 1
        return Weights(multiplier, {name: round(curve(place / last), 6) for place, name in enumerate(blocks)})
    parts = [part for part in re.split(r"[,;\s]+", text.strip()) if part]
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        bad = next(part for part in parts if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", part, re.IGNORECASE))
        wanted = f"a list of {len(blocks)} or {len(blocks) + 1} numbers, or a preset: {', '.join(PRESETS)}"
        raise BadRequest(f"Block weights (blocks) holds '{bad[:40]}', but it must be {wanted}.") from None
    if len(numbers) not in (len(blocks), len(blocks) + 1):
        raise BadRequest(
            f"Block weights (blocks) has {len(numbers)} numbers, but A has {len(blocks)} blocks ({blocks[0]} to {blocks[-1]}): "
            f"{len(blocks)} are needed, or {len(blocks) + 1} with one for the text encoder in front."
        )
    if any(not math.isfinite(number) or abs(number) > LIMIT for number in numbers):
        raise BadRequest(f"Block weights (blocks) must be numbers from {-LIMIT:g} to {LIMIT:g}.")
    base = numbers.pop(0) if len(numbers) > len(blocks) else multiplier
    return Weights(base, dict(zip(blocks, numbers, strict=True)))


def _outer(blocks: int) -> Curve:
    """1 in the outermost blocks, so many of 25 on each side."""
    return lambda t: 1.0 if min(t, 1 - t) < (blocks - 0.5) / 24 else 0.0


def _smooth(t: float) -> float:
    return t * t * (3 - 2 * t)


def _cosine(t: float) -> float:
    return (1 - math.cos(math.pi * t)) / 2


PRESETS: dict[str, Curve] = {
    "FLAT_25": lambda t: 0.25,
    "FLAT_50": lambda t: 0.5,
    "FLAT_75": lambda t: 0.75,
    "GRAD_V": lambda t: abs(1 - 2 * t),
    "GRAD_A": lambda t: 1 - abs(1 - 2 * t),
    "IN": lambda t: 1.0 if t < 0.49 else 0.0,
    "MID": lambda t: 1.0 if 0.25 < t < 0.75 else 0.0,
    "OUT": lambda t: 1.0 if t > 0.51 else 0.0,
    "WRAP08": _outer(4),
    "WRAP12": _outer(6),
    "WRAP16": _outer(8),
    "SMOOTHSTEP": _smooth,
    "REVERSE_SMOOTHSTEP": lambda t: 1 - _smooth(t),
    "COSINE": _cosine,
    "REVERSE_COSINE": lambda t: 1 - _cosine(t),
}
"""Name -> weight over the place of a block, 0 for IN00 to 1 for the last OUT."""

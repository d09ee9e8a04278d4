"""Weights of a network for each block of the UNet, as the extension sd-webui-lora-block-weight lets them be written (`lbw=`).

A list has 12, 17, 20 or 26 numbers, for the blocks named in `LAYOUTS`; blocks that its layout does not name get 0. "BASE" is the
text encoders' weight. Layers outside of all blocks (the time's embedding, the last convolution) keep 1.
"""

import math

from app.errors import BadRequest

_IN, _OUT = [f"IN{i:02}" for i in range(12)], [f"OUT{i:02}" for i in range(12)]
BLOCKS = ("BASE", *_IN, "MID", *_OUT)
LAYOUTS: dict[int, tuple[str, ...]] = {
    12: ("BASE", "IN04", "IN05", "IN07", "IN08", "MID", *_OUT[:6]),
    17: ("BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID", *_OUT[3:]),
    20: ("BASE", *_IN[:9], "MID", *_OUT[:9]),
    26: BLOCKS,
}
"""How many numbers -> whose they are: the blocks with attention of SDXL and of SD 1 and 2, all blocks of SDXL and of SD 1 and 2."""

EVEN = {"NONE": 0.0, "ALL": 1.0, "ALL0.5": 0.5}
"""Name -> the weight of all blocks."""
PRESETS = {
    "INS": ("11110000000000000", "111000000000"), "IND": ("10001110000000000", "100110000000"), "INALL": ("11111110000000000", "111110000000"),
    "MIDD": ("10001111111100000", "100111111000"), "OUTD": ("10000000111100000", "100000111000"),
    "OUTS": ("10000000000011111", "100000000111"), "OUTALL": ("10000000111111111", "100000111111"),
}  # fmt: skip
"""Name -> the numbers for 17 blocks (the extension's own), and what they are for SDXL's 12."""


def block_weights(text: str, group: str = "") -> dict[str, float]:
    """Block -> weight; {} for an empty text. A block's name alone ("IN04", "OUT11") is a preset too: it and the text encoders.

    Args:
        text: numbers with commas between them, or the name of a preset (in capitals).
        group: what the checkpoint's networks are made for, see `app.engine.families.group_of`: SDXL's presets have its blocks.

    Raises:
        BadRequest: it is neither.
    """
    if not text:
        return {}
    if text in EVEN:
        return dict.fromkeys(BLOCKS, EVEN[text])
    if text in BLOCKS:
        return {block: float(block in (text, "BASE")) for block in BLOCKS}
    numbers = [float(sign) for sign in PRESETS[text][group == "sdxl"]] if text in PRESETS else _numbers(text)
    known = dict(zip(LAYOUTS[len(numbers)], numbers, strict=True))
    return {block: known.get(block, 0.0) for block in BLOCKS}


def is_block_weights(text: str) -> bool:
    """Whether a tag's plain argument is meant as weights of blocks, not as a number."""
    return "," in text or text in PRESETS or text in EVEN or text in BLOCKS


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(item) for item in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in LAYOUTS or not all(math.isfinite(number) for number in numbers):
        names = ", ".join([*EVEN, *PRESETS])
        raise BadRequest(f"The block weights 'lbw={text[:60]}' must be 12, 17, 20 or 26 numbers with commas between them, a block (IN04), or one of {names}.")
    return numbers

"""Hires. fix: what can be asked of the second pass of txt2img, and how large its picture becomes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from app.param import param, speakable_prompt

GRID = 8
"""Pixels to a cell of the latents."""
SAME = frozenset({"use same checkpoint", "use same sampler", "use same scheduler"})
"""A1111's words for what we leave empty."""

_HASH = re.compile(r" \[[0-9a-f]{8,64}\]$")
HiresPass = Literal["first pass", "second pass", "both passes"]
TargetSide = Annotated[int, Field(ge=0, le=4096, multiple_of=GRID)]


class HiresFix(BaseModel):
    """Fields of a request whose picture may be painted small, enlarged, and painted over once more (A1111's "Hires. fix")."""

    enable_hr: bool = param(False, "Hires. fix", "Paints small first, enlarges, and paints over it once more")
    hr_upscaler: str = param("Latent", "Upscaler", "Latent modes need much denoising, the others little", choices="hires_upscalers", max_length=512)
    hr_scale: float = param(2.0, "Upscale by", "How many times as wide and as high", step=0.05, ge=1, le=4)
    hr_resize_x: TargetSide = param(0, "Resize width to", "0: what the height asks for, or 'Upscale by'", step=8)
    hr_resize_y: TargetSide = param(0, "Resize height to", "0: what the width asks for, or 'Upscale by'", step=8)
    hr_second_pass_steps: int = param(0, "Hires steps", "0: as many as in the first pass", step=1, ge=0, le=150)
    denoising_strength: float = param(0.7, "Denoising strength", "Of the second pass: 0 keeps the enlarged picture", step=0.01, ge=0, le=1)
    hr_cfg: float = param(0.0, "Hires CFG scale", "0: as in the first pass", step=0.5, ge=0, le=30)
    hr_checkpoint: str = param("", "Hires checkpoint", "Paints the second pass", choices="checkpoints", empty="Use same checkpoint", max_length=512)
    hr_sampler: str = param("", "Hires sampling method", choices="samplers", empty="Use same sampler", max_length=64)
    hr_schedule: str = param("", "Hires schedule type", choices="schedules", empty="Use same scheduler", max_length=64)
    hr_prompt: str = param("", "Hires prompt", "For the second pass; empty: the same", widget="lines")
    hr_negative_prompt: str = param("", "Hires negative prompt", "For the second pass; empty: the same", widget="lines")
    hr_refiner: HiresPass = param("second pass", "Hires refiner pass", "Which pass the refiner, if there is one, takes part in")
    save_first_pass: bool = param(False, "Save first pass", "Keeps the small picture, too")

    @field_validator("hr_prompt", "hr_negative_prompt")
    @classmethod
    def _hires_speakable(cls, text: str) -> str:
        return speakable_prompt(text)

    @field_validator("hr_checkpoint", "hr_sampler", "hr_schedule")
    @classmethod
    def _same(cls, name: str) -> str:
        """A1111's "Use same ..." is our empty name."""
        return "" if name.strip().lower() in SAME else name


KEYS = {
    "Hires upscale": "hr_scale", "Hires resize-1": "hr_resize_x", "Hires resize-2": "hr_resize_y", "Hires steps": "hr_second_pass_steps",
    "Hires upscaler": "hr_upscaler", "Hires checkpoint": "hr_checkpoint", "Hires sampler": "hr_sampler", "Hires schedule type": "hr_schedule",
    "Hires CFG Scale": "hr_cfg", "Hires prompt": "hr_prompt", "Hires negative prompt": "hr_negative_prompt", "Hires refiner": "hr_refiner",
}  # fmt: skip
"""A1111's key in the infotext (and Forge's for CFG) -> field."""
ON = frozenset({"Hires upscale", "Hires upscaler", "Hires resize-1"})
"""Any of these says that there was a second pass."""
_GRANTED = {name: HiresFix.model_fields[name].default for name in KEYS.values() if name not in ("hr_scale", "hr_upscaler")}


def pairs(request: HiresFix, prompt: str, negative_prompt: str) -> dict[str, Any]:
    """What the infotext says of the second pass, as A1111 does: what it takes for granted is left out.

    Args:
        prompt, negative_prompt: of the first pass.
    """
    if not request.enable_hr:
        return {}
    resized = request.hr_resize_x or request.hr_resize_y
    size = {"Hires resize": f"{request.hr_resize_x}x{request.hr_resize_y}"} if resized else {"Hires upscale": request.hr_scale}
    found = {key: value for key, name in KEYS.items() if name in _GRANTED and (value := getattr(request, name)) != _GRANTED[name] and "resize" not in key}
    for key, text in (("Hires prompt", prompt), ("Hires negative prompt", negative_prompt)):
        if found.get(key) == text:
            del found[key]
    return size | {"Hires upscaler": request.hr_upscaler} | found


def values(fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the pairs of an infotext name, and what A1111 takes for granted for the others."""
    if not ON & set(fields):
        return {"enable_hr": False}
    return {"enable_hr": True} | _GRANTED | {name: without_hash(fields[key]) for key, name in KEYS.items() if key in fields}


def without_hash(name: str) -> str:
    """A1111's "model [6ce0161689]" without its hash."""
    return _HASH.sub("", name)


@dataclass(frozen=True)
class Target:
    """How the second pass gets its size.

    Attributes:
        to_width, to_height: what the first picture is enlarged to, in pixels.
        cut_x, cut_y: cells of the enlarged latents that are cut away then, half on either side.
    """

    to_width: int
    to_height: int
    cut_x: int = 0
    cut_y: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the finished picture."""
        return (self.to_width // GRID - self.cut_x) * GRID, (self.to_height // GRID - self.cut_y) * GRID


def target(request: HiresFix, width: int, height: int) -> Target:
    """The target for a first pass of width x height, as A1111 computes it.

    A width or height to resize to wins over the factor; with one of them the aspect stays, with both the picture covers the
    rectangle and is cut. Sizes that are no multiples of 8 lose the rest.
    """
    wide, high = request.hr_resize_x, request.hr_resize_y
    if not wide and not high:
        return Target(int(width * request.hr_scale), int(height * request.hr_scale))
    if not high:
        return Target(wide, wide * height // width)
    if not wide:
        return Target(high * width // height, high)
    if width / height < wide / high:
        to_height = wide * height // width
        return Target(wide, to_height, 0, (to_height - high) // GRID)
    to_width = high * width // height
    return Target(to_width, high, (to_width - wide) // GRID, 0)

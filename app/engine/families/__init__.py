"""The table of checkpoint families. Imports nothing heavy: a row's `load` does that when it is called.

To add one: write `load(file, parts, plan) -> Model` (see docs/architecture.md for what a Model does) and add a row, here or
from an extension's hook `register_families`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Family:
    """A kind of checkpoint that can be run.

    Attributes:
        name: as `ModelFile.family` says it.
        label: its name for people ("SD 1.x").
        load: (ModelFile, the parts that come from other files, DevicePlan) -> Model; raises BadCheckpoint.
        recognise: True for the `Header` of a safetensors file that is one; needed only for families that
            `app.engine.checkpoints.recognise` does not know.
        native: usual side in pixels.
        group: what LoRAs, embeddings and text encoders must be made for, see `group_of`; "" stands for the name.
        over_picture: whether it paints over a picture and cannot be without one (InstructPix2Pix, depth).
    """

    name: str
    label: str
    load: Callable[[Any, Any, Any], Any]
    recognise: Callable[[Any], bool] | None = None
    native: int = 512
    group: str = ""
    over_picture: bool = False


def _load(module: str, file: Any, parts: Any, plan: Any) -> Any:
    return import_module(f"app.engine.families.{module}").load(file, parts, plan)


def _row(name: str, label: str, module: str, group: str, native: int, *, over_picture: bool = False) -> Family:
    return Family(name, label, partial(_load, module), None, native, group, over_picture)


FAMILIES: dict[str, Family] = {
    row.name: row
    for row in (
        _row("sd1", "SD 1.x", "sd1", "sd1", 512),
        _row("sd1-inpaint", "SD 1.x inpainting", "sd1", "sd1", 512),
        _row("sd1-ip2p", "SD 1.x InstructPix2Pix", "sd1", "sd1", 512, over_picture=True),
        _row("sd2", "SD 2.x", "sd2", "sd2", 768),
        _row("sd2-inpaint", "SD 2.x inpainting", "sd2", "sd2", 512),
        _row("sd2-depth", "SD 2.x depth", "sd2", "sd2", 512, over_picture=True),
        _row("sdxl", "SDXL", "sdxl", "sdxl", 1024),
        _row("sdxl-inpaint", "SDXL inpainting", "sdxl", "sdxl", 1024),
        _row("sdxl-ip2p", "SDXL InstructPix2Pix", "sdxl", "sdxl", 768, over_picture=True),
        _row("sdxl-refiner", "SDXL refiner", "sdxl_refiner", "sdxl-refiner", 1024),
    )
}


def group_of(family: str) -> str:
    """What LoRAs, embeddings and text encoders share: "sd1", "sd2", "sdxl", "sdxl-refiner"; a family without a row is its own group."""
    row = FAMILIES.get(family)
    return (row.group if row else "") or family


_LATENTS = {"sd2": "sd1", "sdxl-refiner": "sdxl"}


def latents_of(family: str) -> str:
    """Which families' latents mean the same, so that VAEs, refiners and second passes can be shared: "sd1" (SD 2.x, too) or "sdxl" (and
    its refiner); a family without a row has its own."""
    group = group_of(family)
    return _LATENTS.get(group, group)

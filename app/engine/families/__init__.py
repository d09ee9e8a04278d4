"""The table of checkpoint families. Imports nothing heavy: a row's `load` does that when it is called.

To add one: write `load(file, vae, plan) -> Model` (see docs/architecture.md for what a Model does) and add a row, here or
from an extension's hook `register_families`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """A kind of checkpoint that can be run.

    Attributes:
        name: as `ModelFile.family` says it.
        label: its name for people ("SD 1.x").
        load: (ModelFile, the ModelFile of another VAE or None, DevicePlan) -> Model; raises BadCheckpoint.
        recognise: True for the `Header` of a safetensors file that is one; needed only for families that
            `app.engine.checkpoints.recognise` does not know.
        native: usual side in pixels.
    """

    name: str
    label: str
    load: Callable[[Any, Any, Any], Any]
    recognise: Callable[[Any], bool] | None = None
    native: int = 512


def _load_sd1(file: Any, vae: Any, plan: Any) -> Any:
    from app.engine.families.sd1 import load

    return load(file, vae, plan)


def _load_sd1_inpaint(file: Any, vae: Any, plan: Any) -> Any:
    from app.engine.families.sd1_inpaint import load

    return load(file, vae, plan)


FAMILIES: dict[str, Family] = {
    row.name: row for row in (Family("sd1", "SD 1.x", _load_sd1), Family("sd1-inpaint", "SD 1.x inpainting", _load_sd1_inpaint))
}

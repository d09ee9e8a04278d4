"""Request fields that suit a checkpoint, from its family and from what it was distilled to.

Sources: the cards of the released models (SDXL Turbo, SDXL Lightning, Hyper-SD, LCM), and Lin et al. 2024 for those whose noise
levels end in pure noise.
"""

import re
from typing import Any

from app.engine.checkpoints.header import ModelFile
from app.engine.families import group_of

FEW_STEPS: dict[str, dict[str, Any]] = {
    "lcm": {"sampler": "LCM", "schedule": "SGM Uniform", "steps": 6, "cfg_scale": 1.5},
    "lightning": {"sampler": "Euler", "schedule": "SGM Uniform", "steps": 8, "cfg_scale": 1.0},
    "hyper": {"sampler": "Euler", "schedule": "SGM Uniform", "steps": 8, "cfg_scale": 1.0},
    "turbo": {"sampler": "DPM++ SDE", "schedule": "Karras", "steps": 8, "cfg_scale": 2.0},
}
"""Variant -> fields. Those of "turbo" are for the fine-tunes that go by that name; Stability's own two are `ORIGINAL_TURBO`."""
ORIGINAL_TURBO: dict[str, Any] = {"sampler": "Euler a", "schedule": "Turbo", "steps": 4, "cfg_scale": 1.0, "width": 512, "height": 512}
ZERO_SNR: dict[str, Any] = {"sampler": "Euler", "schedule": "SGM Uniform", "cfg_scale": 5.0, "cfg_rescale": 0.7}
"""Sampling begins in pure noise, which Karras' schedule never reaches, and guidance is rescaled (Lin et al. 2024, section 3.4)."""


def defaults_of(file: ModelFile) -> dict[str, Any]:
    """Fields of a request (`width`, `height`, and where they matter `sampler`, `schedule`, `steps`, `cfg_scale`, `cfg_rescale`) that suit
    a checkpoint. A LoRA that makes few steps enough has the same without a size; {} for other files."""
    if file.kind not in ("checkpoint", "lora"):
        return {}
    few = dict(FEW_STEPS.get(file.variant, {}))
    if few and (steps := _steps_in(file.path.stem)):
        few["steps"] = steps
    if file.kind == "lora":
        return few
    found: dict[str, Any] = {"width": file.native, "height": file.native}
    if file.zero_snr:
        found |= ZERO_SNR
    if file.variant == "turbo" and re.match(r"(sd[-_]?xl|sd)[-_ ]?turbo", file.path.stem, re.IGNORECASE):
        return found | ORIGINAL_TURBO if group_of(file.family) in ("sdxl", "sd2") else found | few
    return found | few


def _steps_in(name: str) -> int:
    """4 for "sdxl_lightning_4step"; 0 when the name says none."""
    found = re.search(r"(?<!\d)(\d{1,2})[-_ ]?steps?", name, re.IGNORECASE)
    return int(found[1]) if found and 1 <= int(found[1]) <= 16 else 0

from pathlib import Path

import pytest

from app.engine.checkpoints.defaults import FEW_STEPS, ORIGINAL_TURBO, ZERO_SNR, defaults_of
from app.engine.checkpoints.header import ModelFile
from app.engine.samplers import SAMPLERS
from app.engine.schedules import resolve_schedule
from app.request import Txt2Img


def of(name: str, family: str = "sdxl", kind: str = "checkpoint", native: int = 1024, **facts) -> dict:
    return defaults_of(ModelFile(name, Path(f"{name}.safetensors"), kind, family, "", 1, native, **facts))


def test_a_plain_checkpoint_has_its_size() -> None:
    assert of("x") == {"width": 1024, "height": 1024} and of("x", "sd1", native=128) == {"width": 128, "height": 128}
    assert of("x", kind="vae") == {} and of("x", kind="lora") == {}


def test_few_steps() -> None:
    size = {"width": 1024, "height": 1024}
    assert of("dream", variant="lcm") == size | FEW_STEPS["lcm"]
    assert of("sdxl_lightning_4step", variant="lightning") == size | FEW_STEPS["lightning"] | {"steps": 4}
    assert of("Hyper-SDXL-12steps-lora", kind="lora", variant="hyper") == FEW_STEPS["hyper"] | {"steps": 12}
    assert of("someTurbo_100steps", variant="turbo")["steps"] == FEW_STEPS["turbo"]["steps"]
    assert of("sd_xl_turbo_1.0", variant="turbo") == ORIGINAL_TURBO
    assert of("noob", zero_snr=True) == size | ZERO_SNR


@pytest.mark.parametrize("fields", [*FEW_STEPS.values(), ORIGINAL_TURBO, ZERO_SNR])
def test_they_are_fields_that_exist_with_values_that_are_allowed(fields: dict) -> None:
    assert Txt2Img.model_validate({"prompt": "x", **fields})
    assert fields["sampler"] in SAMPLERS and resolve_schedule(fields["schedule"]) == fields["schedule"]

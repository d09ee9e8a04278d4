"""What a refiner or a second pass takes of a request that was made for another checkpoint. Families stand for checkpoints of their name."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.engine.adapters.asked import Lora
from app.engine.checkpoints.header import ModelFile
from app.engine.shares import Shares
from app.request import Txt2Img


def file(family: str, kind: str = "checkpoint") -> ModelFile:
    return ModelFile(family, Path(family), kind, family, "", 1, 512)


def shares(checkpoint: str, home: str, **values: Any) -> Shares:
    request = Txt2Img(checkpoint=checkpoint, vae="v", text_encoder="t", **values)
    return Shares(request, home, SimpleNamespace(checkpoint=file))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("checkpoint", "home", "vae", "text"),
    [("sd1", "sd1", "v", "t"), ("sd1-inpaint", "sd1", "v", "t"), ("sd2", "sd1", "v", ""), ("sdxl-refiner", "sdxl", "v", ""), ("sdxl", "sd1", "", "")],
)
def test_parts_serve_checkpoints_of_the_same_kind(checkpoint: str, home: str, vae: str, text: str) -> None:
    found = shares(checkpoint, home)
    assert (found.vae, found.text_encoder) == (vae, text)


def test_each_checkpoint_of_a_job_leaves_the_others_loras_alone() -> None:
    asked = [Lora(file(family, "lora")) for family in ("sd1", "sdxl", "unknown")]

    def taken(found: Shares) -> list[str]:
        return [lora.file.family for lora in found.loras(asked)]

    assert taken(shares("sd1", "sd1", hr_checkpoint="sdxl")) == ["sd1", "unknown"]
    assert taken(shares("sdxl", "sd1", hr_checkpoint="sdxl")) == ["sdxl", "unknown"]
    assert taken(shares("sd1", "sd1")) == ["sd1", "sdxl", "unknown"], "one for no checkpoint of the job is left to be refused by name"
    assert taken(shares("sdxl-refiner", "sdxl")) == ["sd1", "unknown"]

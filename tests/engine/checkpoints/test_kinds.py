import pytest

from app.engine.checkpoints.header import Header, Tensor
from app.engine.checkpoints.kinds import context_width, inputs_of, recognise, told_family
from tests.layouts import loras
from tests.layouts.checkpoints import LAYOUTS, single


def header(keys, **metadata) -> Header:
    return Header({name: Tensor("F16", shape, 0, 0) for name, shape in keys.items()}, {name.replace("__", "."): value for name, value in metadata.items()})


@pytest.mark.parametrize("family", LAYOUTS)
def test_what_a_unet_reads(family: str) -> None:
    found = header(single(family))
    assert inputs_of(found) == LAYOUTS[family].unet.inputs
    assert context_width(found) == 64 * len(LAYOUTS[family].texts)
    assert context_width(header(single(family, small=False))) == LAYOUTS[family].unet.context


@pytest.mark.parametrize("form", [form for form in loras.FORMS if form not in ("ia3", "oft")])
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_a_lora_tells_whose_it_is_by_the_width_of_the_text(family: str, form: str) -> None:
    found = header(loras.kohya(family, form))
    assert recognise(found) == ("lora", family) and context_width(found) == {"sd1": 768, "sd2": 1024, "sdxl": 2048}[family]


def test_small_loras_tell_it_by_their_structure() -> None:
    """Widths of 64 and 128 say nothing; SDXL's depth, and SD 2's projections that are matrices, do."""
    for family in ("sd1", "sd2", "sdxl"):
        assert recognise(header(loras.kohya(family, small=True))) == ("lora", family)


TOLD = {
    "stable-diffusion-xl-v1-base/lora": "sdxl", "stable-diffusion-v1/lora": "sd1", "stable-diffusion-v2-768-v/lora": "sd2", "flux-1-dev/lora": "flux",
    "stable-diffusion-xl-v1-refiner": "sdxl-refiner", "something": "",
}  # fmt: skip


@pytest.mark.parametrize("architecture", TOLD)
def test_what_the_metadata_says_of_the_family(architecture: str) -> None:
    assert told_family({"modelspec.architecture": architecture}) == TOLD[architecture]


def test_metadata_decides_only_where_the_tensors_are_silent() -> None:
    silent, loud = {"lora_te_x.lora_down.weight": (4, 8)}, loras.kohya("sd1")
    assert recognise(header(silent, ss_base_model_version="sdxl_base_v1-0")) == ("lora", "sdxl")
    assert recognise(header(silent, ss_v2="True")) == ("lora", "sd2")
    assert recognise(header(silent)) == ("lora", "sd1")
    assert recognise(header(loud, ss_base_model_version="sdxl_base_v1-0")) == ("lora", "sd1")

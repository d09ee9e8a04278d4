import struct
from pathlib import Path

import pytest

from app.engine.checkpoints.header import read_header
from app.engine.checkpoints.traits import Prediction, plain_prediction, prediction_of, variant_of, yaml_prediction
from tests.layouts import write

NORM = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
VARIANTS = {
    "sd_xl_turbo_1.0_fp16": "turbo", "DreamShaperXL_Turbo_v2": "turbo", "sdxl_lightning_8step": "lightning", "Hyper-SDXL-8steps-CFG": "hyper",
    "dreamshaper_8LCM": "lcm", "lcm-lora-sdv1-5": "lcm", "LCM_Dreamshaper_v7": "lcm", "realismHyper_v2": "", "hyper_v3": "hyper", "v1-5-pruned": "",
    "calcmodel": "", "talcmix": "", "hyperrealism": "",
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_few_step_models_by_their_names(name: str) -> None:
    assert variant_of(name) == VARIANTS[name]


def test_titles_are_asked_after_names() -> None:
    assert variant_of("plain", "", "SDXL Lightning") == "lightning" and variant_of("x_turbo", "SDXL Lightning") == "turbo"


YAMLS = {
    'model:\n  params:\n    parameterization: "v"\n': "v_prediction", "parameterization: v": "v_prediction", "  parameterization: eps # not v": "epsilon",
    "parameterization: 'x0'": "sample", "# parameterization: v": "", "parameterization:\nv": "", "": "", "\xff\xfe": "",
}  # fmt: skip


@pytest.mark.parametrize("text", YAMLS)
def test_what_a_yaml_says(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text, "latin-1")
    assert yaml_prediction(tmp_path / "x.yaml") == YAMLS[text]
    assert yaml_prediction(tmp_path / "none.yaml") == ""


def test_spellings() -> None:
    told = ("v", "v-prediction", "V_PREDICTION", "vpred", "epsilon", "eps", "x0", "flow", "")
    assert [plain_prediction(one) for one in told] == ["v_prediction"] * 4 + ["epsilon"] * 2 + ["sample", "", ""]


@pytest.mark.parametrize(("dtype", "packed"), [("F16", "e"), ("F32", "f"), ("BF16", "")])
@pytest.mark.parametrize(("spread", "kind"), [(0.2, "v_prediction"), (0.03, "epsilon")])
def test_sd2_tells_it_by_one_norm(dtype: str, packed: str, spread: float, kind: str, tmp_path: Path) -> None:
    path = write.sparse(tmp_path / "x.safetensors", {NORM: (32,), "model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3)}, dtype)
    numbers = [spread if number % 2 else -spread for number in range(32)]
    raw = struct.pack(f"<32{packed}", *numbers) if packed else b"".join(struct.pack("<f", number)[2:] for number in numbers)
    header = read_header(path)
    with path.open("r+b") as file:
        file.seek(header.tensors[NORM].begin)
        file.write(raw)
    assert prediction_of(path, header, "sd2", None) == Prediction(kind)
    assert prediction_of(path, header, "sd1", None) == Prediction("")


def test_the_yaml_beside_it_is_believed_before_the_markers(tmp_path: Path) -> None:
    path = write.sparse(tmp_path / "x_vpred.safetensors", {"v_pred": (), "ztsnr": ()}, metadata={"modelspec.prediction_type": "v"})
    (tmp_path / "x.yaml").write_text("parameterization: eps")
    assert prediction_of(path, read_header(path), "sdxl", tmp_path / "x.yaml") == Prediction("epsilon", True)
    assert prediction_of(path, read_header(path), "sdxl", None) == Prediction("v_prediction", True)

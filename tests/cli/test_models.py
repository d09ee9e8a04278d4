"""`python -m app models` says what each file is, from its header."""

import json
from pathlib import Path

import pytest

from app.cli.main import main
from tests.layouts import loras, unet, vae, write
from tests.layouts.checkpoints import layout, single


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    models = tmp_path / "models"
    write.sparse(models / "noob_lightning_4step.safetensors", single("sdxl") | {"v_pred": (), "ztsnr": ()})
    write.sparse(models / "bare.safetensors", unet.ldm(layout("sd1").unet))
    write.sparse(models / "ink.safetensors", loras.kohya("sdxl", small=True), metadata={"modelspec.trigger_phrase": "ink sketch"})
    write.sparse(models / "sdxl_vae.safetensors", vae.ldm(32))
    write.sparse(models / "kl.safetensors", vae.ldm(32))
    write.sparse(models / "net.safetensors", {"control_model.input_blocks.0.0.weight": (8, 4, 3, 3)})
    (models / "page.safetensors").write_text("<html>")

    def run(*argv: str) -> str:
        assert main(["models", *argv, "--ckpt-dir", str(models), "--outputs-dir", str(tmp_path / "out")]) == 0
        return capsys.readouterr().out

    return run


def test_the_json_has_everything(told) -> None:
    rows = {row["name"]: row for row in json.loads(told("--json"))}
    noob = rows["noob_lightning_4step"]
    expected = {
        "family": "sdxl", "group": "sdxl", "variant": "lightning", "prediction": "v_prediction", "zero_snr": True, "precision": "fp16", "missing": [],
        "inputs": 4, "problem": "", "hash": "",
    }  # fmt: skip
    assert {key: noob[key] for key in expected} == expected and noob["defaults"]["steps"] == 4 and len(noob["old_hash"]) == 8
    assert noob["fits"]["vae"] == ["sdxl_vae"] and noob["fits"]["lora"] == ["ink"]
    assert rows["bare"]["missing"] == ["text encoder", "VAE"] and "kl" in rows["bare"]["fits"]["vae"] and "sdxl_vae" not in rows["bare"]["fits"]["vae"]
    assert rows["ink"]["triggers"] == ["ink sketch"] and "noob_lightning_4step" in rows["ink"]["fits"]["checkpoint"]
    assert "controlnet" in rows["net"]["problem"] and "web page" in rows["page"]["problem"]


def test_the_list_has_a_line_for_each(told) -> None:
    lines = {line.split()[1]: line for line in told().splitlines()}
    assert lines["noob_lightning_4step"].split()[2:6] == ["sdxl", "lightning", "v_prediction", "fp16"]
    assert lines["bare"].endswith("without text encoder and VAE") and "web page" in lines["page"]


def test_a_page_about_one_file(told) -> None:
    page = told("bare", "models/ink.safetensors")
    said = {line.strip().partition("  ")[0]: line.strip().partition("  ")[2].strip() for line in page.splitlines()}
    assert said["misses"] == "text encoder and VAE" and said["fits (vae)"] == "kl" and "There is no text encoder on the disk that fits it." in page
    assert len(said["hash (AutoV2)"]) == 10 and len(said["LoRA hash"]) == 12 and said["trigger words"] == "ink sketch"
    again = {row["name"]: row for row in json.loads(told("bare", "ink", "--json"))}
    assert len(again["bare"]["hash"]) == 10 and again["bare"]["autov2"] == again["bare"]["hash"].upper() and again["ink"]["network_hash"] == said["LoRA hash"]


def test_a_file_anywhere_and_a_name_that_nothing_has(told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write.sparse(tmp_path / "elsewhere.safetensors", single("sd2-depth"))
    write.folder(tmp_path / "pipeline", "sd1-inpaint")
    assert "SD 2.x depth" in told("elsewhere.safetensors") and "SD 1.x inpainting" in told("pipeline")
    assert main(["models", "nok_lightning", "--ckpt-dir", str(tmp_path / "models")]) == 2
    assert "Did you mean" in capsys.readouterr().err

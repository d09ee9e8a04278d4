"""The single files that the kit writes, as stock diffusers reads them."""

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests import tiny
from tools.embedded.ldm import BASE_KEY, CLIP, FP8_LEAST, UNET, VAE, ldm_state_dict, write_ldm

PARTS = ("unet", "vae", "text_encoder")


@pytest.fixture(scope="module", params=[4, 9], ids=["base", "inpaint"])
def made(request: pytest.FixtureRequest) -> tiny.Parts:
    return tiny.embedded_parts(3, in_channels=request.param)


@pytest.fixture(scope="module")
def base(made: tiny.Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_folder(tmp_path_factory.mktemp("embedded") / "base", made)


@pytest.fixture
def quiet() -> Iterator[None]:
    """diffusers and transformers speak of deprecations of their own while they load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def rounded(name: str, value: Tensor, fp8: bool) -> Tensor:
    small = fp8 and name.startswith(UNET) and value.dim() > 1 and value.numel() >= 1024
    return value.to(torch.float8_e4m3fn if small else torch.float16).float()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("fp8", [False, True], ids=["fp16", "fp8"])
def test_stock_diffusers_reads_what_was_written(made: tiny.Parts, base: Path, tmp_path: Path, fp8: bool, caplog: pytest.LogCaptureFixture) -> None:
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline

    path = tmp_path / "style.safetensors"
    size = write_ldm(path, made.unet, made.vae, made.text_encoder, {BASE_KEY: "base"}, fp8)
    assert size == path.stat().st_size and [entry.name for entry in tmp_path.iterdir()] == ["style.safetensors"]
    kind = StableDiffusionPipeline if made.unet.config.in_channels == 4 else StableDiffusionInpaintPipeline
    with caplog.at_level(logging.WARNING):
        pipeline = kind.from_single_file(
            path, config=str(base), local_files_only=True, safety_checker=None, feature_extractor=None, requires_safety_checker=False, torch_dtype=torch.float32
        )
    assert not [record for record in caplog.records if "not used" in record.getMessage() or "newly initialized" in record.getMessage()]
    read = ldm_state_dict(pipeline.unet, pipeline.vae, pipeline.text_encoder)
    written = ldm_state_dict(made.unet, made.vae, made.text_encoder)
    assert read.keys() == written.keys()
    assert all(torch.equal(read[name], rounded(name, written[name], fp8)) for name in read)
    assert (not torch.equal(read[UNET + "input_blocks.1.0.in_layers.2.weight"], written[UNET + "input_blocks.1.0.in_layers.2.weight"].half().float())) == fp8


@pytest.mark.parametrize("fp8", [False, True], ids=["fp16", "fp8"])
def test_the_app_reads_what_was_written(made: tiny.Parts, base: Path, tmp_path: Path, fp8: bool) -> None:
    from app.engine.checkpoints.load import load_networks
    from app.engine.checkpoints.networks import Dtypes, Parts
    from app.engine.checkpoints.recognise import inspect_file, inspect_folder

    path, channels = tmp_path / "style.safetensors", made.unet.config.in_channels
    write_ldm(path, made.unet, made.vae, made.text_encoder, {BASE_KEY: "base"}, fp8)
    file = inspect_file(path, "style", "checkpoint", bases=base.parent)
    assert (file.family, file.problem, file.precision) == ("sd1" if channels == 4 else "sd1-inpaint", "", "fp8" if fp8 else "fp16")
    networks = load_networks(file, Parts(), Dtypes())
    read = ldm_state_dict(networks.unet, networks.vae, networks.text_encoder)
    written = ldm_state_dict(made.unet, made.vae, made.text_encoder)
    assert read.keys() == written.keys() and all(torch.equal(read[name], rounded(name, written[name], fp8)) for name in read)
    if not fp8:
        tokens, x = torch.tensor([[3, 60, 70, 5]]), torch.randn(1, channels, 8, 8, generator=torch.Generator().manual_seed(0))
        halves = tiny.write_folder(tmp_path / "half", made, dtype=torch.float16)
        folder = load_networks(inspect_folder(halves, "half"), Parts(), Dtypes())
        with torch.no_grad():
            states = [part.text_encoder(tokens)[0] for part in (networks, folder)]
            assert torch.equal(*states) and torch.equal(*(part.unet(x, 500, states[0])[0] for part in (networks, folder)))
            assert torch.equal(*(part.vae.decode(x[:, :4])[0] for part in (networks, folder)))


def test_the_header_says_what_is_in_the_file(made: tiny.Parts, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "x.safetensors"
    write_ldm(path, made.unet, made.vae, made.text_encoder, {BASE_KEY: "base", "modelspec.title": "X"}, fp8=True)
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header.pop("__metadata__") == {"format": "pt", BASE_KEY: "base", "modelspec.title": "X"}
    small = {name for name, entry in header.items() if entry["dtype"] == "F8_E4M3"}
    assert {entry["dtype"] for entry in header.values()} == {"F8_E4M3", "F16"} and all(name.startswith(UNET) for name in small)
    written = ldm_state_dict(made.unet, made.vae, made.text_encoder)
    assert small == {name for name, value in written.items() if name.startswith(UNET) and value.dim() > 1 and value.numel() >= FP8_LEAST}
    assert all(name.startswith((UNET, VAE, CLIP)) for name in header) and CLIP + "final_layer_norm.weight" in header


@pytest.mark.parametrize(("value", "fp8"), [(float("nan"), False), (70000.0, False), (1000.0, True)])
def test_what_the_precision_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path, value: float, fp8: bool) -> None:
    made = tiny.embedded_parts(3)
    with torch.no_grad():
        made.unet.mid_block.resnets[0].conv1.weight[0, 0, 0, 0] = value
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"the last good one")
    with pytest.raises(ValueError, match=r"middle_block\.0\.in_layers\.2\.weight"):
        write_ldm(path, made.unet, made.vae, made.text_encoder, {}, fp8)
    assert path.read_bytes() == b"the last good one" and len(list(tmp_path.iterdir())) == 1

"""Upscaler files: what is loaded, and one sentence for everything else."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from app.engine.upscalers import Upscaler
from app.engine.upscalers_load import NEED_TORCHVISION, load_network
from app.errors import BadCheckpoint
from app.settings import ROOT
from tests.engine import compact

CPU = torch.device("cpu")


def test_a_network_without_weights_repeats_pixels(tmp_path: Path) -> None:
    network = load_network(Upscaler("two", compact.write(tmp_path / "two.safetensors")), CPU)
    pixels = torch.rand(1, 3, 5, 7)
    assert (network.scale, network.channels) == (2, 3)
    assert torch.equal(network(pixels), pixels.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert not network(pixels).requires_grad


def test_half_precision_files_run_in_float32(tmp_path: Path) -> None:
    save_file({name: value.half() for name, value in compact.weights(4, seed=3).items()}, tmp_path / "half.safetensors")
    network = load_network(Upscaler("half", tmp_path / "half.safetensors"), CPU)
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 32, 32)
    assert {value.dtype for value in network.describes.model.parameters()} == {torch.float32}


def test_a_grey_network_takes_each_channel_by_itself(tmp_path: Path) -> None:
    found = compact.weights(2, seed=4)
    found["body.0.weight"], found["body.4.weight"] = found["body.0.weight"][:, :1].clone(), found["body.4.weight"][:4].clone()
    found["body.4.bias"] = torch.zeros(4)
    save_file(found, tmp_path / "grey.safetensors")
    network = load_network(Upscaler("grey", tmp_path / "grey.safetensors"), CPU)
    made = network(torch.rand(1, 1, 6, 6).expand(1, 3, 6, 6))
    assert network.channels == 1
    assert made.shape == (1, 3, 12, 12)
    assert torch.equal(made[:, 0], made[:, 2])


def refused(path: Path) -> str:
    with pytest.raises(BadCheckpoint) as error:
        load_network(Upscaler(path.stem, path), CPU)
    assert "\n" not in error.value.message
    return str(error.value)


def test_what_is_no_upscaler_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"model.diffusion_model.x": torch.zeros(3)}, path)
    assert "'x.safetensors' is not an upscaler that Darkroom knows." in refused(path)
    path.write_bytes(path.read_bytes()[:-4])
    assert "truncated" in refused(path)
    path.write_text("<html>login</html>")
    assert "is a web page" in refused(path)
    save_file({**compact.weights(), "body.2.weight": torch.zeros(9, 9)}, path)
    assert "'x.safetensors' cannot be loaded as an upscaler" in refused(path)
    save_file({**compact.weights(), "body.2.weight": torch.full((4, 4, 3, 3), torch.nan)}, path)
    assert "NaN" in refused(path)


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_pickles_are_opened_only_when_that_is_allowed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"old{suffix}"
    torch.save(compact.weights(), path)
    said = f"'old{suffix}' is a PyTorch pickle, which can run code when opened. Convert it to .safetensors, or start with --allow-pickles"
    assert refused(path).startswith(said)
    allowed = load_network(Upscaler("old", path, pickles=True), CPU)
    assert torch.equal(next(allowed.describes.model.parameters()), compact.weights()["body.0.weight"])
    torch.save({"params_ema": compact.weights(), "params": compact.weights(seed=3)}, path)
    assert load_network(Upscaler("old", path, pickles=True), CPU).scale == 2


@pytest.mark.parametrize(("name", "sign"), [(name, signs[0]) for name, signs in NEED_TORCHVISION.items()])
def test_what_needs_torchvision_is_refused_by_name(tmp_path: Path, name: str, sign: str) -> None:
    save_file({sign: torch.zeros(3)}, tmp_path / "y.safetensors")
    assert f"is a {name} network, which does not enlarge pictures." in refused(tmp_path / "y.safetensors")


def test_spandrel_is_imported_without_torchvision_and_leaves_no_stand_in() -> None:
    code = (
        "import sys, importlib.util; from app.engine.upscalers_load import import_spandrel; there = importlib.util.find_spec('torchvision') is not None; "
        "library = import_spandrel(); ids = [row.architecture.id for row in library.MAIN_REGISTRY]; assert library is import_spandrel(); "
        "sys.stdout.write(f'{there == (importlib.util.find_spec(\"torchvision\") is not None)} {\"Compact\" in ids} {\"ESRGAN\" in ids}')"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "True True True"

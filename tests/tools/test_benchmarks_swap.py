"""The benchmarks of swaps and of small cards, with small files."""

import sys

import pytest
import torch

from tools.benchmarks import swap, vram
from tools.benchmarks.checkpoints import write_checkpoint, write_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("swap")
    sizes = {write_checkpoint(made / f"{name}.safetensors", "sd1", seed, small=True) for seed, name in enumerate("ab")}
    assert sizes == {(made / "a.safetensors").stat().st_size}
    assert (made / "a.safetensors").read_bytes() != (made / "b.safetensors").read_bytes()
    return made


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_our_side_swaps_and_counts(folder):
    load, engine = swap.ours(folder, torch.float16)
    found = swap.measure(load, 2)
    assert all(len(values) == 2 and min(values) > 0 for values in found["seconds"].values())
    assert found["bytes"] == sum(weight.nbytes for network in load("b").placement.networks.values() for weight in network.parameters())
    assert len(swap.growth(load, 3)) == 3 and len(engine._models) == 1
    engine._models.budget = 10**12
    assert len(swap.returns(load, 2)) == 4 and len(engine._models) == 2


def test_the_report_compares_with_the_better_one():
    def made(first, **more):
        return {"bytes": 2**20, "peak": 2**20, "seconds": {"first swap": [first, 9.0, first], **more}}

    app = made(1.0, **{"back to a warm one": [0.01]}) | {"rss": [1, 100, 104]}
    lines = "\n".join(swap.report("float16", {"app": app, "diffusers": made(4.0), "comfyui": made(5.0)}))
    assert "better of the others, first swap: 0.25" in lines and "warm one: 0.003" in lines
    assert "after 3 0 MB: 1.040" in lines and "1.00 of the weights" in lines


def test_what_diffusers_needs(tmp_path):
    write_config(tmp_path, "sdxl")
    assert {path.name for path in tmp_path.iterdir()} >= {"model_index.json", "unet", "vae", "text_encoder_2", "tokenizer_2", "scheduler"}


@pytest.mark.parametrize(("family", "offload", "least", "most"), [("sd1", "none", 2.2e9, 3e9), ("sdxl", "model", 5.2e9, 5.5e9)])
def test_full_sizes_fit_6_gb(family, offload, least, most):
    found, lines = vram.planned(family, 6)
    assert found.fits and found.offload == offload and least < found.peak <= most
    assert lines[0].endswith(": fits")

"""The 9-channel family: what its UNet is given, from folders and from single files."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from app.engine.checkpoints.networks import Parts
from app.engine.checkpoints.recognise import inspect_file, inspect_folder
from app.engine.device import DevicePlan
from app.engine.families import FAMILIES
from app.engine.families.latent import LatentModel
from app.engine.families.sd1 import load as load_sd1
from app.engine.guidance import Guidance
from app.engine.scene import Scene
from app.errors import BadCheckpoint
from tests import tiny
from tools.embedded.ldm import BASE_KEY, write_ldm


class Together(DevicePlan):
    batched = True


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def made() -> tiny.Parts:
    return tiny.parts(0, clip_vocabulary=True, in_channels=9)


@pytest.fixture(scope="module")
def folder(made: tiny.Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_folder(tmp_path_factory.mktemp("inpaint") / "nine", made)


@pytest.fixture(scope="module")
def model(folder: Path) -> LatentModel:
    file = inspect_folder(folder, "nine")
    return FAMILIES[file.family].load(file, Parts(), DevicePlan())


def test_the_unet_reads_latents_mask_and_masked_picture_in_this_order(model: LatentModel) -> None:
    x, around, sigma = normal(1, 4, 8, 8) * 3, normal(1, 5, 8, 8, seed=1), 2.5
    told = model.encode_prompt("a cat", "night")
    c_in = 1 / math.sqrt(sigma**2 + 1)
    given = torch.cat([x * c_in, around], 1)
    unet = model.placement.networks["unet"]
    with torch.no_grad():
        with_prompt, without = (unet(given, torch.tensor([model.table.timestep(sigma)]), states)[0] for states in tiny.both(told))
    expected = x - sigma * (without + 7 * (with_prompt - without))
    assert torch.allclose(model.denoiser(told, Guidance(7.0), around)(x, sigma), expected, atol=1e-4)


def test_each_picture_of_a_batch_has_its_own_surroundings(model: LatentModel, monkeypatch: pytest.MonkeyPatch) -> None:
    x, around, told = normal(3, 4, 8, 8), normal(3, 5, 8, 8, seed=1), model.encode_prompt("a cat", "")
    single = [model.denoiser(told, Guidance(5.0), around[i : i + 1])(x[i : i + 1], 3.0) for i in range(3)]
    assert torch.equal(model.denoiser(told, Guidance(5.0), around)(x, 3.0), torch.cat(single))
    shared = model.denoiser(told, Guidance(5.0), around[:1])(x, 3.0)
    assert torch.equal(shared[:1], single[0]) and not torch.equal(shared[1:2], single[1])
    monkeypatch.setattr(model, "plan", Together(**vars(model.plan)))
    assert torch.allclose(model.denoiser(told, Guidance(5.0), around)(x, 3.0), torch.cat(single), atol=1e-4)
    assert torch.allclose(model.denoiser(told, Guidance(5.0), around[:1])(x, 3.0), shared, atol=1e-4)


def test_surroundings_are_the_mask_and_the_encoded_picture(model: LatentModel) -> None:
    pixels, mask = np.random.default_rng(0).integers(0, 256, (64, 40, 3), np.uint8), normal(8, 5).numpy() > 0
    scene = Scene(pixels, mask.repeat(8, 0).repeat(8, 1))
    around = model.surroundings((scene,), 40, 64)
    shown = torch.where(scene.hidden(), 0.0, scene.shown())
    assert around.shape == (1, 5, 8, 5) and torch.equal(around[0, 0], torch.from_numpy(mask).float()) and torch.equal(around[:, 1:], model.encode_image(shown))
    blank = model.surroundings((), 40, 64)
    assert (blank[:, 0] == 1).all() and torch.equal(blank, model.surroundings((Scene.blank(40, 64),), 40, 64))


@pytest.mark.parametrize("embedded", [False, True], ids=["sd1", "embedded"])
def test_a_single_file_says_the_same_as_the_folder(embedded: bool, made: tiny.Parts, folder: Path, tmp_path: Path) -> None:
    parts = tiny.embedded_parts(2, in_channels=9) if embedded else made
    source = tiny.write_folder(tmp_path / "base", parts, dtype=torch.float16) if embedded else folder
    path = tmp_path / "nine.safetensors"
    if embedded:
        write_ldm(path, parts.unet, parts.vae, parts.text_encoder, {BASE_KEY: "base"})
    else:
        tiny.write_single(path, parts, torch.float32)
    files = inspect_folder(source, "base"), inspect_file(path, "nine", "checkpoint", bases=tmp_path)
    assert [(file.family, file.problem) for file in files] == [("sd1-inpaint", "")] * 2
    answers, pixels = [], np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    for file in files:
        model = FAMILIES[file.family].load(file, Parts(), DevicePlan())
        around = model.surroundings((Scene(pixels, np.ones((64, 64), bool)),), 64, 64)
        answers.append(model.denoiser(model.encode_prompt("the house", ""), Guidance(4.0), around)(normal(1, 4, 8, 8), 2.0))
    assert torch.equal(*answers)


def test_no_other_family_takes_its_files(folder: Path) -> None:
    with pytest.raises(BadCheckpoint, match="has 9 input channels, but 4 are needed"):
        load_sd1(replace(inspect_folder(folder, "nine"), family="sd1"), Parts(), DevicePlan())

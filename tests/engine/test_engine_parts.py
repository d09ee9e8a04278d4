"""Requests that name a VAE and a text encoder: pictures of a UNet alone, and swaps between one checkpoint's parts."""

from typing import Any

import numpy as np
import pytest
import torch

from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.errors import BadCheckpoint
from app.extensions import Extensions
from app.request import parse
from app.settings import Settings
from tests import tiny
from tests.layouts import fill

U, V, C = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with the checkpoint "whole", its three parts in files of their own, and another text encoder."""
    folder = tmp_path_factory.mktemp("parts")
    weights = tiny.ldm_weights(tiny.parts(0, clip_vocabulary=True))
    other = tiny.ldm_weights(tiny.parts(1, clip_vocabulary=True))
    files = {"whole": weights, "unet": {name: value for name, value in weights.items() if name.startswith(U)}}
    files["vae"] = {name: value for name, value in weights.items() if name.startswith(V)}
    for name, source in (("clip", weights), ("other", other)):
        files[name] = {key.removeprefix(C): value for key, value in source.items() if key.startswith(C)}
    for name, held in files.items():
        fill.save(folder / f"{name}.safetensors", held, torch.float16, {"modelspec.resolution": "64x64"})
    nowhere = (folder / "none",)
    settings = Settings(
        root=folder, checkpoint_dirs=(folder,), vae_dirs=nowhere, lora_dirs=nowhere, embedding_dirs=nowhere, extension_dir=folder / "none",
        outputs_dir=folder / "outputs", cpu_parts=frozenset({"all"}),
    )  # fmt: skip
    return Engine(settings, Shelf(settings), Extensions())


def paint(engine: Engine, **fields: Any) -> np.ndarray:
    asked = {"task": "txt2img", "prompt": "a house", "steps": 2, "seed": 3, "sampler": "Euler", "width": 64, "height": 64}
    [picture] = engine.run(parse(asked | fields), {}, lambda progress: None)
    return np.asarray(picture.image)


def test_a_unet_alone_paints_with_named_parts_what_the_whole_paints(engine: Engine) -> None:
    whole = paint(engine, checkpoint="whole")
    assert np.array_equal(paint(engine, checkpoint="unet", vae="vae", text_encoder="clip"), whole)
    assert np.array_equal(paint(engine, checkpoint="unet", vae="vae", text_encoder="whole"), whole)
    assert np.array_equal(paint(engine, checkpoint="whole", text_encoder="clip"), whole)


def test_another_text_encoder_is_another_picture_and_goes_again(engine: Engine) -> None:
    whole, other = paint(engine, checkpoint="whole"), paint(engine, checkpoint="whole", text_encoder="other")
    assert not np.array_equal(whole, other)
    assert np.array_equal(paint(engine, checkpoint="whole"), whole) and np.array_equal(paint(engine, checkpoint="whole", text_encoder="other"), other)


def test_a_refiner_of_the_same_kind_reads_with_the_chosen_text_encoder(engine: Engine) -> None:
    fields = {"checkpoint": "whole", "refiner_switch_at": 0.5, "steps": 4}
    own = paint(engine, refiner_checkpoint="whole", text_encoder="other", **fields)
    assert np.array_equal(paint(engine, refiner_checkpoint="unet", text_encoder="other", vae="vae", **fields), own)


def test_what_is_missing_is_said_by_the_engine_too(engine: Engine) -> None:
    with pytest.raises(BadCheckpoint, match=r"'unet\.safetensors' has no text encoder"):
        engine.acquire("unet", "vae")
    with pytest.raises(BadCheckpoint, match=r"'unet\.safetensors' has no VAE"):
        engine.acquire("unet", "", "clip")

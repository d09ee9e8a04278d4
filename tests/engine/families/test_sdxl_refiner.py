"""SDXL's refiner against stock diffusers: OpenCLIP-G alone, and aesthetic scores for sizes."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline

from app.engine.families.latent import LatentModel
from app.engine.guidance import Guidance
from tests.engine.families import stock

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LatentModel:
    return stock.model("sdxl-refiner", tmp_path_factory.mktemp("refiner"))


def test_a_step_is_the_stock_pipelines(model: LatentModel, tmp_path: Path) -> None:
    parts = {"text_encoder": None, "tokenizer": None, **stock.parts_of(model)}
    pipeline = StableDiffusionXLImg2ImgPipeline(**parts, requires_aesthetics_score=True, force_zeros_for_empty_prompt=False)
    with torch.no_grad():
        states, no_states, pooled, no_pooled = pipeline.encode_prompt("a cat", device="cpu", negative_prompt="night")
    size = (128, 192)
    scores = pipeline._get_add_time_ids(size, (0, 0), size, 6.0, 2.5, size, (0, 0), size, torch.float32, 48)
    x, sigma = stock.noise(1, 4, 16, 24), 0.7
    positive, negative = (
        x - sigma * stock.answer(model, x, sigma, text, {"text_embeds": whole, "time_ids": ids})
        for text, whole, ids in ((states, pooled, scores[0]), (no_states, no_pooled, scores[1]))
    )
    told = model.encode_prompt("a cat", "night")
    assert stock.near(model.denoiser(told, Guidance(5.0))(x, sigma), negative + 5 * (positive - negative), 1e-4)
    assert not stock.near(model.predict(x, sigma, told.at(0, 1).negative, None), positive, 1e-4)


def test_the_same_text_is_scored_by_what_it_is_for(model: LatentModel) -> None:
    same = model.encode_prompt("a cat", "a cat").at(0, 1)
    assert float(same.positives[0][1].score) == 6.0 and float(same.negative.score) == 2.5
    nothing = model.encode_prompt("a cat", "").at(0, 1).negative
    assert not nothing.states.any() and not nothing.pooled.any() and float(nothing.score) == 2.5

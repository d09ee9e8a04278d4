"""img2img: as much of the picture as the strength leaves."""

import numpy as np
import pytest
from PIL import Image

from app.canvas.fit import as_rgb, fit
from app.engine.tasks.batches import encode_fitted
from tests.engine.tasks.brushes import FakeBrush
from tests.engine.tasks.test_tasks import NOISE, asked, pixels, run


def test_strength_0_is_the_picture_up_to_the_encoder() -> None:
    brush = FakeBrush(asked("img2img", denoising_strength=0, width=64, height=96))
    result = pixels(run(brush)[0])
    assert np.array_equal(result, brush.decode(brush.encode(fit(as_rgb(NOISE), 64, 96, "Just resize")))[0])


def test_strength_1_ignores_the_picture_and_less_does_not() -> None:
    size = {"width": 64, "height": 64}
    black = {"image": Image.new("RGB", (64, 64))}
    full = asked("img2img", denoising_strength=1, **size)
    assert np.array_equal(pixels(run(FakeBrush(full))[0]), pixels(run(FakeBrush(full), black)[0]))
    half = asked("img2img", denoising_strength=0.5, **size)
    assert not np.array_equal(pixels(run(FakeBrush(half))[0]), pixels(run(FakeBrush(half), black)[0]))


def test_open_size_resamples_nothing() -> None:
    even = Image.fromarray(np.repeat(np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, 8, 0), 8, 1)[:21, :29]).convert("RGB")
    result = run(FakeBrush(asked("img2img", denoising_strength=0)), {"image": even})[0].image
    assert result.size == (29, 21) and np.array_equal(np.asarray(result), np.asarray(even))


@pytest.mark.parametrize("mode", ["Just resize", "Crop and resize", "Resize and fill"])
def test_resize_modes_reach_the_model(mode: str) -> None:
    brush = FakeBrush(asked("img2img", width=64, height=128, resize_mode=mode))
    run(brush)
    source = brush.asked[0][0].source
    assert source is not None and source.equal(brush.encode(fit(as_rgb(NOISE), 64, 128, mode)))


def test_latent_upscale_resizes_latents() -> None:
    brush = FakeBrush(asked("img2img", width=128, height=128, resize_mode="Just resize (latent upscale)"))
    seen: list[tuple[int, ...]] = []
    encode = brush.encode
    brush.encode = lambda pixels: seen.append(pixels.shape) or encode(pixels)  # type: ignore[method-assign]
    run(brush, {"image": NOISE.resize((64, 60))})
    source = brush.asked[0][0].source
    assert seen == [(64, 64, 3)] and source is not None and source.shape == (1, 4, 16, 16)
    flat = encode_fitted(brush, np.full((64, 64, 3), 77, np.uint8), 128, 96, "Just resize (latent upscale)")
    assert flat.shape == (1, 4, 12, 16) and np.allclose(flat[0, :3], 77 / 127.5 - 1)

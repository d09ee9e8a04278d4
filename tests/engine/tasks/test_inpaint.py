"""Inpaint: what is not painted comes back bit for bit; what is painted starts from what was asked for."""

from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from app.canvas.fit import as_rgb, fit
from app.canvas.mask import blurred
from app.errors import BadRequest
from tests.engine.tasks.brushes import FakeBrush
from tests.engine.tasks.test_tasks import MASK, NOISE, asked, pixels, run

AREAS, CONTENTS = ("Whole picture", "Only masked"), ("fill", "original", "latent noise", "latent nothing")


@pytest.mark.parametrize(("area", "content", "mode"), list(product(AREAS, CONTENTS, ("Inpaint masked", "Inpaint not masked"))))
def test_kept_pixels_are_bit_identical(area: str, content: str, mode: str) -> None:
    blur = 4 if mode == "Inpaint masked" else 1
    request = asked("inpaint", inpaint_area=area, masked_content=content, mask_mode=mode, mask_blur=blur)
    result, source = pixels(run(FakeBrush(request))[0]), np.asarray(NOISE)
    mask = np.asarray(MASK) if mode == "Inpaint masked" else 255 - np.asarray(MASK)
    kept = blurred(mask, blur) == 0
    assert result.shape == source.shape and 0.05 < kept.mean() < 0.9
    assert np.array_equal(result[kept], source[kept])
    assert (result[mask == 255] != source[mask == 255]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("size", [(133, 97), (96, 64), (8, 8), (1, 1), (65, 200)])
@pytest.mark.parametrize("blur", [0, 3])
def test_half_mask_of_any_size(size: tuple[int, int], blur: int) -> None:
    image = NOISE.resize(size)
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, max(1, size[0] // 2), size[1]))
    result = pixels(run(FakeBrush(asked("inpaint", mask_blur=blur)), {"image": image, "mask": mask})[0])
    kept = blurred(np.asarray(mask), blur) == 0
    assert result.shape == (size[1], size[0], 3) and np.array_equal(result[kept], np.asarray(image)[kept])


@pytest.mark.parametrize("resize_mode", ["Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"])
def test_with_a_size_the_resized_picture_is_kept(resize_mode: str) -> None:
    result = pixels(run(FakeBrush(asked("inpaint", width=128, height=128, resize_mode=resize_mode)))[0])
    base = fit(as_rgb(NOISE), 128, 128, resize_mode)
    kept = blurred(fit(np.asarray(MASK), 128, 128, resize_mode), 4) == 0
    assert np.array_equal(result[kept], base[kept]) and kept.mean() > 0.4


def test_the_blur_band_is_a_blend() -> None:
    flat, request = Image.new("RGB", (64, 64), (10, 10, 10)), asked("inpaint", mask_blur=6, denoising_strength=1)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    result = pixels(run(FakeBrush(request, world=lambda h, w: np.full((3, h, w), 0.9, np.float32)), {"image": flat, "mask": mask})[0])
    across = result[32, 26:50, 0].astype(int)
    assert across[0] > 100 and across[-1] == 10 and (np.diff(across) <= 0).all() and len(set(across.tolist())) > 8


def test_what_the_painted_part_starts_from() -> None:
    starts = {}
    for content in ("original", "fill", "latent noise", "latent nothing"):
        brush = FakeBrush(asked("inpaint", masked_content=content, mask_blur=0))
        run(brush)
        starts[content] = (brush.asked[0][0], brush)
    original, brush = starts["original"]
    inside, outside = (..., slice(5, 7), slice(6, 10)), (..., slice(0, 3), slice(None))
    assert original.init is None and original.mask is not None and original.mask[inside].min() == 1 and original.mask[outside].max() == 0
    fill = starts["fill"][0]
    assert fill.init is None and fill.source is not None and original.source is not None
    assert fill.source[outside].equal(original.source[outside])
    assert fill.source[inside].std() < 0.7 * original.source[inside].std()
    assert starts["latent noise"][0].init is not None and starts["latent noise"][0].init.equal(starts["latent noise"][0].noise)
    nothing = starts["latent nothing"][0].init
    assert nothing is not None and not nothing.any()


def test_the_latent_mask_covers_every_painted_pixel() -> None:
    brush = FakeBrush(asked("inpaint", mask_blur=0))
    run(brush)
    mask = brush.asked[0][0].mask
    assert mask is not None and mask.shape == (1, 1, 13, 17)
    expected = torch.zeros(13, 17)
    expected[30 // 8 : -(-61 // 8), 40 // 8 : -(-90 // 8)] = 1
    assert mask[0, 0].equal(expected)


def test_only_masked_works_at_the_given_size_on_the_masked_part() -> None:
    image, mask = NOISE.resize((512, 384)), Image.new("L", (512, 384))
    mask.paste(255, (300, 100, 330, 140))
    brush = FakeBrush(asked("inpaint", inpaint_area="Only masked", width=128, height=64, mask_padding=10))
    result = run(brush, {"image": image, "mask": mask})[0].image
    assert result.size == (512, 384) and brush.asked[0][0].noise.shape == (1, 4, 8, 16)
    brush = FakeBrush(asked("inpaint", inpaint_area="Only masked", mask_padding=0, mask_blur=0), native=64)
    run(brush, {"image": image, "mask": mask})
    height, width = brush.asked[0][0].noise.shape[-2:]
    assert 0.6 < width / height < 0.9 and 40 <= width * height <= 80


def test_only_masked_shows_the_part_in_its_place() -> None:
    """At strength 0 the part comes back as it was, up to the encoder and the way to the work size and back."""
    y, x = np.mgrid[0:300, 0:400]
    slope = Image.fromarray(np.stack([x / 2, y / 2, (x + y) / 4], -1).astype(np.uint8))
    mask = Image.new("L", (400, 300))
    mask.paste(255, (380, 10, 399, 100))
    request = asked("inpaint", inpaint_area="Only masked", denoising_strength=0, width=256, height=256)
    result = pixels(run(FakeBrush(request), {"image": slope, "mask": mask})[0])
    assert np.abs(result.astype(int) - np.asarray(slope)).max() < 6


def test_masks_that_cannot_be_used() -> None:
    with pytest.raises(BadRequest, match="The mask is 10x10, but the image is 133x97"):
        run(FakeBrush(asked("inpaint")), {"image": NOISE, "mask": Image.new("L", (10, 10), 255)})
    with pytest.raises(BadRequest, match="The mask is empty"):
        run(FakeBrush(asked("inpaint")), {"image": NOISE, "mask": Image.new("L", NOISE.size)})

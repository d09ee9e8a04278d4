"""What lies on the card, and when: the fastest way that fits, by the figures that were measured."""

from dataclasses import replace

import pytest

from app.engine.residency import RESERVE, Need, plan

CARD = 6_000_000_000 - 500_000_000
"""Of a card of 6 GB, what is left beside the driver's own."""
SD1 = Need(
    unet=1_719_000_000, vae=167_300_000, texts=246_200_000, text=246_200_000, layer=30_000_000,
    step=130_000_000, row=65_000_000, decode=393_000_000, tile=393_000_000,
)  # fmt: skip
SDXL = Need(5_135_000_000, 167_300_000, 1_635_000_000, 1_389_000_000, 27_000_000, 316_000_000, 158_000_000, 1_570_000_000, 393_000_000)


def test_sd1_stays_on_a_card_of_6_gb():
    found = plan(SD1, CARD)
    assert (found.offload, found.in_turn, found.tiling, found.fits) == ("none", False, False, True) and found.peak < 3e9
    assert found.describe() == "everything on the card"


def test_sdxl_fits_6_gb_without_changing_the_picture():
    found = plan(SDXL, CARD)
    assert (found.offload, found.in_turn, found.tiling, found.kept, found.fits) == ("model", True, False, 0, True)
    assert 5.2e9 < found.peak <= CARD
    assert found.describe() == "one network at a time, with and without the prompt in turn"
    assert not plan(SDXL, 6_440_000_000 - 500_000_000).in_turn


def test_sdxl_decodes_in_float32_on_6_gb():
    assert plan(replace(SDXL, vae=334_600_000, decode=3_140_000_000, tile=786_000_000), CARD).fits


def test_everything_stays_where_it_can():
    assert plan(SDXL, 24_000_000_000).offload == "none"


def test_what_does_not_fit_comes_layer_by_layer_and_the_rest_stays():
    found = plan(SDXL, 3_500_000_000)
    assert found.offload == "sequential" and found.fits and not found.in_turn and not found.tiling
    assert found.kept == 3_500_000_000 - SDXL.layer - SDXL.step - RESERVE and found.peak == 3_500_000_000
    assert found.describe() == "the UNet layer by layer, 3.0 GB of it stay"
    small = plan(SDXL, 1_700_000_000)
    assert small.tiling and small.fits and small.kept < found.kept
    assert not plan(SDXL, 300_000_000).fits


def test_a_flag_asks_for_less_at_once():
    assert plan(SD1, 24_000_000_000, "model").offload == "model"
    lowest = plan(SD1, 24_000_000_000, "sequential")
    assert (lowest.offload, lowest.kept, lowest.in_turn, lowest.tiling) == ("sequential", 0, False, False)
    assert plan(SDXL, 3_000_000_000, "model").offload == "sequential"


@pytest.mark.parametrize("budget", range(400_000_000, 9_000_000_000, 700_000_000))
def test_more_memory_is_never_used_worse(budget):
    order = ("sequential", "model", "none")
    smaller, larger = plan(SDXL, budget), plan(SDXL, budget + 700_000_000)
    assert order.index(smaller.offload) <= order.index(larger.offload) and smaller.fits <= larger.fits and larger.tiling <= smaller.tiling
    assert not smaller.fits or smaller.peak <= budget

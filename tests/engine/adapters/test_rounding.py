import pytest
import torch

from app.engine.adapters.rounding import FLOAT8, rounded


@pytest.mark.parametrize("dtype", sorted(FLOAT8, key=str))
def test_small_changes_of_8_bit_weights_keep_their_mean(dtype):
    before = torch.full((20_000,), 1.0)
    for change in (0.01, -0.01):
        found = rounded(before + change, dtype, 1).float()
        assert abs(found.mean().item() - 1 - change) < 0.004 and len(found.unique()) == 2
        assert (before + change).to(dtype).float().unique().tolist() == [1.0]  # to the nearest, all of it is lost


@pytest.mark.parametrize("dtype", sorted(FLOAT8, key=str))
def test_neighbours_on_both_sides_of_everything(dtype):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4000, generator=generator) * torch.logspace(-6, 2, 4000)
    found = rounded(values, dtype, 2).float()
    grid = torch.arange(256, dtype=torch.uint8).view(dtype).float()
    grid = grid[torch.isfinite(grid)].unique()
    places = torch.searchsorted(grid, values)
    lower, upper = grid[(places - 1).clamp(min=0)], grid[places.clamp(max=len(grid) - 1)]
    assert ((found == lower) | (found == upper)).all() and torch.equal(found, rounded(values, dtype, 2).float())


@pytest.mark.parametrize("dtype", [*sorted(FLOAT8, key=str), torch.float16])
def test_what_can_be_stored_stays(dtype):
    values = torch.tensor([0.0, 1.0, -1.5, 0.25, -0.0])
    assert torch.equal(rounded(values, dtype, 3).float(), values)


def test_what_is_too_large_is_the_largest():
    assert rounded(torch.tensor([1e6, -1e6]), torch.float8_e4m3fn, 4).float().tolist() == [448.0, -448.0]

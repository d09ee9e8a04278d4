"""A picture's noise depends on its seed alone, and leaves torch's own generator as it was."""

import pytest
import torch

from app.engine.noise import Stream
from app.errors import BadRequest


@pytest.mark.parametrize("source", ["NV", "CPU"])
def test_same_seed_same_noise_and_each_call_is_new(source):
    one, two = Stream(5, source), Stream(5, source)
    first = one.normal((1, 4, 8, 8))
    assert first.shape == (1, 4, 8, 8) and first.dtype == torch.float32 and first.device.type == "cpu"
    assert torch.equal(first, two.normal((1, 4, 8, 8)))
    assert not torch.equal(first, one.normal((1, 4, 8, 8)))
    assert not torch.equal(first, Stream(6, source).normal((1, 4, 8, 8)))


def test_the_first_numbers_of_seed_0():
    assert Stream(0, "NV").normal((3,)).tolist() == pytest.approx([-0.9246624, -0.4253440, -2.6438458], abs=2e-7)


def test_cpu_is_torchs_own_generator():
    assert torch.equal(Stream(9, "CPU").normal((2, 3)), torch.randn((2, 3), generator=torch.Generator("cpu").manual_seed(9)))


@pytest.mark.parametrize("source", ["NV", "CPU"])
@pytest.mark.parametrize("seed", [0, 2**32, 2**63 + 1, 2**64 - 1])
def test_the_whole_range_of_seeds(source, seed):
    assert Stream(seed, source).normal((64,)).isfinite().all()


def test_all_64_bits_of_the_seed_count():
    assert not torch.equal(Stream(1).normal((8,)), Stream(1 + 2**32).normal((8,)))


@pytest.mark.parametrize("source", ["NV", "CPU"])
def test_the_global_generator_is_not_touched(source):
    before = torch.get_rng_state()
    Stream(3, source).normal((16,))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(BadRequest, match="Seed"):
        Stream(seed)


def test_an_unknown_source_is_refused():
    with pytest.raises(BadRequest, match="'GPU'"):
        Stream(1, "GPU")

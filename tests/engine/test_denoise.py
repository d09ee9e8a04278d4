"""The loop: strength, masks, batches, Langevin rounds, stopping. The model is a formula, so all of it is exact and fast."""

import math
from itertools import pairwise

import pytest
import torch

from app.engine.denoise import Start, denoise
from app.engine.noise import Stream
from app.engine.samplers import SAMPLERS
from app.engine.scene import Scene
from app.engine.schedules import TrainingTable, sigmas_for
from app.errors import Cancelled

TABLE = TrainingTable()
SHAPE = (1, 4, 8, 8)
MEAN, SPREAD = 0.7, 0.6
EVERY = pytest.mark.parametrize("name", list(SAMPLERS))


def gauss(x, sigma):
    """The perfect denoiser for values of N(0.7, 0.6^2), each by itself."""
    return MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (x - MEAN)


def smeared(x, sigma):
    """A denoiser that looks at the neighbours, so that the kept part matters to the painted one."""
    near = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="circular"), 3, 1)
    return gauss(0.5 * x + 0.5 * near, sigma).tanh()


def source(seed=99, shape=SHAPE):
    return Stream(seed).normal(shape) * 0.5


def half():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    return mask


def run(name, steps=6, seeds=(1,), model=smeared, schedule="Automatic", on_step=None, options=None, shape=SHAPE, **start):
    """(latents, steps that were told, sigmas that the model was asked at)."""
    streams = [Stream(seed) for seed in seeds]
    draw = lambda *_: torch.cat([stream.normal((1, *shape[1:])) for stream in streams])  # noqa: E731
    told, asked = [], []

    def watched(x, sigma):
        asked.append(sigma)
        return model(x, sigma)

    def note(step, of, sigma, denoised):
        told.append((step, of, sigma))
        if on_step:
            on_step(step, of, sigma, denoised)

    row = SAMPLERS[name]
    latents = denoise(watched, Start(draw(), **start), row, sigmas_for(schedule, row, steps, TABLE), draw, note, options)
    return latents, told, asked


def counted(name, told, steps):
    """Whether each of `steps` steps was told once; a sampler that chooses its own steps tells how far it is."""
    numbers = [(step, of) for step, of, _ in told]
    every = [(i + 1, steps) for i in range(steps)]
    return numbers == sorted(numbers) and set(numbers) <= set(every) if SAMPLERS[name].alone else numbers == every


@EVERY
def test_from_noise_alone(name):
    latents, told, _ = run(name, strength=0.3)
    assert latents.shape == SHAPE and latents.dtype == torch.float32 and latents.isfinite().all()
    assert counted(name, told, 6), "without a source the strength means nothing"
    assert torch.equal(latents, run(name)[0])


def test_the_start_is_noise_times_the_first_sigma():
    first = {}
    run("Euler", model=lambda x, sigma: first.setdefault(sigma, x) * 0)
    sigma, x = next(iter(first.items()))
    assert sigma == pytest.approx(TABLE.sigma_max) and torch.equal(x, Stream(1).normal(SHAPE) * sigma)


@EVERY
def test_strength_0_returns_the_source_and_asks_nobody(name):
    latents, told, asked = run(name, source=source(), strength=0.0)
    assert torch.equal(latents, source()) and not told and not asked


@EVERY
@pytest.mark.parametrize(("strength", "expected"), [(0.01, 1), (0.5, 6), (0.75, 8), (0.99, 10), (1.0, 10)])
def test_strength_is_a1111s_share_of_the_steps(name, strength, expected):
    latents, told, asked = run(name, steps=10, source=source(), strength=strength)
    sigmas = sigmas_for("Automatic", SAMPLERS[name], 10, TABLE)
    assert counted(name, told, expected)
    assert asked[0] == sigmas[10 - expected] and latents.isfinite().all()


def test_the_source_is_what_a_partial_run_starts_from():
    seen = []
    run("Euler", steps=10, source=source(), strength=0.5, model=lambda x, sigma: seen.append((x, sigma)) or x * 0)
    x, sigma = seen[0]
    assert torch.equal(x, source() + Stream(1).normal(SHAPE) * sigma)


@EVERY
def test_strength_1_ignores_the_source(name):
    assert torch.equal(run(name, source=source(), strength=1.0)[0], run(name)[0])


@EVERY
def test_less_strength_stays_nearer_to_the_source(name):
    kind = source(shape=(1, 4, 16, 16))
    low, high = (run(name, steps=20, source=kind, strength=s, model=gauss, shape=kind.shape)[0] for s in (0.1, 0.9))
    assert (low - kind).square().mean() < 0.5 * (high - kind).square().mean()


@EVERY
@pytest.mark.parametrize("extra", [{}, {"fresh": True}, {"rounds": 2}, {"rounds": 1, "fresh": True}], ids=str)
def test_a_mask_of_zeros_returns_the_source(name, extra):
    latents, told, _ = run(name, source=source(), mask=torch.zeros(1, 1, 8, 8), strength=0.4, **extra)
    assert torch.equal(latents, source()) and told


@EVERY
@pytest.mark.parametrize("extra", [{}, {"fresh": True}, {"rounds": 2}, {"rounds": 1, "fresh": True}], ids=str)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_half_a_mask_keeps_exactly_the_other_half(name, strength, extra):
    latents, _, _ = run(name, source=source(), mask=half(), strength=strength, **extra)
    assert torch.equal(latents[..., :4], source()[..., :4])
    assert latents.isfinite().all() and (latents[..., 4:] - source()[..., 4:]).abs().mean() > 0.1


@EVERY
def test_a_mask_of_ones_is_no_mask(name):
    assert torch.equal(run(name, source=source(), mask=torch.ones(1, 1, 8, 8), strength=0.6)[0], run(name, source=source(), strength=0.6)[0])


@EVERY
def test_soft_masks_lie_between(name):
    mask = torch.linspace(0, 1, 8).expand(1, 1, 8, 8).contiguous()
    latents, _, _ = run(name, source=source() + 5, mask=mask, strength=0.8, model=gauss, steps=12, schedule="Karras")
    pull = (latents - MEAN).mean(dim=(0, 1, 2))
    assert torch.equal(latents[..., 0], source()[..., 0] + 5)
    assert latents.isfinite().all() and pull[1] > pull[4] > pull[7] > -1


def test_the_model_sees_the_kept_part_at_the_right_noise_level():
    seen = []
    run("Euler", source=source(), mask=half(), strength=1.0, model=lambda x, sigma: seen.append((x, sigma)) or smeared(x, sigma))
    noise = Stream(1).normal(SHAPE)
    for x, sigma in seen:
        assert torch.allclose(x[..., :4], (source() + noise * sigma)[..., :4], atol=1e-4)


def test_fresh_noise_is_fresh_at_each_level_and_the_same_within_one():
    seen = []
    run("Heun", source=source(), mask=half(), strength=1.0, fresh=True, model=lambda x, sigma: seen.append((x, sigma)) or smeared(x, sigma))
    shown = [((x - source())[..., :4] / sigma, sigma) for x, sigma in seen]
    for (one, sigma), (other, later) in pairwise(shown):
        assert torch.allclose(one, other, atol=1e-5) == (sigma == later)
        assert abs(other.std() - 1) < 0.2


def test_the_painted_part_starts_from_init_and_the_kept_part_from_the_source():
    fill, seen = torch.full(SHAPE, 3.0), []
    run("Euler", source=source(), mask=half(), init=fill, strength=1.0, model=lambda x, sigma: seen.append((x, sigma)) or x * 0)
    x, sigma = seen[0]
    wanted = torch.cat([source()[..., :4], fill[..., 4:]], -1) + Stream(1).normal(SHAPE) * sigma
    assert torch.equal(x, wanted)


@EVERY
@pytest.mark.parametrize("extra", [{}, {"rounds": 1}, {"fresh": True}], ids=str)
def test_a_batch_of_three_is_three_singles_bit_for_bit(name, extra):
    if SAMPLERS[name].alone:
        pytest.skip("its brush paints each picture by itself: tests/engine/test_brush.py")
    start = {"source": source(), "mask": half(), "strength": 0.7, "steps": 8, "model": gauss} | extra
    together, told, _ = run(name, seeds=(7, 8, 9), **start)
    for i, seed in enumerate((7, 8, 9)):
        alone, told_alone, _ = run(name, seeds=(seed,), **start)
        assert torch.equal(together[i : i + 1], alone)
        assert told == told_alone


def test_each_picture_of_a_batch_may_have_its_own_source_and_mask():
    sources, masks = torch.cat([source(3), source(4)]), torch.cat([half(), 1 - half()])
    latents, _, _ = run("Euler a", seeds=(1, 2), source=sources, mask=masks, strength=0.6)
    assert torch.equal(latents[0, ..., :4], sources[0, ..., :4]) and torch.equal(latents[1, ..., 4:], sources[1, ..., 4:])


@pytest.mark.parametrize("extra", [{}, {"rounds": 2, "source": source(), "mask": half()}], ids=["plain", "rounds"])
def test_what_on_step_raises_stops_within_the_step(extra):
    def stop(step, *_):
        if step == 3:
            raise Cancelled

    asked = []
    with pytest.raises(Cancelled):
        run("Heun", steps=10, on_step=stop, model=lambda x, sigma: asked.append(sigma) or gauss(x, sigma), **extra)
    sigmas = sigmas_for("Automatic", SAMPLERS["Heun"], 10, TABLE)
    assert asked[-1] == sigmas[2] and set(asked) == set(sigmas[:3])


def test_on_step_gets_the_denoised_picture():
    last = {}
    latents, told, _ = run("Euler", on_step=lambda step, steps, sigma, denoised: last.update(denoised=denoised, sigma=sigma))
    assert torch.allclose(last["denoised"], latents, atol=1e-6) and told[-1][2] == last["sigma"]


def test_options_reach_the_sampler():
    assert torch.equal(run("Euler a", options={"eta": 0.0}, schedule="Karras")[0], run("Euler", schedule="Karras")[0])


def test_nothing_touches_the_global_generator_or_keeps_gradients():
    before = torch.get_rng_state()
    latents, _, _ = run("DPM++ SDE", source=source().requires_grad_(), mask=half(), rounds=1)
    assert torch.equal(before, torch.get_rng_state()) and not latents.requires_grad


@pytest.mark.parametrize("wrong", [{"mask": half()}, {"strength": 1.5}, {"strength": -0.1}])
def test_starts_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=r"mask|Strength"):
        Start(torch.zeros(SHAPE), **wrong)


@pytest.mark.parametrize("name", ["Euler", "Euler a", "Heun", "DPM2", "DDIM", "DDPM"])
@pytest.mark.parametrize("steps", [12])
def test_langevin_rounds_keep_or_improve_mean_and_spread(name, steps):
    shape = (1, 4, 72, 72)
    everything = {"source": torch.zeros(shape), "mask": torch.ones(1, 1, 72, 72)}
    plain, stirred = (run(name, steps=steps, model=gauss, shape=shape, rounds=rounds, **everything)[0] for rounds in (0, 3))
    assert abs(stirred.mean() - MEAN) < max(0.02, abs(plain.mean() - MEAN))
    assert abs(stirred.std() - SPREAD) < max(0.02, abs(plain.std() - SPREAD))


def test_rounds_cost_what_they_say():
    _, told, asked = run("Euler", steps=20, source=source(), mask=half(), rounds=3)
    assert len(told) == 20 and len(asked) == 20 + 3 * 17, "none in the last 12 % of the steps"


class Waves:
    """Signals of 64 values, each one sinusoid of 12 possible frequencies and a little noise: a mixture whose denoiser is exact.

    The left half of a signal tells which frequency it is, so there is one right continuation.
    """

    noise = 0.08

    def __init__(self):
        place = torch.arange(64, dtype=torch.float64) / 64 * 2 * math.pi
        waves = torch.stack([torch.stack([(f * place).cos(), (f * place).sin()], 1) for f in torch.linspace(1.5, 9, 12, dtype=torch.float64)])
        basis, scales, _ = torch.linalg.svd(waves, full_matrices=False)
        self.waves, self.basis, self.variances = waves, basis, scales**2

    def __call__(self, x, sigma):
        flat, small = x.reshape(len(x), 64), self.noise**2
        inside = torch.einsum("nl,klj->nkj", flat, self.basis)
        large = self.variances[None] + small
        rest = flat.square().sum(1)[:, None] - inside.square().sum(-1)
        log = -0.5 * ((inside.square() / (large + sigma**2)).sum(-1) + rest / (small + sigma**2)) - 0.5 * (large + sigma**2).log().sum(-1)
        gains = large / (large + sigma**2), small / (small + sigma**2)
        parts = torch.einsum("nkj,klj->nkl", inside * (gains[0] - gains[1]), self.basis)
        return (torch.einsum("nk,nkl->nl", log.softmax(1), parts) + gains[1] * flat).reshape(x.shape)

    def sample(self, count):
        g = torch.Generator().manual_seed(7)
        which = torch.randint(0, 12, (count,), generator=g)
        ways = torch.nn.functional.normalize(torch.randn(count, 2, generator=g, dtype=torch.float64), dim=1) * 1.4
        clean = torch.einsum("nlj,nj->nl", self.waves[which], ways)
        return (clean + self.noise * torch.randn(count, 64, generator=g, dtype=torch.float64)).reshape(count, 1, 1, 64)


def continued(name, steps, **start):
    """The share of signals whose right half was continued with the right frequency."""
    waves, g = Waves(), torch.Generator().manual_seed(1)
    known = waves.sample(200)
    mask = torch.zeros(1, 1, 1, 64, dtype=torch.float64)
    mask[..., 32:] = 1
    draw = lambda *_: torch.randn(known.shape, generator=g, dtype=torch.float64)  # noqa: E731
    row = SAMPLERS[name]
    found = denoise(waves, Start(draw(), known, mask, **start), row, sigmas_for("Uniform", row, steps, TABLE), draw, lambda *_: None)
    assert torch.equal(found[..., :32], known[..., :32])
    return ((found - known)[..., 32:].square().mean((1, 2, 3)).sqrt() < 0.35).double().mean().item()


def test_what_stands_outside_the_mask_is_continued():
    replaced = continued("Euler", 25)
    fresh = continued("Euler a", 25, fresh=True)
    twice, often = continued("Euler", 10, rounds=2), continued("Euler", 20, rounds=5)
    assert replaced < 0.5 < fresh < twice < often, (replaced, fresh, twice, often)
    assert twice > 0.62 and often > 0.9


def test_the_start_of_one_picture_has_its_own_scene_or_the_only_one() -> None:
    scenes = Scene.blank(64, 64), Scene.blank(64, 64)
    noise = torch.zeros(2, 4, 8, 8)
    assert Start(noise, scenes=scenes).row(1).scenes == scenes[1:] and Start(noise, scenes=scenes[:1]).row(1).scenes == scenes[:1]
    assert Start(noise).row(1).scenes == () and Start(noise).row(1).noise.shape[0] == 1

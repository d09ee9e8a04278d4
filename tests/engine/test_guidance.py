"""Guidance on a network that can be computed on paper: its answer is a fixed share of x plus a colour for each prompt."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from app.engine.denoise import Start, denoise
from app.engine.guidance import CALLS_COUNTED, Guidance, Guided, PictureByPicture, rescaled, steered
from app.engine.noise import Stream
from app.engine.prompt.conditioning import Conditioning, Told
from app.engine.prompt.encoded import Encoded
from app.engine.prompt.schedule import TWICE, counted_steps
from app.engine.samplers import SAMPLERS, SamplerRow

NEGATIVE, CAT, DOG = -1.0, 2.0, 5.0
SHAPE = (1, 4, 6, 6)
WORLD = {prompt: Stream(int(abs(prompt) * 10)).normal(SHAPE) for prompt in (NEGATIVE, CAT, DOG)}


def states(prompt: float) -> Encoded:
    return Encoded(torch.full((1, 3, 2), prompt))


class Network:
    """`LatentModel.predict` that keeps what it was asked: (sigma, prompts, pictures)."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, tuple[float, ...], int]] = []

    def __call__(self, x: Tensor, sigma: float, texts: Encoded, surroundings: Tensor | None) -> Tensor:
        prompts = tuple(texts.states[:, 0, 0].tolist())
        self.asked.append((sigma, prompts, x.shape[0]))
        around = 0 if surroundings is None else surroundings.expand(x.shape[0], -1, -1, -1)
        return torch.cat([x / (1 + sigma**2) + WORLD[prompt] + around for prompt in prompts])


def told(*parts: tuple[float, float], negative: float | None = NEGATIVE) -> Conditioning:
    moment = Told(tuple((weight, states(prompt)) for weight, prompt in parts), None if negative is None else states(negative))
    return Conditioning(20, (20,), (moment,))


def answers(x: Tensor, sigma: float, *prompts: float) -> list[Tensor]:
    return [x / (1 + sigma**2) + WORLD[prompt] for prompt in prompts]


def made(network: Network, guidance: Guidance, *parts: tuple[float, float], **options) -> Guided:
    return Guided(network, told(*parts or ((1.0, CAT),)), guidance, **options)


# ---- one call


def test_cfg_goes_from_the_negative_through_the_prompt() -> None:
    network, x = Network(), Stream(1).normal(SHAPE)
    guided = made(network, Guidance(7.0))
    without, cat = answers(x, 3.0, NEGATIVE, CAT)
    assert torch.equal(guided(x, 3.0), without + (cat - without) * 7.0)
    assert torch.equal(guided.unguided, without)
    assert network.asked == [(3.0, (NEGATIVE, CAT), 1)]


def test_cfg_1_is_one_prompt_in_one_call() -> None:
    network, x = Network(), Stream(1).normal(SHAPE)
    guided = made(network, Guidance(1.0))
    assert torch.equal(guided(x, 3.0), answers(x, 3.0, CAT)[0]) and torch.equal(guided.unguided, guided(x, 3.0))
    assert network.asked == [(3.0, (CAT,), 1)] * 2


def test_a_cfgpp_sampler_gets_both_answers_at_cfg_1_too() -> None:
    network, x = Network(), Stream(1).normal(SHAPE)
    guided = made(network, Guidance(1.0, both=True))
    without, cat = answers(x, 3.0, NEGATIVE, CAT)
    assert torch.allclose(guided(x, 3.0), cat, atol=1e-6) and torch.equal(guided.unguided, without)


@pytest.mark.parametrize("scale", [7.0, 1.0])
def test_and_adds_up_the_parts_with_their_weights(scale: float) -> None:
    network, x = Network(), Stream(1).normal(SHAPE)
    guided = made(network, Guidance(scale), (1.0, CAT), (-0.5, DOG))
    without, cat, dog = (answer.double() for answer in answers(x, 2.0, NEGATIVE, CAT, DOG))
    assert torch.allclose(guided(x, 2.0).double(), without + scale * (cat - without) - scale * 0.5 * (dog - without), atol=1e-5)
    assert network.asked == [(2.0, (NEGATIVE, CAT, DOG), 1)]


def test_and_without_a_negative_starts_from_its_first_part() -> None:
    network, x = Network(), Stream(1).normal(SHAPE)
    guided = Guided(network, told((1.0, CAT), (0.5, DOG), negative=None), Guidance(7.0))
    cat, dog = answers(x, 2.0, CAT, DOG)
    assert torch.allclose(guided(x, 2.0), cat + 0.5 * (dog - cat), atol=1e-6)
    assert network.asked == [(2.0, (CAT, DOG), 1)]


def test_a_single_part_with_a_weight_is_no_plain_prompt() -> None:
    network, x = Network(), Stream(1).normal(SHAPE)
    without, cat = answers(x, 2.0, NEGATIVE, CAT)
    assert torch.allclose(made(network, Guidance(1.0), (0.5, CAT))(x, 2.0), (without + cat) / 2, atol=1e-6)


@pytest.mark.parametrize("around", [None, torch.ones(1, 4, 6, 6), torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 4, 6, 6)])
def test_a_batch_is_asked_picture_by_picture_or_at_once(around: Tensor | None) -> None:
    network, x = Network(), torch.cat([Stream(seed).normal(SHAPE) for seed in range(3)])
    guided = made(network, Guidance(5.0, rescale=0.7), surroundings=around)
    alone = guided(x, 2.0)
    assert network.asked == [(2.0, (NEGATIVE, CAT), 1)] * 3
    for i in range(3):
        single = made(Network(), Guidance(5.0, rescale=0.7), surroundings=around if around is None or len(around) == 1 else around[i : i + 1])
        assert torch.equal(single(x[i : i + 1], 2.0), alone[i : i + 1]) and torch.equal(single.unguided, guided.unguided[i : i + 1])
    together = made(network, Guidance(5.0, rescale=0.7), surroundings=around, batched=True)
    assert torch.allclose(together(x, 2.0), alone, atol=1e-5) and torch.allclose(together.unguided, guided.unguided, atol=1e-5)
    assert network.asked[3:] == [(2.0, (NEGATIVE, CAT), 3)]


def test_prompts_follow_the_steps_that_they_are_laid_out_for() -> None:
    network, x = Network(), Stream(1).normal(SHAPE)
    first, then = (Told(((1.0, states(prompt)),), states(NEGATIVE)) for prompt in (CAT, DOG))
    guided = Guided(network, Conditioning(20, (5, 20), (first, then)), Guidance(7.0, prompt_steps=20))
    guided.steps = 11  # img2img runs less than that
    for guided.step in (0, 5, 6, 10):
        guided(x, 1.0)
    assert [prompts[1] for _, prompts, _ in network.asked] == [CAT, CAT, DOG, DOG]


# ---- rescale


@pytest.mark.parametrize("phi", [0.3, 1.0])
def test_rescale_is_the_papers_formula_on_v(phi: float) -> None:
    sigma, x = 3.0, (Stream(1).normal((2, 4, 6, 6)) * 3).double()
    plain, guided = (Stream(seed).normal((2, 4, 6, 6)).double() * spread for seed, spread in ((2, 1.0), (3, 4.0)))
    alpha, noise = 1 / math.sqrt(sigma**2 + 1), sigma / math.sqrt(sigma**2 + 1)

    def v(denoised: Tensor) -> Tensor:
        return alpha * (x - denoised) / sigma - noise * denoised

    for i in range(2):
        v_plain, v_guided = v(plain)[i], v(guided)[i]
        v_final = phi * v_guided * (v_plain.std() / v_guided.std()) + (1 - phi) * v_guided
        expected = alpha * (x[i] * alpha) - noise * v_final  # x0 = alpha z - sigma v with z = alpha x
        assert torch.allclose(rescaled(guided, plain, x, sigma, phi)[i], expected, atol=1e-12)


def test_rescale_0_and_cfg_1_change_nothing_and_equal_answers_are_no_nan() -> None:
    x = Stream(1).normal(SHAPE)
    plain = made(Network(), Guidance(7.0))(x, 2.0)
    assert torch.equal(made(Network(), Guidance(7.0, rescale=0.0))(x, 2.0), plain)
    assert not torch.allclose(made(Network(), Guidance(7.0, rescale=0.7))(x, 2.0), plain, atol=0.1)
    assert torch.equal(made(Network(), Guidance(1.0, rescale=0.7))(x, 2.0), made(Network(), Guidance(1.0))(x, 2.0))
    flat = torch.zeros(SHAPE)
    assert torch.equal(rescaled(flat, flat, flat, 2.0, 1.0), flat)


# ---- over the steps


def run(row: SamplerRow, network: Network, guidance: Guidance, steps: int = 10, *, start: Start | None = None) -> list[tuple[float, ...]]:
    """The prompts of each call over a run from 10 to 0."""
    stream = Stream(3)
    sigmas = [10 * (1 - i / steps) for i in range(steps)] + [0.0]
    begin = start or Start(stream.normal(SHAPE))
    denoise(made(network, guidance), begin, row, sigmas, lambda a, b: stream.normal(tuple(begin.noise.shape)), lambda *step: None)
    return [prompts for _, prompts, _ in network.asked]


BOTH, ALONE = (NEGATIVE, CAT), (CAT,)


def test_each_step_is_one_call() -> None:
    assert run(SAMPLERS["Euler"], Network(), Guidance(7.0)) == [BOTH] * 10
    assert run(SAMPLERS["Euler"], Network(), Guidance(1.0)) == [ALONE] * 10


def test_ngms_leaves_the_negative_out_at_odd_steps_below_its_level() -> None:
    below = [i for i, sigma in enumerate(range(10, 0, -1)) if sigma < 5.5]
    calls = run(SAMPLERS["Euler"], Network(), Guidance(7.0, quiet_below=5.5))
    assert below == [5, 6, 7, 8, 9] and [i for i, call in enumerate(calls) if call == ALONE] == [5, 7, 9]
    calls = run(SAMPLERS["Euler"], Network(), Guidance(7.0, quiet_below=5.5, quiet_always=True))
    assert [i for i, call in enumerate(calls) if call == ALONE] == below
    assert run(SAMPLERS["Euler"], Network(), Guidance(7.0, quiet_below=0, quiet_always=True)) == [BOTH] * 10


def test_skip_early_cfg_takes_the_step_on_the_border_too() -> None:
    calls = run(SAMPLERS["Euler"], Network(), Guidance(7.0, skip_early=0.3))
    assert calls == [ALONE] * 4 + [BOTH] * 6  # steps 0 to 3 of 10, as A1111 compares step / steps <= 0.3
    assert run(SAMPLERS["Euler"], Network(), Guidance(7.0, skip_early=1.0)) == [ALONE] * 10


def test_img2img_counts_the_steps_that_it_runs() -> None:
    start = Start(Stream(3).normal(SHAPE), torch.zeros(SHAPE), strength=0.5)
    calls = run(SAMPLERS["Euler"], Network(), Guidance(7.0, skip_early=0.5), steps=19, start=start)
    assert calls == [ALONE] * 6 + [BOTH] * 4  # int(0.5 * 19) + 1 = 10 steps, 0 to 5 are within the half


@pytest.mark.parametrize("name", sorted(CALLS_COUNTED))
def test_some_samplers_count_calls_as_a1111_does(name: str) -> None:
    network = Network()
    calls = run(SAMPLERS[name], network, Guidance(7.0, quiet_below=100.0))
    assert calls == [BOTH if i % 2 == 0 else ALONE for i in range(len(calls))]
    assert counted_steps(name, 10) == (20 if name in TWICE else 10)
    assert name == "DPM adaptive" or len(calls) == {"PLMS": 11, "DPM fast": 10}.get(name, 19)


def test_other_samplers_count_steps_however_often_they_ask() -> None:
    def twice(model, x, sigmas, noise):
        for i, (sigma, after) in enumerate(pairwise(sigmas)):
            denoised = model(x, sigma)
            yield i, x, sigma, denoised
            if after:
                model(x, after)
            x = denoised + (x - denoised) / sigma * after
        return x

    calls = run(SamplerRow("Twice", twice), Network(), Guidance(7.0, skip_early=0.2))
    assert calls == [ALONE] * 5 + [BOTH] * 14  # a second call belongs to the next step: 0, 1 1, 2 2 are within a fifth of 10


def test_langevin_rounds_belong_to_the_step_that_they_precede() -> None:
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., 3:] = 1
    start = Start(Stream(3).normal(SHAPE), torch.zeros(SHAPE), mask, rounds=2)
    calls = run(SAMPLERS["Euler"], Network(), Guidance(7.0, skip_early=0.2), start=start)
    assert calls == [ALONE] * 9 + [BOTH] * (len(calls) - 9) and len(calls) == 8 * 3 + 2


# ---- wrappers


def test_the_sampler_reads_the_unguided_answer_through_wrappers_and_masks() -> None:
    seen = []

    def curious(model, x, sigmas, noise):
        for i, (sigma, after) in enumerate(pairwise(sigmas)):
            denoised = model(x, sigma)
            yield i, x, sigma, denoised
            seen.append((x, sigma, model.unguided))
            x = denoised + (x - denoised) / sigma * after
        return x

    source, mask = Stream(9).normal(SHAPE), torch.zeros(1, 1, 6, 6)
    mask[..., 3:] = 1
    noise = torch.cat([Stream(seed).normal(SHAPE) for seed in (1, 2)])
    guided = made(Network(), Guidance(7.0))
    wrapped = PictureByPicture(Guard(guided), guided)
    assert steered(wrapped) is guided and steered(lambda x, sigma: x) is None
    denoise(wrapped, Start(noise, source, mask), SamplerRow("Curious", curious), [4.0, 2.0, 0.0], lambda a, b: noise, lambda *step: None)
    assert (guided.step, guided.steps, guided.row) == (1, 2, None)
    for x, sigma, unguided in seen:
        expected = (x / (1 + sigma**2) + WORLD[NEGATIVE]) * mask + source * (1 - mask)
        assert unguided.shape == noise.shape and torch.allclose(unguided, expected, atol=1e-6)


class Guard:
    """Like that of an extension: it keeps what it was put around as `model`."""

    def __init__(self, model: Guided) -> None:
        self.model = model

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        assert x.shape[0] == 1
        return self.model(x, sigma)


def test_a_plain_function_is_its_own_unguided_answer() -> None:
    seen = []

    def curious(model, x, sigmas, noise):
        denoised = model(x, sigmas[0])
        seen.append((denoised, model.unguided))
        yield 0, x, sigmas[0], denoised
        return denoised

    denoise(lambda x, sigma: x / 2, Start(Stream(1).normal(SHAPE)), SamplerRow("Curious", curious), [4.0, 0.0], lambda a, b: None, lambda *step: None)
    assert torch.equal(*seen[0])


def test_picture_by_picture_gives_each_its_own_surroundings() -> None:
    x, around = torch.cat([Stream(seed).normal(SHAPE) for seed in range(3)]), torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 4, 6, 6)
    guided = made(Network(), Guidance(5.0), surroundings=around)
    wrapped = PictureByPicture(Guard(guided), guided)
    answer = wrapped(x, 2.0)
    unguided = guided.unguided
    assert torch.equal(answer, guided(x, 2.0)) and torch.equal(unguided, guided.unguided)

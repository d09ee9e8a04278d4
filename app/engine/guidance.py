"""From what the network says of each prompt to one guided answer: the `Denoiser` that samplers are given.

Classifier-free guidance (Ho & Salimans 2022) with A1111's habits: the parts of a prompt that AND joins are added up with
their weights (composable diffusion, Liu et al. 2022), the negative prompt may be left out early on or near the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from app.engine.prompt.encoded import Encoded, stacked
from app.engine.prompt.schedule import TWICE

if TYPE_CHECKING:
    from app.engine.prompt.conditioning import Conditioning, Told

Predict = Callable[[Tensor, float, Encoded, Tensor | None], Tensor]
"""(x (b,4,h,w), sigma, k texts, surroundings (1 or b,m,h,w) or None) -> (k * b,4,h,w) denoised, all pictures of the first text first."""

CALLS_COUNTED = TWICE | {"PLMS", "DPM fast", "DPM adaptive"}
"""Samplers for which A1111 counts the calls of the model instead of the steps: with them `[a:b:5]` switches after five calls,
and every other call is one that "NGMS" may shorten. PLMS makes one call too many, DPM adaptive as many as it likes."""


@dataclass(frozen=True)
class Guidance:
    """How strictly the prompt is followed.

    Attributes:
        scale: CFG scale; at 1 the negative prompt has no say and is not asked.
        rescale: phi of Lin et al. 2024, 0 to 1: how much of the contrast that guidance adds is taken back.
        skip_early: share of the steps at the beginning without guidance, 0 to 1 (A1111's "Skip Early CFG").
        quiet_below: noise level below which the negative prompt is left out at every other step (A1111's "NGMS"); 0: never.
        quiet_always: and at the steps between (A1111's "NGMS all steps").
        both: ask with and without the prompt at CFG 1 too, since the sampler wants to know `unguided` (CFG++).
        prompt_steps: what the prompt's schedule counts to, see `schedule.counted_steps`; None: the steps of the run.
        image_scale: how strictly a checkpoint that edits pictures keeps to the picture that it is shown (Brooks et al. 2023,
            "InstructPix2Pix", section 3.2.1), the second of its two guidances; at 1 it has no say, as for all other checkpoints.
    """

    scale: float
    rescale: float = 0.0
    skip_early: float = 0.0
    quiet_below: float = 0.0
    quiet_always: bool = False
    both: bool = False
    prompt_steps: int | None = None
    image_scale: float = 1.0


class Guided:
    """A `Denoiser`: (x (b,4,h,w), sigma) -> denoised, guided.

    Unless `batched`, a batch is evaluated picture by picture, so that each is bit-identical to a single one.

    Attributes:
        step, steps: where the run stands (step from 0); the loop sets them before each call. For the samplers in
            `CALLS_COUNTED` calls are counted, as A1111 does, for others the steps.
        unguided: (b,4,h,w), the answer to the last call without the prompt; the answer itself where the negative was not asked.
        row: evaluate the only picture as row `row` of the surroundings; None: as they come.
    """

    def __init__(
        self, predict: Predict, conditioning: "Conditioning", guidance: Guidance, surroundings: Tensor | None = None, *, batched: bool = False
    ) -> None:
        self._predict, self._conditioning, self._guidance = predict, conditioning, guidance
        self._surroundings, self._batched = surroundings, batched
        self.step, self.steps = 0, 1
        self.unguided: Tensor | None = None
        self.row: int | None = None
        self._texts: tuple[Told, bool, tuple[Encoded, ...]] | None = None

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        total = self._guidance.prompt_steps or self.steps
        told = self._conditioning.at(self.step, total)
        alone = self._leaves_negative_out(told, sigma)
        around = self._surroundings if self.row is None else row_of(self._surroundings, self.row)
        if self._batched or x.shape[0] == 1:
            answer, self.unguided = self._once(x, sigma, told, alone, around)
            return answer
        rows = [self._once(x[i : i + 1], sigma, told, alone, row_of(around, i)) for i in range(x.shape[0])]
        self.unguided = torch.cat([unguided for _, unguided in rows])
        return torch.cat([answer for answer, _ in rows])

    def _leaves_negative_out(self, told: "Told", sigma: float) -> bool:
        """Whether this call asks for the prompt alone: A1111's rules, and where guidance would change nothing."""
        guidance = self._guidance
        if told.negative is None:
            return True
        if guidance.skip_early and self.step / self.steps <= guidance.skip_early:
            return True
        if guidance.image_scale != 1:
            return False
        if (self.step % 2 or guidance.quiet_always) and sigma < guidance.quiet_below:
            return True
        return guidance.scale == 1 and not guidance.both and len(told.positives) == 1 and told.positives[0][0] == 1

    def _once(self, x: Tensor, sigma: float, told: "Told", alone: bool, around: Tensor | None) -> tuple[Tensor, Tensor]:
        """(guided, unguided) from one call of the network, or two where prompt and negative prompt differ in length; with a
        guidance by the picture one more."""
        answers = tuple(answer for texts in self._calls(told, alone) for answer in self._predict(x, sigma, texts, around).chunk(texts.count))
        if len(answers) == 1:
            return answers[0], answers[0]
        scale = 1.0 if alone else self._guidance.scale
        parts = answers if alone else answers[1:]
        guided = combined(answers[0], parts, [weight * scale for weight, _ in told.positives])
        if alone:
            return guided, guided
        unguided = answers[0]
        if self._guidance.image_scale != 1 and around is not None and told.negative is not None:
            unguided = self._predict(x, sigma, told.negative, torch.zeros_like(around))
            guided = guided + (answers[0] - unguided) * (self._guidance.image_scale - 1)
        if self._guidance.rescale and (scale != 1 or unguided is not answers[0]):
            plain = combined(answers[0], parts, [weight for weight, _ in told.positives])
            guided = rescaled(guided, plain, x, sigma, self._guidance.rescale)
        return guided, unguided

    def _calls(self, told: "Told", alone: bool) -> tuple[Encoded, ...]:
        """The texts of each call: the negative first unless it is left out, then the parts of the prompt."""
        if self._texts is None or self._texts[0] is not told or self._texts[1] != alone:
            texts = [text for _, text in told.positives]
            calls: tuple[Encoded, ...]
            if alone or told.negative is None:
                calls = (stacked(texts),)
            elif told.negative.length != texts[0].length:
                calls = (told.negative, stacked(texts))
            else:
                calls = (stacked([told.negative, *texts]),)
            self._texts = told, alone, calls
        return self._texts[2]


def asks_unguided(sampler: str) -> bool:
    """Whether a sampler looks at `Guided.unguided` (CFG++, Chung et al. 2024), so that even at CFG 1 both answers are needed."""
    return "CFG++" in sampler


def combined(base: Tensor, parts: tuple[Tensor, ...], weights: list[float]) -> Tensor:
    """base + sum of weight * (part - base): Liu et al. 2022, equation 11."""
    guided = base
    for part, weight in zip(parts, weights, strict=True):
        guided = guided + (part - base) * weight
    return guided


def rescaled(guided: Tensor, plain: Tensor, x: Tensor, sigma: float, phi: float) -> Tensor:
    """Guidance with the contrast of the unguided answer (Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed", section 3.4).

    The paper's model predicts v, so spreads are compared there, whatever this one predicts:
    v = (x - denoised (sigma^2 + 1)) / (sigma sqrt(sigma^2 + 1)); the factor below the line cancels.

    Args:
        guided, plain: (b,4,h,w) denoised with guidance, and with the prompt alone.
        phi: 0 to 1, 0 changes nothing.
    """
    level = sigma * sigma + 1
    wanted, found = (x - plain * level).flatten(1).std(1), (x - guided * level).flatten(1).std(1)
    ratio = torch.where(found > 0, wanted / found.clamp(min=torch.finfo(found.dtype).tiny), 1.0)
    factor = (phi * ratio + (1 - phi)).reshape(-1, 1, 1, 1)
    return (x - (x - guided * level) * factor) / level


def row_of(rows: Tensor | None, i: int) -> Tensor | None:
    """Row i of (b,...), the only one of (1,...), None of None."""
    return rows if rows is None or rows.shape[0] == 1 else rows[i : i + 1]


class PictureByPicture:
    """`model`, which was put around `guided`, asked for one picture of a batch at a time."""

    def __init__(self, model: Callable[[Tensor, float], Tensor], guided: Guided) -> None:
        self.model, self._guided = model, guided

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        answers, unguided = [], []
        for i in range(x.shape[0]):
            self._guided.row = i
            answers.append(self.model(x[i : i + 1], sigma))
            unguided.append(answers[-1] if self._guided.unguided is None else self._guided.unguided)
        self._guided.row, self._guided.unguided = None, torch.cat(unguided)
        return torch.cat(answers)


def steered(model: Any) -> Any:
    """The `Guided` (or what stands for one: it has `step`, `steps` and `unguided`) below wrappers, each of which keeps what
    it was put around as `model`; None for a plain function, which has no steps to be told."""
    while model is not None and not hasattr(model, "unguided"):
        model = getattr(model, "model", None)
    return model

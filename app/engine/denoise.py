"""The loop: from noise, or from a picture with noise, to latents. All five tabs go through `denoise`."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from app.engine.guidance import CALLS_COUNTED, row_of, steered
from app.engine.prompt.schedule import counted_steps
from app.engine.samplers import SamplerRow
from app.engine.scene import Scene
from app.engine.schedules import MAX_STEPS

Denoiser = Callable[[Tensor, float], Tensor]
"""(x (b,4,h,w) float32, sigma) -> denoised, same shape; x = z0 + sigma * noise."""
Noise = Callable[[float, float], Tensor]
"""(sigma, sigma_next) -> standard normal (b,4,h,w), row i from picture i's own stream."""
OnStep = Callable[[int, int, float, Tensor], None]
"""(step from 1, steps, sigma, denoised) after the model has spoken in a step; may raise to stop."""

_PULL = 8.0
"""How much more strongly than the model the known part is held in a Langevin round (lambda of LanPaint, arXiv 2502.03491)."""
_MOVE = 0.4
"""The length of a Langevin round, in units of the noise variance (delta)."""
_QUIET = 0.12
"""The share of steps at the end that have no Langevin rounds."""


@dataclass(frozen=True)
class Start:
    """Where the loop starts. All that makes one task different from another.

    Attributes:
        noise: (b,4,h,w) float32, standard normal: each picture's first draw.
        source: (1 or b,4,h,w) latents of the source picture, or None.
        mask: (1 or b,1,h,w), 1 = paint here, 0 = keep; soft edges allowed. Needs `source`.
        strength: 0..1, how much of the way is gone when there is a source: 0 returns it, 1 starts from noise alone.
        rounds: two-sided Langevin rounds before each step (outpaint, zoom), but for the last 12 % of the steps. The
            sampler then begins anew at each step, so multistep samplers take their first-order step.
        fresh: show the model the kept part with new noise at each noise level.
        init: what the painted part starts from, when it is not `source` (fill, latent noise, nothing).
        scenes: the picture that is painted on, one for all or one for each of the batch: checkpoints that read more than noisy
            latents (inpainting, InstructPix2Pix, depth) are told of it, each in its own way; none: there is no picture.
        last: run exactly this many steps, the last ones of a schedule so long that they are `strength` of it (a second pass);
            None: those that are `strength` of the request's steps.
    """

    noise: Tensor
    source: Tensor | None = None
    mask: Tensor | None = None
    strength: float = 1.0
    rounds: int = 0
    fresh: bool = False
    init: Tensor | None = None
    scenes: tuple[Scene, ...] = ()
    last: int | None = None

    def __post_init__(self) -> None:
        if self.mask is not None and self.source is None:
            raise ValueError("A mask needs a source picture.")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"Strength is {self.strength}, but it must be from 0 to 1.")

    def scheduled(self, steps: int) -> int:
        """How long the schedule is for a request of `steps` steps: A1111's int(last / strength), at most 1000."""
        return steps if self.last is None or self.strength == 0 else min(int(self.last / min(self.strength, 0.999)), MAX_STEPS)

    def row(self, i: int) -> "Start":
        """The start of picture `i` alone."""
        tensors: dict[str, Any] = {name: row_of(getattr(self, name), i) for name in ("noise", "source", "mask", "init")}
        return replace(self, scenes=self.scenes[i : i + 1] if len(self.scenes) > 1 else self.scenes, **tensors)


@torch.inference_mode()
def denoise(
    model: Denoiser, start: Start, sampler: SamplerRow, sigmas: Sequence[float], noise: Noise, on_step: OnStep, options: Mapping[str, Any] | None = None
) -> Tensor:
    """Run `sampler` over the part of `sigmas` that the strength asks for.

    Args:
        model: called with batches like `start.noise`.
        sigmas: falling, ends in 0.0; see `app.engine.schedules.sigmas_for`.
        noise: everything random beyond `start.noise` comes from here, in the order of the steps.
        on_step: what it raises goes through to the caller.
        options: keyword options for the sampler, named in `sampler.options`.

    Returns:
        (b,4,h,w) latents. Where the mask is 0 they are the source's, bit for bit.
    """
    if start.source is not None and start.strength == 0:
        return start.source.expand_as(start.noise).clone()
    sigmas = levels_for(start, sigmas)
    x = first_latents(start, sigmas[0])
    steps = len(sigmas) - 1
    seen = Kept(model, start, noise, counted_steps(sampler.name, steps), counting=sampler.name in CALLS_COUNTED)
    stirred = steps - math.ceil(_QUIET * steps) if start.rounds else 0
    for i in range(stirred):
        x = seen.langevin(x, sigmas[i])
        x = _drive(sampler, seen, x, sigmas[i : i + 2], noise, _counted(on_step, seen, i, steps), options)
    x = _drive(sampler, seen, x, sigmas[stirred:], noise, _counted(on_step, seen, stirred, steps), options)
    return seen.keep(x)


def levels_for(start: Start, sigmas: Sequence[float]) -> Sequence[float]:
    """The end of `sigmas` that is run: A1111's int(strength * steps) + 1 last steps, all of them without a source."""
    steps = len(sigmas) - 1
    if start.source is None:
        return sigmas
    if start.last is not None:
        return sigmas[max(0, steps - start.last) :]
    return sigmas[steps - 1 - min(int(start.strength * steps), steps - 1) :]


def first_latents(start: Start, sigma: float) -> Tensor:
    """The x that the sampler starts from, at noise level `sigma`; the kept part always starts from the source."""
    base = torch.zeros_like(start.noise)
    if start.init is not None:
        base = base + start.init
    elif start.source is not None and start.strength < 1:
        base = base + start.source
    if start.mask is not None and start.source is not None:
        base = torch.where(start.mask == 0, start.source, base)
    return base + start.noise * sigma


class Kept:
    """A model that is held to the kept part of the source: outside the mask it always answers the source.

    Without a mask it is the model itself. It tells the `Guided` below at which step the run stands.

    Attributes:
        step, steps: see `Guided`; `counting`: whether calls are counted, not steps.
    """

    def __init__(self, model: Denoiser, start: Start, noise: Noise, steps: int = 1, *, counting: bool = False) -> None:
        self._model, self._start, self._noise = model, start, noise
        self._source, self._mask = start.source, start.mask
        self._level = math.inf
        self._kept_noise = start.noise
        self.step, self.steps, self.counting = 0, steps, counting
        self._unguided = start.noise

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Denoised x, blended with the source by the mask."""
        fresh = self._source is not None and self._mask is not None and self._start.fresh
        denoised = self._ask(self._renoised(x, sigma) if fresh else x, sigma)
        guided = steered(self._model)
        self._unguided = denoised if guided is None or guided.unguided is None else guided.unguided
        if self.counting:
            self.step += 1
        return self._blended(denoised)

    @property
    def unguided(self) -> Tensor:
        """The answer to the last call without the prompt (see `Guided`), blended with the source as the answer itself was."""
        return self._blended(self._unguided)

    def _ask(self, x: Tensor, sigma: float) -> Tensor:
        """The model's answer, after it was told the step."""
        if (guided := steered(self._model)) is not None:
            guided.step, guided.steps = self.step, self.steps
        return self._model(x, sigma)

    def _blended(self, denoised: Tensor) -> Tensor:
        if self._source is None or self._mask is None:
            return denoised
        return denoised * self._mask + self._source * (1 - self._mask)

    def keep(self, x: Tensor) -> Tensor:
        """`x` with exactly the source where the mask is 0."""
        if self._source is None or self._mask is None:
            return x
        return torch.where(self._mask == 0, self._source, x)

    def _renoised(self, x: Tensor, sigma: float) -> Tensor:
        """`x` with the source at noise level `sigma` where the mask is 0; `fresh` draws new noise at each level."""
        if self._source is None or self._mask is None:
            return x
        if self._start.fresh and sigma != self._level:
            self._level, self._kept_noise = sigma, self._noise(sigma, sigma)
        return torch.where(self._mask == 0, self._source + self._kept_noise * sigma, x)

    def langevin(self, x: Tensor, sigma: float) -> Tensor:
        """`rounds` two-sided Langevin moves at one noise level.

        The unknown part follows the model's score; the known part may move too, pulled back to the source with
        strength 1 + lambda and pushed by -lambda times the model's answer, so that the model sees one picture and not a
        pasted one. A move is the exact step of the overdamped equation with the model's answer frozen. In
        variance-preserving terms A = (1 + lambda k) / (1 - alpha) and dt = delta (1 - alpha), so A dt = delta (1 + lambda k);
        with sigma^2 = (1 - alpha) / alpha the rest scales to x = z0 + sigma * noise as written here.
        """
        x = self._renoised(x, sigma)
        known = torch.zeros_like(x[:, :1]) if self._mask is None else (self._mask < 0.5).to(x.dtype).expand_as(x[:, :1])
        source = torch.zeros_like(x) if self._source is None else self._source
        pull = 1 + _PULL * known
        step = torch.where(known > 0, -math.expm1(-_MOVE * (1 + _PULL)), -math.expm1(-_MOVE))
        for _ in range(self._start.rounds):
            denoised = self._ask(x, sigma)
            target = torch.where(known > 0, source * (1 + _PULL) - denoised * _PULL, denoised)
            spread = sigma * torch.sqrt(step * (2 - step * stiffness(x, denoised, known, sigma)) / pull)
            x = x + (target - x) * (step / pull) + spread * self._noise(sigma, sigma)
        return x


def stiffness(x: Tensor, denoised: Tensor, known: Tensor, sigma: float) -> Tensor:
    """How steeply the score pulls the unknown part of each picture back, 0..1 in units of 1 / sigma^2; 1 where it is known.

    Freezing the model's answer means taking this for 1, which would leave too little spread where the model follows x.
    By Tweedie's formula it is E (x - denoised)^2 / sigma^2; for Gaussian data the moves then keep the exact distribution.

    Args:
        known: (b,1,h,w) of 0 and 1.

    Returns:
        (b,1,h,w).
    """
    rows = []
    for i in range(len(x)):  # one by one, so that a picture gets the same bits in every batch
        unknown = 1 - known[i]
        rows.append(((x[i] - denoised[i]) ** 2 * unknown).sum() / (unknown.sum() * x.shape[1]).clamp(min=1))
    pull = torch.stack(rows).reshape(-1, 1, 1, 1) / sigma**2
    return torch.where(known > 0, 1.0, pull.clamp(max=1.0))


def _counted(on_step: OnStep, seen: Kept, before: int, steps: int) -> Callable[[int, float, Tensor], None]:
    """`on_step` for a run that begins after `before` of `steps` steps; what the model is asked from then on belongs to the next step."""

    def report(i: int, sigma: float, denoised: Tensor) -> None:
        if not seen.counting:
            seen.step = before + i + 1
        on_step(min(before + i + 1, steps), steps, sigma, denoised)

    return report


def _drive(
    sampler: SamplerRow,
    model: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    report: Callable[[int, float, Tensor], None],
    options: Mapping[str, Any] | None,
) -> Tensor:
    """Run the sampler's generator to its end."""
    with closing(sampler.function(model, x, sigmas, noise, **(options or {}))) as run:
        while True:
            try:
                i, _, sigma, denoised = next(run)
            except StopIteration as end:
                return end.value
            report(i, sigma, denoised)

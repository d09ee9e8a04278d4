"""The refiner: another checkpoint that goes on with a picture part of the way."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from app.engine.guidance import steered
from app.engine.schedules import TrainingTable

Speaker = Callable[[Tensor, float], Tensor]
"""A `Denoiser`: (x (b,4,h,w), sigma) -> denoised."""
Due = Callable[[int, int, float], bool]
"""(step from 0, steps, sigma) -> whether the refiner's turn has come."""


def due_by_steps(share: float) -> Due:
    """From that share of the steps on (A1111's "Refiner switch by sampling steps")."""
    return lambda step, steps, sigma: step / steps >= share


def due_by_noise(share: float, table: TrainingTable) -> Due:
    """From that share of the training's timesteps on: A1111 since 1.8 looks for the timestep whose noise level is nearest."""
    last = len(table.sigmas) - 1
    return lambda step, steps, sigma: (last - int(np.abs(table.sigmas - sigma).argmin())) / (last + 1) >= share


class Relay:
    """A `Denoiser` of two: the first speaks until the second is due, which then speaks to the end of the run.

    To samplers and the loop it is what a `Guided` is. Each is made when its turn comes, and the first is let go of before
    the second is made, so that no more than one model need be in memory. When the steps begin anew, so does the relay.

    Args:
        first, second: make the denoisers.

    Attributes:
        step, steps: where the run stands; the loop sets them before each call.
        unguided: see `Guided`.
    """

    def __init__(self, first: Callable[[], Speaker], second: Callable[[], Speaker], due: Due) -> None:
        self._makers, self._due = (first, second), due
        self._turn, self._now = 0, first()
        self.step, self.steps = 0, 1
        self._latest = 0
        self.unguided: Tensor | None = None

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        turn = 1 if self._due(self.step, self.steps, sigma) else self._turn if self.step >= self._latest else 0
        self._latest = self.step
        if turn != self._turn:
            del self._now
            self._now, self._turn = self._makers[turn](), turn
        speaker = steered(self._now)
        if speaker is not None:
            speaker.step, speaker.steps = self.step, self.steps
        answer = self._now(x, sigma)
        self.unguided = answer if speaker is None or speaker.unguided is None else speaker.unguided
        return answer

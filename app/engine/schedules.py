"""Noise schedules: how many steps go where. Plain arithmetic in float64; nothing here knows torch.

A schedule makes the noise levels (sigmas) of a run from the checkpoint's own table of 1000; they fall from pure noise
to 0.0. Names, labels and numbers are A1111's, where it has the schedule.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from app.engine.beta_quantile import beta_quantile
from app.errors import BadRequest, UnknownName

if TYPE_CHECKING:
    from app.engine.samplers import SamplerRow

MAX_STEPS = 1000
_SMALLEST_ALPHA = 4.8973451890853435e-08
"""Zero-terminal-SNR checkpoints end at exactly 0, an infinite sigma; it is raised to this (sigma 4518.8)."""


def scaled_linear_alphas(start: float = 0.00085, end: float = 0.012, count: int = 1000) -> np.ndarray:
    """alphas_cumprod of Stable Diffusion's "scaled linear" betas: (count,) float64, falling."""
    return np.cumprod(1.0 - np.linspace(start**0.5, end**0.5, count, dtype=np.float64) ** 2)


@dataclass(frozen=True)
class TrainingTable:
    """The noise levels that a checkpoint was trained on, and the way between sigma and timestep.

    Attributes:
        alphas_cumprod: (n,) float64, falling, in (0, 1]; Stable Diffusion's own when not given.
        sigmas: (n,) float64, rising: sqrt((1 - alpha) / alpha).
    """

    alphas_cumprod: np.ndarray = field(default_factory=scaled_linear_alphas)
    sigmas: np.ndarray = field(init=False)
    _logs: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        alphas = np.maximum(np.asarray(self.alphas_cumprod, dtype=np.float64), _SMALLEST_ALPHA)
        object.__setattr__(self, "alphas_cumprod", alphas)
        object.__setattr__(self, "sigmas", np.sqrt((1.0 - alphas) / alphas))
        object.__setattr__(self, "_logs", np.log(self.sigmas))

    @property
    def sigma_min(self) -> float:
        """The lowest trained noise level (0.0292 for Stable Diffusion)."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The highest trained noise level (14.6146 for Stable Diffusion)."""
        return float(self.sigmas[-1])

    def timestep(self, sigma: float) -> float:
        """The fractional timestep (0 to n-1) of a noise level: linear in log sigma, clamped at both ends."""
        if sigma <= self.sigma_min:
            return 0.0
        return float(np.interp(math.log(sigma), self._logs, np.arange(len(self._logs), dtype=np.float64)))

    def sigma(self, timestep: float) -> float:
        """The noise level of a fractional timestep: the inverse of `timestep`."""
        return float(math.exp(np.interp(timestep, np.arange(len(self._logs), dtype=np.float64), self._logs)))

    def between(self, low: float, high: float) -> "TrainingTable":
        """The same spacing between two other noise levels, low < high: evenly spaced timesteps, and beyond the table a straight end."""
        count = len(self.sigmas)
        if low >= self.sigma_max or high <= self.sigma_min:
            return TrainingTable(1 / (1 + np.geomspace(low, high, count) ** 2))
        sigmas = np.array([self.sigma(t) for t in np.linspace(self.timestep(low), self.timestep(high), count)])
        sigmas[0], sigmas[-1] = low, high
        return TrainingTable(1 / (1 + sigmas**2))


STABLE_DIFFUSION = TrainingTable()
"""The table of every Stable Diffusion 1 checkpoint that says nothing else."""

Levels = Callable[..., list[float]]
"""(steps, table, **options) -> `steps` falling noise levels above zero; the closing 0.0 is added by `sigmas_for`."""


@dataclass(frozen=True)
class Schedule:
    """A row of the table.

    Attributes:
        name: A1111's internal name; `label` is what people see, `aliases` are accepted, too.
        function: makes the levels.
        fixed: its levels do not come from the table, and are stretched to other ends.
        options: names of the keyword options that `function` takes; found from its signature.
    """

    name: str
    label: str
    aliases: tuple[str, ...]
    function: Levels
    fixed: bool = False
    options: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", frozenset(list(inspect.signature(self.function).parameters)[2:]))


@dataclass(frozen=True)
class Spacing:
    """How a run bends its schedule: A1111's options of these names.

    Attributes:
        sigma_min, sigma_max: noise levels between which the steps lie, as far as the schedule reaches them; 0: the checkpoint's own.
        rho: exponent of Karras and Polyexponential; 0: their own, 7 and 1.
        beta_alpha, beta_beta: shape of the schedule Beta.
        discard_penultimate: leave out the last level before zero whatever the sampler.
    """

    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    beta_alpha: float = 0.6
    beta_beta: float = 0.6
    discard_penultimate: bool = False


AS_IT_IS = Spacing()


def uniform(steps: int, table: TrainingTable) -> list[float]:
    """The model's own levels: timesteps evenly from the last to 0."""
    return [table.sigma(t) for t in np.linspace(len(table.sigmas) - 1, 0, steps)]


def karras(steps: int, table: TrainingTable, rho: float = 7.0) -> list[float]:
    """Karras et al. 2022, equation 5."""
    low, high = table.sigma_min ** (1 / rho), table.sigma_max ** (1 / rho)
    return [float((high + ramp * (low - high)) ** rho) for ramp in np.linspace(0, 1, steps)]


def exponential(steps: int, table: TrainingTable) -> list[float]:
    """Evenly spaced in log sigma."""
    return polyexponential(steps, table)


def polyexponential(steps: int, table: TrainingTable, rho: float = 1.0) -> list[float]:
    """Evenly spaced in log sigma, bent by `rho`."""
    low, high = math.log(table.sigma_min), math.log(table.sigma_max)
    return [math.exp(low + ramp**rho * (high - low)) for ramp in np.linspace(1, 0, steps)]


def sgm_uniform(steps: int, table: TrainingTable) -> list[float]:
    """Stability's generative-models: evenly spaced timesteps, the last of them (0) left out."""
    return [table.sigma(t) for t in np.linspace(len(table.sigmas) - 1, 0, steps + 1)[:-1]]


def linear(steps: int, table: TrainingTable) -> list[float]:
    """The levels of the linear noise schedule (Ho et al. 2020) in continuous time: Song et al. 2021, equation 33, beta 0.1 to 20.

    sigma(t)^2 = exp(rise t^2 / 2 + start t) - 1, evenly spaced in t between the table's ends.
    """
    start, rise = 0.1, 19.9
    late, early = ((math.sqrt(start**2 + 2 * rise * math.log1p(end**2)) - start) / rise for end in (table.sigma_max, table.sigma_min))
    return [math.sqrt(math.expm1(rise * t * t / 2 + start * t)) for t in np.linspace(late, early, steps)]


def cosine(steps: int, table: TrainingTable) -> list[float]:
    """The levels of the cosine noise schedule (Nichol and Dhariwal 2021), sigma = tan(angle), between the table's ends."""
    return [math.tan(angle) for angle in np.linspace(math.atan(table.sigma_max), math.atan(table.sigma_min), steps)]


def kl_optimal(steps: int, table: TrainingTable) -> list[float]:
    """Sabour et al. 2024 ("Align Your Steps"), equation 5, spaced as A1111 does; where that ends at sigma_min, we go on to 0."""
    high, low = math.atan(table.sigma_max), math.atan(table.sigma_min)
    return [math.tan(i / steps * low + (1 - i / steps) * high) for i in range(steps)]


def align_your_steps(steps: int, table: TrainingTable) -> list[float]:
    """The ten optimised steps of Sabour et al. 2024 for Stable Diffusion 1.5, log-linearly interpolated to other counts."""
    found = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    places = np.linspace(0, 1, len(found))
    logs = np.interp(np.linspace(0, 1, steps), places, np.log(found))
    return [float(sigma) for sigma in np.exp(logs)]


def quadratic(steps: int, table: TrainingTable) -> list[float]:
    """Evenly spaced roots of the timesteps: the spacing "time_quadratic" of DPM-Solver and UniPC."""
    return [table.sigma(t * t) for t in np.linspace(math.sqrt(len(table.sigmas) - 1), 0, steps)]


def simple(steps: int, table: TrainingTable) -> list[float]:
    """Every (n / steps)-th level, counted from the noisy end."""
    if steps > len(table.sigmas):
        return uniform(steps, table)
    stride = len(table.sigmas) / steps
    return [float(table.sigmas[-(1 + int(i * stride))]) for i in range(steps)]


def ddim(steps: int, table: TrainingTable) -> list[float]:
    """The "leading" timesteps of the DDIM paper with offset 1: 1, 1 + n // steps, 1 + 2 (n // steps), ..."""
    if steps > len(table.sigmas):
        return uniform(steps, table)
    stride = len(table.sigmas) // steps
    offset = 1 if 1 + (steps - 1) * stride < len(table.sigmas) else 0
    return [float(table.sigmas[offset + i * stride]) for i in reversed(range(steps))]


def turbo(steps: int, table: TrainingTable) -> list[float]:
    """The "trailing" timesteps that distilled checkpoints were trained on: n - 1, ..., 2 n / steps - 1, n / steps - 1."""
    count = len(table.sigmas)
    if steps > count:
        return uniform(steps, table)
    return [float(table.sigmas[round(i * count / steps) - 1]) for i in range(steps, 0, -1)]


def beta(steps: int, table: TrainingTable, beta_alpha: float = 0.6, beta_beta: float = 0.6) -> list[float]:
    """Lee et al. 2024, "Beta Sampling is All You Need", in A1111's form: quantiles of Beta(alpha, beta) between the table's ends."""
    low, high = table.sigma_min, table.sigma_max
    return [low + beta_quantile(float(p), beta_alpha, beta_beta) * (high - low) for p in 1 - np.linspace(0, 1, steps)]


_ROWS = (
    Schedule("automatic", "Automatic", (), uniform),
    Schedule("uniform", "Uniform", ("time_uniform",), uniform),
    Schedule("karras", "Karras", (), karras),
    Schedule("exponential", "Exponential", (), exponential),
    Schedule("polyexponential", "Polyexponential", (), polyexponential),
    Schedule("sgm_uniform", "SGM Uniform", ("SGMUniform",), sgm_uniform),
    Schedule("kl_optimal", "KL Optimal", (), kl_optimal),
    Schedule("align_your_steps", "Align Your Steps", ("AYS",), align_your_steps, fixed=True),
    Schedule("simple", "Simple", (), simple),
    Schedule("normal", "Normal", (), uniform),
    Schedule("ddim", "DDIM", ("ddim_uniform",), ddim),
    Schedule("beta", "Beta", (), beta),
    Schedule("turbo", "Turbo", ("trailing",), turbo),
    Schedule("linear", "Linear", (), linear),
    Schedule("logarithmic", "Logarithmic", ("logSNR",), exponential),
    Schedule("cosine", "Cosine", (), cosine),
    Schedule("quadratic", "Quadratic", ("time_quadratic",), quadratic),
)
SCHEDULES: dict[str, Schedule] = {row.label: row for row in _ROWS}
"""By label, in the order of the menus. "Automatic" stands for the sampler's own choice (`SamplerRow.schedule`)."""


def schedule_names() -> dict[str, str]:
    """Every accepted spelling, in lower case, and the label it means."""
    return {name.lower(): row.label for row in SCHEDULES.values() for name in (row.label, row.name, *row.aliases)}


def resolve_schedule(name: str) -> str:
    """The label of a schedule from its label, name or alias in any case. Raises UnknownName."""
    found = schedule_names().get(" ".join(name.lower().split()))
    if found is None:
        raise UnknownName("schedule", name, SCHEDULES)
    return found


def sigmas_for(schedule: str, row: "SamplerRow", steps: int, table: TrainingTable, spacing: Spacing = AS_IT_IS) -> list[float]:
    """The noise levels of a run.

    Args:
        schedule: label, name or alias; "Automatic" takes the sampler's own.
        row: the sampler; some leave out the last level before zero (A1111's "discard next-to-last sigma"), some need the lowest one.
        steps: 1 to 1000.
        spacing: other ends, other bends.

    Returns:
        `steps` + 1 strictly falling levels; the first is (about) sigma_max, the last is 0.0.

    Raises:
        UnknownName: there is no such schedule.
        BadRequest: the number of steps is out of bounds, or sigma_min is not below sigma_max.
    """
    if not 1 <= steps <= MAX_STEPS:
        raise BadRequest(f"Sampling steps (steps) is {steps}, but it must be a whole number from 1 to {MAX_STEPS}.")
    label = resolve_schedule(schedule)
    label = row.schedule if label == "Automatic" else label
    found = SCHEDULES[label]
    low, high = spacing.sigma_min or table.sigma_min, spacing.sigma_max or table.sigma_max
    if low >= high:
        raise BadRequest(f"Schedule min sigma (sigma_min) is {low:g}, but it must be below the highest noise level, {high:g}.")
    moved = (low, high) != (table.sigma_min, table.sigma_max)
    table = table.between(low, high) if moved else table
    if steps == 1:
        return [high, 0.0]
    discarded = not row.ends_only and (row.discard_penultimate or spacing.discard_penultimate)
    options = {name: value for name in found.options if (value := getattr(spacing, name))}
    levels = found.function(steps + discarded, table, **options)
    if found.fixed and moved:
        levels = stretched(levels, low, high)
    if row.ends_only:
        levels[-1] = low
    return [*levels[:steps], 0.0]


def stretched(levels: list[float], low: float, high: float) -> list[float]:
    """Falling levels moved to other ends, evenly in log sigma."""
    share = math.log(high / low) / math.log(levels[0] / levels[-1])
    return [low * (level / levels[-1]) ** share for level in levels]

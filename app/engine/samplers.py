"""The table of samplers, one row each, in the order of the menu. Nothing here knows torch.

To add one: write a generator to the contract of `app.engine.sampling.single` and add a row.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.engine.sampling import multistep, single, solver
from app.engine.sampling.deis import deis
from app.engine.sampling.restart import restart
from app.engine.sampling.unipc import unipc
from app.engine.schedules import TrainingTable, resolve_schedule, schedule_names
from app.errors import UnknownName


@dataclass(frozen=True)
class SamplerRow:
    """A sampler.

    Attributes:
        name: as in A1111's menu and infotext.
        function: generator (model, x, sigmas, noise, **options), see `app.engine.sampling.single`.
        aliases: other accepted names.
        schedule: label of the schedule that "Automatic" means for it.
        discard_penultimate: leave out the last level before zero (A1111's "discard next-to-last sigma").
        ends_only: of a schedule it takes the first level and the lowest that the checkpoint knows.
        brownian: its noise is that of one Brownian path for each picture (see `app.engine.noise.brownian`).
        alone: pictures are painted one by one, since their values decide on the steps.
        cfg_factor: what CFG scale is multiplied by; other than 1, the sampler also reads the answer without the prompt (CFG++).
        fields: option -> name of the request's field, where they differ.
        options: names of the keyword options that `function` takes; found from its signature.
    """

    name: str
    function: Callable[..., Any]
    aliases: tuple[str, ...] = ()
    schedule: str = "Uniform"
    discard_penultimate: bool = False
    ends_only: bool = False
    brownian: bool = False
    alone: bool = False
    cfg_factor: float = 1.0
    fields: Mapping[str, str] = field(default_factory=dict)
    options: frozenset[str] = field(default=frozenset())

    def __post_init__(self) -> None:
        if not self.options:
            found = list(inspect.signature(self.function).parameters)[4:]
            object.__setattr__(self, "options", frozenset(found) - set(getattr(self.function, "keywords", ())))

    def options_for(self, request: object, table: TrainingTable) -> dict[str, Any]:
        """The keyword options for a run: those that the request has a field for, and the checkpoint's table. An s_tmax of 0 is no limit."""
        found = {option: getattr(request, name) for option in self.options if hasattr(request, name := self.fields.get(option, option))}
        if found.get("s_tmax") == 0:
            found["s_tmax"] = math.inf
        return found | ({"table": table} if "table" in self.options else {})


def sampler_table(rows: tuple[SamplerRow, ...]) -> dict[str, SamplerRow]:
    """The rows by name."""
    return {row.name: row for row in rows}


_DDIM_ETA = {"eta": "eta_ddim"}
SAMPLERS: dict[str, SamplerRow] = sampler_table(
    (
        SamplerRow("DPM++ 2M", multistep.dpmpp_2m, ("k_dpmpp_2m", "dpmpp_2m"), "Karras"),
        SamplerRow("DPM++ SDE", single.dpmpp_sde, ("k_dpmpp_sde", "dpmpp_sde", "dpmpp_sde_gpu"), "Karras", brownian=True),
        SamplerRow("DPM++ 2M SDE", multistep.dpmpp_2m_sde, ("k_dpmpp_2m_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu"), "Exponential", brownian=True),
        SamplerRow(
            "DPM++ 2M SDE Heun", partial(multistep.dpmpp_2m_sde, solver="heun"), ("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun"), "Exponential", brownian=True
        ),
        SamplerRow("DPM++ 2S a", single.dpmpp_2s_a, ("k_dpmpp_2s_a", "dpmpp_2s_ancestral", "DPM++ 2S ancestral"), "Karras"),
        SamplerRow(
            "DPM++ 3M SDE",
            multistep.dpmpp_3m_sde,
            ("k_dpmpp_3m_sde", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
            "Exponential",
            discard_penultimate=True,
            brownian=True,
        ),
        SamplerRow("Euler a", single.euler_a, ("k_euler_a", "k_euler_ancestral", "euler_ancestral", "Euler ancestral")),
        SamplerRow("Euler", single.euler, ("k_euler",)),
        SamplerRow("LMS", multistep.lms, ("k_lms",)),
        SamplerRow("Heun", single.heun, ("k_heun",)),
        SamplerRow("DPM2", single.dpm2, ("k_dpm_2", "dpm_2"), "Karras", discard_penultimate=True),
        SamplerRow("DPM2 a", single.dpm2_a, ("k_dpm_2_a", "dpm_2_ancestral", "DPM2 ancestral"), "Karras", discard_penultimate=True),
        SamplerRow("DPM fast", solver.dpm_fast, ("k_dpm_fast", "dpm_fast"), ends_only=True),
        SamplerRow("DPM adaptive", solver.dpm_adaptive, ("k_dpm_ad", "dpm_adaptive"), ends_only=True, alone=True),
        SamplerRow("Restart", restart, (), "Karras"),
        SamplerRow("DDIM", single.ddim, (), "DDIM", fields=_DDIM_ETA),
        SamplerRow("DDIM CFG++", single.ddim_cfgpp, ("ddim_cfgpp", "ddim_cfg_pp"), "DDIM", cfg_factor=1 / 12.5, fields=_DDIM_ETA),
        SamplerRow("PLMS", multistep.plms, ("PNDM",)),
        SamplerRow("UniPC", unipc, ("uni_pc", "uni_pc_bh2"), "Karras"),
        SamplerRow("LCM", single.lcm, ("k_lcm",), "SGM Uniform"),
        SamplerRow("DDPM", single.ddpm),
        SamplerRow("DEIS", deis),
        SamplerRow("IPNDM", multistep.ipndm),
        SamplerRow("TCD", single.tcd, (), "SGM Uniform"),
    )
)
"""By name. Extensions add rows; names are looked up anew each time."""


def resolve_sampler(name: str) -> tuple[str, str | None]:
    """The sampler that `name` means, and the schedule if the name holds one.

    Accepts names and A1111's aliases in any case, and the combined names of A1111 before 1.9: "DPM++ 2M Karras",
    "k_dpmpp_2m_ka", "DPM++ 2M SDE Exponential".

    Returns:
        (name in `SAMPLERS`, label in `SCHEDULES` or None).

    Raises:
        UnknownName: there is no such sampler; the nearest names are offered.
    """
    known = {alias.lower(): row.name for row in SAMPLERS.values() for alias in (row.name, *row.aliases)}
    wanted = " ".join(name.lower().split())
    if wanted in known:
        return known[wanted], None
    for suffix, label in _schedule_suffixes().items():
        if wanted.endswith(suffix) and wanted[: -len(suffix)] in known:
            return known[wanted[: -len(suffix)]], label
    raise UnknownName("sampler", name, SAMPLERS)


def resolve_pair(sampler: str, schedule: str) -> tuple[str, str]:
    """(name in `SAMPLERS`, label in `SCHEDULES`); a sampler like "DPM++ 2M Karras" names the schedule where that is Automatic. Raises UnknownName."""
    name, named = resolve_sampler(sampler)
    return name, named if named and schedule.lower() == "automatic" else resolve_schedule(schedule)


def _schedule_suffixes() -> Mapping[str, str]:
    """What may stand behind a sampler's name, and the schedule that it means."""
    return {f" {name}": label for name, label in schedule_names().items()} | {"_ka": "Karras", "_exp": "Exponential"}

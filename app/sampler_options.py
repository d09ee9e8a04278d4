"""What can be asked of samplers and schedules beyond their names: A1111's settings that change the picture, as fields of every request."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ValidationInfo, field_validator

from app.param import param

UniPCVariant = Literal["bh1", "bh2", "vary_coeff"]
UniPCSkip = Literal["Schedule type", "time_uniform", "time_quadratic", "logSNR"]


class SamplerOptions(BaseModel):
    """Each is read by the samplers or schedules that its help names. The defaults are A1111's but for UniPC's, which suit few steps better."""

    eta: float = param(1.0, "Eta", "Noise of the samplers with 'a' or SDE in their name, DPM fast and DPM adaptive; 0: none", step=0.01, ge=0, le=1)
    eta_ddim: float = param(0.0, "Eta for DDIM", "Noise of DDIM and DDIM CFG++; 1: as DDPM", step=0.01, ge=0, le=1)
    s_churn: float = param(0.0, "Sigma churn", "Noise that Euler, Heun and DPM2 add and take away, over all steps", step=0.01, ge=0, le=100)
    s_tmin: float = param(0.0, "Sigma tmin", "Churn stops below this noise level", step=0.01, ge=0, le=10)
    s_tmax: float = param(0.0, "Sigma tmax", "Churn starts below this noise level; 0: at once", step=0.1, ge=0, le=999)
    s_noise: float = param(1.0, "Sigma noise", "Factor of all noise between steps; more keeps more detail", step=0.001, ge=0, le=1.1)
    sigma_min: float = param(0.0, "Schedule min sigma", "Noise level that the steps go down to; 0: the checkpoint's own", step=0.001, ge=0, le=10)
    sigma_max: float = param(0.0, "Schedule max sigma", "Noise level that they begin at; 0: the checkpoint's own", step=0.1, ge=0, le=1000)
    rho: float = param(0.0, "Schedule rho", "How steep Karras and Polyexponential are; 0: 7 and 1", step=0.1, ge=0, le=50)
    beta_alpha: float = param(0.6, "Beta schedule alpha", "Less: more steps at low noise", step=0.01, ge=0.01, le=10)
    beta_beta: float = param(0.6, "Beta schedule beta", "Less: more steps at high noise", step=0.01, ge=0.01, le=10)
    discard_penultimate: bool = param(False, "Discard penultimate sigma", "Leaves out the last noise level, as DPM2 and DPM++ 3M SDE always do")
    unipc_order: int = param(2, "UniPC order", "How many steps UniPC looks back; less than the number of steps", step=1, ge=1, le=9)
    unipc_variant: UniPCVariant = param("bh2", "UniPC variant", "How UniPC weighs them; bh1 for unguided pictures")
    unipc_skip_type: UniPCSkip = param("Schedule type", "UniPC skip type", "UniPC's own spacing, where the schedule type is Automatic")
    unipc_lower_order_final: bool = param(True, "UniPC lower order final", "Lets an order above 2 fall towards the end: steadier with few steps")
    tcd_gamma: float = param(0.3, "TCD gamma", "How far TCD jumps beyond each step, to come back with new noise", step=0.05, ge=0, le=1)

    @field_validator("sigma_max")
    @classmethod
    def _above(cls, high: float, info: ValidationInfo) -> float:
        if high and high <= info.data.get("sigma_min", 0.0):
            raise ValueError(f"is {high:g}, but it must be above Schedule min sigma (sigma_min), {info.data['sigma_min']:g}")
        return high


KEYS = {
    "Eta": "eta", "Eta DDIM": "eta_ddim", "Sigma churn": "s_churn", "Sigma tmin": "s_tmin", "Sigma tmax": "s_tmax", "Sigma noise": "s_noise",
    "Schedule min sigma": "sigma_min", "Schedule max sigma": "sigma_max", "Schedule rho": "rho", "Beta schedule alpha": "beta_alpha",
    "Beta schedule beta": "beta_beta", "Discard penultimate sigma": "discard_penultimate", "UniPC order": "unipc_order", "UniPC variant": "unipc_variant",
    "UniPC skip type": "unipc_skip_type", "UniPC lower order final": "unipc_lower_order_final", "TCD gamma": "tcd_gamma",
}  # fmt: skip
"""A1111's key in the infotext (and one of ours) -> field."""
_UNIPC = {"unipc_order": 3, "unipc_variant": "bh1"}
"""What A1111 means where a UniPC picture does not say."""


def pairs(request: SamplerOptions, sampler: str) -> dict[str, Any]:
    """The options that A1111 would write: those that are not what it takes for granted."""
    granted = {name: field.default for name, field in SamplerOptions.model_fields.items()} | (_UNIPC if sampler == "UniPC" else {})
    return {key: value for key, name in KEYS.items() if (value := getattr(request, name)) != granted[name]}


def values(fields: Mapping[str, str]) -> dict[str, Any]:
    """The options that the pairs of an infotext name, and what A1111 takes for granted for the others."""
    granted: dict[str, Any] = {name: field.default for name, field in SamplerOptions.model_fields.items()}
    if fields.get("Sampler", "").lower().startswith(("unipc", "uni_pc")):
        granted |= _UNIPC
    return granted | {name: fields[key] for key, name in KEYS.items() if key in fields}

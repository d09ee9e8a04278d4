"""Where a model runs: device, precision, attention, and what is moved when it does not fit."""

import importlib.util
from dataclasses import dataclass
from typing import Literal

import psutil
import torch

from app.engine.residency import Offload
from app.settings import Settings

CPU = torch.device("cpu")


@dataclass(frozen=True)
class DevicePlan:
    """What the settings and the machine allow.

    Attributes:
        device, dtype: of the UNet and the text encoder.
        vae_device, vae_dtype: of the VAE.
        offload: "model": one network at a time is on the device; "sequential": one layer at a time.
        attention: "sdpa" (PyTorch's own) or "xformers".
    """

    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    vae_device: torch.device = CPU
    vae_dtype: torch.dtype = torch.float32
    offload: Offload = "none"
    attention: Literal["sdpa", "xformers"] = "sdpa"

    @property
    def batched(self) -> bool:
        """Whether the pictures of a batch go through the UNet in one call. Not on the CPU: it gains nothing there, and one
        by one they are bit-identical to single pictures."""
        return self.device.type != "cpu"

    def describe(self) -> str:
        """One line for the start message."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else f"CPU with {torch.get_num_threads()} threads"
        words = [name, str(self.dtype).removeprefix("torch."), f"attention: {attention_name(self)}"]
        if self.offload != "none":
            words.append({"model": "medvram (one network at a time)", "sequential": "lowvram (one layer at a time)"}[self.offload])
        if self.vae_device != self.device:
            words.append("VAE on the CPU")
        elif self.vae_dtype != self.dtype:
            words.append(f"VAE in {str(self.vae_dtype).removeprefix('torch.')}")
        return ", ".join(words)


def make_plan(settings: Settings) -> DevicePlan:
    """The plan for this start. CUDA in float16 when there is a card and nothing speaks against it, else the CPU in float32."""
    if "all" in settings.cpu_parts or not torch.cuda.is_available():
        return DevicePlan()
    device = torch.device("cuda", torch.cuda.current_device())
    half = settings.half and settings.precision != "full"
    vae_on_cpu = "vae" in settings.cpu_parts
    return DevicePlan(
        device=device,
        dtype=torch.float16 if half else torch.float32,
        vae_device=CPU if vae_on_cpu else device,
        vae_dtype=torch.float16 if half and settings.half_vae and not vae_on_cpu else torch.float32,
        offload={"normal": "none", "medvram": "model", "lowvram": "sequential"}[settings.vram],  # type: ignore[arg-type]
        attention="xformers" if settings.attention == "xformers" and importlib.util.find_spec("xformers") else "sdpa",
    )


def attention_name(plan: DevicePlan) -> str:
    """The attention that is used, for people."""
    return {"sdpa": "PyTorch SDPA", "xformers": "xformers"}[plan.attention]


def free_bytes(device: torch.device) -> int:
    """Memory that a computation on the device may take now: what nobody uses, and what PyTorch keeps for itself."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA, its libraries (CUBLAS_STATUS_ALLOC_FAILED), the CPU allocator and Python each say it in their own way."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()
    return any(sign in words for sign in ("not enough memory", "can't allocate memory", "out of memory", "alloc_failed"))

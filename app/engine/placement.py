"""Networks where they are needed, and the ladder that is climbed when memory runs out."""

import gc
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from app.engine.attention import set_attention, unet_bytes, vae_bytes
from app.engine.device import CPU, DevicePlan, free_bytes, is_out_of_memory
from app.errors import OutOfMemory

T = TypeVar("T")
RUNGS = ("caches emptied", "attention slicing", "VAE tiling", "offload", "VAE on the CPU")
TILE = 512


class Placement:
    """The networks of one checkpoint ("unet", "vae", "text_encoder") on their devices, during one job after the other.

    Weights stay on the CPU between jobs with another checkpoint (`release`).
    """

    def __init__(self, networks: Mapping[str, nn.Module], plan: DevicePlan) -> None:
        self.networks: dict[str, Any] = dict(networks)
        self.plan = plan
        self.rung = 0
        self.offload = plan.offload
        self.vae_device, self.vae_dtype = plan.vae_device, plan.vae_dtype
        self.hooks: dict[str, Sequential] = {}
        self._where: dict[str, torch.device | None] = dict.fromkeys(networks, CPU)

    def begin(self, width: int, height: int, pictures: int) -> None:
        """Start of a picture: rungs that it will need in any case are taken before it fails. Sizes in pixels."""
        plan, unet, vae = self.plan, self.networks["unet"], self.networks["vae"]
        free = free_bytes(plan.device)
        slicing = self.rung >= 2 or unet_bytes(unet, width, height, pictures if plan.batched else 1, plan.dtype) > free
        tiling = self.rung >= 3 or vae_bytes(vae, width, height, vae.dtype) > free_bytes(self.vae_device)
        self._slice(slicing)
        self._tile(tiling)

    def reset(self) -> None:
        """Start of a job: what the job before needed is not held against this one."""
        if self.rung:
            self.release()
        self.rung, self.offload, self.vae_device = 0, self.plan.offload, self.plan.vae_device
        self._convert(self.vae_dtype)
        self._slice(False)
        self._tile(False)

    def set_vae_dtype(self, dtype: torch.dtype) -> None:
        """From now on the VAE computes in this precision, in the jobs to come too."""
        self.vae_dtype = dtype
        self._convert(dtype)

    def device_of(self, name: str) -> torch.device:
        return self.vae_device if name == "vae" else self.plan.device

    def use(self, name: str) -> Any:
        """The network, ready on its device; with offload the others leave it first."""
        device = self.device_of(name)
        if self.offload != "none":
            for other in self.networks:
                if other != name:
                    self._home(other)
        if self.offload == "sequential" and device != CPU:
            if name not in self.hooks:
                self.hooks[name] = Sequential(self.networks[name], device)
            return self.networks[name]
        self._move(name, device)
        return self.networks[name]

    def release(self) -> None:
        """All networks back to the CPU."""
        for name in self.networks:
            self._home(name)
        self._empty()

    def guarded(self, work: Callable[[], T], doing: str) -> T:
        """`work()`, tried again after each rung of the ladder while memory runs out. It must be repeatable as a whole.

        Raises:
            OutOfMemory: the last rung did not help either.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                said = str(error).splitlines()[0][:200] if str(error) else "out of memory"
            # the failed attempt's tensors are free only out here
            if not self.climb():
                free = free_bytes(self.plan.device) / 1e9
                raise OutOfMemory(
                    f"There is not enough memory for {doing} ({free:.1f} GB are free; {said.rstrip('.')}), after {', '.join(RUNGS)}.",
                    "Try a smaller size or batch, or start with --medvram or --lowvram.",
                )

    def climb(self) -> bool:
        """One rung up. False when there is none left."""
        if self.rung == len(RUNGS):
            return False
        match RUNGS[self.rung]:
            case "caches emptied":
                gc.collect()
            case "attention slicing":
                self._slice(True)
            case "VAE tiling":
                self._tile(True)
            case "offload":
                self.offload = "sequential" if self.offload == "model" else ("model" if self.offload == "none" else self.offload)
                self.release()
            case "VAE on the CPU":
                self.vae_device = CPU
                self._convert(torch.float32)
                self.release()
        self.rung += 1
        self._empty()
        return True

    def _convert(self, dtype: torch.dtype) -> None:
        vae = self.networks["vae"]
        if vae.dtype != dtype:
            self._home("vae")
            with torch.inference_mode(False):
                nn.Module.to(vae, dtype)  # diffusers' own `to` warns of layers that it would keep in float32; there are none

    def _slice(self, on: bool) -> None:
        set_attention(self.networks["unet"], "sliced" if on else self.plan.attention)

    def _tile(self, on: bool) -> None:
        vae = self.networks["vae"]
        vae.tile_sample_min_size, vae.tile_latent_min_size, vae.tile_overlap_factor = TILE, TILE // 8, 0.25
        vae.use_tiling = on

    def _home(self, name: str) -> None:
        if hooks := self.hooks.pop(name, None):
            hooks.remove()
        self._move(name, CPU)

    def _move(self, name: str, device: torch.device) -> None:
        if self._where[name] != device:
            self._where[name] = None  # if memory runs out on the way it is in two places, and must not pass for either
            with torch.inference_mode(False):
                self.networks[name].to(device)
            self._where[name] = device

    def _empty(self) -> None:
        if self.plan.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


class Sequential:
    """Keeps a network on the CPU and copies each layer's weights to the device for the moment of its call."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._device = device
        self._handles = []
        network.to(CPU)
        for layer in network.modules():
            if next(layer.parameters(recurse=False), None) is not None or next(layer.buffers(recurse=False), None) is not None:
                kept: list[tuple[Tensor, Tensor]] = []
                self._handles.append(layer.register_forward_pre_hook(self._fetch(kept), with_kwargs=True))
                self._handles.append(layer.register_forward_hook(self._drop(kept), always_call=True))

    def _fetch(self, kept: list[tuple[Tensor, Tensor]]) -> Callable[..., None]:
        def fetch(layer: nn.Module, given: object, named: object) -> None:
            with torch.inference_mode(False):
                for tensor in [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]:
                    kept.append((tensor, tensor.data))
                    tensor.data = tensor.data.to(self._device)

        return fetch

    def _drop(self, kept: list[tuple[Tensor, Tensor]]) -> Callable[..., None]:
        def drop(layer: nn.Module, given: object, found: object) -> None:
            for tensor, own in kept:
                tensor.data = own
            kept.clear()

        return drop

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

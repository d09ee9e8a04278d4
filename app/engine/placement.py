"""Networks where they are needed, and the ladder that is climbed when memory runs out."""

import gc
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from app.engine import residency
from app.engine.attention import set_attention, unet_bytes, vae_bytes
from app.engine.device import CPU, DevicePlan, free_bytes, is_out_of_memory
from app.engine.moving import Home, InTurn, Sequential, send, tensors_of, weight_bytes
from app.engine.residency import Need, Residency
from app.errors import OutOfMemory

T = TypeVar("T")
OFFLOADS = ("none", "model", "sequential")
RUNGS = ("caches emptied", "attention slicing", "VAE tiling", "offload", "prompts in turn", "VAE on the CPU")
TILE = 512


class Placement:
    """The networks of one checkpoint ("unet", "vae", "text_encoder", ...) on their devices, during one job after the other.

    Weights stay on the CPU between jobs with another checkpoint (`release`).

    Attributes:
        offload: what is moved about now, see `app.engine.residency`.
        residency: what was planned for the picture that was begun last.
    """

    def __init__(self, networks: Mapping[str, nn.Module], plan: DevicePlan) -> None:
        self.networks: dict[str, Any] = dict(networks)
        self.plan = plan
        self.rung = 0
        self.offload = plan.offload
        self.residency: Residency | None = None
        self.vae_device, self.vae_dtype = plan.vae_device, plan.vae_dtype
        self.hooks: dict[str, Sequential] = {}
        self._in_turn = False
        self._where: dict[str, torch.device | None] = dict.fromkeys(networks, CPU)
        self._homes: dict[str, Home] = {}

    def begin(self, width: int, height: int, pictures: int) -> None:
        """Start of a picture: what is moved about, and rungs that it will need in any case, before it fails. Sizes in pixels."""
        rows = 2 * pictures if self.plan.batched else 2
        slicing = unet_bytes(self.networks["unet"], width, height, rows, self.plan.dtype) > free_bytes(self.plan.device)
        tiling = self._decode(width, height) > free_bytes(self.vae_device)
        if self.plan.device != CPU:
            here = sum(weight_bytes(self.networks[name]) for name, device in self._where.items() if device == self.plan.device)
            budget = free_bytes(self.plan.device) + here + sum(hooks.kept for hooks in self.hooks.values())
            self.residency = residency.plan(self.need(width, height, rows), budget, self.plan.offload)
            self._arrange(self.residency)
            slicing = slicing and not self.residency.fits
            tiling = self.residency.tiling if self.vae_device != CPU else tiling
        self._slice(self.rung >= RUNGS.index("attention slicing") + 1 or slicing)
        self._tile(self.rung >= RUNGS.index("VAE tiling") + 1 or tiling)

    def need(self, width: int, height: int, rows: int) -> Need:
        """What a picture of this size in pixels needs on the device; `rows`: of a step."""
        unet, dtype, on_card = self.networks["unet"], self.plan.dtype, self.vae_device != CPU
        texts = [weight_bytes(network) for name, network in self.networks.items() if name not in ("unet", "vae")]
        return Need(
            unet=weight_bytes(unet),
            vae=weight_bytes(self.networks["vae"]) if on_card else 0,
            texts=sum(texts),
            text=max(texts, default=0),
            layer=max(weight_bytes(layer, recurse=False) for layer in unet.modules()),
            step=unet_bytes(unet, width, height, rows, dtype),
            row=unet_bytes(unet, width, height, 1, dtype),
            decode=self._decode(width, height) if on_card else 0,
            tile=self._decode(min(width, TILE), min(height, TILE)) if on_card else 0,
        )

    def _decode(self, width: int, height: int) -> int:
        vae = self.networks["vae"]
        return vae_bytes(vae, width, height, vae.dtype)

    def _arrange(self, wanted: Residency) -> None:
        """Takes on what was planned, unless the ladder went further."""
        climbed = self.rung >= RUNGS.index("offload") + 1
        offload = max(wanted.offload, self.offload if climbed else wanted.offload, key=OFFLOADS.index)
        if offload != self.offload or (offload == "sequential" and wanted.kept < sum(hooks.kept for hooks in self.hooks.values())):
            self.release()
        self.offload = offload
        self._in_turn = wanted.in_turn or self.rung >= RUNGS.index("prompts in turn") + 1

    def reset(self) -> None:
        """Start of a job: what the job before needed is not held against this one."""
        if self.rung:
            self.release()
        self.rung, self.offload, self.vae_device, self._in_turn = 0, self.plan.offload, self.plan.vae_device, False
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
                kept = self.residency.kept if self.residency and name == "unet" else 0
                self.hooks[name] = Sequential(self.networks[name], device, kept)
        else:
            self._move(name, device)
        return InTurn(self.networks[name]) if name == "unet" and self._in_turn else self.networks[name]

    def memory(self) -> dict[int, int]:
        """Where the weights lie -> how many bytes they have there; models that share some have the same places."""
        return {tensor.data_ptr(): tensor.nbytes for network in self.networks.values() for tensor in tensors_of(network)}

    def original(self, weight: Tensor) -> Tensor:
        """The numbers of a weight as they lie in RAM; a copy of them when they are on the device alone."""
        homes = [home for home, _ in self._away()]
        return next((own for home in homes if (own := home.own(weight)) is not None), weight.data.to(CPU))

    def put_back(self, weight: Tensor, numbers: Tensor) -> None:
        """What `original` gave, in the place of what an adapter put there, wherever the weight is now."""
        for home, device in self._away():
            if home.holds(weight):
                home.put_back(weight, numbers, device)
                return
        weight.data = numbers.to(weight.device)

    def _away(self) -> list[tuple[Home, torch.device]]:
        """What is on the device now, and which."""
        stay = [(hooks.home, self.plan.device) for hooks in self.hooks.values()]
        return stay + [(home, self.device_of(name)) for name, home in self._homes.items()]

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
            case "prompts in turn":
                self._in_turn = True
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
            if device == CPU:
                if home := self._homes.pop(name, None):
                    home.restore()
            else:
                self._homes.setdefault(name, Home(tensors_of(self.networks[name])))
            send(tensors_of(self.networks[name]), device)
            if home := self._homes.get(name):
                home.left()
            self._where[name] = device

    def _empty(self) -> None:
        if self.plan.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

"""Stable Diffusion 1: a loaded checkpoint, ready on its device.

Latents are float32 on the CPU everywhere outside this file, so that samplers compute the same on every device.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from app.engine.adapters import Adapters, Lora, dictionary
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.load import Dtypes, Networks, load_sd1
from app.engine.denoise import Denoiser
from app.engine.device import DevicePlan
from app.engine.placement import Placement
from app.engine.preview import Preview
from app.engine.prompt.encode import encode
from app.engine.schedules import TrainingTable
from app.errors import BadNumbers

SMALL_VAE = 20_000_000
"""Below this many parameters a VAE is cheap enough to fit a preview to it."""


@dataclass(frozen=True)
class Conditioning:
    """What the UNet is told: hidden states (1, 77 * chunks, width) of the prompt and, unless CFG is 1, of the negative prompt."""

    positive: Tensor
    negative: Tensor | None


class Sd1Model:
    """The model of docs/architecture.md for Stable Diffusion 1.

    Attributes:
        file: the checkpoint.
        table: its noise levels.
        adapters: the LoRAs in its weights.
        embeddings: the textual inversions that prompts may name.
        facts: "Model hash", "Model", "VAE hash", "VAE", "VAE precision" as far as they apply.
    """

    latent_factor = 8
    channels = 4

    def __init__(self, file: ModelFile, vae: ModelFile | None, networks: Networks, plan: DevicePlan) -> None:
        self.file, self.plan = file, plan
        self.table = TrainingTable(networks.alphas_cumprod)
        self.placement = Placement({"unet": networks.unet, "vae": networks.vae, "text_encoder": networks.text_encoder}, plan)
        self.placement.reset()
        self.adapters = Adapters(networks.unet, networks.text_encoder, file.name)
        self.embeddings: Sequence[ModelFile] = ()
        self.facts = {"Model hash": file.short_hash(), "Model": file.path.name if file.path.is_dir() else file.path.stem}
        if vae is not None:
            self.facts |= {"VAE hash": vae.short_hash(), "VAE": vae.path.name}
        self._networks = networks
        self._preview: Preview | None = None

    @property
    def bytes(self) -> int:
        """RAM that the weights take."""
        return sum(tensor.nbytes for network in self.placement.networks.values() for tensor in network.state_dict().values())

    @property
    def context_width(self) -> int:
        """Width of a token's vector and of the hidden states."""
        return int(self._networks.text_encoder.config.hidden_size)

    def begin(self, loras: Sequence[Lora], embeddings: Sequence[ModelFile]) -> bool:
        """Before prompts are encoded: which LoRAs act and which textual inversions exist.

        Returns:
            Whether weights changed, so that what was encoded before is void.

        Raises:
            BadCheckpoint: a LoRA cannot be used.
            OutOfMemory
        """
        self.embeddings = embeddings
        if not self.adapters.wants(loras):
            return False
        self.placement.guarded(lambda: self.adapters.apply(loras), "the LoRAs of the prompt")
        return True

    def encode_prompt(self, positive: str, negative: str | None, clip_skip: int) -> Conditioning:
        """Both prompts as the UNet reads them, of equal length: the shorter is filled with the empty prompt, as A1111 does.

        Args:
            negative: None when CFG is 1 and it will not be read.
            clip_skip: 1 = the last layer of the text encoder.
        """
        first = self._encode(positive, clip_skip)
        if negative is None:
            return Conditioning(first, None)
        second = self._encode(negative, clip_skip)
        if first.shape != second.shape:
            length = max(first.shape[1], second.shape[1])
            empty = self._encode("", clip_skip)
            first, second = (torch.cat([states, *[empty] * ((length - states.shape[1]) // empty.shape[1])], 1) for states in (first, second))
        return Conditioning(first, second)

    def _encode(self, text: str, clip_skip: int) -> Tensor:
        networks = self._networks
        read = dictionary(networks.vocabulary, self.embeddings, text, self.context_width)

        def work() -> Tensor:
            return encode(self.placement.use("text_encoder"), read, text, clip_skip, self.plan.device)

        return self.placement.guarded(work, "the prompt")

    def denoiser(self, conditioning: Conditioning, cfg_scale: float, surroundings: Tensor | None = None) -> Denoiser:
        """(x (b,4,h,w), sigma) -> denoised: one batched call with and without the prompt, one plain call when CFG is 1.

        On the CPU a batch is evaluated picture by picture, so each is bit-identical to a single one.

        Args:
            surroundings: (1 or b,n,h,w), what the UNet reads beside x; None for one with 4 input channels.
        """
        negative = conditioning.negative if cfg_scale != 1 else None
        context = conditioning.positive if negative is None else torch.cat([negative, conditioning.positive])

        def once(x: Tensor, sigma: float, around: Tensor | None) -> Tensor:
            answer = self._predict(x, sigma, context, around)
            if negative is None:
                return answer
            without, guided = answer.chunk(2)
            return without + (guided - without) * cfg_scale

        def denoise(x: Tensor, sigma: float) -> Tensor:
            if self.plan.batched or x.shape[0] == 1:
                return once(x, sigma, surroundings)
            return torch.cat([once(x[i : i + 1], sigma, row_of(surroundings, i)) for i in range(x.shape[0])])

        return denoise

    def _predict(self, x: Tensor, sigma: float, context: Tensor, surroundings: Tensor | None) -> Tensor:
        """(b,4,h,w) noisy latents and (k,n,w) contexts -> (k * b,4,h,w) denoised: the network speaks of x / sqrt(sigma^2 + 1)
        at the timestep of sigma (Karras et al. 2022, section 5 and table 1, "VE" scaling). The surroundings are not scaled."""
        pictures, contexts = x.shape[0], context.shape[0]
        c_in = 1 / math.sqrt(sigma * sigma + 1)
        timestep = torch.tensor([self.table.timestep(sigma)], dtype=torch.float32)

        def work() -> Tensor:
            unet = self.placement.use("unet")
            seen = x * c_in if surroundings is None else torch.cat([x * c_in, surroundings.expand(pictures, -1, -1, -1)], 1)
            given = seen.repeat(contexts, 1, 1, 1).to(self.plan.device, self.plan.dtype)
            told = context.repeat_interleave(pictures, 0)
            return unet(given, timestep.to(self.plan.device), encoder_hidden_states=told, return_dict=False)[0].float().cpu()

        with torch.no_grad():
            answer = self.placement.guarded(work, f"a step at {x.shape[3] * 8}x{x.shape[2] * 8} with batch size {pictures}")
        x = x.repeat(contexts, 1, 1, 1)
        if self._networks.prediction_type == "v_prediction":
            return x * (c_in * c_in) - answer * (sigma * c_in)
        return x - answer * sigma

    def encode_image(self, pixels: Tensor) -> Tensor:
        """(1,3,H,W) float32 -1..1, sides multiples of 8 -> (1,4,H/8,W/8), scaled, the mean of the posterior. Raises BadNumbers."""
        factor = self._networks.vae.config.scaling_factor
        return self._vae(lambda vae, given: vae.encode(given).latent_dist.mean * factor, pixels)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """(1,4,h,w) -> (1,3,8h,8w) float32, about -1..1. Raises BadNumbers when they are not finite in float32 either."""
        factor = self._networks.vae.config.scaling_factor
        return self._vae(lambda vae, given: vae.decode(given / factor, return_dict=False)[0], latents)

    @torch.no_grad()
    def _vae(self, compute: Callable[[Any, Tensor], Tensor], given: Tensor) -> Tensor:
        """A VAE's answer, in float32 when half precision gives no finite numbers (and from then on)."""

        def work() -> Tensor:
            vae = self.placement.use("vae")
            return compute(vae, given.to(self.placement.vae_device, vae.dtype)).float().cpu()

        side = self.latent_factor if given.shape[1] == self.channels else 1
        doing = f"the VAE at {given.shape[3] * side}x{given.shape[2] * side}"
        answer = self.placement.guarded(work, doing)
        if not torch.isfinite(answer).all() and self._networks.vae.dtype != torch.float32:
            self.placement.set_vae_dtype(torch.float32)
            answer = self.placement.guarded(work, doing)
            self.facts["VAE precision"] = "fp32"
        if not torch.isfinite(answer).all():
            raise BadNumbers(f"The VAE of '{self.file.name}' produced NaN or infinite numbers.", "Choose another VAE in the field VAE.")
        return answer

    def prepare_preview(self) -> None:
        """Makes `preview` ready; needs the VAE, so it is called by the sampling thread."""
        if self._preview is None:
            small = sum(weight.numel() for weight in self._networks.vae.parameters()) < SMALL_VAE
            self._preview = Preview.fitted(self.decode_latents) if small else Preview.of_sd1()

    def preview(self, denoised: Tensor) -> Image.Image:
        """A small RGB picture of (b,4,h,w) latents; from any thread, after `prepare_preview`."""
        return (self._preview or Preview.of_sd1())(denoised)


def row_of(rows: Tensor | None, i: int) -> Tensor | None:
    """Row i of (b,...), the only one of (1,...), None of None."""
    return rows if rows is None or rows.shape[0] == 1 else rows[i : i + 1]


def load(file: ModelFile, vae: ModelFile | None, plan: DevicePlan) -> Sd1Model:
    """Raises BadCheckpoint."""
    return Sd1Model(file, vae, load_sd1(file, vae, Dtypes(plan.dtype, plan.dtype, plan.vae_dtype)), plan)

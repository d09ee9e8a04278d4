"""Stable Diffusion 1: a loaded checkpoint, ready on its device.

Latents are float32 on the CPU everywhere outside this file, so that samplers compute the same on every device.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from app.engine.adapters import Adapters, Lora, dictionary
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.load import load_networks
from app.engine.checkpoints.networks import Dtypes, Networks, Parts
from app.engine.device import DevicePlan
from app.engine.guidance import Guidance, Guided
from app.engine.placement import Placement
from app.engine.preview import Preview
from app.engine.prompt.chunks import PLAIN, Reading
from app.engine.prompt.conditioning import Conditioning, conditioning
from app.engine.prompt.encode import encode
from app.engine.schedules import TrainingTable
from app.errors import BadNumbers

SMALL_VAE = 20_000_000
"""Below this many parameters a VAE is cheap enough to fit a preview to it."""


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

    def __init__(self, file: ModelFile, parts: Parts, networks: Networks, plan: DevicePlan) -> None:
        self.file, self.plan = file, plan
        self.table = TrainingTable(networks.alphas_cumprod)
        self.placement = Placement({"unet": networks.unet, "vae": networks.vae, "text_encoder": networks.text_encoder}, plan)
        self.placement.reset()
        self.adapters = Adapters(networks.unet, networks.text_encoder, file.name)
        self.embeddings: Sequence[ModelFile] = ()
        self.facts = {"Model hash": file.short_hash(), "Model": file.path.name if file.path.is_dir() else file.path.stem}
        if parts.vae is not None:
            self.facts |= {"VAE hash": parts.vae.short_hash(), "VAE": parts.vae.path.name}
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

    def encode_prompt(
        self,
        positive: str,
        negative: str | None,
        reading: Reading = PLAIN,
        steps: int = 1,
        hires_steps: int | None = None,
        on_text: Callable[[], None] | None = None,
    ) -> Conditioning:
        """Both prompts over the steps of a pass, as the UNet reads them; the syntax for it is `app.engine.prompt.grammar`'s.

        Args:
            positive: without comments and extra networks.
            negative: None when it will not be read.
            steps: of the first pass, counted by `app.engine.prompt.schedule.counted_steps`.
            hires_steps: of the second pass, counted so too; when given, the answer is for that pass, else for the first.
            on_text: called before each text is encoded; may raise to stop.

        Raises:
            BadRequest: a prompt is too long, nested too deeply or has too many parts.
            BadCheckpoint: a textual inversion cannot be read.
            OutOfMemory
        """

        def states(text: str) -> Tensor:
            if on_text:
                on_text()
            return self._encode(text, reading)

        return conditioning(positive, negative, steps, hires_steps, states, pad=reading.pad)

    def _encode(self, text: str, reading: Reading) -> Tensor:
        networks = self._networks
        read = dictionary(networks.vocabulary, self.embeddings, text, self.context_width)

        def work() -> Tensor:
            return encode(self.placement.use("text_encoder"), read, text, reading, self.plan.device)

        return self.placement.guarded(work, "the prompt")

    def denoiser(self, conditioning: Conditioning, guidance: Guidance, surroundings: Tensor | None = None) -> Guided:
        """The guided `Denoiser`. On the CPU a batch is evaluated picture by picture, so each is bit-identical to a single one.

        Args:
            surroundings: (1 or b,n,h,w), what the UNet reads beside x; None for one with 4 input channels.
        """
        return Guided(self.predict, conditioning, guidance, surroundings, batched=self.plan.batched)

    def predict(self, x: Tensor, sigma: float, context: Tensor, surroundings: Tensor | None) -> Tensor:
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
        if self._networks.prediction_type == "sample":
            return answer
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

    def prepare_preview(self) -> Preview:
        """What makes a small RGB picture of (b,4,h,w) latents, in any thread and without the model. Needs the VAE, so the sampling thread asks."""
        if self._preview is None:
            small = sum(weight.numel() for weight in self._networks.vae.parameters()) < SMALL_VAE
            self._preview = Preview.fitted(self.decode_latents) if small else Preview.of_sd1()
        return self._preview


def load(file: ModelFile, parts: Parts, plan: DevicePlan) -> Sd1Model:
    """Raises BadCheckpoint."""
    return Sd1Model(file, parts, load_networks(file, parts, Dtypes(plan.dtype, plan.dtype, plan.vae_dtype)), plan)

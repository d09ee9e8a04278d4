"""What all families of latent diffusion have in common: a loaded checkpoint, ready on its device.

Latents are float32 on the CPU everywhere outside this file, so that samplers compute the same on every device.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from app.engine.adapters.apply import Adapters
from app.engine.adapters.asked import Lora
from app.engine.adapters.embeddings import dictionary
from app.engine.checkpoints.embeddings import Known, Towers
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.load import load_networks
from app.engine.checkpoints.networks import Dtypes, Networks, Parts, TextTower
from app.engine.device import DevicePlan
from app.engine.families import group_of
from app.engine.families.beside import beside_of
from app.engine.guidance import Guidance, Guided, Predict
from app.engine.placement import Placement
from app.engine.preview import SD1, Colours, Preview
from app.engine.prompt.chunks import PLAIN, Reading
from app.engine.prompt.conditioning import Conditioning, conditioning
from app.engine.prompt.encode import LAST, Manner, encode
from app.engine.prompt.encoded import Encoded
from app.engine.scene import Scene
from app.engine.schedules import TrainingTable
from app.errors import BadNumbers, BadRequest

SMALL_VAE = 20_000_000
"""Below this many parameters a VAE is cheap enough to fit a preview to it."""


class LatentModel:
    """The model of docs/architecture.md. A family says how its text encoders are read (`manners`), what else its UNet is told of a text
    (`_added`), what becomes of the negative prompt (`_unwanted`), and what colours its latents have.

    Attributes:
        file: the checkpoint.
        family_group: what LoRAs, embeddings and text encoders must be made for.
        table: its noise levels.
        adapters: the LoRAs in its weights.
        embeddings: the textual inversions that prompts may name.
        beside: what its UNet reads beside the noisy latents; None for 4 input channels.
        facts: "Model hash", "Model", "VAE hash", "VAE", "VAE precision" as far as they apply.
    """

    latent_factor = 8
    channels = 4
    manners: ClassVar[Mapping[str, Manner]] = {}
    """How the text encoders are read, by `TextTower.kind`; `LAST` where nothing is said."""
    colours: ClassVar[Colours] = SD1

    def __init__(self, file: ModelFile, parts: Parts, networks: Networks, plan: DevicePlan) -> None:
        self.file, self.plan = file, plan
        self.family_group = group_of(file.family)
        self.table = TrainingTable(networks.alphas_cumprod)
        self.beside = beside_of(networks.unet, file.name)
        towers = {tower.name: tower.network for tower in networks.texts}
        self.placement = Placement({"unet": networks.unet, "vae": networks.vae, **towers, **networks.extras}, plan)
        self.placement.reset()
        self.adapters = Adapters({"unet": networks.unet, **towers}, self.family_group, file.name, plan.device, self.placement)
        self.embeddings: Sequence[Known] = ()
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
    def towers(self) -> Towers:
        """Its text encoders, and how wide a token's vector is in each."""
        return {tower.kind: int(tower.network.config.hidden_size) for tower in self._networks.texts}

    def begin(self, loras: Sequence[Lora], embeddings: Sequence[Known]) -> bool:
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

        def encoded(text: str) -> Encoded:
            if on_text:
                on_text()
            return self._encode(text, reading)

        return conditioning(positive, negative, steps, hires_steps, encoded, pad=reading.pad, unwanted=self._unwanted)

    def _encode(self, text: str, reading: Reading) -> Encoded:
        """One text, read by all text encoders; their states stand side by side."""
        parts = [self._read(tower, text, reading) for tower in self._networks.texts]
        return parts[0] if len(parts) == 1 else Encoded(torch.cat([part.states for part in parts], 2), parts[-1].pooled)

    def _read(self, tower: TextTower, text: str, reading: Reading) -> Encoded:
        read = dictionary(tower.vocabulary, self.embeddings, text, self.towers, tower.kind)
        manner = self.manners.get(tower.kind, LAST)

        def work() -> Encoded:
            return encode(self.placement.use(tower.name), read, text, reading, self.plan.device, manner)

        return self.placement.guarded(work, "the prompt")

    def _unwanted(self, text: Encoded, nothing: bool) -> Encoded:
        """What becomes of a text of the negative prompt; `nothing`: all of them are empty."""
        return text

    def _added(self, told: Encoded, width: int, height: int) -> dict[str, Tensor] | None:
        """What the UNet is told beside the states, one row for each of the texts; None: nothing. Sizes in pixels."""
        return None

    def surroundings(self, scenes: Sequence[Scene], width: int, height: int) -> Tensor | None:
        """What the UNet reads beside the noisy latents, for `denoiser`; None when it reads nothing.

        Args:
            scenes: the picture that is painted on, one for all or one for each of a batch; none: there is no picture.
            width, height: of what is painted, in pixels.

        Returns:
            (1 or b,n,height/8,width/8) float32.

        Raises:
            BadRequest: it cannot paint without a picture, or without a depth map.
        """
        if self.beside is None:
            return None
        if not scenes:
            blank = self.beside.without(width, height)
            if blank is None:
                raise BadRequest(f"The checkpoint '{self.file.name}' paints over a picture and needs one.", "Use it in the tab img2img.")
            scenes = (blank,)
        beside = self.beside
        return torch.cat([beside.of(self, scene) for scene in scenes])

    def denoiser(self, conditioning: Conditioning, guidance: Guidance, surroundings: Tensor | None = None) -> Guided:
        """The guided `Denoiser`. On the CPU a batch is evaluated picture by picture, so each is bit-identical to a single one.

        A latent consistency model that was distilled with its guidance is told the scale, and asked for the prompt alone.

        Args:
            surroundings: (1 or b,n,h,w), what the UNet reads beside x; None for one with 4 input channels.
        """
        predict: Predict = self.predict
        if self._networks.unet.config.time_cond_proj_dim:
            predict, guidance = partial(self.predict, scale=guidance.scale), replace(guidance, scale=1.0, rescale=0.0)
        return Guided(predict, conditioning, guidance, surroundings, batched=self.plan.batched)

    def predict(self, x: Tensor, sigma: float, told: Encoded, surroundings: Tensor | None, scale: float | None = None) -> Tensor:
        """(b,4,h,w) noisy latents and k texts -> (k * b,4,h,w) denoised: the network speaks of x / sqrt(sigma^2 + 1) at the
        timestep of sigma (Karras et al. 2022, section 5 and table 1, "VE" scaling). The surroundings are not scaled.

        Networks that predict v (Salimans & Ho 2022, appendix D) answer alpha noise - sigma' z0, with alpha = 1 / sqrt(sigma^2 + 1) and
        sigma' = sigma alpha; with zero terminal SNR the table ends at a large sigma, where denoised is -v.

        Args:
            scale: the CFG scale that the network itself is told; None: it has no ear for it.
        """
        pictures, (height, width) = x.shape[0], x.shape[2:]
        c_in = 1 / math.sqrt(sigma * sigma + 1)
        timestep = torch.tensor([self.table.timestep(sigma)], dtype=torch.float32)

        def work() -> Tensor:
            unet = self.placement.use("unet")
            seen = x * c_in if surroundings is None else torch.cat([x * c_in, surroundings.expand(pictures, -1, -1, -1)], 1)
            given = seen.repeat(told.count, 1, 1, 1).to(self.plan.device, self.plan.dtype)
            texts = told.for_pictures(pictures)
            added = self._added(texts, width * self.latent_factor, height * self.latent_factor)
            more: dict[str, Any] = {} if added is None else {"added_cond_kwargs": added}
            if scale is not None:
                more["timestep_cond"] = guidance_embedding(scale, unet.config.time_cond_proj_dim).to(self.plan.device, self.plan.dtype)
            return unet(given, timestep.to(self.plan.device), encoder_hidden_states=texts.states, return_dict=False, **more)[0].float().cpu()

        with torch.no_grad():
            answer = self.placement.guarded(work, f"a step at {width * 8}x{height * 8} with batch size {pictures}")
        x = x.repeat(told.count, 1, 1, 1)
        if self._networks.prediction_type == "v_prediction":
            return x * (c_in * c_in) - answer * (sigma * c_in)
        if self._networks.prediction_type == "sample":
            return answer
        return x - answer * sigma

    def encode_image(self, pixels: Tensor, *, scaled: bool = True) -> Tensor:
        """(1,3,H,W) float32 -1..1, sides multiples of 8 -> (1,4,H/8,W/8), the mean of the posterior, times the VAE's scaling factor
        unless told otherwise. Raises BadNumbers."""
        factor = self._networks.vae.config.scaling_factor if scaled else 1
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
            self._preview = Preview.fitted(self.decode_latents, self.colours) if small else Preview.of(self.colours)
        return self._preview


def guidance_embedding(scale: float, width: int) -> Tensor:
    """(1,width) float32: a CFG scale as sines and cosines, from Luo et al. 2023, "Latent Consistency Models", section 4.2, and the authors' code."""
    half = width // 2
    angles = 1000.0 * (scale - 1) * torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000.0) / (half - 1)))
    return F.pad(torch.cat([angles.sin(), angles.cos()])[None], (0, width % 2))


def networks_of(file: ModelFile, parts: Parts, plan: DevicePlan) -> Networks:
    """The networks of a checkpoint in the precision of the plan. Raises BadCheckpoint."""
    return load_networks(file, parts, Dtypes(plan.dtype, plan.dtype, plan.vae_dtype))

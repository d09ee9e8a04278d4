"""One job's hand on the model: what the tasks paint with."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from app.engine.adapters import Lora, embeddings_in, network_hash
from app.engine.checkpoints.find import Shelf
from app.engine.denoise import Denoiser, Start, denoise
from app.engine.families.sd1 import Conditioning, Sd1Model
from app.engine.families.sd1_inpaint import Sd1InpaintModel
from app.engine.guidance import Guidance, PictureByPicture, asks_unguided, counted_steps
from app.engine.prompt.chunks import Reading
from app.engine.prompt.conditioning import is_whole
from app.engine.prompt.grammar import Network, check_kinds, extract_networks, strip_comments
from app.engine.samplers import SAMPLERS, resolve_pair
from app.engine.schedules import sigmas_for
from app.engine.seeds import PictureStream, SeedExtras
from app.errors import BadNumbers
from app.extensions import Extensions
from app.request import AnyRequest
from app.work import Phase, Progress, Report


class Brush:
    """Encodes, paints and decodes for one request on one model, reporting progress; what `Report` raises goes through.

    Latents are float32 on the CPU.

    Attributes:
        native: the model's native side in pixels.
        facts: what the pictures' infotext says of the model, up to date after each call.
        prompt_steps: what schedules in prompts count to: the request's steps, or network calls (`prompt.schedule.counted_steps`).
    """

    def __init__(
        self, request: AnyRequest, model: Sd1Model, shelf: Shelf, extensions: Extensions, report: Report, *, first_steps: int | None = None
    ) -> None:
        """Args:
        first_steps: for the brush of a second pass, what the first one counted to (its `prompt_steps`): prompts address both.
        """
        self.request, self.model = request, model
        self.native = model.file.native
        self._shelf, self._extensions, self._report = shelf, extensions, report
        self._facts: dict[str, str] = {}
        self._told: tuple[object, Conditioning] | None = None
        self._blank: dict[tuple[int, int], Tensor | None] = {}
        sampler, self._schedule = resolve_pair(request.sampler, request.schedule)
        self._row = SAMPLERS[sampler]
        self.prompt_steps = counted_steps(sampler, request.steps)
        self._first_steps = first_steps

    @property
    def facts(self) -> dict[str, str]:
        return {**self.model.facts, **self._facts}

    def stream(self, seed: int, variation: int) -> PictureStream:
        """The noise of one picture with these two seeds, from the request's source."""
        return PictureStream(seed, self.request.rng, SeedExtras.of(self.request, variation))

    def progress(self, phase: Phase, *, step: int = 0, steps: int = 0, number: int = 1) -> None:
        """Tell where the job stands. Raises Cancelled when it is to stop."""
        self._report(Progress(phase, number, self.request.pictures, step, steps))

    def encode(self, pixels: np.ndarray) -> Tensor:
        """uint8 (H,W,3), H and W multiples of 8 -> (1,4,H/8,W/8) float32 latents: the mean of the VAE's posterior."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.shape[0] % 8 or pixels.shape[1] % 8:
            raise ValueError(f"Pixels must be uint8 (H,W,3) with sides that are multiples of 8, not {pixels.dtype} {pixels.shape}.")
        self.model.placement.begin(pixels.shape[1], pixels.shape[0], 1)
        given = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1
        return self.model.encode_image(given)

    def surroundings(self, pixels: np.ndarray, paint: np.ndarray) -> Tensor | None:
        """What an inpainting checkpoint is told of a picture: the mask, and the latents of the picture with grey where it is painted.

        Args:
            pixels: uint8 (H,W,3), H and W multiples of 8.
            paint: bool (H,W), True = is painted.

        Returns:
            (1,5,H/8,W/8) for `Start.surroundings`; None for other checkpoints, which are told nothing.
        """
        if not isinstance(self.model, Sd1InpaintModel):
            return None
        self.model.placement.begin(pixels.shape[1], pixels.shape[0], 1)
        hidden = torch.from_numpy(np.ascontiguousarray(paint))[None, None]
        given = torch.where(hidden, 0.0, torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1)
        return self.model.surroundings(given, torch.nn.functional.max_pool2d(hidden.float(), 8))

    def paint(self, start: Start, streams: Sequence[PictureStream], *, number: int = 1, prompt: str | None = None, negative: str | None = None) -> Tensor:
        """Run the request's sampler, schedule and steps from `start`.

        Args:
            start: for a batch of b pictures, tensors with b (or 1) rows.
            streams: one for each of the b pictures; further noise is drawn from them.
            number: 1-based number of the picture (or key) for Progress.
            prompt, negative: used instead of the request's.

        Returns:
            (b,4,h,w) latents, finite.

        Raises:
            UnknownName, BadCheckpoint: a LoRA in the prompt does not exist or does not fit.
            OutOfMemory, BadNumbers, Cancelled
        """
        rows, _, height, width = start.noise.shape
        shape = (1, *start.noise.shape[1:])
        self.progress("encoding", number=number)
        around = self._nothing_kept(width * 8, height * 8) if start.surroundings is None else start.surroundings
        texts = self.request.prompt if prompt is None else prompt, self.request.negative_prompt if negative is None else negative
        model = self._guided(*texts, around, number)
        self.model.placement.begin(width * 8, height * 8, rows)
        self.model.prepare_preview()
        self.progress("sampling", number=number, steps=self.request.steps)

        def noise(sigma: float, sigma_next: float) -> Tensor:
            return torch.cat([stream.normal(shape) for stream in streams])

        def on_step(step: int, steps: int, sigma: float, denoised: Tensor) -> None:
            self._step(step, steps, sigma, denoised, number)

        sigmas = sigmas_for(self._schedule, self._row, self.request.steps, self.model.table)
        latents = denoise(model, start, self._row, sigmas, noise, on_step)
        self._check(latents, "at the end")
        return latents

    def decode(self, latents: Tensor) -> list[np.ndarray]:
        """(b,4,h,w) latents -> b pictures, uint8 (8h,8w,3). The latents are kept through every retry."""
        self.model.placement.begin(latents.shape[3] * 8, latents.shape[2] * 8, latents.shape[0])
        pictures = []
        for row in range(latents.shape[0]):
            pixels = self.model.decode_latents(latents[row : row + 1])
            pictures.append(((pixels[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy())
        return pictures

    def _nothing_kept(self, width: int, height: int) -> Tensor | None:
        """The surroundings where all is painted: txt2img, and img2img as A1111 does it at its full conditioning weight."""
        if (width, height) not in self._blank:
            self._blank = {(width, height): self.surroundings(np.zeros((height, width, 3), np.uint8), np.ones((height, width), bool))}
        return self._blank[width, height]

    def _guided(self, prompt: str, negative: str, around: Tensor | None, number: int) -> Denoiser:
        """The denoiser of the two prompts, with the LoRAs in the weights and the extensions around it."""
        text, networks = extract_networks(strip_comments(prompt))
        negative, _ = extract_networks(strip_comments(negative))
        embeddings = self._shelf.embeddings()
        if self.model.begin(self._loras(networks), embeddings):
            self._told = None
        unread = self.request.cfg_scale == 1 and is_whole(text) and not asks_unguided(self._row.name)
        self._facts.pop("TI hashes", None)
        self._facts |= self._embedding_facts(text if unread else f"{text} {negative}")
        told = self._conditioning(text, None if unread else negative, number)
        guided = self.model.denoiser(told, self._guidance(), around)
        single = self._extended(guided)
        return single if single is guided or self.model.plan.batched else PictureByPicture(single, guided)

    def _guidance(self) -> Guidance:
        """What the request says about guidance."""
        request = self.request
        return Guidance(
            request.cfg_scale, request.cfg_rescale, request.skip_early_cond, request.s_min_uncond, request.s_min_uncond_all,
            both=asks_unguided(self._row.name), prompt_steps=self.prompt_steps,
        )  # fmt: skip

    def _extended(self, model: Denoiser) -> Denoiser:
        """The denoiser with the extensions around it; itself when there are none."""
        for changed in self._extensions.call("around_model", model=model, request=self.request):
            model = changed
        return model

    def _conditioning(self, text: str, negative: str | None, number: int) -> Conditioning:
        """The prompts encoded; the last ones are remembered, since every batch of a job asks for the same."""
        if self._told is None or self._told[0] != (text, negative):
            request = self.request
            reading = Reading(request.clip_skip, request.emphasis, request.comma_backtrack)
            steps, hires_steps = (self.prompt_steps, None) if self._first_steps is None else (self._first_steps, self.prompt_steps)
            told = self.model.encode_prompt(text, negative, reading, steps, hires_steps, lambda: self.progress("encoding", number=number))
            self._told = ((text, negative), told)
        return self._told[1]

    def _loras(self, networks: Sequence[Network]) -> list[Lora]:
        """The LoRAs that a prompt names. Raises UnknownName."""
        check_kinds(networks)
        found = [Lora(self._shelf.lora(network.name), network.te, network.unet, network.dyn) for network in networks]
        hashes = [f"{lora.file.path.stem}: {network_hash(lora.file.path)}" for lora in found if not lora.file.problem]
        self._facts.pop("Lora hashes", None)
        self._facts |= {"Lora hashes": ", ".join(hashes)} if hashes else {}
        return found

    def _embedding_facts(self, text: str) -> dict[str, str]:
        used = embeddings_in(text, self.model.embeddings, self.model.context_width)
        return {"TI hashes": ", ".join(f"{file.path.stem}: {file.short_hash()}" for file in used)} if used else {}

    def _step(self, step: int, steps: int, sigma: float, denoised: Tensor, number: int) -> None:
        self._check(denoised, f"at step {step} of {steps}")
        for _ in self._extensions.call("on_step", step=step, steps=steps, sigma=sigma, denoised=denoised, request=self.request):
            pass
        seen, preview = denoised.clone(), self.model.preview
        self._report(Progress("sampling", number, self.request.pictures, step, steps, lambda: preview(seen)))

    def _check(self, latents: Tensor, when: str) -> None:
        if not torch.isfinite(latents).all():
            start = "Start with --no-half, or try" if self.model.plan.dtype == torch.float16 else "Try"
            raise BadNumbers(f"'{self.model.file.name}' produced NaN or infinite numbers {when}.", f"{start} another sampler or a lower CFG scale.")

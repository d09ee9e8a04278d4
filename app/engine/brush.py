"""One job's hand on the model: what the tasks paint with."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from app.engine.adapters.asked import Lora, at_step
from app.engine.adapters.embeddings import embeddings_in
from app.engine.adapters.hashes import network_hash
from app.engine.adapters.steps import in_steps
from app.engine.checkpoints.embeddings import Known, bundled_in, word_of
from app.engine.denoise import Denoiser, Start, denoise, levels_for
from app.engine.families.latent import LatentModel
from app.engine.guidance import Guidance, PictureByPicture, asks_unguided
from app.engine.noise import brownian, drawn
from app.engine.prompt.chunks import Reading
from app.engine.prompt.conditioning import Conditioning, is_whole
from app.engine.prompt.grammar import Network, check_kinds, extract_networks, strip_comments
from app.engine.prompt.schedule import counted_steps
from app.engine.refiner import Relay, due_by_noise, due_by_steps
from app.engine.samplers import SAMPLERS, resolve_pair
from app.engine.scene import Scene
from app.engine.schedules import Spacing, sigmas_for
from app.engine.seeds import PictureStream, SeedExtras
from app.engine.shares import Shares
from app.engine.workshop import Workshop
from app.errors import BadNumbers
from app.request import IMAGE_CFG_SCALE, AnyRequest
from app.work import Phase, Progress


class Brush:
    """Encodes, paints and decodes for one request, reporting progress; what `Report` raises goes through.

    It paints with the request's checkpoint, and with its refiner where there is one. Latents are float32 on the CPU.

    Attributes:
        model: the checkpoint, loaded.
        native: its native side in pixels.
        facts: what the pictures' infotext says of the models, up to date after each call.
        prompt_steps: what schedules in prompts count to: the request's steps, or network calls (`prompt.schedule.counted_steps`).
    """

    def __init__(
        self, request: AnyRequest, workshop: Workshop, *, first_steps: int | None = None, place: tuple[int, int] | None = None, home: str | None = None
    ) -> None:
        """Args:
        first_steps: for the brush of a second pass, what the first one counted to (its `prompt_steps`): prompts address both.
        place: for one pass of several, how many steps came before it, and how many there are in all.
        home: the checkpoint that the job's prompt and parts are for, where this brush may paint with another; None: the request's.
        """
        self.request = request
        self._shop = workshop
        self._place, self._done, self._steps = place, 0, request.steps
        self._facts: dict[str, str] = {}
        self._model_facts: dict[str, str] | None = None
        self._told: tuple[object, Conditioning] | None = None
        self._shares = Shares(request, request.checkpoint if home is None else home, workshop.shelf)
        self._around: tuple[tuple[Scene, ...], tuple[int, int], Tensor | None] | None = None
        sampler, self._schedule = resolve_pair(request.sampler, request.schedule)
        self._row = SAMPLERS[sampler]
        self.prompt_steps = counted_steps(sampler, request.steps)
        self._first_steps = first_steps
        self._refiner = None if request.refiner_checkpoint in ("", request.checkpoint) else self._made_refiner()
        self._last: Brush = self

    def _made_refiner(self) -> "Brush":
        """Another brush, with the refiner for a checkpoint."""
        changed = self.request.model_copy(update={"checkpoint": self.request.refiner_checkpoint, "refiner_checkpoint": ""})
        return Brush(changed, self._shop, first_steps=self._first_steps, place=self._place, home=self._shares.home)

    def passes(self, first: AnyRequest, second: AnyRequest) -> tuple["Brush", "Brush"]:
        """Brushes for the two passes of one job. Progress counts the steps of both, prompts may address both."""
        steps = first.steps + second.steps
        brush = Brush(first, self._shop, place=(0, steps))
        return brush, Brush(second, self._shop, first_steps=brush.prompt_steps, place=(first.steps, steps), home=first.checkpoint)

    @property
    def model(self) -> LatentModel:
        model = self._shop.model(self.request.checkpoint, self._shares.vae, self._shares.text_encoder)
        self._model_facts = model.facts
        return model

    @property
    def native(self) -> int:
        return self.model.file.native

    @property
    def facts(self) -> dict[str, str]:
        facts = {**(self.model.facts if self._model_facts is None else self._model_facts), **self._facts}
        if self._refiner is not None and self._refiner._model_facts:
            refiner = self._refiner.facts
            facts |= {"Refiner": title(refiner)} | {key: value for key, value in refiner.items() if key == "VAE precision"}
        return facts

    def stream(self, seed: int, variation: int) -> PictureStream:
        """The noise of one picture with these two seeds, from the request's source."""
        return PictureStream(seed, self.request.rng, SeedExtras.of(self.request, variation))

    def progress(self, phase: Phase, *, step: int = 0, steps: int = 0, number: int = 1) -> None:
        """Tell where the job stands. Raises Cancelled when it is to stop."""
        if self._place is not None:
            step, steps = self._place[0] + (step or self._done), self._place[1]
        self._shop.report(Progress(phase, number, self.request.pictures, step, steps))

    def encode(self, pixels: np.ndarray) -> Tensor:
        """uint8 (H,W,3), H and W multiples of 8 -> (1,4,H/8,W/8) float32 latents: the mean of the VAE's posterior."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.shape[0] % 8 or pixels.shape[1] % 8:
            raise ValueError(f"Pixels must be uint8 (H,W,3) with sides that are multiples of 8, not {pixels.dtype} {pixels.shape}.")
        self.model.placement.begin(pixels.shape[1], pixels.shape[0], 1)
        given = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1
        return self.model.encode_image(given)

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
        if self._row.alone and len(streams) > 1:
            each = [self.paint(start.row(i), [stream], number=number + i, prompt=prompt, negative=negative) for i, stream in enumerate(streams)]
            return torch.cat(each)
        self.progress("encoding", number=number)
        texts = self.request.prompt if prompt is None else prompt, self.request.negative_prompt if negative is None else negative
        self._done = 0
        model = self._painter(start, texts, number)
        self.progress("sampling", number=number, steps=self.request.steps)

        def on_step(step: int, steps: int, sigma: float, denoised: Tensor) -> None:
            self._step(step, steps, sigma, denoised, number)

        sigmas, shape = self._sigmas(start.scheduled(self.request.steps)), (1, *start.noise.shape[1:])
        noise = brownian(streams, shape, levels_for(start, sigmas)) if self._row.brownian else drawn(streams, shape)
        latents = denoise(model, start, self._row, sigmas, noise, on_step, self._row.options_for(self.request, self.model.table))
        self._check(latents, "at the end")
        return latents

    def _painter(self, start: Start, texts: tuple[str, str], number: int) -> Denoiser:
        """The denoiser for a run; with a refiner, that of both models in turn."""

        def own() -> Denoiser:
            self._last = self
            return self._ready(start, texts, number)

        refiner, share = self._refiner, self.request.refiner_switch_at
        if refiner is None:
            return own()

        def others() -> Denoiser:
            refiner._place, refiner._done = self._place or (0, self._steps), self._done
            self._last = refiner
            return refiner._ready(start, texts, number)

        return Relay(own, others, due_by_steps(share) if self.request.refiner_by_steps else due_by_noise(share, self.model.table))

    def _ready(self, start: Start, texts: tuple[str, str], number: int) -> Denoiser:
        """The denoiser of this brush's own model, which then is ready for pictures of that size."""
        rows, _, height, width = start.noise.shape
        guided = self._guided(*texts, self._surroundings(start.scenes, width * 8, height * 8), number)
        self.model.placement.begin(width * 8, height * 8, rows)
        self._preview = self.model.prepare_preview()
        return guided

    def _sigmas(self, steps: int) -> list[float]:
        """The noise levels that the request asks for, in so many steps."""
        asked, schedule = self.request, self._schedule
        if schedule == "Automatic" and "unipc_order" in self._row.options and asked.unipc_skip_type != "Schedule type":
            schedule = asked.unipc_skip_type
        spacing = Spacing(asked.sigma_min, asked.sigma_max, asked.rho, asked.beta_alpha, asked.beta_beta, asked.discard_penultimate)
        return sigmas_for(schedule, self._row, steps, self.model.table, spacing)

    def decode(self, latents: Tensor) -> list[np.ndarray]:
        """(b,4,h,w) latents -> b pictures, uint8 (8h,8w,3), by the model that painted last. The latents are kept through every retry."""
        model = self._last.model
        model.placement.begin(latents.shape[3] * 8, latents.shape[2] * 8, latents.shape[0])
        pictures = []
        for row in range(latents.shape[0]):
            pixels = model.decode_latents(latents[row : row + 1])
            pictures.append(((pixels[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy())
        return pictures

    def enlarge(self, pixels: np.ndarray, upscaler: str, width: int, height: int, *, number: int = 1) -> np.ndarray:
        """uint8 (h,w,3) -> (height,width,3), see `app.engine.upscalers_run`. Raises UnknownName, BadCheckpoint, BadRequest, OutOfMemory."""
        return self._shop.upscalers.enlarge(pixels, upscaler, width, height, lambda done, tiles: self.progress("upscaling", number=number))

    def _surroundings(self, scenes: tuple[Scene, ...], width: int, height: int) -> Tensor | None:
        """What the model reads beside the noisy latents. The last ones are remembered: every batch of a job has the same."""
        if self._around is None or self._around[:2] != (scenes, (width, height)):
            self.model.placement.begin(width, height, 1)
            self._around = scenes, (width, height), self.model.surroundings(scenes, width, height)
        return self._around[2]

    def _guided(self, prompt: str, negative: str, around: Tensor | None, number: int) -> Denoiser:
        """The denoiser of the two prompts, with the LoRAs in the weights and the extensions around it."""
        text, networks = extract_networks(strip_comments(prompt))
        negative, _ = extract_networks(strip_comments(negative))
        loras = self._loras(networks)
        embeddings: list[Known] = [*(word for lora in loras for word in bundled_in(lora.file)), *self._shop.shelf.embeddings()]
        if self.model.begin(at_step(loras, 1), embeddings):
            self._told = None
        guidance = self._guidance()
        unread = guidance.scale == 1 and guidance.image_scale == 1 and is_whole(text) and not asks_unguided(self._row.name)
        self._facts.pop("TI hashes", None)
        self._facts |= self._embedding_facts(text if unread else f"{text} {negative}")
        told = self._conditioning(text, None if unread else negative, number)
        guided = self.model.denoiser(told, guidance, around)
        stepped = in_steps(guided, loras, lambda now: self.model.begin(now, embeddings))
        single = self._extended(stepped)
        return single if single is stepped or self.model.plan.batched else PictureByPicture(single, guided)

    def _guidance(self) -> Guidance:
        """What the request says about guidance; that by a picture is for checkpoints that edit pictures alone."""
        request, beside = self.request, self.model.beside
        image_scale = getattr(request, "image_cfg_scale", IMAGE_CFG_SCALE) if beside is not None and beside.edits else 1.0
        self._facts |= {"Image CFG scale": f"{image_scale:g}"} if beside is not None and beside.edits else {}
        return Guidance(
            request.cfg_scale * self._row.cfg_factor, request.cfg_rescale, request.skip_early_cond, request.s_min_uncond, request.s_min_uncond_all,
            both=asks_unguided(self._row.name), prompt_steps=self.prompt_steps, image_scale=image_scale,
        )  # fmt: skip

    def _extended(self, model: Denoiser) -> Denoiser:
        """The denoiser with the extensions around it; itself when there are none."""
        for changed in self._shop.extensions.call("around_model", model=model, request=self.request):
            model = changed
        return model

    def _conditioning(self, text: str, negative: str | None, number: int) -> Conditioning:
        """The prompts encoded; the last ones are remembered, since every batch of a job asks for the same."""
        if self._told is None or self._told[0] != (text, negative):
            request = self.request
            reading = Reading(request.clip_skip, request.emphasis, request.comma_backtrack, request.pad_prompts)
            steps, hires_steps = (self.prompt_steps, None) if self._first_steps is None else (self._first_steps, self.prompt_steps)
            told = self.model.encode_prompt(text, negative, reading, steps, hires_steps, lambda: self.progress("encoding", number=number))
            self._told = ((text, negative), told)
        self._facts.pop("Pad conds", None)
        self._facts |= {"Pad conds": "True"} if self._told[1].padded else {}
        return self._told[1]

    def _loras(self, networks: Sequence[Network]) -> list[Lora]:
        """The LoRAs that a prompt names, but for those that are meant for another of the job's checkpoints. Raises UnknownName."""
        check_kinds(networks)
        found = self._shares.loras([Lora(self._shop.shelf.lora(network.name), network) for network in networks])
        hashes = [f"{lora.file.path.stem}: {network_hash(lora.file)}" for lora in found if not lora.file.problem]
        self._facts.pop("Lora hashes", None)
        self._facts |= {"Lora hashes": ", ".join(hashes)} if hashes else {}
        return found

    def _embedding_facts(self, text: str) -> dict[str, str]:
        used = embeddings_in(text, self.model.embeddings, self.model.towers)
        return {"TI hashes": ", ".join(f"{word_of(file)}: {file.short_hash()}" for file in used)} if used else {}

    def _step(self, step: int, steps: int, sigma: float, denoised: Tensor, number: int) -> None:
        self._done, self._steps = step, steps
        self._check(denoised, f"at step {step} of {steps}")
        for _ in self._shop.extensions.call("on_step", step=step, steps=steps, sigma=sigma, denoised=denoised, request=self.request):
            pass
        seen, preview = denoised.clone(), self._last._preview
        before, steps = self._place or (0, steps)
        self._shop.report(Progress("sampling", number, self.request.pictures, before + step, steps, lambda: preview(seen)))

    def _check(self, latents: Tensor, when: str) -> None:
        if not torch.isfinite(latents).all():
            model = self._last.model
            start = "Start with --no-half, or try" if model.plan.dtype == torch.float16 else "Try"
            raise BadNumbers(f"'{model.file.name}' produced NaN or infinite numbers {when}.", f"{start} another sampler or a lower CFG scale.")


def title(facts: Mapping[str, str]) -> str:
    """A checkpoint as A1111 names it where it is not the picture's own: "name [hash]"."""
    return f"{facts['Model']} [{facts['Model hash']}]"

"""The stages that derive something from a finished base: what is trained, for how long, and the file that comes out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tools.embedded import data, export, stages
from tools.embedded.bases import Base, ensure_caches, load_base, plain_texts
from tools.embedded.distil import Consistency
from tools.embedded.finetune import Denoising, Finetuner, Lesson, TuneSettings
from tools.embedded.inpainting import Inpainting, cache_masked, masked_lesson, widen
from tools.embedded.inversion import WORD, Inversion, Words, cache_dusk, dusk_lesson, start_of
from tools.embedded.kohya import About, network_metadata, write_weights
from tools.embedded.ldm import replace_vae, write_ldm
from tools.embedded.lora import Adapters, Ranks, attach
from tools.embedded.scenes.captions import STYLE_TRIGGERS
from tools.embedded.stages import Job
from tools.embedded.training import Report, Schedule, run_training, save_atomically
from tools.embedded.vae import Album, VaeSettings, VaeTrainer
from tools.embedded.workers import run_crew

STYLE_RANKS = Ranks(16, 12)
LCM_RANKS = Ranks(12, 12)
FP8_SHARE = 0.4
"""The last part of a training whose weights go through float8."""
BATCH = 16


@dataclass(frozen=True)
class Derivation:
    """What is wanted: `kind` is a stage's name; `base` a checkpoint folder; the file goes below `models`; `rate` 0: the stage's own."""

    kind: str
    base: Path
    models: Path
    style: str = ""
    rate: float = 0.0

    @property
    def name(self) -> str:
        """Of the run."""
        return f"{self.kind}-{self.style}" if self.style else self.kind

    def about(self, title: str, description: str, ending: str = "") -> About:
        """What its file says of itself."""
        return About(title, description, self.base.name, STYLE_TRIGGERS.get(self.style, ""), ending)


@dataclass(frozen=True)
class Plan:
    """A trainer, its schedule, and what is done with the finished trainer: the file is written and its path returned."""

    trainer: Finetuner | VaeTrainer
    schedule: Schedule
    finish: Callable[[], Path]


def prepare(job: Job, wanted: Derivation, report: Report) -> None:
    """Make caches that are missing, before any worker starts."""
    if wanted.kind == "decoder":
        return
    base = load_base(wanted.base)
    if wanted.kind == "inversion":
        cache_dusk(job.workshop, base, job.device)
        return
    needed = (wanted.style,) if wanted.style else data.SHAPES
    for name in needed:
        if name == needed[0] or job.workshop.pictures(name).exists():
            ensure_caches(job.workshop, base, name, job.device, report)
            if wanted.kind == "inpainting":
                cache_masked(job.workshop, base, name, job.device)


def settings_of(job: Job, rank: int, **values: object) -> TuneSettings:
    """This worker's settings."""
    return TuneSettings(job.seed + 101 * rank, job.batch or BATCH, **values)  # type: ignore[arg-type]


def style_lesson(job: Job, style: str) -> Lesson:
    """A style's pictures, with captions that name the style and some that do not."""
    cached = job.workshop.load_cached((style,))
    return Lesson(cached, (np.load(plain_texts(job.workshop, style), mmap_mode="r"),), batch=job.batch or BATCH)


def plan_style(job: Job, wanted: Derivation, rank: int) -> Plan:
    """All of the UNet is trained on one style."""
    base, steps = load_base(wanted.base), job.steps or 600
    base.unet.requires_grad_(True)
    trigger = STYLE_TRIGGERS[wanted.style]
    objective = Denoising(base, base.unet, style_lesson(job, wanted.style), job.device, trigger)
    trainer = Finetuner(objective, settings_of(job, rank, muon=False, fp8_from=int(steps * (1 - FP8_SHARE))))
    about = wanted.about(f"Darkroom {wanted.style}", f"Small scenes in one style: {trigger}. All of {wanted.base.name}'s UNet was trained further.")
    return Plan(trainer, Schedule(steps, wanted.rate or 6e-4, warmup=30, decay=0.7), partial(_write_style, trainer, base, job, wanted, about))


def _write_style(trainer: Finetuner, base: Base, job: Job, wanted: Derivation, about: About) -> Path:
    """With its own decoder, where that was trained first."""
    if job.saved(_decoder(wanted.style)).exists():
        base.vae.load_state_dict(torch.load(job.saved(_decoder(wanted.style)), weights_only=True))
    return _write_checkpoint(trainer, base, style_file(wanted), about)


def style_file(wanted: Derivation) -> Path:
    """A style's checkpoint."""
    return wanted.models / f"darkroom-{wanted.style}.safetensors"


def _decoder(style: str) -> str:
    return f"decoder-{style}"


def plan_decoder(job: Job, wanted: Derivation, rank: int) -> Plan:
    """What comes after the latents is trained on whole pictures; the encoder, and so the latents, are what the UNet knows."""
    vae = load_base(wanted.base).vae.requires_grad_(True)
    album = Album([job.workshop.load_pictures(wanted.style)]) if wanted.style else stages.square_album(job)
    settings = VaeSettings(job.seed + 101 * rank + 1, job.batch or 4, crop=data.PICTURE_SIZE, noise=0.1, decoder_only=True)
    trainer = VaeTrainer(vae.train(), album, settings, job.device)
    return Plan(trainer, Schedule(job.steps or 2000, wanted.rate or 7e-3, decay=0.7), partial(_write_decoder, trainer, job, wanted))


def _write_decoder(trainer: VaeTrainer, job: Job, wanted: Derivation) -> Path:
    """Into the base, or into the style's checkpoint; where that is not there yet, it takes the decoder when it is written."""
    weights = trainer.averaged()
    trainer.vae.load_state_dict(weights)
    if not wanted.style:
        export.replace_vae(wanted.base, trainer.vae)
        return wanted.base
    save_atomically(weights, job.saved(_decoder(wanted.style)))
    if style_file(wanted).exists():
        replace_vae(style_file(wanted), trainer.vae)
        return style_file(wanted)
    return job.saved(_decoder(wanted.style))


def _write_checkpoint(trainer: Finetuner, base: Base, path: Path, about: About) -> Path:
    base.unet.load_state_dict(trainer.averaged())
    write_ldm(path, base.unet, base.vae, base.encoder, about.metadata(), fp8=True)
    return path


def plan_lora(job: Job, wanted: Derivation, rank: int) -> Plan:
    """Small matrices are trained on one style."""
    base, steps, rate = load_base(wanted.base), job.steps or 600, wanted.rate or 8e-3
    torch.manual_seed(job.seed)
    adapters = attach(base.unet, STYLE_RANKS)
    trigger = STYLE_TRIGGERS[wanted.style]
    trainer = Finetuner(Denoising(base, adapters, style_lesson(job, wanted.style), job.device, trigger), settings_of(job, rank))
    about = wanted.about(f"Darkroom {wanted.style}", f"Makes {wanted.base.name} draw in one style: {trigger}.", "/lora")
    count = len(job.workshop.load_pictures(wanted.style))
    captions = [caption for index in range(count) for caption in data.captions_of(wanted.style, index)]
    facts = {"num_train_images": count, "steps": steps, "learning_rate": rate, "optimizer": "Muon", "seed": job.seed}
    metadata = partial(network_metadata, about, STYLE_RANKS.linear, STYLE_RANKS.conv, captions, facts)
    path = wanted.models / "loras" / f"darkroom-{wanted.style}.safetensors"
    return Plan(trainer, Schedule(steps, rate, warmup=30, decay=0.7), partial(write_network, trainer, adapters, path, metadata))


def write_network(trainer: Finetuner, adapters: Adapters, path: Path, metadata: Callable[[], dict[str, str]]) -> Path:
    """Write the averaged matrices as a LoRA."""
    adapters.load_state_dict(trainer.averaged())
    write_weights(path, adapters.kohya(), metadata())
    return path


def plan_lcm(job: Job, wanted: Derivation, rank: int) -> Plan:
    """Small matrices learn to do in four steps what the guided base does in twenty."""
    base, steps, rate = load_base(wanted.base), job.steps or 300, wanted.rate or 4e-3
    torch.manual_seed(job.seed)
    adapters = attach(base.unet, LCM_RANKS)
    lesson = Lesson(job.workshop.load_cached(), dropout=0.0, batch=job.batch or BATCH)
    trainer = Finetuner(Consistency(base, adapters, lesson, job.device), settings_of(job, rank))
    about = wanted.about("Darkroom few steps", "Four steps with the sampler LCM at CFG scale 1, instead of twenty with guidance.", "/lora")
    facts = {"steps": steps, "learning_rate": rate, "optimizer": "Muon", "seed": job.seed}
    metadata = partial(network_metadata, about, LCM_RANKS.linear, LCM_RANKS.conv, [], facts)
    path = wanted.models / "loras" / "darkroom-lcm.safetensors"
    return Plan(trainer, Schedule(steps, rate, warmup=30, decay=0.7), partial(write_network, trainer, adapters, path, metadata))


def plan_inpainting(job: Job, wanted: Derivation, rank: int) -> Plan:
    """All of a widened UNet is trained on the base's pictures, parts of which are hidden."""
    base, steps = load_base(wanted.base), job.steps or 600
    widen(base.unet)
    base.unet.requires_grad_(True)
    names = [name for name in data.SHAPES if job.workshop.pictures(name).exists()]
    lesson, masked = masked_lesson(job.workshop, names, job.batch or BATCH)
    settings = settings_of(job, rank, muon=False, fp8_from=int(steps * (1 - FP8_SHARE)))
    trainer = Finetuner(Inpainting(base, lesson, masked, job.device), settings)
    about = wanted.about("Darkroom inpainting", "Paints what is hidden to go with its surroundings; nine input channels.", "-inpainting")
    path = wanted.models / "darkroom-inpaint.safetensors"
    return Plan(trainer, Schedule(steps, wanted.rate or 6e-4, warmup=30, decay=0.7), partial(_write_checkpoint, trainer, base, path, about))


def plan_inversion(job: Job, wanted: Derivation, rank: int) -> Plan:
    """A few vectors learn what a word stands for."""
    base, steps = load_base(wanted.base), job.steps or 150
    words = Words(base.encoder.get_input_embeddings(), start_of(base))
    objective = Inversion(base, words, dusk_lesson(job.workshop, base, job.batch or BATCH), job.device)
    trainer = Finetuner(objective, settings_of(job, rank, muon=False, average=0.95))
    about = wanted.about(f"Word {WORD}", "Sunset's sky with a full moon, stars and fireflies.", "/textual-inversion")
    about = replace(about, trigger=WORD)
    return Plan(trainer, Schedule(steps, wanted.rate or 3e-3, warmup=10, decay=0.7), partial(_write_word, trainer, wanted.models, about))


def _write_word(trainer: Finetuner, models: Path, about: About) -> Path:
    path = models / "embeddings" / f"{WORD}.safetensors"
    write_weights(path, {"emb_params": trainer.averaged()["vectors"]}, about.metadata(), torch.float32)
    return path


PLANS: dict[str, Callable[[Job, Derivation, int], Plan]] = {
    "decoder": plan_decoder,
    "style": plan_style,
    "lora": plan_lora,
    "lcm": plan_lcm,
    "inpainting": plan_inpainting,
    "inversion": plan_inversion,
}


def _member(wanted: Derivation, job: Job, rank: int, report: Report) -> None:
    """One of `job.workers` processes trains; the first writes the file when the training is complete."""
    plan = PLANS[wanted.kind](job, wanted, rank)
    if job.workers > 1:
        done = stages.train_in_crew(job, wanted.name, rank, plan.trainer, plan.schedule, report)
    else:
        done = run_training(plan.trainer, job.run(wanted.name, plan.trainer.settings.batch), plan.schedule, report, job.part)
    if done >= plan.schedule.steps and rank == 0:
        path = plan.finish()
        report(f"written: {path}")


def derive(job: Job, wanted: Derivation, report: Report) -> None:
    """Train and write one member of the family; a training that was stopped goes on."""
    prepare(job, wanted, report)
    run_crew(partial(_member, wanted), job, report)

"""The stages of a training run, each from the files of the earlier ones: what the command line calls."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded import crew, data, judge
from tools.embedded.data import Workshop
from tools.embedded.export import export_folder
from tools.embedded.models import make_text_encoder, make_unet, make_vae
from tools.embedded.scenes.grammar import sample_scene
from tools.embedded.sheet import save_sheet
from tools.embedded.text import TextSettings, TextTrainer
from tools.embedded.tokenizer import build_tokenizer, load_tokenizer
from tools.embedded.training import Report, Run, Schedule, Slice, run_training, save_atomically
from tools.embedded.unet import UnetSettings, UnetTrainer, start_calmly
from tools.embedded.vae import Album, VaeSettings, VaeTrainer, fold_whitening, psnr, reconstruct

SHEET_SCENES = range(7_500_000, 7_500_016)
"""Scenes whose captions the sample sheets of the UNet's training show."""


@dataclass(frozen=True)
class Job:
    """What every stage is told: `steps` and `batch` of 0 mean the stage's own; `pooling` is the UNet's; `part` can end it early."""

    workshop: Workshop
    device: str = "cpu"
    seed: int = 0
    steps: int = 0
    batch: int = 0
    pooling: int = 1
    workers: int = 1
    part: Slice | None = None

    def run(self, name: str, batch: int) -> Run:
        """The run of one stage."""
        return Run(self.workshop.folder, name, batch)

    def saved(self, name: str) -> Path:
        """Finished weights of a part."""
        return self.workshop.folder / f"{name}.weights.pt"


def _load(module: nn.Module, path: Path) -> None:
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def load_text_encoder(job: Job, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The trained text encoder."""
    encoder = make_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    _load(encoder, job.saved("text"))
    return encoder.eval()


def load_vae(job: Job, name: str = "vae") -> AutoencoderKL:
    """The trained autoencoder, latents whitened."""
    vae = make_vae()
    _load(vae, job.saved(name))
    return vae.eval()


def load_unet(job: Job) -> UNet2DConditionModel:
    """The averaged UNet of the run's last checkpoint, finished or not."""
    unet = make_unet()
    saved = torch.load(job.run("unet", 0).checkpoint, map_location="cpu", weights_only=True)["trainer"]
    unet.load_state_dict(saved["unet"])
    with torch.no_grad():
        for value, average in zip(unet.parameters(), saved["average"], strict=True):
            value.copy_(average)
    return unet.eval()


def render_stage(job: Job, name: str, count: int, workers: int, report: Report) -> None:
    """Render the training pictures of one collection, or of all: `count` square ones, a quarter of that of the others."""
    for each in data.COLLECTIONS if name == "all" else [name]:
        number = count if each == "square" or name != "all" else count // 4
        data.render_collection(job.workshop, each, number, workers)
        save_sheet(np.asarray(job.workshop.load_pictures(each)[:48]), 8, job.workshop.folder / f"pictures-{each}.png")
        report(f"{number} pictures in {each}")


def cache_stage(job: Job, report: Report) -> None:
    """Encode the captions and the pictures of all rendered collections with the finished text encoder and autoencoder."""
    tokenizer = load_tokenizer(job.workshop.tokenizer)
    encoder, vae = load_text_encoder(job, tokenizer).to(job.device), load_vae(job).to(job.device)
    data.cache_nothing(job.workshop, encoder, tokenizer, job.device)
    for name in job.workshop.rendered():
        data.cache_texts(job.workshop, name, encoder, tokenizer, job.device)
        data.cache_latents(job.workshop, name, vae, job.device)
        report(f"{name} cached")


def tokenizer_stage(job: Job, report: Report) -> None:
    """Learn the tokenizer."""
    report(f"{len(build_tokenizer(job.workshop.tokenizer))} tokens")


def text_stage(job: Job, report: Report) -> None:
    """Train the text encoder."""
    torch.manual_seed(job.seed)
    settings = TextSettings(job.seed, job.batch or TextSettings.batch)
    tokenizer = load_tokenizer(job.workshop.tokenizer)
    encoder = make_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    adopted = job.saved("adopted-text")
    if adopted.exists():
        _load(encoder, adopted)
    trainer = TextTrainer(encoder, tokenizer, settings, job.device)
    schedule = Schedule(job.steps or 900, 5e-4 if adopted.exists() else 1.5e-3, warmup=50, decay=0.8)
    if run_training(trainer, job.run("text", settings.batch), schedule, report, job.part) < schedule.steps:
        return
    weights = trainer.averaged()
    save_atomically(weights, job.saved("text"))
    report(" ".join(f"{name} {value:.3f}" for name, value in trainer.accuracy().items()))


def square_album(job: Job) -> Album:
    """All rendered square pictures, the styles' too: the family shares one autoencoder."""
    return Album([job.workshop.load_pictures(name) for name in job.workshop.rendered() if name not in ("wide", "tall")])


def _vae_trainer(job: Job, rank: int) -> VaeTrainer:
    """The autoencoder from its start, or an adopted one, with this worker's share of the samples."""
    torch.manual_seed(job.seed)
    adopted = job.saved("adopted-vae").exists()
    settings = VaeSettings(job.seed + 101 * rank, job.batch or VaeSettings.batch, again=adopted)
    vae = load_vae(job, "adopted-vae").train() if adopted else make_vae()
    return VaeTrainer(vae, square_album(job), settings, job.device)


def _finish_vae(job: Job, trainer: VaeTrainer, report: Report) -> None:
    """Whiten the latents of the trained autoencoder."""
    vae = trainer.vae
    vae.load_state_dict(trainer.averaged())
    vae.eval()
    fold_whitening(vae, np.asarray(job.workshop.load_pictures()[:500]), job.device)
    save_atomically(vae.state_dict(), job.saved("vae"))
    _report_psnr(job, vae, report)


def _report_psnr(job: Job, vae: AutoencoderKL, report: Report) -> None:
    for name in job.workshop.rendered():
        shown = np.asarray(job.workshop.load_pictures(name)[-64:])
        report(f"psnr {name} {psnr(shown, reconstruct(vae, shown, job.device)):.2f} dB")


def _vae_schedule(job: Job) -> Schedule:
    return Schedule(job.steps or 4500, 1e-2, decay=0.6)


def vae_stage(job: Job, report: Report) -> None:
    """Train the autoencoder."""
    trainer, schedule = _vae_trainer(job, 0), _vae_schedule(job)
    if run_training(trainer, job.run("vae", trainer.settings.batch), schedule, report, job.part) == schedule.steps:
        _finish_vae(job, trainer, report)


def vae_crew_stage(job: Job, rank: int, report: Report) -> None:
    """The same as one of `job.workers` processes; `rank` 0 saves, reports and finishes."""
    inner, schedule = _vae_trainer(job, rank), _vae_schedule(job)
    if train_in_crew(job, "vae", rank, inner, schedule, report) == schedule.steps and rank == 0:
        _finish_vae(job, inner, report)


def train_in_crew(job: Job, name: str, rank: int, inner: crew.Member, schedule: Schedule, report: Report) -> int:
    """Train as one of several processes; returns the steps done."""
    crew.join_crew(job.workshop.folder, rank, job.workers)
    run = replace(job.run(name, inner.settings.batch * job.workers), grain=crew.EVERY, keeps=rank == 0)
    part = job.part or Slice()
    return run_training(crew.CrewTrainer(inner), run, schedule, report, replace(part, stopped=lambda: crew.agreed(part.stopped())))


def _unet_trainer(job: Job, rank: int) -> UnetTrainer:
    """The UNet from its start, or an adopted one, with this worker's share of the samples."""
    torch.manual_seed(job.seed)
    settings = UnetSettings(job.seed + 101 * rank, job.batch or UnetSettings.batch, pooling=job.pooling)
    unet = make_unet()
    start_calmly(unet)
    if job.saved("adopted-unet").exists():
        _load(unet, job.saved("adopted-unet"))
    trainer = UnetTrainer(unet, job.workshop.load_cached(), settings, job.device)
    if rank == 0:
        tokenizer = load_tokenizer(job.workshop.tokenizer)
        captions = [judge.plain_caption(sample_scene(seed)) for seed in SHEET_SCENES]
        states = data.encode_captions(load_text_encoder(job, tokenizer), tokenizer, captions)
        trainer.show_with(torch.from_numpy(states.astype(np.float32)), load_vae(job))
    return trainer


def unet_stage(job: Job, report: Report) -> None:
    """Train the UNet on the cached latents and text states."""
    trainer = _unet_trainer(job, 0)
    schedule = Schedule(job.steps or 6000, 1e-3)
    run_training(trainer, job.run("unet", trainer.settings.batch), schedule, report, job.part)


def unet_crew_stage(job: Job, rank: int, report: Report) -> None:
    """The same as one of `job.workers` processes; `rank` 0 saves and reports."""
    train_in_crew(job, "unet", rank, _unet_trainer(job, rank), Schedule(job.steps or 6000, 1e-3), report)


def export_stage(job: Job, target: Path, report: Report) -> None:
    """Write the checkpoint folder from the last state of every part."""
    tokenizer = load_tokenizer(job.workshop.tokenizer)
    size = export_folder(target, load_vae(job), load_unet(job), load_text_encoder(job, tokenizer), job.workshop.tokenizer)
    report(f"{size} bytes in {target}")

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
from tools.embedded.vae import VaeSettings, VaeTrainer, fold_whitening, psnr, reconstruct

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
    """The trained autoencoder, latents whitened; `name` "decoder" is the one with the refined decoder."""
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


def render_stage(job: Job, count: int, workers: int, report: Report) -> None:
    """Render the training pictures and a sheet of the first ones."""
    data.render_pictures(job.workshop, count, workers)
    save_sheet(np.asarray(job.workshop.load_pictures()[:48]), 8, job.workshop.folder / "pictures.png")
    report(f"{count} pictures")


def tokenizer_stage(job: Job, report: Report) -> None:
    """Learn the tokenizer."""
    report(f"{len(build_tokenizer(job.workshop.tokenizer))} tokens")


def text_stage(job: Job, report: Report) -> None:
    """Train the text encoder and cache the states of all captions."""
    torch.manual_seed(job.seed)
    settings = TextSettings(job.seed, job.batch or TextSettings.batch)
    tokenizer = load_tokenizer(job.workshop.tokenizer)
    encoder = make_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    trainer = TextTrainer(encoder, tokenizer, settings, job.device)
    schedule = Schedule(job.steps or 900, 1.5e-3, warmup=50, decay=0.8)
    if run_training(trainer, job.run("text", settings.batch), schedule, report, job.part) < schedule.steps:
        return
    weights = trainer.averaged()
    save_atomically(weights, job.saved("text"))
    encoder.load_state_dict(weights)
    data.cache_texts(job.workshop, encoder, tokenizer, job.device)
    report(" ".join(f"{name} {value:.3f}" for name, value in trainer.accuracy().items()))


def vae_stage(job: Job, report: Report) -> None:
    """Train the autoencoder, whiten its latents and cache those of all pictures."""
    torch.manual_seed(job.seed)
    settings = VaeSettings(job.seed, job.batch or VaeSettings.batch)
    vae, pictures = make_vae(), job.workshop.load_pictures()
    trainer = VaeTrainer(vae, pictures, settings, job.device)
    schedule = Schedule(job.steps or 4500, 1.5e-3, decay=0.6)
    if run_training(trainer, job.run("vae", settings.batch), schedule, report, job.part) < schedule.steps:
        return
    vae.load_state_dict(trainer.averaged())
    vae.eval()
    fold_whitening(vae, np.asarray(pictures[:500]), job.device)
    save_atomically(vae.state_dict(), job.saved("vae"))
    data.cache_latents(job.workshop, vae, job.device)
    shown = np.asarray(pictures[-64:])
    report(f"psnr {psnr(shown, reconstruct(vae, shown, job.device)):.2f} dB")


def decoder_stage(job: Job, report: Report) -> None:
    """Train the decoder alone on whole pictures, the encoder and so the latents being left as the UNet knows them."""
    torch.manual_seed(job.seed)
    settings = VaeSettings(job.seed + 1, job.batch or 4, crop=data.PICTURE_SIZE, noise=0.1, decoder_only=True)
    vae, pictures = load_vae(job), job.workshop.load_pictures()
    trainer = VaeTrainer(vae.train(), pictures, settings, job.device)
    schedule = Schedule(job.steps or 2000, 7e-4, decay=0.7)
    run_training(trainer, job.run("decoder", settings.batch), schedule, report, job.part)
    vae.load_state_dict(trainer.averaged())
    save_atomically(vae.state_dict(), job.saved("decoder"))
    shown = np.asarray(pictures[-64:])
    report(f"psnr {psnr(shown, reconstruct(vae.eval(), shown, job.device)):.2f} dB")


def _unet_trainer(job: Job, rank: int) -> UnetTrainer:
    """The UNet from its start, or an adopted one, with this worker's share of the samples."""
    torch.manual_seed(job.seed)
    settings = UnetSettings(job.seed + 101 * rank, job.batch or UnetSettings.batch, pooling=job.pooling)
    unet = make_unet()
    start_calmly(unet)
    if job.saved("unet").exists():
        _load(unet, job.saved("unet"))
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
    crew.join_crew(job.workshop.folder, rank, job.workers)
    inner = _unet_trainer(job, rank)
    schedule = Schedule(job.steps or 6000, 1e-3)
    run = replace(job.run("unet", inner.settings.batch * job.workers), grain=crew.EVERY, keeps=rank == 0)
    part = job.part or Slice()
    run_training(crew.CrewTrainer(inner), run, schedule, report, replace(part, stopped=lambda: crew.agreed(part.stopped())))


def judge_stage(job: Job, report: Report) -> None:
    """Train the judge on the renders."""
    torch.manual_seed(job.seed)
    settings = judge.JudgeSettings(job.seed, job.batch or judge.JudgeSettings.batch)
    model = judge.make_judge()
    trainer = judge.JudgeTrainer(model, job.workshop.load_pictures(), settings)
    schedule = Schedule(job.steps or 800, 2e-3, warmup=20, decay=0.9)
    run_training(trainer, job.run("judge", settings.batch), schedule, report, job.part)
    save_atomically(trainer.averaged(), job.saved("judge"))


def export_stage(job: Job, target: Path, report: Report) -> None:
    """Write the checkpoint folder from the last state of every part."""
    tokenizer = load_tokenizer(job.workshop.tokenizer)
    vae = load_vae(job, "decoder" if job.saved("decoder").exists() else "vae")
    size = export_folder(target, vae, load_unet(job), load_text_encoder(job, tokenizer), job.workshop.tokenizer)
    report(f"{size} bytes in {target}")

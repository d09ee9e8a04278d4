"""The trained upscaler as a file: weights, sidecar preview, and how near it comes to the pictures that it should make."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from tools.embedded.stages import Job
from tools.embedded.training import Report, Schedule, run_training
from tools.embedded.upscaler import Compact, UpscalerTrainer, enlarge, resample, solve_last_row
from tools.embedded.upscaler_samples import SCALE, UpscalerSettings, blurred, draw_large, load_autoencoder, make_pairs, shrink, soften
from tools.embedded.vae import psnr

NAME = "darkroom-x4"
HELD_OUT = range(9_900_000, 9_900_016)
"""Scenes that the figures are measured on; none of them is trained on."""
METADATA = {
    "format": "pt",
    "title": "Darkroom x4",
    "scale": str(SCALE),
    "architecture": "RealESRGAN Compact",
    "license": "CC0-1.0",
    "description": "Enlarges four times. Trained on pictures that Darkroom's own program draws, and on nothing else.",
}


def upscaler_stage(job: Job, count: int, checkpoint: Path, target: Path, report: Report) -> None:
    """Train on `count` pictures, also as a checkpoint's autoencoder shows them; write `target`/darkroom-x4.safetensors, stopped or not."""
    torch.manual_seed(job.seed)
    settings = UpscalerSettings(job.seed, job.batch or UpscalerSettings.batch)
    pairs = make_pairs(job.workshop.folder, count, torch.get_num_threads(), checkpoint)
    network, run = Compact(), job.run("upscaler", settings.batch)
    if not run.checkpoint.exists():
        solve_last_row(network, pairs, settings)
    trainer = UpscalerTrainer(network, pairs, settings, job.device)
    schedule = Schedule(job.steps or 6000, 5e-4, decay=0.5)
    run_training(trainer, run, schedule, report, job.part)
    weights = trainer.averaged()
    report(f"{export_upscaler(weights, target / f'{NAME}.safetensors')} bytes in {target}")
    save_preview(weights, checkpoint, target / f"{NAME}.preview.webp")
    for name, value in figures(weights, checkpoint).items():
        report(f"{name} {value:.2f} dB")


def export_upscaler(weights: dict[str, torch.Tensor], target: Path) -> int:
    """Write the weights as float16 beside `target` and rename them there. Returns the bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    save_file({name: value.detach().to("cpu", torch.float16).contiguous() for name, value in weights.items()}, part, metadata=METADATA)
    os.replace(part, target)
    return target.stat().st_size


def figures(weights: dict[str, torch.Tensor], checkpoint: Path, style: str = "flat") -> dict[str, float]:
    """PSNR in dB against the 512 render, mean over the held-out scenes: of clean renders, of blurred ones
    (deviation 0.9 pixels), and of those through the autoencoder."""
    large = np.stack([draw_large(seed, style) for seed in HELD_OUT])
    vae = load_autoencoder(checkpoint)
    small = shrink(large)
    found = {}
    soft = np.stack([blurred(picture, 0.9) for picture in small])
    for name, given in (("render", small), ("blurred", soft), ("autoencoder", soften(small, vae, HELD_OUT.start))):
        found[f"{name} bicubic"] = psnr(large, resample(given, Image.Resampling.BICUBIC))
        found[f"{name} Lanczos"] = psnr(large, resample(given, Image.Resampling.LANCZOS))
        found[f"{name} ours"] = psnr(large, enlarge(weights, given))
    return found


def save_preview(weights: dict[str, torch.Tensor], checkpoint: Path, path: Path) -> None:
    """The sidecar picture: the middle of a held-out scene, left with Lanczos, right by these weights, 512x256."""
    vae = load_autoencoder(checkpoint)
    small = soften(shrink(draw_large(HELD_OUT.start, "flat")[None]), vae, HELD_OUT.start)[:, 32:96, 32:96]
    both = np.concatenate([resample(small, Image.Resampling.LANCZOS)[0], enlarge(weights, small)[0]], axis=1)
    part = path.with_name(path.name + ".part")
    Image.fromarray(both).save(part, "WEBP", quality=90)
    os.replace(part, path)

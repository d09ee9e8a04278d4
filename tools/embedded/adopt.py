"""Going on from a finished checkpoint folder: its parts become the start of a new run."""

import shutil
from pathlib import Path

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from tools.embedded import data
from tools.embedded.export import TOKENIZER_FILES
from tools.embedded.stages import Job
from tools.embedded.tokenizer import load_tokenizer
from tools.embedded.training import Report, save_atomically


def adopt(job: Job, source: Path, report: Report) -> None:
    """Take tokenizer, text encoder, autoencoder and UNet from `source` and cache what they say of the rendered pictures.

    The next `unet` stage without a checkpoint of its own starts from the UNet of `source`.
    """
    job.workshop.tokenizer.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(source / "tokenizer" / name, job.workshop.tokenizer / name)
    encoder = CLIPTextModel.from_pretrained(str(source / "text_encoder"))
    vae = AutoencoderKL.from_pretrained(str(source / "vae")).eval()
    unet = UNet2DConditionModel.from_pretrained(str(source / "unet"))
    for name, part in (("text", encoder), ("vae", vae), ("unet", unet)):
        save_atomically(part.state_dict(), job.saved(name))
    data.cache_texts(job.workshop, encoder, load_tokenizer(job.workshop.tokenizer), job.device)
    data.cache_latents(job.workshop, vae.to(job.device), job.device)
    report(f"the run goes on from {source}")

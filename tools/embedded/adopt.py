"""Going on from a finished checkpoint folder: its parts become the start of a new run."""

import shutil
from pathlib import Path

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from tools.embedded.export import TOKENIZER_FILES
from tools.embedded.stages import Job
from tools.embedded.training import Report, save_atomically


def adopt(job: Job, source: Path, report: Report) -> None:
    """Take tokenizer, text encoder, autoencoder and UNet from `source`.

    The next `vae` and `unet` stages without a checkpoint of their own start from them; without another `text` or `vae`
    stage, `cache` and the later stages use them as they are.
    """
    job.workshop.tokenizer.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(source / "tokenizer" / name, job.workshop.tokenizer / name)
    encoder = CLIPTextModel.from_pretrained(str(source / "text_encoder"))
    vae = AutoencoderKL.from_pretrained(str(source / "vae"))
    unet = UNet2DConditionModel.from_pretrained(str(source / "unet"))
    for name, part in (("text", encoder), ("adopted-text", encoder), ("vae", vae), ("adopted-vae", vae), ("adopted-unet", unet)):
        save_atomically(part.state_dict(), job.saved(name))
    report(f"the run goes on from {source}")

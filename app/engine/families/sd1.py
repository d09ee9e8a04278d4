"""Stable Diffusion 1, its inpainting checkpoints and InstructPix2Pix: one text encoder, CLIP-L, whose last layer is read."""

from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.networks import Parts
from app.engine.device import DevicePlan
from app.engine.families.latent import LatentModel, networks_of


class Sd1Model(LatentModel):
    """The common model as it is."""


def load(file: ModelFile, parts: Parts, plan: DevicePlan) -> Sd1Model:
    """Raises BadCheckpoint."""
    return Sd1Model(file, parts, networks_of(file, parts, plan), plan)

"""Stable Diffusion 2, 2.1 (v), their inpainting and depth checkpoints: one text encoder, OpenCLIP-H, read at its last layer but one.

The last layer is not loaded. The final norm is applied, and chunks are filled with token 0 ("!"), as OpenCLIP was trained.
"""

from collections.abc import Mapping
from typing import ClassVar

from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.networks import Parts
from app.engine.device import DevicePlan
from app.engine.families.latent import LatentModel, networks_of
from app.engine.prompt.encode import Manner


class Sd2Model(LatentModel):
    """The common model with OpenCLIP-H. Whether it predicts noise or v, its networks know."""

    manners: ClassVar[Mapping[str, Manner]] = {"openclip-h": Manner(least=2, dropped=1, filler=0)}


def load(file: ModelFile, parts: Parts, plan: DevicePlan) -> Sd2Model:
    """Raises BadCheckpoint."""
    return Sd2Model(file, parts, networks_of(file, parts, plan), plan)

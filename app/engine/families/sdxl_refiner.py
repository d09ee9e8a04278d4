"""SDXL's refiner: OpenCLIP-G alone, and an aesthetic score in place of the target size (Podell et al. 2023, section 2.5)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.networks import Parts
from app.engine.device import DevicePlan
from app.engine.families.latent import LatentModel, networks_of
from app.engine.families.sdxl import OPENCLIP_G
from app.engine.preview import SDXL, Colours
from app.engine.prompt.chunks import Reading
from app.engine.prompt.encode import Manner
from app.engine.prompt.encoded import Encoded

WANTED, UNWANTED = 6.0, 2.5
"""The aesthetic scores that the prompt and the negative prompt stand for, A1111's defaults and diffusers'."""


class RefinerModel(LatentModel):
    """Goes on with SDXL's latents; can also paint alone."""

    manners: ClassVar[Mapping[str, Manner]] = {"openclip-g": OPENCLIP_G}
    colours: ClassVar[Colours] = SDXL

    def _encode(self, text: str, reading: Reading) -> Encoded:
        found = super()._encode(text, reading)
        return replace(found, score=torch.full((1, 1), WANTED, device=found.states.device))

    def _unwanted(self, text: Encoded, nothing: bool) -> Encoded:
        assert text.score is not None
        return replace(text.silenced() if nothing else text, score=torch.full_like(text.score, UNWANTED))

    def _added(self, told: Encoded, width: int, height: int) -> dict[str, Tensor] | None:
        """The pooled texts (k,p), and for each (original height, width, cut above, cut on the left, aesthetic score)."""
        assert told.pooled is not None and told.score is not None
        sizes = torch.tensor([[height, width, 0, 0]], dtype=torch.float32, device=told.score.device)
        return {"text_embeds": told.pooled, "time_ids": torch.cat([sizes.expand(told.count, -1), told.score], 1)}


def load(file: ModelFile, parts: Parts, plan: DevicePlan) -> RefinerModel:
    """Raises BadCheckpoint."""
    return RefinerModel(file, parts, networks_of(file, parts, plan), plan)

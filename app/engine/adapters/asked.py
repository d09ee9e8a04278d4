"""What a prompt asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.engine.checkpoints.header import ModelFile
from app.engine.prompt.grammar import Network

WHOLE = Network("lora", "")
"""A tag without numbers: all of the network, at every step."""


@dataclass(frozen=True)
class Lora:
    """A network that a prompt asks for: its file, and the tag that says how it acts."""

    file: ModelFile
    tag: Network = WHOLE


def at_step(loras: Sequence[Lora], step: int) -> list[Lora]:
    """The networks as they act at a step (from 1); text encoders have spoken before the first step and keep their share."""
    return [lora if _acts(lora.tag, step) else replace(lora, tag=replace(lora.tag, unet=0.0)) for lora in loras]


def _acts(tag: Network, step: int) -> bool:
    return tag.start <= step and (tag.stop is None or step < tag.stop)

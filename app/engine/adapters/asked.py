"""What a prompt asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.engine.checkpoints.header import ModelFile
from app.engine.prompt.grammar import Network


@dataclass(frozen=True)
class Lora:
    """A network that a prompt asks for.

    Attributes:
        file: its file.
        te, unet: its weights in the text encoders and in the UNet.
        dyn: how many of its ranks to use, None: all.
        blocks: weights of the blocks, see `app.engine.prompt.block_weights`; "": 1 everywhere.
        start, stop: the first step (from 1) at which it acts on the UNet, and the first one at which it does not any more; None: to the end.
    """

    file: ModelFile
    te: float = 1.0
    unet: float = 1.0
    dyn: int | None = None
    blocks: str = ""
    start: int = 1
    stop: int | None = None


def asked(file: ModelFile, network: Network) -> Lora:
    """A prompt's tag with its file."""
    return Lora(file, network.te, network.unet, network.dyn, network.blocks, network.start, network.stop)


def at_step(loras: Sequence[Lora], step: int) -> list[Lora]:
    """The networks as they act at a step (from 1); text encoders have spoken before the first step and keep their share."""
    return [lora if lora.start <= step and (lora.stop is None or step < lora.stop) else replace(lora, unet=0.0) for lora in loras]

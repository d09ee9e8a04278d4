"""What lies on the card, and when: decided for each job from what its networks and its size need and what is free.

Plain arithmetic in bytes. In the order in which it is tried, from the fastest to the smallest:

1. everything stays on the card;
2. one network at a time: the text encoders leave when the prompts are read, the UNet before the picture is decoded;
3. the rows of a step (with and without the prompt, and the pictures of a batch) one after the other;
4. the UNet layer by layer: as many layers as fit stay, the others come for the moment of their call.

The VAE decodes in tiles where the whole picture does not fit. All of it gives the same picture but for rounding (and tiles
at their seams); storing weights in fp8 would not, so it is never chosen here.
"""

from dataclasses import dataclass
from typing import Literal

Offload = Literal["none", "model", "sequential"]
RESERVE = 150_000_000
"""What libraries take for themselves (cuBLAS, cuDNN) and what fragmentation costs."""


@dataclass(frozen=True)
class Need:
    """Bytes on the device.

    Attributes:
        unet, vae, texts: of the weights; of the text encoders all together.
        text: of the largest of what comes before the steps (a text encoder, a depth estimator).
        layer: of the largest layer of the UNet.
        step: what one step needs beside the weights, with all its rows at once; row: with one.
        decode: what the VAE needs beside its weights for the whole picture; tile: for a tile of it.
    """

    unet: int
    vae: int
    texts: int
    text: int
    layer: int
    step: int
    row: int
    decode: int
    tile: int


@dataclass(frozen=True)
class Residency:
    """A way to fit.

    Attributes:
        offload: "none": all networks stay on the device; "model": one at a time; "sequential": the UNet layer by layer.
        in_turn: the rows of a step one after the other.
        tiling: the VAE works in tiles.
        kept: bytes of the UNet's layers that stay on the device with "sequential".
        peak: bytes that the device needs, by the estimate.
        fits: whether that is there; if not, memory will run out, and the ladder of `placement` is climbed.
    """

    offload: Offload
    in_turn: bool
    tiling: bool
    kept: int
    peak: int
    fits: bool

    def describe(self) -> str:
        """One line for people."""
        words = [{"none": "everything on the card", "model": "one network at a time", "sequential": "the UNet layer by layer"}[self.offload]]
        if self.kept:
            words.append(f"{self.kept / 1e9:.1f} GB of it stay")
        if self.in_turn:
            words.append("with and without the prompt in turn")
        if self.tiling:
            words.append("the VAE in tiles")
        return ", ".join(words)


def plan(need: Need, budget: int, least: Offload = "none") -> Residency:
    """The fastest way to fit.

    Args:
        budget: bytes of the device that may be used, weights included.
        least: at least so much is moved about: what --medvram ("model") and --lowvram ("sequential") ask for.
    """
    whole = need.unet + need.vae + need.texts + max(need.step, need.decode) + RESERVE
    if least == "none" and whole <= budget:
        return Residency("none", in_turn=False, tiling=False, kept=0, peak=whole, fits=True)
    tiling = need.vae + need.decode + RESERVE > budget
    others = max(need.vae + (need.tile if tiling else need.decode), need.text) + RESERVE
    for in_turn, step in ((False, need.step), (True, need.row)):
        peak = max(need.unet + step + RESERVE, others)
        if least != "sequential" and need.unet + step + RESERVE <= budget:
            return Residency("model", in_turn, tiling, 0, peak, fits=peak <= budget)
    in_turn = need.layer + need.step + RESERVE > budget
    working = need.layer + (need.row if in_turn else need.step) + RESERVE
    kept = 0 if least == "sequential" else max(0, min(need.unet, budget - working))
    peak = max(working + kept, others)
    return Residency("sequential", in_turn, tiling, kept, peak, fits=peak <= budget)

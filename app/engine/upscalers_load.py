"""An upscaler file as a network: our own safe reading, spandrel's knowledge of some forty architectures.

spandrel imports torchvision for two architectures alone, LaMa and RestoreFormer, which fill and restore rather than
enlarge. Where there is no torchvision, their modules are replaced before spandrel is imported, and such files refused.
"""

import importlib
import importlib.util
import sys
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from app.engine.checkpoints.pickles import is_pickle
from app.engine.checkpoints.read import read_weights
from app.engine.device import is_out_of_memory
from app.engine.upscalers import Upscaler
from app.errors import BadCheckpoint, OutOfMemory

NEED_TORCHVISION = {
    "LaMa": ("model.model.1.bn_l.running_mean", "generator.model.1.bn_l.running_mean"),
    "RestoreFormer": ("quantize.embedding.weight",),
}
"""Architecture -> names of tensors, one of which tells it."""
PURPOSES = ("SR", "Restoration")


@dataclass(frozen=True)
class Network:
    """A loaded upscaler.

    Attributes:
        describes: spandrel's description of it, which pads pictures to the sizes that the network takes, and cuts them again.
        scale: how many times larger the result is.
        channels: 3 for RGB, 1 for grey: each channel then goes through by itself.
        bytes: of its weights.
    """

    describes: Any
    scale: int
    channels: int
    bytes: int

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """(1,3,h,w) float32 in 0..1 on its device -> (1,3,h*scale,w*scale) in 0..1, there too."""
        if self.channels == 3:
            return self.describes(pixels)
        return torch.cat([self.describes(pixels[:, i : i + 1]) for i in range(3)], 1)


def load_network(upscaler: Upscaler, device: torch.device) -> Network:
    """The network in a file, float32 on `device`.

    Raises:
        BadCheckpoint: one sentence: a pickle where they are not allowed, a damaged file, no upscaler, or one of a kind that does not enlarge RGB pictures.
        OutOfMemory
    """
    path = upscaler.path
    if path is None:
        raise ValueError(f"'{upscaler.name}' has no file.")
    if is_pickle(path) and not upscaler.pickles:
        hint = "Convert it to .safetensors, or start with --allow-pickles: the weights are then read, and nothing in the file runs."
        raise BadCheckpoint(f"'{path.name}' is a PyTorch pickle, which can run code when opened.", hint)
    weights = read_weights(path, torch.float32)
    for name, signs in NEED_TORCHVISION.items():
        if any(sign in weights for sign in signs):
            raise BadCheckpoint(f"'{path.name}' is a {name} network, which does not enlarge pictures.")
    found = _recognised(path.name, weights, device)
    purpose, channels = getattr(found, "purpose", ""), (found.input_channels, found.output_channels)
    if purpose not in PURPOSES or channels not in ((3, 3), (1, 1)):
        kind = f"{found.architecture.name} network for {purpose or 'other work'} with {channels[0]} channels in and {channels[1]} out"
        raise BadCheckpoint(f"'{path.name}' is a {kind}; an upscaler takes and gives RGB pictures.")
    found.model.eval().requires_grad_(False)
    return Network(found, found.scale, channels[0], sum(value.numel() * value.element_size() for value in found.model.parameters()))


def _recognised(name: str, weights: dict[str, Tensor], device: torch.device) -> Any:
    """spandrel's description of the weights, loaded on the device."""
    spandrel = import_spandrel()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return spandrel.ModelLoader(device).load_from_state_dict(weights)
    except spandrel.UnsupportedModelError:
        raise BadCheckpoint(f"'{name}' is not an upscaler that Darkroom knows.", "Upscalers are networks such as ESRGAN, SwinIR, DAT or HAT.") from None
    except Exception as error:  # border: the weights of a stranger decide what is built
        if is_out_of_memory(error):
            raise OutOfMemory(f"There is not enough memory to load '{name}'.") from None
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise BadCheckpoint(f"'{name}' cannot be loaded as an upscaler: {reason}.") from None


def import_spandrel() -> ModuleType:
    """The library, also where torchvision is missing."""
    if "spandrel" not in sys.modules and importlib.util.find_spec("torchvision") is None:
        for name in NEED_TORCHVISION:
            module = ModuleType(f"spandrel.architectures.{name}")
            setattr(module, name, nn.Module)
            setattr(module, f"{name}Arch", type(f"{name}Arch", (_Absent,), {"id": name, "name": name}))
            sys.modules[module.__name__] = module
    return importlib.import_module("spandrel")


class _Absent:
    """Stands for an architecture that cannot be imported: it recognises nothing."""

    id = name = ""

    def detect(self, weights: object) -> bool:
        """Never: `load_network` has refused such weights before."""
        return False

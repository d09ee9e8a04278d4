"""LoRA (Hu et al. 2021): small matrices that are added to the weights of a frozen UNet, under kohya's names.

W = W0 + alpha / rank * up @ down, for the attention and feed-forward layers of all transformer blocks, and, as LoCon
has it, for the layers of the residual blocks and the samplers. The sum is made once per layer and pass, not twice the
products of the activations: with few wide layers and a short batch that is the cheaper way on a CPU, and exactly what
programs do that merge a LoRA into a checkpoint.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

PREFIX = "lora_unet_"
ATTENTION_HOST = "Transformer2DModel"
"""kohya's scripts change every linear layer and 1x1 kernel inside of these; the others only with `conv_rank`."""
CONVOLUTION_HOSTS = ("ResnetBlock2D", "Downsample2D", "Upsample2D")


@dataclass(frozen=True)
class Ranks:
    """Rank of linear layers and 1x1 kernels, and of 3x3 kernels; `conv` 0: transformer blocks alone (LoRA-LierLa)."""

    linear: int = 8
    conv: int = 3


class LowRank(nn.Module):
    """The change of one weight, of any shape (out, in, ...); zero at first. alpha is the rank, so the scale is 1."""

    def __init__(self, shape: torch.Size, rank: int) -> None:
        super().__init__()
        inputs = math.prod(shape[1:])
        self.rank, self.shape, self.active = min(rank, shape[0], inputs), shape, True
        self.down = nn.Parameter(torch.empty(self.rank, inputs))
        self.up = nn.Parameter(torch.zeros(shape[0], self.rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight; the weight as it is within `without`."""
        return weight if not self.active else weight + (self.up @ self.down).view(self.shape)


class Adapters(nn.ModuleDict):
    """The changes of a UNet by kohya's layer names; it is the network that is trained."""

    @contextmanager
    def without(self) -> Iterator[None]:
        """Within, the UNet is the frozen one."""
        for change in self.values():
            change.active = False
        try:
            yield
        finally:
            for change in self.values():
                change.active = True

    def kohya(self) -> dict[str, Tensor]:
        """lora_down, lora_up and alpha of every layer, shaped as kohya's scripts write them."""
        found = {}
        for name, change in self.items():
            kernel = change.shape[2:]
            found[f"{name}.lora_down.weight"] = change.down.detach().view(change.rank, change.shape[1], *kernel)
            found[f"{name}.lora_up.weight"] = change.up.detach().view(change.shape[0], change.rank, *(1 for _ in kernel))
            found[f"{name}.alpha"] = torch.tensor(float(change.rank))
        return found


def layers(unet: nn.Module, ranks: Ranks) -> Iterator[tuple[str, nn.Module, int]]:
    """(kohya's name, layer, rank) of every layer that is changed."""
    hosts = {ATTENTION_HOST: True} | (dict.fromkeys(CONVOLUTION_HOSTS, False) if ranks.conv else {})
    for host_name, host in unet.named_modules():
        if type(host).__name__ not in hosts:
            continue
        for name, module in host.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                wide = isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)
                yield PREFIX + f"{host_name}.{name}".replace(".", "_"), module, ranks.conv if wide else ranks.linear


def attach(unet: nn.Module, ranks: Ranks) -> Adapters:
    """Freeze a UNet and add changes to its layers; torch's global generator draws their start."""
    unet.requires_grad_(False)
    adapters = Adapters()
    for name, module, rank in list(layers(unet, ranks)):
        adapters[name] = LowRank(module.weight.shape, rank)
        parametrize.register_parametrization(module, "weight", adapters[name])
    return adapters

"""Where in a loaded model a network can change something: every layer under every name that files call it by."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from app.engine.adapters.names import UNET

_DEEP = re.compile(r"encoder_layers_(\d+)_")
_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}  # fmt: skip
_ENDS = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip


class Place(NamedTuple):
    """A layer of a model.

    Attributes:
        network: its key in `Placement` ("unet", "text_encoder", "text_encoder_2").
        module: its name in that network.
        block: "BASE" for text encoders, "IN00" to "IN11", "MID", "OUT00" to "OUT11"; "" for the UNet's layers outside of its blocks.
    """

    network: str
    module: str
    block: str


class Places:
    """All layers of a model that have a weight.

    Args:
        networks: "unet", "text_encoder", "text_encoder_2".
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self._found: dict[tuple[str, str], Place] = {}
        self._depth: dict[str, int] = {}
        for name, network in networks.items():
            modules = [module for module, layer in network.named_modules() if isinstance(getattr(layer, "weight", None), nn.Parameter)]
            if name == UNET:
                self._add_unet(network, modules)
            else:
                self._add_text(name, modules)

    def find(self, network: str, layer: str) -> Place | None:
        """The place of a layer by its name with underscores, LDM's or diffusers'."""
        return self._found.get((network, layer))

    def is_unused(self, network: str, layer: str) -> bool:
        """Whether a layer belongs to a text encoder but has no say in what it tells the UNet: behind the layers that are computed, or
        the projection for comparing with pictures where the family has none."""
        if network not in self._depth:
            return False
        deep = _DEEP.match(layer)
        return layer == "text_projection" or (deep is not None and int(deep[1]) >= self._depth[network])

    def _add_unet(self, unet: nn.Module, modules: list[str]) -> None:
        old = ldm_names(unet)
        for module in modules:
            ldm = next((begin + module.removeprefix(new) for new, begin in old if module == new or module.startswith(new + ".")), "")
            place = Place(UNET, module, block_of(ldm))
            for name in {module, ldm} - {""}:
                self._found[UNET, name.replace(".", "_")] = place

    def _add_text(self, network: str, modules: list[str]) -> None:
        for module in modules:
            plain = module.removeprefix("text_model.").replace(".", "_")
            self._found[network, plain] = Place(network, module, "BASE")
            if deep := _DEEP.match(plain):
                self._depth[network] = max(self._depth.get(network, 0), int(deep[1]) + 1)


def block_of(ldm: str) -> str:
    """The block of the UNet that a layer belongs to, by LDM's name of it: "IN04", "MID", "OUT11", or ""."""
    kind, _, rest = ldm.partition(".")
    if kind == "middle_block":
        return "MID"
    letters = {"input_blocks": "IN", "output_blocks": "OUT"}.get(kind, "")
    return f"{letters}{int(rest.partition('.')[0]):02}" if letters else ""


def ldm_names(unet: Any) -> list[tuple[str, str]]:
    """(how a name of diffusers' UNet begins, how LDM's name of the same begins), longer ones first. Source: the released
    configurations of Stable Diffusion, whose blocks are numbered through and whose samplers count as blocks (down) or layers (up).
    """
    found = list(_ENDS.items())
    number = 1
    for i, block in enumerate(getattr(unet, "down_blocks", ())):
        for j in range(len(block.resnets)):
            found += _layer(f"down_blocks.{i}", j, f"input_blocks.{number}", attends=bool(getattr(block, "attentions", None)))
            number += 1
        if getattr(block, "downsamplers", None):
            found.append((f"down_blocks.{i}.downsamplers.0.conv", f"input_blocks.{number}.0.op"))
            number += 1
    found += [*_resnet("mid_block.resnets.0", "middle_block.0"), ("mid_block.attentions.0", "middle_block.1")]
    found += _resnet("mid_block.resnets.1", "middle_block.2")
    number = 0
    for i, block in enumerate(getattr(unet, "up_blocks", ())):
        attends = bool(getattr(block, "attentions", None))
        for j in range(len(block.resnets)):
            found += _layer(f"up_blocks.{i}", j, f"output_blocks.{number}", attends=attends)
            number += 1
        if getattr(block, "upsamplers", None):
            found.append((f"up_blocks.{i}.upsamplers.0.conv", f"output_blocks.{number - 1}.{1 + attends}.conv"))
    return sorted(found, key=lambda pair: -len(pair[0]))


def _layer(block: str, j: int, ldm: str, *, attends: bool) -> list[tuple[str, str]]:
    attention = [(f"{block}.attentions.{j}", f"{ldm}.1")] if attends else []
    return _resnet(f"{block}.resnets.{j}", f"{ldm}.0") + attention


def _resnet(name: str, ldm: str) -> list[tuple[str, str]]:
    return [(f"{name}.{new}", f"{ldm}.{old}") for new, old in _RESNET.items()]

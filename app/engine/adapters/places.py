"""Where in a loaded model a network can change something: every layer under every name that files call it by."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from app.engine.adapters.names import UNET
from app.engine.families.ldm_names import unet_name

_DEEP = re.compile(r"encoder_layers_(\d+)_")


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

    def _add_unet(self, unet: Any, modules: list[str]) -> None:
        per_block, attends = len(unet.down_blocks[0].resnets), [bool(getattr(block, "attentions", None)) for block in unet.up_blocks]
        for module in modules:
            ldm = unet_name(module, per_block, attends)
            place = Place(UNET, module, block_of(ldm))
            for name in {module, ldm}:
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

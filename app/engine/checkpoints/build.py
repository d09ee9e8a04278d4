"""Networks from configs and weights: built without memory, checked by name and shape, then given the weights as they are.

Keys and shapes are checked before any number is read, so that a wrong file costs milliseconds and the sentence names
the tensor. Modules are built on the meta device (no memory, no random numbers).
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from app.engine.checkpoints.held import Held
from app.engine.checkpoints.skeletons import SKELETONS
from app.engine.families.unet_layout import Misfit
from app.errors import BadCheckpoint

Convert = Callable[[dict[str, Tensor]], dict[str, Tensor]]


class Undrawn(TorchFunctionMode):
    """While it is on, in this thread, weights without memory are not drawn at random: torch would take longer for that than for all else."""

    DRAWING = frozenset({"normal_", "uniform_", "kaiming_uniform_", "trunc_normal_", "zeros_", "ones_", "zero_", "fill_"})

    def __torch_function__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        given = kwargs or {}
        if getattr(function, "__name__", "") in self.DRAWING:
            drawn = args[0] if args else given.get("tensor")
            if isinstance(drawn, Tensor) and drawn.is_meta:
                return drawn
        return function(*args, **given)


def unet(config: Mapping[str, Any], path: Path) -> nn.Module:
    return _new("UNet", config, lambda: UNet2DConditionModel.from_config(dict(config)), path)


def vae(config: Mapping[str, Any], path: Path) -> nn.Module:
    """Raises BadCheckpoint: an autoencoder of another kind."""
    kind = str(config.get("_class_name", "AutoencoderKL"))
    if kind != "AutoencoderKL":
        raise BadCheckpoint(f"'{path.parent.name}/{path.name}' is a VAE of the kind {kind}; this version runs AutoencoderKL.")
    if config.get("latents_mean") is not None or config.get("latents_std") is not None:
        raise BadCheckpoint(f"'{path.parent.name}/{path.name}' shifts its latents channel by channel (latents_mean), which this version does not do.")
    return _new("VAE", config, lambda: AutoencoderKL.from_config(dict(config)), path)


def text_encoder(config: Mapping[str, Any], path: Path, *, projects: bool) -> nn.Module:
    """A CLIPTextModel, or a CLIPTextModelWithProjection, whose states have "text_model." in front of their names."""
    kind = CLIPTextModelWithProjection if projects else CLIPTextModel
    return _new("text encoder", {**config, "kind": kind.__name__}, lambda: kind(CLIPTextConfig.from_dict(dict(config))), path)


def depth_estimator(config: Mapping[str, Any], path: Path) -> nn.Module:
    from transformers import DPTConfig, DPTForDepthEstimation

    return build(lambda: DPTForDepthEstimation(DPTConfig.from_dict(dict(config))), "depth network", path)


def _new(part: str, config: Mapping[str, Any], make: Callable[[], nn.Module], path: Path) -> nn.Module:
    """Built once for each config, then copied."""
    return SKELETONS.get(part, config, lambda: build(make, part, path))


def build(make: Callable[[], nn.Module], part: str, path: Path) -> nn.Module:
    """A module on the meta device, its buffers on the CPU. A config that cannot be built is the file's fault: BadCheckpoint."""
    try:
        with init_empty_weights(include_buffers=False), Undrawn(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make().eval().requires_grad_(False)
    except Exception as error:  # border: a foreign file's config decides what is built
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise BadCheckpoint(f"The {part} of '{path.name}' cannot be built: {reason}.") from None


def fitting(path: Path, make: Callable[[], Any]) -> Any:
    """`make()`; what does not have the layout of its family becomes a sentence that names the file."""
    try:
        return make()
    except Misfit as error:
        raise BadCheckpoint(f"'{path.name}' is incomplete: {error}.") from None


@dataclass(frozen=True)
class Blank:
    """A network whose weights were found right, but not read yet.

    Attributes:
        network: on the meta device.
        held: where its weights are.
    """

    network: Any
    held: Held
    dtype: torch.dtype
    convert: Convert

    def filled(self) -> Any:
        """The network with its weights, on the CPU. Raises BadCheckpoint."""
        assign(self.network, self.convert(self.held.read(self.dtype)))
        return self.network


def blank(network: nn.Module, held: Held, dtype: torch.dtype, convert: Convert, part: str) -> Blank:
    """Checks what is held against the network. `part`: what sentences call it. Raises BadCheckpoint."""
    check(network, fitting(held.path, lambda: convert(held.shapes)), part, held.path)
    return Blank(network, held, dtype, convert)


def check(module: nn.Module, weights: Mapping[str, Tensor], part: str, path: Path) -> None:
    """Every weight of the module is there and has its shape. Raises BadCheckpoint naming the first that does not."""
    for name, expected in module.state_dict().items():
        if name not in weights:
            raise BadCheckpoint(f"'{path.name}' is incomplete: its {part} misses the tensor '{name}'.")
        found = tuple(weights[name].shape)
        if found != tuple(expected.shape):
            raise BadCheckpoint(f"'{path.name}' does not fit: '{name}' of its {part} has the shape {found}, but {tuple(expected.shape)} is expected.")


def assign(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Gives a checked module its weights; names that it does not have are left out.

    What `load_state_dict(assign=True)` does, without its bookkeeping for each of a thousand weights.
    """
    for prefix, part in module.named_modules():
        before = prefix and prefix + "."
        for name in part._parameters:
            if (value := weights.get(before + name)) is not None:
                part._parameters[name] = nn.Parameter(value.contiguous(), requires_grad=False)
        for name in part._buffers.keys() - part._non_persistent_buffers_set:
            if (value := weights.get(before + name)) is not None:
                part._buffers[name] = value.contiguous()

"""Which weights are damaged, asked when a picture shows that some are: looking at every number of every checkpoint would cost more than to load it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

LABELS = {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder", "text_encoder_2": "second text encoder"}


def is_finite(tensor: Tensor) -> bool:
    """The sum tells in one pass; only when it is not finite each number is looked at."""
    if not tensor.is_floating_point() or tensor.device.type == "meta":
        return True
    if tensor.element_size() == 1:  # fp8: there is no arithmetic on it
        tensor = tensor.to(torch.float16)
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32))) or bool(torch.isfinite(tensor).all())


def damaged(networks: Mapping[str, nn.Module]) -> str:
    """"its UNet's tensor 'conv_in.weight'" of the first one that holds NaN or infinity, "" when there is none."""
    for name, network in networks.items():
        for key, tensor in network.state_dict().items():
            if not is_finite(tensor):
                return f"the tensor '{key}' of its {LABELS.get(name, name)}"
    return ""

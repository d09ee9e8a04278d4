"""Small networks of every method for a layer, and models to put them into."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from app.engine.adapters.asked import Lora
from app.engine.checkpoints.recognise import inspect_file
from app.engine.prompt.grammar import Network
from tests import tiny

METHODS = ("LoRA", "LoCon", "DoRA", "DoRA by inputs", "LoHa", "LoKr", "IA3", "full", "GLoRA", "OFT", "BOFT")


def parts(method: str, weight: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """What a file of that method holds for a layer of that weight (o,i) or (o,i,kh,kw), by the end of its names."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.3

    outputs, inputs, kernel = weight.shape[0], weight.shape[1], tuple(weight.shape[2:])
    low = {"lora_down.weight": some(2, inputs, *kernel), "lora_up.weight": some(outputs, 2, *(1 for _ in kernel)), "alpha": torch.tensor(1.0)}
    ones = [1] * (weight.dim() - 1)
    found = {
        "LoRA": lambda: low,
        "LoCon": lambda: {**low, "lora_down.weight": some(2, inputs, *(1 for _ in kernel)), "lora_mid.weight": some(2, 2, *(kernel or (1, 1)))},
        "DoRA": lambda: {**low, "dora_scale": some(outputs, *ones).abs() + 0.5},
        "DoRA by inputs": lambda: {**low, "dora_scale": some(1, inputs, *ones[1:]).abs() + 0.5},
        "LoHa": lambda: {name: some(*shape) for name, shape in _loha(outputs, weight[0].numel()).items()},
        "LoKr": lambda: {"lokr_w1": some(2, 2), "lokr_w2_a": some(outputs // 2, 1), "lokr_w2_b": some(1, weight[0].numel() // 2), "alpha": torch.tensor(0.5)},
        "IA3": lambda: {"weight": some(inputs), "on_input": torch.tensor(1)},
        "full": lambda: {"diff": some(*weight.shape)},
        "GLoRA": lambda: {"a1.weight": some(inputs, 2), "a2.weight": some(2, inputs), "b1.weight": some(outputs, 2), "b2.weight": some(2, inputs, *kernel)},
        "OFT": lambda: {"oft_blocks": some(outputs // 4, 4, 4), "alpha": torch.tensor(0.0)},
        "BOFT": lambda: {"oft_blocks": some(2, outputs // 4, 4, 4), "rescale": some(outputs, *ones) + 1},
    }
    return found[method]()


def _loha(outputs: int, values: int) -> dict[str, tuple[int, int]]:
    return {f"hada_w{number}_{side}": (outputs, 2) if side == "a" else (2, values) for number in (1, 2) for side in "ab"}


def write(path: Path, weights: dict[str, Tensor], te: float = 1.0, unet: float = 1.0, metadata: dict[str, str] | None = None, **options: object) -> Lora:
    """A file with these tensors, as a prompt asks for it."""
    save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()}, path, metadata)
    return Lora(inspect_file(path, path.stem, "lora"), Network("lora", path.stem, te, unet, **options))


def state(made: tiny.Parts) -> dict[str, Tensor]:
    """All weights of UNet and text encoder, copied."""
    return {f"{part}.{name}": tensor.clone() for part in ("unet", "text_encoder") for name, tensor in getattr(made, part).state_dict().items()}

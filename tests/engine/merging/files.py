"""Small files in the layout of SD 1 and SDXL checkpoints: enough names to be merged, and shapes that say where a value comes from."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from app.engine.checkpoints.header import ModelFile
from app.engine.merging.sources import Source, open_checkpoint
from app.merge_request import Merge, parse_merge

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."


def weights(seed: int, *, channels: int = 4, ins: int = 12, ema: bool = False, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """One tensor in each block of the UNet, some outside of them, a VAE, a text encoder, and things that are no weights."""
    dice = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice).to(dtype)

    found = {UNET + "input_blocks.0.0.weight": rand(6, channels, 3, 3), UNET + "time_embed.0.weight": rand(4, 4), UNET + "out.2.weight": rand(4, 6, 3, 3)}
    found |= {f"{UNET}input_blocks.{number}.0.in_layers.2.weight": rand(5, 3) for number in range(1, ins)}
    found |= {f"{UNET}output_blocks.{number}.0.in_layers.2.weight": rand(40, 30) for number in range(ins)}
    found |= {UNET + "middle_block.0.in_layers.2.weight": rand(5, 3), VAE + "decoder.conv_in.weight": rand(3, 4, 1, 1)}
    found |= {VAE + "encoder.conv_in.weight": rand(3, 3)}
    found |= {CLIP + "encoder.layers.0.mlp.fc1.weight": rand(7, 2), CLIP + "embeddings.position_ids": torch.arange(77).unsqueeze(0), "betas": rand(9).double()}
    if ema:
        found |= {"model_ema." + name.removeprefix("model.").replace(".", ""): rand(*value.shape) for name, value in found.items() if name.startswith(UNET)}
        found["model_ema.decay"] = torch.tensor(0.9999)
    return found


def written(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None, **facts: object) -> ModelFile:
    """The file of these tensors as the shelf would know it."""
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata or {"format": "pt"})
    file = ModelFile(path.stem, path, "checkpoint", "sd1", "", path.stat().st_size, 512, (path,))
    return replace(file, **facts)  # type: ignore[arg-type]


def opened(folder: Path, **tensors: dict[str, Tensor]) -> dict[str, Source]:
    """Parents "A", "B", "C" of these tensors, given as a, b, c."""
    return {letter.upper(): open_checkpoint(written(folder / f"{letter}.safetensors", found), letter.upper()) for letter, found in tensors.items()}


def asked(**fields: object) -> Merge:
    """A merge of the checkpoints a and b; with a method that takes others, of those."""
    method = str(fields.get("method", "Weighted sum")).replace("_", " ").capitalize()
    names = {"model_a": "a"} | ({"model_b": "b"} if method != "No interpolation" else {}) | ({"model_c": "c"} if method == "Add difference" else {})
    return parse_merge({"task": "merge", "name": "out", "save_as": "fp32"} | names | fields)


__all__ = ["CLIP", "UNET", "VAE", "asked", "load_file", "opened", "weights", "written"]

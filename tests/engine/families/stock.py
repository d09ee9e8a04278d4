"""Small models of every family, ours and stock diffusers' on the same networks."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from app.engine.checkpoints.networks import Parts
from app.engine.checkpoints.recognise import inspect_folder
from app.engine.device import DevicePlan
from app.engine.families import FAMILIES, group_of
from app.engine.families.latent import LatentModel
from app.engine.samplers import SAMPLERS
from app.engine.schedules import sigmas_for
from tests import tiny
from tests.layouts.checkpoints import layout

WIDTHS = {"l": 32, "h": 48, "g": 48}
SPACING = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "timestep_spacing": "linspace", "steps_offset": 1}


def networks(family: str, seed: int = 0) -> dict[str, nn.Module]:
    """"unet", "vae", "text_encoder", "text_encoder_2" with random weights, as few layers as each family can have."""
    group, linear = group_of(family), {"use_linear_projection": True} if family[:3] != "sd1" else {}
    texts = [kind for kind in ("l", "h", "g") if kind in {"sd1": "l", "sd2": "h", "sdxl": "lg", "sdxl-refiner": "g"}[group]]
    inputs = {"inpaint": 9, "ip2p": 8, "depth": 5}.get(family.partition("-")[2], 4)
    levels = 4 if group == "sdxl-refiner" else 2
    sizes = {"sdxl": 6, "sdxl-refiner": 5}.get(group)
    told = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": WIDTHS["g"] + 8 * (sizes or 0)}
    added = told if sizes else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=tiny.NATIVE // 8, in_channels=inputs, block_out_channels=(32, 64, 64, 64)[:levels], layers_per_block=1, attention_head_dim=2,
            cross_attention_dim=sum(WIDTHS[kind] for kind in texts), down_block_types=("CrossAttnDownBlock2D", *["DownBlock2D"] * (levels - 1)),
            up_block_types=(*["UpBlock2D"] * (levels - 1), "CrossAttnUpBlock2D"), **linear, **added,
        )  # fmt: skip
        found = {"unet": unet, "vae": tiny.parts(seed).vae}
        found["vae"].register_to_config(scaling_factor=0.13025 if sizes else 0.18215)
        for kind in texts:
            config = tiny._clip_config(len(tiny._small_vocabulary()[0]), layers=4, heads=2)
            config.hidden_size = config.projection_dim = WIDTHS[kind]
            config.intermediate_size, config.hidden_act = 2 * WIDTHS[kind], "quick_gelu" if kind == "l" else "gelu"
            found["text_encoder_2" if kind == "g" else "text_encoder"] = (CLIPTextModelWithProjection if kind == "g" else CLIPTextModel)(config)
        for network in found.values():
            tiny._stir(network)
    return {name: network.eval() for name, network in found.items()}


def folder(path: Path, family: str, seed: int = 0, **scheduler: Any) -> Path:
    """A diffusers folder of `networks`."""
    made = networks(family, seed)
    for name, network in made.items():
        (path / name).mkdir(parents=True)
        text = name.startswith("text_encoder")
        network.config.save_pretrained(path / name) if text else network.save_config(path / name)
        weights = tiny._classic(network.state_dict()) if name == "text_encoder" else network.state_dict()
        tiny._save(weights, path / name / ("model.safetensors" if text else "diffusion_pytorch_model.safetensors"), torch.float32)
        if text:
            tiny._write_tokenizer(path / name.replace("text_encoder", "tokenizer"), clip_vocabulary=False)
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps({"_class_name": "DDIMScheduler", **tiny.BETAS, **scheduler}))
    parts = {name: ["transformers", type(network).__name__] for name, network in made.items() if name.startswith("text_encoder")}
    (path / "model_index.json").write_text(json.dumps({"_class_name": layout(family).pipeline} | parts))
    return path


def model(family: str, path: Path, seed: int = 0, **scheduler: Any) -> LatentModel:
    """A small model with random weights, loaded from a diffusers folder."""
    file = inspect_folder(folder(path / family, family, seed, **scheduler), family)
    assert (file.family, file.problem) == (family, "")
    return FAMILIES[family].load(file, Parts(), DevicePlan())


def parts_of(ours: LatentModel, prediction: str = "epsilon") -> dict[str, Any]:
    """The components of a stock pipeline: our networks, stock tokenizers, Euler."""
    found: dict[str, Any] = {name: network for name, network in ours.placement.networks.items() if name != "depth_estimator"}
    for name in [name for name in found if name.startswith("text_encoder")]:
        words = name.replace("text_encoder", "tokenizer")
        pad = {} if ours.family_group == "sd1" or (ours.family_group, name) == ("sdxl", "text_encoder") else {"pad_token": "!"}
        found[words] = CLIPTokenizer.from_pretrained(str(ours.file.path / words), model_max_length=77, **pad)
    return found | {"scheduler": EulerDiscreteScheduler(**SPACING, prediction_type=prediction)}


def quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    """uint8 (height,width,3): a soft picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def euler(denoiser: Callable[[Tensor, float], Tensor], start: Tensor, ours: LatentModel, steps: int, last: int | None = None) -> Tensor:
    """Latents after Euler's steps over the plain schedule; `start` is standard normal, or noisy already where only the `last` steps are run."""
    sigmas = sigmas_for("Uniform", SAMPLERS["Euler"], steps, ours.table)[-(last or steps) - 1 :]
    run = SAMPLERS["Euler"].function(denoiser, start if last else start * sigmas[0], sigmas, None)
    with torch.no_grad():
        while True:
            try:
                next(run)
            except StopIteration as end:
                return end.value


def near(found: Tensor, expected: Tensor, tolerance: float = 2e-5) -> bool:
    """Whether two tensors agree but for the order of sums, measured by the size of the expected one."""
    return found.shape == expected.shape and bool((found - expected).norm() <= tolerance * expected.norm())


@torch.no_grad()
def answer(ours: LatentModel, x: Tensor, sigma: float, states: Tensor, added: dict[str, Tensor] | None, beside: Tensor | None = None) -> Tensor:
    """What the stock UNet says of noisy latents."""
    given = x / math.sqrt(sigma**2 + 1)
    given = given if beside is None else torch.cat([given, beside], 1)
    more = {} if added is None else {"added_cond_kwargs": added}
    return ours.placement.networks["unet"](given, torch.tensor([ours.table.timestep(sigma)]), states, return_dict=False, **more)[0]

"""Whole checkpoints of each family: one file in LDM's names, or the parts of a diffusers folder. Small widths unless asked for the real ones."""

from dataclasses import dataclass, replace
from typing import Any

from tests.layouts import clip, unet, vae
from tests.layouts.clip import Clip
from tests.layouts.unet import Unet

Shape = tuple[int, ...]
SMALL, SMALL_TEXT = 32, 64
"""Width of the first level, and of each text encoder: what 32 groups and heads of 64 ask for at the least."""
TIMES = 256
"""Values that each number of SDXL's size vector becomes."""


@dataclass(frozen=True)
class Layout:
    """A family's parts. `texts`: transformers' folder name -> (text encoder, where LDM's file has it, "hf" or "openclip")."""

    unet: Unet
    texts: dict[str, tuple[Clip, str, str]]
    pipeline: str
    factor: float = 0.18215
    sample: int = 64
    numbers: int = 0
    prediction: str = "epsilon"

    @property
    def pooled(self) -> int:
        return list(self.texts.values())[-1][0].projection


_SD1 = {"text_encoder": (clip.L, "cond_stage_model.transformer.text_model.", "hf")}
_SD2 = {"text_encoder": (clip.H, "cond_stage_model.model.", "openclip")}
_XL = {
    "text_encoder": (clip.L, "conditioner.embedders.0.transformer.text_model.", "hf"),
    "text_encoder_2": (clip.G, "conditioner.embedders.1.model.", "openclip"),
}  # fmt: skip
_REFINER = {"text_encoder_2": (clip.G, "conditioner.embedders.0.model.", "openclip")}
LAYOUTS = {
    "sd1": Layout(unet.SD1, _SD1, "StableDiffusionPipeline"),
    "sd1-inpaint": Layout(replace(unet.SD1, inputs=9), _SD1, "StableDiffusionInpaintPipeline"),
    "sd1-ip2p": Layout(replace(unet.SD1, inputs=8), _SD1, "StableDiffusionInstructPix2PixPipeline"),
    "sd2": Layout(unet.SD2, _SD2, "StableDiffusionPipeline", sample=96, prediction="v_prediction"),
    "sd2-inpaint": Layout(replace(unet.SD2, inputs=9), _SD2, "StableDiffusionInpaintPipeline"),
    "sd2-depth": Layout(replace(unet.SD2, inputs=5), _SD2, "StableDiffusionDepth2ImgPipeline"),
    "sdxl": Layout(unet.SDXL, _XL, "StableDiffusionXLPipeline", 0.13025, 128, 6),
    "sdxl-inpaint": Layout(replace(unet.SDXL, inputs=9), _XL, "StableDiffusionXLInpaintPipeline", 0.13025, 128, 6),
    "sdxl-ip2p": Layout(replace(unet.SDXL, inputs=8), _XL, "StableDiffusionXLInstructPix2PixPipeline", 0.13025, 96, 6),
    "sdxl-refiner": Layout(unet.REFINER, _REFINER, "StableDiffusionXLImg2ImgPipeline", 0.13025, 128, 5),
}


def layout(family: str, small: bool = True) -> Layout:
    """The family's parts at the real widths or, `small`, with as many tensors and few numbers."""
    real = LAYOUTS[family]
    if not small:
        return real
    texts = {name: (replace(text, width=SMALL_TEXT, projection=text.projection and SMALL_TEXT), *rest) for name, (text, *rest) in real.texts.items()}
    added = real.unet.added and SMALL_TEXT + real.numbers * TIMES
    return replace(real, unet=replace(real.unet, width=SMALL, context=SMALL_TEXT * len(texts), added=added), texts=texts)


def vae_width(small: bool = True) -> int:
    return SMALL if small else 128


def text_keys(family: str, small: bool = True) -> dict[str, Shape]:
    """The text encoders as LDM's single files have them."""
    writers = {"hf": clip.huggingface, "openclip": clip.openclip}
    return {key: shape for text, prefix, kind in layout(family, small).texts.values() for key, shape in writers[kind](text, prefix).items()}


def single(family: str, small: bool = True, *, text: bool = True, own_vae: bool = True, ema: bool = False, old_text: bool = False) -> dict[str, Shape]:
    """All names and shapes of a single file.

    Args:
        ema: with the second, averaged copy of the UNet that training files have.
        old_text: CLIP without "text_model." in its names, as merges of 2022 have it.
    """
    parts = unet.ldm(layout(family, small).unet)
    found: dict[str, Shape] = {"betas": (1000,), "alphas_cumprod": (1000,)} if not family.startswith("sdxl") else {"denoiser.sigmas": (1000,)}
    if ema:
        found |= {"model_ema." + key.removeprefix("model.").replace(".", ""): shape for key, shape in parts.items()}
        found |= {"model_ema.decay": (), "model_ema.num_updates": ()}
    found |= parts
    found |= vae.ldm(vae_width(small)) if own_vae else {}
    found |= text_keys(family, small) if text else {}
    return {key.replace("transformer.text_model.", "transformer."): shape for key, shape in found.items()} if old_text else found


def folder(family: str, small: bool = True) -> dict[str, tuple[dict[str, Any], dict[str, Shape]]]:
    """Part of a diffusers folder ("unet", "vae", "text_encoder", ...) -> (its config.json, names and shapes of its weights)."""
    made = layout(family, small)
    found: dict[str, tuple[dict[str, Any], dict[str, Shape]]] = {
        "unet": (unet.config(made.unet, made.sample), unet.diffusers(made.unet)),
        "vae": (vae.config(vae_width(small), made.factor), vae.diffusers(vae_width(small))),
    }
    for name, (text, _, kind) in made.texts.items():
        layers = text.layers - 1 if kind == "openclip" and not text.projection else text.layers
        found[name] = clip.config(text, layers), clip.huggingface(replace(text, layers=layers))
    return found


def index(family: str) -> dict[str, Any]:
    """model_index.json."""
    made = layout(family)
    texts = {name: ["transformers", "CLIPTextModelWithProjection" if text.projection else "CLIPTextModel"] for name, (text, *_) in made.texts.items()}
    words = {name.replace("text_encoder", "tokenizer"): ["transformers", "CLIPTokenizer"] for name in texts}
    rest = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "DDIMScheduler"]}
    none = {"text_encoder": [None, None], "tokenizer": [None, None]} if family == "sdxl-refiner" else {}
    return {"_class_name": made.pipeline, "_diffusers_version": "0.21.0"} | none | texts | words | rest


def scheduler(family: str) -> dict[str, Any]:
    """scheduler/scheduler_config.json."""
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    return {"_class_name": "DDIMScheduler"} | betas | {"prediction_type": LAYOUTS[family].prediction}

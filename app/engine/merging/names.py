"""One way of naming tensors: LDM's, as single files have it, for whatever a parent of a merge calls them. Torch-free."""

import re
from collections.abc import Iterable, Mapping

from app.engine.families.ldm_names import CLIP, UNET, VAE, unet_name, unet_shape, vae_name, vae_shape

__all__ = ["CLIP", "EMA", "MODEL", "UNET", "VAE", "VAE_PARTS", "canonical", "ema_names", "unet_name", "unet_shape", "vae_name", "vae_shape"]

EMA = "model_ema."
MODEL = (UNET, VAE, EMA, "cond_stage_model.", "conditioner.")
"""How the tensors begin that a merge is about; what else a file holds is taken over from A as it is."""
VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")

_OLD_CLIP = re.compile(r"^(cond_stage_model\.transformer|conditioner\.embedders\.0\.transformer)\.(embeddings|encoder|final_layer_norm)\.")


def canonical(name: str) -> str:
    """A name of a single file as files have it today: old ones lack "text_model." in CLIP's."""
    return _OLD_CLIP.sub(r"\1.text_model.\2.", name)


def ema_names(names: Iterable[str]) -> Mapping[str, str]:
    """Name of an averaged copy, as LitEma writes it ("model_ema." and the name without its dots) -> the name of what it averages."""
    return {EMA + name.removeprefix("model.").replace(".", ""): name for name in names if name.startswith(UNET)}

"""The family "SD 1.x v": single files in the SD 1 layout that were trained on v-prediction (Salimans & Ho 2022, appendix D).

Such a file says so by an empty tensor named "v_pred", or by "modelspec.prediction_type": "v" in its metadata. Without
this row it would be drawn as an epsilon model, and every picture would be noise.
"""

from app.engine.families import Family
from app.extensions import hook


def recognise(header):
    """`header` is the `Header` of a safetensors file."""
    is_sd1 = len(header.shape("model.diffusion_model.middle_block.1.proj_in.weight")) == 4 and not header.has("model.diffusion_model.label_emb")
    return is_sd1 and ("v_pred" in header.tensors or header.metadata.get("modelspec.prediction_type") in ("v", "v_prediction"))


def load(file, parts, plan):
    from dataclasses import replace

    from app.engine.checkpoints.load import load_networks
    from app.engine.checkpoints.networks import Dtypes
    from app.engine.families.sd1 import Sd1Model

    networks = load_networks(file, parts, Dtypes(plan.dtype, plan.dtype, plan.vae_dtype))
    return Sd1Model(file, parts, replace(networks, prediction_type="v_prediction"), plan)


@hook
def register_families(families):
    families["sd1-v"] = Family("sd1-v", "SD 1.x v", load, recognise, group="sd1")

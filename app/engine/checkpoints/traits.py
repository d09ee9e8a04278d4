"""What a checkpoint of a known family is beside its family: what it predicts, whether it was distilled to a few steps, what it lacks.

The order in which sources are believed about the prediction: NAME.yaml, marker tensors, the file's own metadata, its name,
and for SD 2, where none of them says anything, one small tensor (as ComfyUI does).
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from app.engine.checkpoints.header import Header, Tensor
from app.engine.checkpoints.kinds import UNET, unet_prefix
from app.engine.families import group_of

MAX_YAML = 64 * 2**10
V_SPREAD = 0.09
"""Standard deviation of one norm's biases above which an SD 2 predicts v; measured by ComfyUI's authors on the released files."""
NORM = "output_blocks.11.1.transformer_blocks.0.norm1.bias"


@dataclass(frozen=True)
class Prediction:
    """`kind`: "epsilon", "v_prediction", "sample", or "" when nothing tells. `zero_snr`: the noise levels end in pure noise."""

    kind: str = ""
    zero_snr: bool = False


def plain_prediction(told: str) -> str:
    """The spellings of yaml files, modelspec and diffusers in one: "v", "v-prediction", "eps", "x0", ... -> ours; "" for others."""
    plain = told.strip().lower().strip("\"'").replace("-", "_")
    if plain in ("v", "velocity") or plain.startswith(("v_pred", "vpred")):
        return "v_prediction"
    return "epsilon" if plain.startswith("eps") else "sample" if plain in ("sample", "x0", "x_start") else ""


def prediction_of(path: Path, header: Header, family: str, config: Path | None) -> Prediction:
    """What the UNet of a checkpoint predicts, as far as anything tells. Never raises.

    Args:
        config: NAME.yaml beside it.
    """
    zero_snr = "ztsnr" in header.tensors or header.metadata.get("ss_zero_terminal_snr") == "True"
    told = yaml_prediction(config) if config else ""
    if not told and ("v_pred" in header.tensors or "ztsnr" in header.tensors):
        told = "v_prediction"
    told = told or plain_prediction(header.metadata.get("modelspec.prediction_type", ""))
    if not told and header.metadata.get("modelspec.architecture", "").lower().endswith("-v"):
        told = "v_prediction"
    if not told and re.search(r"v[-_ ]?pred", path.stem, re.IGNORECASE):
        told = "v_prediction"
    return Prediction(told or (_by_spread(path, header) if family == "sd2" else ""), zero_snr)


def yaml_prediction(path: Path) -> str:
    """`parameterization` of an LDM config, whatever else it says: "v_prediction", "epsilon", "sample" or "". Never raises."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_YAML).decode("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(r"^\s*[\"']?parameterization[\"']?[ \t]*:[ \t]*([^\s#,}]+)", text, re.MULTILINE)
    return plain_prediction(found[1]) if found else ""


def _by_spread(path: Path, header: Header) -> str:
    """For an SD 2: reads the few hundred numbers of one norm. "" where they cannot be read (pickles, fp8, diffusers' names)."""
    found = header.tensors.get(f"{unet_prefix(header) or ''}{NORM}")
    numbers = _numbers(path, found) if found and 0 < found.begin < found.end and found.end - found.begin <= 2**16 else []
    if len(numbers) < 2:
        return ""
    mean = sum(numbers) / len(numbers)
    spread = (sum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)) ** 0.5
    return "v_prediction" if spread > V_SPREAD else "epsilon"


def _numbers(path: Path, tensor: Tensor) -> list[float]:
    try:
        with path.open("rb") as file:
            file.seek(tensor.begin)
            raw = file.read(tensor.end - tensor.begin)
    except OSError:
        return []
    if len(raw) < tensor.end - tensor.begin:
        return []
    if tensor.dtype == "BF16":
        raw, kind = b"".join(b"\0\0" + raw[place : place + 2] for place in range(0, len(raw), 2)), "f"
    else:
        kind = {"F16": "e", "F32": "f", "F64": "d"}.get(tensor.dtype, "")
    return list(struct.unpack(f"<{len(raw) // struct.calcsize(kind)}{kind}", raw)) if kind else []


FEW_STEPS = (
    ("lightning", r"lightning"),
    ("hyper", r"(?<![a-z])hyper[-_ ]?(sd|flux|\d+[-_ ]?step|lora|cfg)|(?<![a-z])hyper(?=[-_ ]?v?\d|$)"),
    ("turbo", r"turbo"),
)


def variant_of(name: str, *told: str) -> str:
    """"lcm", "turbo", "lightning", "hyper" for what was distilled to a few steps, by its name and titles; else ""."""
    for text in filter(None, (name, *told)):
        if found := next((variant for variant, pattern in FEW_STEPS if re.search(pattern, text, re.IGNORECASE)), ""):
            return found
        if re.search(r"(?<![A-Z])LCM(?![A-Z])|(?<![A-Za-z])[Ll]cm(?![a-z])", text):
            return "lcm"
    return ""


GUIDED = ("time_embed.cond_proj.weight", "time_embedding.cond_proj.weight")
"""A UNet that reads the guidance scale as an input (Luo et al. 2023, latent consistency models)."""


def distilled(header: Header) -> bool:
    """Whether the UNet has the input that only latent consistency models have."""
    prefix = unet_prefix(header) or ""
    return any(prefix + name in header.tensors for name in GUIDED)


def missing_of(header: Header, family: str) -> tuple[str, ...]:
    """What a checkpoint of a family that runs does not hold: "text encoder", "VAE"."""
    text, vae = _has_texts(header, group_of(family)), any(header.shape(prefix + "decoder.conv_in.weight") for prefix in ("first_stage_model.", "vae."))
    return (() if text else ("text encoder",)) + (() if vae else ("VAE",))


def _has_texts(header: Header, group: str) -> bool:
    first = any(header.has(f"conditioner.embedders.0.{part}") for part in ("transformer.", "model."))
    second = any(header.has(f"conditioner.embedders.1.{part}") for part in ("model.", "transformer."))
    pipeline, pipeline2 = header.has("text_encoder."), header.has("text_encoder_2.")
    match group:
        case "sdxl":
            return (first and second) or (pipeline and pipeline2)
        case "sdxl-refiner":
            return first or pipeline2
        case _:
            return header.has("cond_stage_model.transformer.") or header.has("cond_stage_model.model.") or pipeline


def words_of(header: Header) -> int:
    """How many words the text encoder knows; 0 when there is none."""
    found = (header.shape(name) for name in header.tensors if name.endswith("token_embedding.weight"))
    return next((shape[0] for shape in found if shape), 0)


def is_ldm(header: Header) -> bool:
    """Whether the UNet goes by LDM's names behind its usual prefix."""
    return bool(header.shape(UNET + "input_blocks.0.0.weight"))

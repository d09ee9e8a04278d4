"""Why a model file that can be read cannot be used: one sentence for each reason."""

from app.engine.checkpoints.describe import BASE_KEY
from app.engine.checkpoints.header import Header
from app.engine.checkpoints.kinds import BY_INPUTS
from app.engine.checkpoints.traits import words_of
from app.engine.families import FAMILIES
from app.engine.prompt.vocabulary import CLIP_WORDS

LABELS = {
    "sd1": "an SD 1.x", "sd1-inpaint": "an SD 1.x inpainting", "sd1-ip2p": "an SD 1.x InstructPix2Pix", "sd2": "an SD 2.x",
    "sd2-inpaint": "an SD 2.x inpainting", "sd2-depth": "an SD 2.x depth", "sdxl": "an SDXL", "sdxl-inpaint": "an SDXL inpainting",
    "sdxl-ip2p": "an SDXL InstructPix2Pix", "sdxl-refiner": "an SDXL refiner",
    "sd3": "an SD 3", "flux": "a FLUX", "flux2": "a FLUX.2", "chroma": "a Chroma", "auraflow": "an AuraFlow", "pixart": "a PixArt",
    "hunyuan": "a Hunyuan-DiT", "hunyuan-video": "a Hunyuan Video", "wan": "a Wan", "qwen-image": "a Qwen-Image", "z-image": "a Z-Image",
    "lumina2": "a Lumina 2", "cascade": "a Stable Cascade", "ltx": "an LTX Video", "hidream": "a HiDream", "sana": "a Sana", "mochi": "a Mochi",
    "cosmos": "a Cosmos", "svd": "a Stable Video", "kolors": "a Kolors", "playground": "a Playground 2.5", "cosxl": "a CosXL",
    "zero123": "a Zero123", "ldm": "an LDM of 2022", "sd2-unclip": "an SD 2.1 unCLIP", "sd2-upscaler": "an SD 2 x4 upscaler", "t5": "a T5",
    "language-model": "a language model as", "unknown": "an unknown",
}  # fmt: skip
"""Families, those that are recognised and not run too, as people call them."""
NOUNS = {"checkpoint": "model", "vae": "VAE", "lora": "LoRA", "embedding": "embedding", "text encoder": "text encoder"}
INPUTS = {9: "an inpainting model", 8: "an instruct-pix2pix model", 5: "a depth model", 7: "an upscaler"}
PICKLE_CURE = "Convert it to .safetensors, or start Darkroom with --allow-pickles if you trust where it comes from."


def family_problem(name: str, family: str, noun: str = "model") -> str:
    """One sentence when a family cannot be run, else ""."""
    if family in FAMILIES:
        return ""
    runs = ", ".join(row.label for row in FAMILIES.values() if row.group in ("", row.name))
    return f"'{name}' is {LABELS.get(family, 'a ' + family)} {noun}; this version runs {runs} models."


def usual_side(family: str) -> int:
    """The side in pixels that a family usually draws at."""
    return FAMILIES[family].native if family in FAMILIES else 1024


def inputs_problem(name: str, family: str, inputs: int) -> str:
    """One sentence when a UNet has other input channels than its family, else ""."""
    wanted = next((count for (_, count), found in BY_INPUTS.items() if found == family), 4)
    if inputs == wanted:
        return ""
    kind = INPUTS.get(inputs, "a special model")
    return f"'{name}' is {kind} with {inputs} input channels; this version runs {FAMILIES[family].label} models with {wanted}."


def file_problem(name: str, kind: str, family: str, header: Header, inputs: int = 4) -> str:
    """Why a readable file cannot be used, or "".

    Args:
        inputs: input channels of a checkpoint's UNet.
    """
    match kind:
        case "unknown":
            return f"'{name}' is a model file, but not of a kind that Darkroom knows."
        case "checkpoint" if family in FAMILIES and FAMILIES[family].recognise:
            return ""
        case "checkpoint":
            return family_problem(name, family) or inputs_problem(name, family, inputs) or _checkpoint_problem(name, header)
        case "vae" | "lora" | "embedding" | "text encoder":
            return family_problem(name, family, NOUNS[kind])
        case "upscaler":
            return f"'{name}' is an upscaler, not a checkpoint; it belongs into models/upscalers."
        case _:
            article = "an" if kind[0] in "IAEOU" else "a"
            return f"'{name}' is {article} {kind}, which this version does not use."


def _checkpoint_problem(name: str, header: Header) -> str:
    if header.holds(".quant_state.bitsandbytes__") or header.holds(".absmax"):
        return f"'{name}' is quantised by bitsandbytes, which this version does not read; get it in fp16 or fp8."
    words = words_of(header)
    if words not in (0, CLIP_WORDS) and BASE_KEY not in header.metadata:
        return f"'{name}' knows {words} words, not CLIP's {CLIP_WORDS}, and does not say whose (metadata '{BASE_KEY}'); such a model needs a diffusers folder."
    return ""

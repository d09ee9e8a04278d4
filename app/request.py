"""What can be asked of Darkroom. Every parameter is declared here once: default, bounds, step, label, help.

The tabs, the command line, the REST routes and the metadata in the pictures are derived from these classes.
"""

import secrets
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from app.errors import BadRequest
from app.hires import HiresFix
from app.param import MAX_PROMPT_BYTES, PictureId, Pixels, Side, param, plain_text, speakable_prompt
from app.sampler_options import SamplerOptions

MAX_SEED = 2**64 - 1
MAX_DELTA = 10**9
MAX_STEPS = 1000
IMAGE_CFG_SCALE = 1.5
"""How strictly InstructPix2Pix keeps to its picture where nothing is said (A1111's default, and its authors')."""
MAX_PARAMETERS = 32768
"""Characters of another picture's infotext that a request may carry: two prompts of the largest size and what else there is to say."""

ResizeMode = Literal["Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"]
MaskMode = Literal["Inpaint masked", "Inpaint not masked"]
MaskedContent = Literal["fill", "original", "latent noise", "latent nothing"]
InpaintArea = Literal["Whole picture", "Only masked"]
OutpaintFill = Literal["pyramid", "edge", "mirror", "latent noise"]
Coherence = Literal["Fast", "Normal", "Best"]
Direction = Literal["out", "in", "out then in", "in then out"]
VideoFormat = Literal["webp", "mp4"]
NoiseSource = Literal["NV", "CPU"]
EmphasisMode = Literal["Original", "No norm", "Ignore", "None"]


class Asked(BaseModel):
    """What every task has, also one that paints nothing. Frozen; unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def concrete(self) -> Self:
        """The request without anything left to chance: what runs, and what is saved in the picture."""
        return self

    @property
    def pictures(self) -> int:
        """How many pictures the job makes."""
        return 1

    def picture_fields(self) -> dict[str, str]:
        """Names and ids of the input pictures that are set, e.g. {"image": "<sha256>", "mask": "<sha256>"}."""
        found = {name: getattr(self, name) for name in picture_names(type(self))}
        return {name: value for name, value in found.items() if value}


def picture_names(kind: type[Asked]) -> tuple[str, ...]:
    """The fields of a request that hold ids of pictures."""
    declared = ((name, field.json_schema_extra) for name, field in kind.model_fields.items())
    return tuple(name for name, extra in declared if isinstance(extra, dict) and extra.get("widget") in ("image", "mask"))


class Prompted(Asked):
    """What a picture shows, and what decides how it is painted."""

    prompt: str = param("", "Prompt", "What you want to see", widget="lines")
    negative_prompt: str = param("", "Negative prompt", "What you do not want to see", widget="lines")
    styles: tuple[str, ...] = param((), "Styles", "Named pieces of prompt, from styles.csv", choices="styles", max_length=32)
    wildcards: bool = param(False, "Wildcards", "Draws one of {a|b}, and lines of the files in wildcards/ for __name__, for each picture anew")
    checkpoint: str = param("", "Checkpoint", "The model that draws. Empty: the first on the list", choices="checkpoints", max_length=512)
    vae: str = param("", "VAE", "Empty: the one in the checkpoint", choices="vaes", empty="From the checkpoint", max_length=512)
    text_encoder: str = param("", "Text encoder", "Empty: the checkpoint's", choices="text_encoders", empty="From the checkpoint", max_length=1024)
    sampler: str = param("DPM++ 2M", "Sampling method", choices="samplers", max_length=64)
    schedule: str = param("Automatic", "Schedule type", "Automatic: the one that suits the sampler", choices="schedules", max_length=64)
    steps: int = param(20, "Sampling steps", step=1, reach=150, ge=1, le=MAX_STEPS)
    cfg_scale: float = param(5.0, "CFG scale", "How strictly to follow the prompt; 1 is fastest and ignores the negative prompt", step=0.5, ge=0, le=30)
    cfg_rescale: float = param(0.0, "CFG rescale", "Takes back the contrast that a high CFG scale adds", step=0.05, ge=0, le=1)
    skip_early_cond: float = param(0.0, "Skip early CFG", "Share of the steps at the beginning without CFG", step=0.01, ge=0, le=1)
    s_min_uncond: float = param(0.0, "Negative guidance minimum sigma", "Below it every other step leaves the negative out: faster", step=0.01, ge=0, le=15)
    s_min_uncond_all: bool = param(False, "Negative guidance minimum sigma: all steps", "Leaves the negative out at every step below it")
    clip_skip: int = param(1, "Clip skip", "How many last layers of the text encoder to leave out, plus one", step=1, ge=1, le=12)
    emphasis: EmphasisMode = param("Original", "Emphasis", "What brackets do to words. No norm: weights alone; Ignore: nothing; None: brackets are text")
    comma_backtrack: int = param(20, "Prompt word wrap", "How many tokens before the end of a chunk a comma may break a long prompt", step=1, ge=0, le=74)
    pad_prompts: bool = param(True, "Pad prompts", "Fills the shorter of prompt and negative prompt; off, as A1111 starts, long prompts take two calls")
    seed: int = param(-1, "Seed", "-1 draws a new one", widget="number", ge=-1, le=MAX_SEED)
    subseed: int = param(-1, "Variation seed", "-1 draws a new one", widget="number", ge=-1, le=MAX_SEED)
    subseed_strength: float = param(0.0, "Variation strength", "0: the seed's picture, 1: the variation seed's", step=0.01, ge=0, le=1)
    seed_resize_from_w: Pixels = param(0, "Resize seed from width", "Noise as at this width; 0: off", step=8)
    seed_resize_from_h: Pixels = param(0, "Resize seed from height", "Noise as at this height; 0: off", step=8)
    eta_noise_seed_delta: int = param(0, "Eta noise seed delta", "Added to the seed for the noise between steps", widget="number", ge=-MAX_DELTA, le=MAX_DELTA)
    refiner_checkpoint: str = param("", "Refiner", "Goes on with the picture part of the way", choices="checkpoints", empty="None", max_length=512)
    refiner_switch_at: float = param(0.8, "Refiner switch at", "Share of the way after which the refiner goes on; 1: never", step=0.01, ge=0, le=1)
    refiner_by_steps: bool = param(True, "Refiner switch by sampling steps", "The share is one of the steps; off: of the noise levels, as A1111 since 1.8")
    rng: NoiseSource = param("NV", "Noise source", "NV: the same picture on every device")

    @field_validator("refiner_checkpoint")
    @classmethod
    def _none(cls, name: str) -> str:
        """A1111's "None" is our empty name."""
        return "" if name.strip().lower() == "none" else name

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _speakable(cls, text: str) -> str:
        return speakable_prompt(text)

    def concrete(self) -> Self:
        """The same request with its seeds drawn (0 to 2^32-1, as A1111 draws): what runs, and what is saved in the picture."""
        needed = {"seed": self.seed, "subseed": self.subseed if self.subseed_strength else 0}
        drawn = {name: secrets.randbelow(2**32) for name, value in needed.items() if value < 0}
        return self.model_copy(update=drawn) if drawn else self

    def seeds_of(self, index: int) -> tuple[int, int]:
        """(seed, variation seed) of picture `index`. A1111 counts the variation seed on, and the seed only where there is no variation."""
        seed = self.seed if self.subseed_strength else self.seed + index
        return seed % (MAX_SEED + 1), (self.subseed + index) % (MAX_SEED + 1)


class Request(SamplerOptions, Prompted):
    """Parameters shared by every task that paints."""


class Batched(Request):
    """A request for one or more pictures: picture i has seed + i, with a variation the same seed and variation seed + i."""

    batch_count: int = param(1, "Batch count", "How many batches, one after the other", step=1, ge=1, le=100)
    batch_size: int = param(1, "Batch size", "Pictures made side by side", step=1, ge=1, le=16)

    @property
    def pictures(self) -> int:
        return self.batch_count * self.batch_size


class Sized(Request):
    """A request that says how large the picture shall be. None: the checkpoint's native size, or the source picture's."""

    width: Side | None = param(None, "Width", "Empty: what suits the checkpoint or the source picture", step=8)
    height: Side | None = param(None, "Height", "Empty: what suits the checkpoint or the source picture", step=8)


class Txt2Img(HiresFix, Sized, Batched):
    """A picture from a prompt, in one pass or in two."""

    task: Literal["txt2img"] = "txt2img"


class Edited(BaseModel):
    """What checkpoints are told that edit a picture as the prompt says."""

    image_cfg_scale: float = param(IMAGE_CFG_SCALE, "Image CFG scale", "InstructPix2Pix: how strictly to keep to the image", step=0.05, ge=0, le=10)


class Img2Img(Edited, Sized, Batched):
    """A picture from a picture and a prompt."""

    task: Literal["img2img"] = "img2img"
    image: PictureId = param(..., "Image", "The picture to start from", widget="image")
    resize_mode: ResizeMode = param("Just resize", "Resize mode", "How the image is fitted to width x height")
    denoising_strength: float = param(0.75, "Denoising strength", "0 keeps the image, 1 ignores it", step=0.01, ge=0, le=1)
    depth_map: PictureId | None = param(None, "Depth map", "For depth checkpoints: white is near. Empty: estimated from the image", widget="image")


class Inpaint(Edited, Sized, Batched):
    """Paint a part of a picture anew; every pixel outside the mask and its blur band is kept bit for bit."""

    task: Literal["inpaint"] = "inpaint"
    image: PictureId = param(..., "Image", "The picture to repair", widget="image")
    mask: PictureId = param(..., "Mask", "White is painted anew, black is kept", widget="mask")
    resize_mode: ResizeMode = param("Just resize", "Resize mode", "How the image is fitted to width x height")
    denoising_strength: float = param(0.75, "Denoising strength", "0 keeps the image, 1 ignores it", step=0.01, ge=0, le=1)
    mask_blur: int = param(4, "Mask blur", "Softens the edge of the mask, in pixels", step=1, ge=0, le=64)
    mask_mode: MaskMode = param("Inpaint masked", "Mask mode")
    masked_content: MaskedContent = param("original", "Masked content", "What the masked part starts from")
    inpaint_area: InpaintArea = param("Whole picture", "Inpaint area", "Only masked works at full resolution on the masked part")
    mask_padding: int = param(32, "Only masked padding, pixels", "Surroundings that the model sees around the mask", step=1, ge=0, le=256)


class Outpaint(Batched):
    """Extend a picture; the original pixels are kept bit for bit outside the overlap."""

    task: Literal["outpaint"] = "outpaint"
    image: PictureId = param(..., "Image", "The picture to extend", widget="image")
    left: Pixels = param(64, "Left", "Pixels to add on the left", step=8)
    right: Pixels = param(64, "Right", "Pixels to add on the right", step=8)
    up: Pixels = param(0, "Up", "Pixels to add above", step=8)
    down: Pixels = param(0, "Down", "Pixels to add below", step=8)
    overlap: int = param(16, "Overlap", "How far the new part may reach into the picture, in pixels", step=1, ge=0, le=256)
    outpaint_fill: OutpaintFill = param("pyramid", "Fill", "What the new part starts from")
    coherence: Coherence = param("Normal", "Coherence", "Best looks longest at what is there, and takes longest")
    denoising_strength: float = param(0.95, "Denoising strength", "1 starts from pure noise", step=0.01, ge=0, le=1)


class Zoom(Sized):
    """An infinite zoom: each key picture is the one before, made smaller and painted around."""

    task: Literal["zoom"] = "zoom"
    image: PictureId | None = param(None, "Start image", "Empty: the first key is drawn from its prompt", widget="image")
    storyboard: str = param(
        "", "Prompts by key", "One a line, '3: a castle' from key 3 on; empty: the prompt for all", widget="lines", max_length=MAX_PROMPT_BYTES
    )
    keys: int = param(4, "Keys", "Key pictures, the first one counted", step=1, ge=2, le=64)
    ratio: float = param(2.0, "Zoom per key", "How much larger the world is at each key", step=0.05, ge=1.25, le=4)
    seconds: float = param(6.0, "Seconds", "Length of the video", step=0.5, ge=0.5, le=600)
    fps: int = param(20, "Frames per second", step=1, ge=1, le=60)
    direction: Direction = param("out", "Direction")
    video_format: VideoFormat = param("webp", "Video format", "mp4 needs PyAV: pip install av")
    overlap: int = param(16, "Overlap", "How far the new part may reach into the picture, in pixels", step=1, ge=0, le=256)
    coherence: Coherence = param("Normal", "Coherence", "Best looks longest at what is there, and takes longest")

    @property
    def pictures(self) -> int:
        return self.keys


class Upscale(Asked):
    """A finished picture made larger."""

    task: Literal["upscale"] = "upscale"
    image: PictureId = param(..., "Image", "The picture to enlarge", widget="image")
    upscaler: str = param("darkroom-x4", "Upscaler", "A network from models/upscalers, or plain resampling", choices="upscalers", max_length=512)
    scale: float = param(4.0, "Scale", "How many times as wide and as high", step=0.25, ge=1, le=8)
    parameters: str = param("", "Parameters", "How the picture was made; kept in the larger one", widget="lines", max_length=MAX_PARAMETERS)

    @field_validator("parameters")
    @classmethod
    def _plain(cls, text: str) -> str:
        return plain_text(text)


AnyRequest = Txt2Img | Img2Img | Inpaint | Outpaint | Zoom
"""A request that paints: it has a prompt, a checkpoint, a sampler and a seed."""
AnyTask = AnyRequest | Upscale
TASKS: dict[str, type[AnyTask]] = {kind.model_fields["task"].default: kind for kind in get_args(AnyTask)}
_any: TypeAdapter[AnyTask] = TypeAdapter(Annotated[AnyTask, Field(discriminator="task")])


def parse(values: dict[str, Any]) -> AnyTask:
    """The request that `values` describe; `values["task"]` says which. Raises BadRequest with one sentence."""
    try:
        return _any.validate_python(values)
    except ValidationError as error:
        raise BadRequest(explain(error)) from None


def parse_json(text: str | bytes) -> AnyTask:
    """Like `parse`, from JSON text such as `request.model_dump_json()`."""
    try:
        return _any.validate_json(text)
    except ValidationError as error:
        raise BadRequest(explain(error)) from None


def explain(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong: the field, the value, and what is allowed."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part not in TASKS]
    name = path[0] if path else "task"
    value = repr(first.get("input"))
    value = value if len(value) <= 60 else value[:57] + "..."
    kinds = [kind for kind in TASKS.values() if name in kind.model_fields]
    label = f"{kinds[0].model_fields[name].title or name} ({name})" if kinds else name
    match first["type"]:
        case "missing":
            return f"{label} is missing."
        case "extra_forbidden":
            return f"There is no parameter '{name}' for this task."
        case "union_tag_invalid" | "union_tag_not_found":
            return f"Task is {value}, but it must be one of {', '.join(TASKS)}."
        case "value_error":
            return f"{label} {first['msg'].removeprefix('Value error, ')}."
        case _:
            return f"{label} is {value}, but it must be {allowed(kinds[0], name) if kinds else first['msg']}."


def allowed(kind: type[Asked], name: str) -> str:
    """What a field accepts, in words: "a whole number from 64 to 4096, in steps of 8"."""
    schema = kind.model_json_schema()["properties"][name]
    schema = next((option for option in schema.get("anyOf", []) if option.get("type") != "null"), schema)
    if "enum" in schema:
        return "one of " + ", ".join(f"'{choice}'" for choice in schema["enum"])
    if "pattern" in schema:
        return "the id of a picture that was uploaded before"
    words = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list"}.get(schema["type"], "text")
    if "minimum" in schema:
        words += f" from {schema['minimum']:g} to {schema['maximum']:g}" if schema["maximum"] < 2**53 else f" from {schema['minimum']} to 2^64-1"
    if "multipleOf" in schema:
        words += f", a multiple of {schema['multipleOf']}"
    if "maxLength" in schema:
        words += f" of at most {schema['maxLength']} characters"
    return words

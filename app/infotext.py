"""A1111's "parameters" text: written byte for byte as A1111 writes it, and read as it reads it.

Format: the prompt; a line "Negative prompt: ..." unless it is empty; one line "Key: value, Key: value". A value with a
comma, colon or line break is written as a JSON string. The format cannot hold everything (a prompt line that looks like
parameters, a value in quotes), so our files carry a lossless JSON chunk beside it.

Two readings: `parse(text)` is A1111's own (a last line with three pairs is parameters); with `strict` a last line must
also name "Steps", so that a pasted prompt such as "cat, style: a, mood: b, light: c" stays a prompt. `to_request` is strict.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app import __version__
from app.request import TASKS, AnyRequest, AnyTask, Img2Img, Inpaint, Outpaint, Sized, Upscale, Zoom

MAX_TEXT = 64 * 1024
NEGATIVE = "Negative prompt:"
ORDER = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Image CFG scale", "Seed", "Face restoration", "Size", "Model hash", "Model", "FP8 weight",
    "Cache FP16 weight for LoRA", "VAE hash", "VAE", "Variation seed", "Variation seed strength", "Seed resize from", "Denoising strength",
    "Conditional mask weight", "Clip skip", "ENSD", "Token merging ratio", "Token merging ratio hr", "Init image hash", "RNG", "Tiling",
)  # fmt: skip
"""A1111's order of keys; others follow in the order in which they were given, then Version and User."""
DIRECTIONS = ("left", "right", "up", "down")
_RUN = re.compile(r"[\w \-/]+")
_VALUE = re.compile(r'\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"^(\d+)x(\d+)$")


@dataclass(frozen=True)
class Infotext:
    """What a "parameters" text says. Fields hold text; a size such as "512x768" becomes "Size-1" and "Size-2"."""

    prompt: str
    negative: str
    fields: dict[str, str] = field(default_factory=dict)


# ---- writing


def write(request: AnyTask, facts: Mapping[str, str], index: int, seed: int | None = None, size: tuple[int, int] | None = None) -> str:
    """The text for picture `index` of a request.

    Args:
        facts: more pairs, in A1111's spelling where it has one ("Model hash", "Model", "VAE"); they win over ours.
        seed: of this very picture; None: the request's seed + index.
        size: of this very picture in pixels; None: the request's, when it says.
    """
    if isinstance(request, Upscale):
        return enlarged(request)
    pairs = common_pairs(request, request.seed + index if seed is None else seed, size) | task_pairs(request)
    if isinstance(request, Zoom):
        pairs["Zoom key"] = str(index + 1)
    pairs |= {key: str(value) for key, value in facts.items()}
    pairs["Version"] = f"Darkroom {__version__}"
    ordered = [key for key in ORDER if pairs.get(key)] + [key for key in pairs if key not in ORDER and key not in ("Version", "User") and pairs[key]]
    ordered += [key for key in ("Version", "User") if pairs.get(key)]
    line = ", ".join(key if key == pairs[key] else f"{key}: {quote(pairs[key])}" for key in ordered)
    negative = f"\n{NEGATIVE} {request.negative_prompt}" if request.negative_prompt else ""
    return f"{request.prompt}{negative}\n{line}".strip()


def enlarged(request: Upscale) -> str:
    """The parameters that the picture came with, and A1111's two pairs about its enlargement behind the others."""
    pairs = f"Postprocess upscale by: {number(request.scale)}, Postprocess upscaler: {quote(request.upscaler)}"
    before = request.parameters.strip()
    *_, last = before.split("\n")
    return f"{before}{', ' if len(list(pairs_in(last))) >= 3 else chr(10)}{pairs}".strip()


def common_pairs(request: AnyRequest, seed: int, size: tuple[int, int] | None) -> dict[str, str]:
    """The pairs that every task has. Empty values are left out later."""
    if size is None and isinstance(request, Sized) and request.width and request.height:
        size = (request.width, request.height)
    return {
        "Steps": str(request.steps),
        "Sampler": request.sampler,
        "Schedule type": request.schedule,
        "CFG scale": number(request.cfg_scale),
        "Seed": str(seed),
        "Size": f"{size[0]}x{size[1]}" if size else "",
        "Model": request.checkpoint,
        "VAE": request.vae,
        "Denoising strength": number(strength) if (strength := getattr(request, "denoising_strength", None)) is not None else "",
        "Clip skip": str(request.clip_skip) if request.clip_skip > 1 else "",
        "RNG": request.rng,
        "Emphasis": request.emphasis if request.emphasis != "Original" else "",
        "Prompt word wrap": str(request.comma_backtrack) if request.comma_backtrack != 20 else "",
    }


def task_pairs(request: AnyRequest) -> dict[str, str]:
    """The pairs of img2img, inpaint (A1111's names and habits: defaults are left out), outpaint and zoom (ours)."""
    pairs: dict[str, str] = {}
    if isinstance(request, Img2Img | Inpaint) and request.resize_mode != "Just resize":
        pairs["Resize mode"] = request.resize_mode
    if isinstance(request, Inpaint):
        pairs["Mask blur"] = str(request.mask_blur)
        pairs["Mask mode"] = request.mask_mode if request.mask_mode != "Inpaint masked" else ""
        pairs["Masked content"] = request.masked_content if request.masked_content != "original" else ""
        if request.inpaint_area == "Only masked":
            pairs |= {"Inpaint area": request.inpaint_area, "Masked area padding": str(request.mask_padding)}
    if isinstance(request, Outpaint):
        pairs["Outpaint"] = " ".join(str(getattr(request, side)) for side in DIRECTIONS)
        pairs |= {"Outpaint overlap": str(request.overlap), "Outpaint fill": request.outpaint_fill, "Outpaint coherence": request.coherence}
    if isinstance(request, Zoom):
        pairs |= {key: number(value) if isinstance(value := getattr(request, name), float) else str(value) for key, name in ZOOM_KEYS.items()}
    return pairs


def number(value: float) -> str:
    """As A1111 prints it: 7, 7.5, 0.75."""
    return str(int(value)) if value == int(value) else str(value)


def quote(value: str) -> str:
    """A JSON string iff the value has a comma, a colon or a line break."""
    return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ",\n:") else value


def unquote(value: str) -> str:
    """The reverse of `quote`; what is no JSON string stays as it is."""
    if not (value[:1] == '"' and value[-1:] == '"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


# ---- reading


def parse(text: str, strict: bool = False) -> Infotext:
    """A1111's reading of a text. Never raises; at most 64 KiB are read, in time linear in their length.

    Args:
        strict: the last line is parameters only if it names "Steps" too.
    """
    *lines, last = text[:MAX_TEXT].strip().split("\n")
    found = list(pairs_in(last))
    if len(found) < 3 or (strict and not any(key == "Steps" for key, _ in found)):
        lines, found = [*lines, last], []
    prompt: list[str] = []
    negative: list[str] = []
    part = prompt
    for line in (line.strip() for line in lines):
        if line.startswith(NEGATIVE):
            part, line = negative, line[len(NEGATIVE) :].strip()
        if part or line:
            part.append(line)
    return Infotext("\n".join(prompt), "\n".join(negative), fields_of(found))


def fields_of(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Pairs as A1111 keeps them: quotes taken off, sizes split in two, empty values dropped."""
    fields: dict[str, str] = {}
    for key, raw in pairs:
        value = unquote(raw)
        if size := _SIZE.match(value):
            fields[f"{key}-1"], fields[f"{key}-2"] = size.groups()
        elif raw:
            fields[key] = value
    return fields


def pairs_in(line: str) -> Iterator[tuple[str, str]]:
    r"""All matches of `\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)`, found in linear time.

    The expression itself takes quadratic time on a long line without a colon; here each run of key characters is looked at once.
    """
    position = 0
    while run := _RUN.search(line, position):
        position = run.end()
        if line[position : position + 1] != ":":
            continue
        key = run.group().lstrip(" -/")
        if len(key) < 2 or not (value := _VALUE.match(line, position + 1)):
            continue
        yield key, value.group(1)
        position = value.end()


# ---- from a text to the fields of a form

ZOOM_KEYS = {
    "Zoom prompts": "storyboard", "Zoom keys": "keys", "Zoom ratio": "ratio", "Zoom seconds": "seconds", "Zoom fps": "fps",
    "Zoom direction": "direction", "Zoom format": "video_format", "Zoom overlap": "overlap", "Zoom coherence": "coherence",
}  # fmt: skip
OUTPAINT_KEYS = {"Outpaint overlap": "overlap", "Outpaint fill": "outpaint_fill", "Outpaint coherence": "coherence"}
KEYS: dict[str, tuple[str, str]] = {
    "Steps": ("steps", ""), "Sampler": ("sampler", ""), "Schedule type": ("schedule", "Automatic"), "CFG scale": ("cfg_scale", ""),
    "Seed": ("seed", ""), "Model": ("checkpoint", ""), "VAE": ("vae", "None"), "Clip skip": ("clip_skip", "1"), "RNG": ("rng", "GPU"),
    "Emphasis": ("emphasis", "Original"), "Prompt word wrap": ("comma_backtrack", "20"),
    "Denoising strength": ("denoising_strength", ""), "Size-1": ("width", ""), "Size-2": ("height", ""), "Resize mode": ("resize_mode", "Just resize"),
    "Mask blur": ("mask_blur", ""), "Mask mode": ("mask_mode", "Inpaint masked"), "Masked content": ("masked_content", "original"),
    "Inpaint area": ("inpaint_area", "Whole picture"), "Masked area padding": ("mask_padding", "32"),
}  # fmt: skip
"""A1111's key -> our field, and what A1111 means when the key is missing ("": nothing)."""
CONVERT: dict[str, Callable[[str], str]] = {
    "rng": lambda value: "CPU" if value == "CPU" else "NV",  # NV is the stream of A1111's "GPU"
    "vae": lambda value: "" if value in ("None", "Automatic") else value.removesuffix(".safetensors").removesuffix(".pt").removesuffix(".ckpt"),
}


def to_request(text: str, task: str = "txt2img") -> dict[str, Any]:
    """Fields of our request that a text sets, as a form of that task can take them; `parse` in strict reading.

    Values that are out of range, unknown, or not of this task are dropped, never an error. Sampler and model names stay
    as written ("DPM++ 2M Karras"): the studio resolves them. A text without parameters gives the prompts alone.
    """
    info = parse(text, strict=True)
    values: dict[str, Any] = {"prompt": info.prompt, "negative_prompt": info.negative}
    if info.fields:
        for key, (name, default) in KEYS.items():
            if value := info.fields.get(key, default):
                values[name] = CONVERT[name](value) if name in CONVERT else value
        own = ZOOM_KEYS if task == "zoom" else OUTPAINT_KEYS
        values |= {name: info.fields[key] for key, name in own.items() if key in info.fields}
        values |= dict(zip(DIRECTIONS, info.fields.get("Outpaint", "").split(), strict=False))
    fitting = {name: checked for name, value in values.items() if (checked := fit(task, name, value)) is not None}
    if ("width" in fitting) != ("height" in fitting):
        fitting = {name: value for name, value in fitting.items() if name not in ("width", "height")}
    return {"task": task} | fitting


def fit(task: str, name: str, value: Any) -> Any:
    """The value as the field of that task holds it; None when it has no such field or does not take the value."""
    kind = TASKS[task]
    if name not in kind.model_fields:
        return None
    needed = {field_name: "0" * 64 for field_name, info in kind.model_fields.items() if info.is_required()}
    try:
        return getattr(kind.model_validate({**needed, name: value}), name)
    except ValidationError:
        return None


def guess_task(text: str) -> str:
    """Which tab made the text, by the keys that only it writes; "txt2img" when nothing tells."""
    fields = parse(text, strict=True).fields
    for key, task in (("Zoom keys", "zoom"), ("Outpaint", "outpaint"), ("Mask blur", "inpaint")):
        if key in fields:
            return task
    return "img2img" if "Denoising strength" in fields and not any(key.startswith("Hires") for key in fields) else "txt2img"

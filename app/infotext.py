"""A1111's "parameters" text: written byte for byte as A1111 writes it, and read as it reads it.

Format: the prompt; a line "Negative prompt: ..." unless it is empty; one line "Key: value, Key: value". A value with a
comma, colon or line break is written as a JSON string. The format cannot hold everything (a prompt line that looks like
parameters, a value in quotes), so our files carry a lossless JSON chunk beside it.

`app.parameters` takes a text apart; `fill` makes the fields of a form of it, also where an older A1111 or a relative of it wrote it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app import __version__, dialects, hires, sampler_options
from app.parameters import NEGATIVE, pairs_in, parse, quote
from app.request import IMAGE_CFG_SCALE, TASKS, AnyRequest, AnyTask, Img2Img, Inpaint, Outpaint, Sized, Txt2Img, Upscale, Zoom, explain

ORDER = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Image CFG scale", "Seed", "Face restoration", "Size", "Model hash", "Model", "FP8 weight",
    "Cache FP16 weight for LoRA", "VAE hash", "VAE", "Variation seed", "Variation seed strength", "Seed resize from", "Denoising strength",
    "Conditional mask weight", "Clip skip", "ENSD", "Token merging ratio", "Token merging ratio hr", "Init image hash", "RNG", "Tiling",
)  # fmt: skip
"""A1111's order of keys; others follow in the order in which they were given, then Version and User."""
DIRECTIONS = ("left", "right", "up", "down")


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
    own, variation = request.seeds_of(index)
    pairs = common_pairs(request, own if seed is None else seed, size)
    pairs |= guidance_pairs(request) | option_pairs(request) | pass_pairs(request) | task_pairs(request)
    pairs["Variation seed"] = str(variation) if request.subseed_strength else ""
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
    twice = isinstance(request, Txt2Img) and request.enable_hr  # then it is the size of the first pass
    if (size is None or twice) and isinstance(request, Sized) and request.width and request.height:
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
        "Text encoder": request.text_encoder,
        "Denoising strength": number(strength) if (strength := denoising(request)) is not None else "",
        "Clip skip": str(request.clip_skip) if request.clip_skip > 1 else "",
        "RNG": request.rng,
        "Variation seed strength": number(request.subseed_strength) if request.subseed_strength else "",
        "Seed resize from": f"{request.seed_resize_from_w}x{request.seed_resize_from_h}" if request.seed_resize_from_w and request.seed_resize_from_h else "",
        "ENSD": str(request.eta_noise_seed_delta) if request.eta_noise_seed_delta else "",
        "Emphasis": request.emphasis if request.emphasis != "Original" else "",
        "Prompt word wrap": str(request.comma_backtrack) if request.comma_backtrack != 20 else "",
        "Pad conds": "" if request.pad_prompts else "False",
    }


def denoising(request: AnyRequest) -> float | None:
    """The denoising strength where it has a meaning: with a picture to start from, or a second pass."""
    if isinstance(request, Txt2Img) and not request.enable_hr:
        return None
    return getattr(request, "denoising_strength", None)


def pass_pairs(request: AnyRequest) -> dict[str, str]:
    """The second pass and the refiner."""
    found = hires.pairs(request, request.prompt, request.negative_prompt) if isinstance(request, Txt2Img) else {}
    if request.refiner_checkpoint:
        found |= {"Refiner": request.refiner_checkpoint, "Refiner switch at": request.refiner_switch_at}
        found |= {"Refiner switch by sampling steps": "True"} if request.refiner_by_steps else {}
    return {key: number(value) if isinstance(value, float) else str(value) for key, value in found.items()}


def guidance_pairs(request: AnyRequest) -> dict[str, str]:
    """What is done to CFG; A1111's keys, but for the rescale, which it knows as an extension."""
    shares = {"CFG Rescale": request.cfg_rescale, "Skip Early CFG": request.skip_early_cond, "NGMS": request.s_min_uncond}
    pairs = {key: number(value) for key, value in shares.items() if value}
    return pairs | ({"NGMS all steps": "True"} if request.s_min_uncond_all else {})


def option_pairs(request: AnyRequest) -> dict[str, str]:
    """What is asked of sampler and schedule."""
    return {key: number(value) if type(value) is float else str(value) for key, value in sampler_options.pairs(request, request.sampler).items()}


def task_pairs(request: AnyRequest) -> dict[str, str]:
    """The pairs of img2img, inpaint (A1111's names and habits: defaults are left out), outpaint and zoom (ours)."""
    pairs: dict[str, str] = {}
    if isinstance(request, Img2Img | Inpaint):
        pairs["Resize mode"] = request.resize_mode if request.resize_mode != "Just resize" else ""
        pairs["Image CFG scale"] = number(request.image_cfg_scale) if request.image_cfg_scale != IMAGE_CFG_SCALE else ""
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


# ---- from a text to the fields of a form

ZOOM_KEYS = {
    "Zoom prompts": "storyboard", "Zoom keys": "keys", "Zoom ratio": "ratio", "Zoom seconds": "seconds", "Zoom fps": "fps",
    "Zoom direction": "direction", "Zoom format": "video_format", "Zoom overlap": "overlap", "Zoom coherence": "coherence",
}  # fmt: skip
OUTPAINT_KEYS = {"Outpaint overlap": "overlap", "Outpaint fill": "outpaint_fill", "Outpaint coherence": "coherence"}
KEYS: dict[str, tuple[str, str]] = {
    "Steps": ("steps", ""), "Sampler": ("sampler", ""), "Schedule type": ("schedule", "Automatic"), "CFG scale": ("cfg_scale", ""),
    "Image CFG scale": ("image_cfg_scale", "1.5"),
    "Seed": ("seed", ""), "Model": ("checkpoint", ""), "VAE": ("vae", "None"), "Text encoder": ("text_encoder", "None"),
    "Clip skip": ("clip_skip", "1"), "RNG": ("rng", "GPU"),
    "Emphasis": ("emphasis", "Original"), "Prompt word wrap": ("comma_backtrack", "20"), "Pad conds": ("pad_prompts", ""),
    "Denoising strength": ("denoising_strength", ""), "Size-1": ("width", ""), "Size-2": ("height", ""), "Resize mode": ("resize_mode", "Just resize"),
    "Mask blur": ("mask_blur", ""), "Mask mode": ("mask_mode", "Inpaint masked"), "Masked content": ("masked_content", "original"),
    "Variation seed": ("subseed", "-1"), "Variation seed strength": ("subseed_strength", "0"), "Seed resize from-1": ("seed_resize_from_w", "0"),
    "Seed resize from-2": ("seed_resize_from_h", "0"), "ENSD": ("eta_noise_seed_delta", "0"), "CFG Rescale": ("cfg_rescale", "0"),
    "Skip Early CFG": ("skip_early_cond", "0"), "NGMS": ("s_min_uncond", "0"), "NGMS all steps": ("s_min_uncond_all", "False"),
    "Refiner": ("refiner_checkpoint", "None"), "Refiner switch at": ("refiner_switch_at", ""),
    "Inpaint area": ("inpaint_area", "Whole picture"), "Masked area padding": ("mask_padding", "32"),
}  # fmt: skip
"""A1111's key -> our field, and what A1111 means when the key is missing ("": nothing)."""
CONVERT: dict[str, Callable[[str], str]] = {
    "refiner_checkpoint": hires.without_hash,
    "rng": lambda value: "CPU" if value == "CPU" else "NV",  # NV is the stream of A1111's "GPU"
    "text_encoder": lambda value: "" if value in ("None", "Automatic") else value,
    "vae": lambda value: "" if value in ("None", "Automatic") else value.removesuffix(".safetensors").removesuffix(".pt").removesuffix(".ckpt"),
}


INFORMATION = frozenset({
    "Model hash", "VAE hash", "Lora hashes", "Lora weights", "TI hashes", "Hashes", "Refiner hash", "Init image hash", "Version", "App", "User", "Template",
    "Negative Template", "Civitai resources", "Civitai metadata", "Size-1", "Size-2", "VAE precision", "Batch size", "Batch pos", "Zoom key",
    "Denoising strength", "Variation seed", "Created Date", "Raw prompt", "Raw negative prompt", "Operations",
    "Script", "Grid scale", *(f"{fixed}{axis} {what}" for axis in "XYZ" for fixed, what in (("", "Type"), ("", "Values"), ("Fixed ", "Values"))),
})  # fmt: skip
"""Keys that ask for nothing, or whose fields not every tab has: they are not named among those that were not used."""


@dataclass(frozen=True)
class Filled:
    """Fields of a form, what could not be taken over (one sentence each), and the pairs of the text they come from."""

    values: dict[str, Any]
    notes: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


def to_request(text: str, task: str = "txt2img") -> dict[str, Any]:
    """The values of `fill` alone."""
    return fill(text, task).values


def fill(text: str, task: str = "txt2img") -> Filled:
    """Fields of our request that a text sets, as a form of that task can take them; `parse` in strict reading, of all dialects.

    Values that are out of range, unknown, or not of this task are left out, never an error; the first two are named. Sampler
    and model names stay as written ("DPM++ 2M Karras"): `app.recall` and the studio resolve them. A text without parameters
    gives the prompts alone.
    """
    info = parse(dialects.tidy(text), strict=True)
    fields = dialects.modern(info.fields)
    own = ZOOM_KEYS if task == "zoom" else OUTPAINT_KEYS
    values: dict[str, Any] = {"prompt": info.prompt, "negative_prompt": info.negative}
    if fields:
        values |= {"wildcards": False, "styles": ()}  # what they made of the prompt is what the text says
        values["pad_prompts"] = fields.get("Version", "").startswith("Darkroom")  # A1111 does not pad unless it says so
        for key, (name, default) in KEYS.items():
            if value := fields.get(key, default):
                values[name] = CONVERT[name](value) if name in CONVERT else value
        values |= sampler_options.values(fields) | hires.values(fields)
        values |= {"refiner_by_steps": fields.get("Refiner switch by sampling steps", "False")} if "Refiner" in fields else {}
        values |= {name: fields[key] for key, name in own.items() if key in fields}
        values |= dict(zip(DIRECTIONS, fields.get("Outpaint", "").split(), strict=False))
    filled = fitted(task, values)
    unused = unused_keys(fields)
    notes = (*filled.notes, f"Darkroom does not use {listed(unused)}.") if unused else filled.notes
    return Filled(filled.values, notes, fields)


def unused_keys(fields: Mapping[str, str]) -> list[str]:
    """Keys of a text that mean something which no field of ours holds."""
    known = {*KEYS, *sampler_options.KEYS, *hires.KEYS, "Refiner switch by sampling steps", *ZOOM_KEYS, *OUTPAINT_KEYS, "Outpaint", *INFORMATION}
    names = [key for key in fields if key not in known and not key.startswith("Postprocess")]
    return list(dict.fromkeys(name.removesuffix("-1").removesuffix("-2") for name in names))


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in a sentence: "A, B and C"; of many the first, and how many more there are."""
    found = [name if len(name) <= 40 else f"{name[:37]}..." for name in names]
    if len(found) > most:
        found = [*found[:most], f"{len(found) - most} more"]
    return " and ".join([", ".join(found[:-1]), found[-1]] if found[1:] else found)


def fitted(task: str, values: Mapping[str, Any]) -> Filled:
    """Those of the values that a request of that task takes; what it refuses is named, fields that it does not have are not."""
    kind = TASKS[task]
    fitting: dict[str, Any] = {}
    notes = []
    for name, value in values.items():
        if name in kind.model_fields:
            try:
                fitting[name] = fit(kind, {name: value})[name]
            except ValidationError as error:
                notes.append(explain(error))
    for _ in range(len(fitting)):  # values that are fine alone may not fit together
        try:
            fit(kind, fitting)
            break
        except ValidationError as error:
            notes.append(explain(error))
            fitting = {name: value for name, value in fitting.items() if name != error.errors()[0]["loc"][0]}
    if ("width" in fitting) != ("height" in fitting):
        fitting = {name: value for name, value in fitting.items() if name not in ("width", "height")}
    return Filled({"task": task} | fitting, tuple(notes))


def fit(kind: type[AnyTask], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the fields of a request hold them. Raises ValidationError."""
    needed = {name: "0" * 64 for name, info in kind.model_fields.items() if info.is_required()}
    whole = kind.model_validate({**needed, **values})
    return {name: getattr(whole, name) for name in values}


def guess_task(text: str) -> str:
    """Which tab made the text, by the keys that only it writes; "txt2img" when nothing tells."""
    fields = parse(dialects.tidy(text), strict=True).fields
    for key, task in (("Zoom keys", "zoom"), ("Outpaint", "outpaint"), ("Mask blur", "inpaint")):
        if key in fields:
            return task
    twice = any(key.startswith(("Hires", "First pass size")) for key in fields)
    return "img2img" if "Denoising strength" in fields and not twice else "txt2img"

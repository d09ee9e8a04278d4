"""A1111's text as its older versions, its relatives and people's clipboards have it, made what today's A1111 writes.

`tidy` works on the text before it is taken apart, `modern` on its fields after. Data only: nothing is evaluated, and the
time is linear in the length of the text.
"""

import json
import math
import re
from collections.abc import Mapping

MAX_TEXT = 64 * 1024
MAX_RAW = 16
"""How many unquoted JSON values of a line are looked at."""
_STEPS = re.compile(r"\s*Steps:\s*\d+\s*,")
_TEMPLATE = re.compile(r"\s*(?:Negative )?Template:")
_RAW = re.compile(r"(?:^|, ?)\w[\w \-/]*: ?(?=[\[{])")
_DECODER = json.JSONDecoder()
INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u2060"))

RENAMED = {
    # Forge
    "Module 1": "VAE",
    # SD.Next
    "CLiP-skip": "Clip skip", "Variation strength": "Variation seed strength", "Guidance rescale": "CFG Rescale",
    # Fooocus, in its "a1111" scheme
    "Scheduler": "Schedule type", "Resolution-1": "Size-1", "Resolution-2": "Size-2", "Guidance scale": "CFG scale",
    # A1111 1.6 and before
    "KDiff Sched Type": "Schedule type", "KDiff Sched max sigma": "Schedule max sigma", "KDiff Sched min sigma": "Schedule min sigma",
    "KDiff Sched rho": "Schedule rho", "Karras scheduler sigma max": "Schedule max sigma", "Karras scheduler sigma min": "Schedule min sigma",
    "Denoising": "Denoising strength", "Hires upscale by": "Hires upscale", "Sampling method": "Sampler", "Sampling steps": "Steps",
    "Always discard next-to-last sigma": "Discard penultimate sigma",
    # other capitals
    **{key: key for key in ("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size-1", "Size-2", "Model", "Clip skip", "Denoising strength")},
}  # fmt: skip
"""How others call a key -> how A1111 does today. Capitals do not matter; a key that a text has itself wins."""
_MODERN = {old.casefold(): new for old, new in RENAMED.items()}


def tidy(text: str) -> str:
    """The text with its parameters on the last line, each value as the parser expects it; at most 64 KiB.

    Windows' line ends and invisible characters go; so do the heading "parameters" of A1111's PNG info, and what
    dynamic-prompts writes behind the parameters ("Template: ..."). Bare JSON (`Hashes: {"vae": ...}`) gets its quotes.
    """
    lines = text[:MAX_TEXT].translate(INVISIBLE).replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    if lines[0].strip().casefold() in ("parameters", "parameters:") and len(lines) > 1:
        lines = lines[1:]
    ends = [number for number, line in enumerate(lines) if _TEMPLATE.match(line) and number and _STEPS.match(lines[number - 1])]
    lines = lines[: ends[-1]] if ends else lines
    return "\n".join([*lines[:-1], quoted(lines[-1])])


def quoted(line: str) -> str:
    """The line with bare JSON objects and lists as values put in quotes, as A1111 writes them today."""
    if not re.search(r"\bSteps:", line):
        return line
    parts, position = [], 0
    for _ in range(MAX_RAW):
        if not (key := _RAW.search(line, position)):
            break
        parts.append(line[position : key.end()])
        try:
            _, position = _DECODER.raw_decode(line, key.end())
        except (ValueError, RecursionError):
            position = key.end()
            continue
        parts.append(json.dumps(line[key.end() : position], ensure_ascii=False))
    return "".join([*parts, line[position:]])


def modern(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields under the keys that A1111 uses today, "First pass size" as the size and the size as that of the hires pass."""
    found = {_MODERN.get(key.casefold(), key): value for key, value in fields.items()}
    found |= {key: value for key, value in fields.items() if key in found}
    if {"First pass size-1", "First pass size-2", "Size-1", "Size-2"} <= set(found):
        found |= first_pass(*(int(found.pop(key)[:9]) for key in ("First pass size-1", "First pass size-2", "Size-1", "Size-2")))
    return found


def first_pass(first_width: int, first_height: int, width: int, height: int) -> dict[str, str]:
    """What A1111 1.0 wrote as size and first pass size, as it says it now. A first pass of 0x0 has about 512x512 pixels, in steps of 64."""
    if not (first_width and first_height) and width and height:
        scale = math.sqrt(512 * 512 / (width * height))
        first_width, first_height = (math.ceil(scale * side / 64) * 64 for side in (width, height))
    sizes = {"Size-1": first_width, "Size-2": first_height, "Hires resize-1": width, "Hires resize-2": height}
    return {key: str(side) for key, side in sizes.items()}

"""InvokeAI: "invokeai_metadata" (3 and later), "sd-metadata" (2), "dream" (1, the command line of the picture)."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from app.foreign import names
from app.foreign.data import Found, given, load_object, lora_tag, model_name, table, text, with_loras

MAX_COMMAND = 16 * 1024
FLAGS = {"-s": "steps", "-S": "seed", "-W": "width", "-H": "height", "-C": "cfg_scale", "-A": "sampler", "-f": "denoising_strength"}
LONG = {"--steps": "-s", "--seed": "-S", "--width": "-W", "--height": "-H", "--cfg_scale": "-C", "--sampler": "-A", "--strength": "-f"}
_FLAG = re.compile(rf"-[sSWHCAf][\w.]*|(?:{'|'.join(LONG)})(?:=.*)?", re.DOTALL)
_NEGATIVE = re.compile(r"\[([^\[\]]*)\]")
_WEIGHT = re.compile(r"[\w)\"][+-]{1,8}(?=[\s,)]|$)|\)\d")


def read(chunks: Mapping[str, str]) -> Found | None:
    """See `app.foreign.data.Reader`."""
    if said := load_object(chunks.get("invokeai_metadata")):
        return graph_metadata(said)
    if image := table(load_object(chunks.get("sd-metadata")).get("image")):
        return image_metadata(image, load_object(chunks.get("sd-metadata")))
    command = chunks.get("dream") or chunks.get("Dream") or ""
    return dream(command) if command.lstrip().startswith('"') or " -S" in command else None


def scheduler(name: str, notes: list[str]) -> dict[str, str]:
    """Sampler and schedule of one of its schedulers: "dpmpp_2m_k" is DPM++ 2M with Karras."""
    if name.startswith("dpmpp_2s"):
        notes.append("InvokeAI's dpmpp_2s draws no noise between steps; DPM++ 2S a does.")
    karras = name.endswith("_k") and name not in names.INVOKEAI
    found = names.sampler(name.removesuffix("_k") if karras else name, names.INVOKEAI, notes)
    return {"sampler": found, "schedule": "Karras" if karras else "Automatic" if found else ""}


def weights(prompt: str, notes: list[str]) -> str:
    """The prompt itself; a sentence when it seems to hold weights in InvokeAI's own spelling, which mean nothing to us."""
    if _WEIGHT.search(prompt[:8192]):
        notes.append("The prompt seems to have InvokeAI's weights, such as 'word++' or '(words)1.2'; write '(word:1.2)' here.")
    return prompt


def graph_metadata(said: Mapping[str, Any]) -> Found:
    """Version 3 and later."""
    notes: list[str] = []
    model, vae = table(said.get("model")), table(said.get("vae"))
    tags = []
    listed = said.get("loras")
    for row in (listed if isinstance(listed, list) else [])[:32]:
        lora = table(table(row).get("model")) or table(table(row).get("lora"))
        tags.append(lora_tag(model_name(lora.get("name") or lora.get("model_name")), table(row).get("weight")))
    skipped = said.get("clip_skip")
    fields = {
        "task": "img2img" if "img2img" in text(said.get("generation_mode")) else "txt2img",
        "prompt": with_loras(weights(text(said.get("positive_prompt")), notes), tags),
        "negative_prompt": text(said.get("negative_prompt")),
        "width": said.get("width"),
        "height": said.get("height"),
        "seed": said.get("seed"),
        "steps": said.get("steps"),
        "cfg_scale": said.get("cfg_scale"),
        "cfg_rescale": said.get("cfg_rescale_multiplier"),
        "checkpoint": model_name(model.get("name") or model.get("model_name")),
        "vae": model_name(vae.get("name") or vae.get("model_name")),
        "clip_skip": skipped + 1 if isinstance(skipped, int) else None,
        "denoising_strength": said.get("strength"),
        "rng": "CPU" if said.get("rand_device") == "cpu" else "NV",
        **scheduler(text(said.get("scheduler")), notes),
    }
    if said.get("controlnets") or said.get("ipAdapters"):
        notes.append("Its control pictures were not taken over.")
    return given(fields), notes


def image_metadata(image: Mapping[str, Any], said: Mapping[str, Any]) -> Found:
    """Version 2."""
    notes: list[str] = []
    parts = image.get("prompt")
    rows = parts if isinstance(parts, list) else [{"prompt": parts}]
    prompt = " ".join(text(table(row).get("prompt")) for row in rows[:64]).strip()
    fields: dict[str, Any] = {
        "task": "img2img" if image.get("type") == "img2img" else "txt2img",
        **both(prompt, notes),
        **{name: image.get(name) for name in ("steps", "cfg_scale", "width", "height", "seed")},
        "denoising_strength": image.get("strength"),
        "checkpoint": model_name(said.get("model_weights")),
        "rng": "CPU",
        **scheduler(text(image.get("sampler")), notes),
    }
    return given(fields), notes


def both(prompt: str, notes: list[str]) -> dict[str, str]:
    """Prompt and negative prompt: before version 3 the negative one stood in square brackets within the other."""
    negatives = [part.strip() for part in _NEGATIVE.findall(prompt)]
    return {"prompt": weights(" ".join(_NEGATIVE.sub(" ", prompt).split()), notes), "negative_prompt": ", ".join(filter(None, negatives))}


def dream(command: str) -> Found:
    """Version 1: the prompt in quotes, then flags as its command line took them. The line is taken apart, never run."""
    notes: list[str] = []
    try:
        words = shlex.split(command[:MAX_COMMAND])
    except ValueError:
        words = command[:MAX_COMMAND].split()
    first = next((number for number, word in enumerate(words) if _FLAG.fullmatch(word)), len(words))
    values: dict[str, str] = {}
    rest = iter(words[first:])
    for word in rest:
        flag, _, value = word.partition("=")
        flag = LONG.get(flag, flag)
        if flag in FLAGS:
            values[FLAGS[flag]] = value or next(rest, "")
        elif flag[:2] in FLAGS and not flag.startswith("--"):
            values[FLAGS[flag[:2]]] = flag[2:]
    task = "img2img" if "denoising_strength" in values else "txt2img"
    fields = {"task": task, **both(" ".join(words[:first]), notes), **values, "rng": "CPU", **scheduler(values.get("sampler", ""), notes)}
    return given(fields), notes

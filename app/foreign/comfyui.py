"""ComfyUI: the graph that made the picture, in the chunks "prompt" and "workflow". It is followed, never run.

From the node that saved the picture the links lead back to the sampler that fed it last; its inputs lead on to prompts,
checkpoint, LoRAs, VAE and size.
"""

import re
from collections.abc import Mapping
from typing import Any

from app.foreign import names
from app.foreign.comfy_graph import Graph, Link, Node, from_prompt, from_workflow, literal, upstream
from app.foreign.data import Found, given, load_object, lora_tag, model_name, table, text, with_loras

TEXTS = ("text", "text_g", "text_l", "clip_l", "t5xxl", "prompt", "string")
NOT_TEXT = frozenset({"clip", "model", "vae", "control_net", "image", "latent", "pixels", "mask", "style_model", "clip_vision", "clip_vision_output"})
MAX_SIDE = 65536
_EMBEDDING = re.compile(r"\bembedding:(?=\S)")


def read(chunks: Mapping[str, str]) -> Found | None:
    """See `app.foreign.data.Reader`."""
    graph = from_prompt(load_object(chunks.get("prompt"))) or from_workflow(load_object(chunks.get("workflow")))
    if not graph:
        return None
    found = last_sampler(graph)
    if not found:
        return {"task": "txt2img"}, ["In its graph there is no sampler that Darkroom knows."]
    saved, sampler = found
    notes: list[str] = []
    loop = [sampler, *(node for _, node in upstream(graph, *(sampler.inputs.get(key) for key in ("guider", "sigmas", "sampler", "noise")), only=("model",)))]
    model, tags = model_of(graph, first(loop, "model"))
    fields = settings(graph, loop, notes) | canvas(graph, sampler, notes)
    positive, negative = (", ".join(told(graph, first(loop, *keys))) for keys in (("positive", "conditioning"), ("negative",)))
    if fields["task"] == "txt2img":
        del fields["denoising_strength"]  # 1, or that of a later pass
    fields |= {
        "prompt": with_loras(_EMBEDDING.sub("", positive), tags),
        "negative_prompt": _EMBEDDING.sub("", negative),
        "checkpoint": model,
        "vae": vae_of(graph, saved),
        "clip_skip": clip_skip(graph, first(loop, "positive", "conditioning")),
    }
    return given(fields), notes


def is_sampler(node: Node) -> bool:
    """Whether a node removes noise: it takes latents, and prompts or a guider."""
    return "latent_image" in node.inputs and any(isinstance(node.inputs.get(key), Link) for key in ("positive", "guider", "basic_pipe"))


def last_sampler(graph: Graph) -> tuple[Link, Node] | None:
    """What the picture was saved from, and the sampler nearest before it. Of several saved pictures the last one counts."""
    savers = [node for node in graph.values() if isinstance(node.inputs.get("images"), Link)]
    for node in sorted(savers, key=lambda node: "Save" in node.kind)[::-1]:
        link = node.inputs["images"]
        for _, before in upstream(graph, link):
            if is_sampler(before):
                return link, before
    lonely = [node for node in graph.values() if is_sampler(node)]
    return (lonely[-1].inputs["latent_image"], lonely[-1]) if lonely else None


def first(nodes: list[Node], *keys: str) -> Any:
    """The first input of one of these names, None when no node has one."""
    return next((node.inputs[key] for key in keys for node in nodes if key in node.inputs), None)


def settings(graph: Graph, loop: list[Node], notes: list[str]) -> dict[str, Any]:
    """Sampler, schedule, steps, CFG, seed and strength from the sampler and what hangs on it."""
    schedule = text(literal(graph, first(loop, "scheduler"), "scheduler"))
    if not schedule:
        schedule = next((node.kind.removesuffix("Scheduler").casefold() for node in loop if node.kind in ("KarrasScheduler", "ExponentialScheduler")), "")
    return {
        "task": "txt2img",
        "steps": literal(graph, first(loop, "steps"), "steps", "int"),
        "cfg_scale": literal(graph, first(loop, "cfg"), "cfg", "float", "int"),
        "seed": literal(graph, first(loop, "seed", "noise_seed"), "seed", "noise_seed", "int"),
        "sampler": names.sampler(text(literal(graph, first(loop, "sampler_name"), "sampler_name")), names.K_DIFFUSION, notes),
        "schedule": names.schedule(schedule, notes),
        "denoising_strength": literal(graph, first(loop, "denoise"), "denoise", "float"),
        "rng": "CPU",
    }


def canvas(graph: Graph, sampler: Node, notes: list[str]) -> dict[str, Any]:
    """Size and kind of the picture, from the latents that the sampler began with."""
    scale = 1.0
    passes = 1
    for _, node in upstream(graph, sampler.inputs.get("latent_image"), only=("samples", "latent_image", "latent", "pixels", "image")):
        passes += is_sampler(node)
        factor = literal(graph, node.inputs.get("scale_by"), "scale_by", "float")
        scale *= factor if isinstance(factor, int | float) and 0 < factor <= 16 and scale < MAX_SIDE else 1
        width, height = (literal(graph, node.inputs.get(side), side, "int") for side in ("width", "height"))
        if node.kind.startswith("LoadImage"):
            return {"task": "img2img"}
        if all(type(side) is int and 0 < side <= MAX_SIDE for side in (width, height)) and not is_sampler(node):
            if passes > 1 or node.kind.startswith("LatentUpscale"):
                notes.append("It was painted in several passes; the settings are those of the last one.")
            return {"width": round(width * scale / 8) * 8, "height": round(height * scale / 8) * 8}
    return {}


def told(graph: Graph, start: Any) -> list[str]:
    """The texts that a conditioning is made of. A node with both prompts hands on the one of the slot that is asked for."""
    texts: list[str] = []
    waiting = [start] if isinstance(start, Link) else []
    seen: set[Link] = set()
    while waiting:
        link = waiting.pop(0)
        node = graph.get(link.node)
        if link in seen or node is None or node.kind == "ConditioningZeroOut":
            continue
        seen.add(link)
        written = [text(literal(graph, node.inputs[key], *TEXTS)) for key in TEXTS if key in node.inputs]
        if written:
            texts += [one for one in dict.fromkeys(written) if one and one not in texts]
            continue
        ends = [end for key in ("positive", "negative") if isinstance(end := node.inputs.get(key), Link)]
        if len(ends) == 2 and link.slot < 2:
            waiting.append(ends[link.slot])
        else:
            waiting += [value for key, value in node.inputs.items() if isinstance(value, Link) and key not in NOT_TEXT]
    return texts


def model_of(graph: Graph, start: Any) -> tuple[str, list[str]]:
    """The checkpoint that a model comes from, and tags for the LoRAs on the way, in the order in which they were put on."""
    tags: list[str] = []
    for _, node in upstream(graph, start, only=("model",)):
        stacked = [value for value in node.inputs.values() if isinstance(value, dict) and value.get("on") and "lora" in value]
        tags += [lora_tag(model_name(row["lora"]), row.get("strength")) for row in stacked[::-1]]
        if name := model_name(node.inputs.get("lora_name")):
            strengths = (literal(graph, node.inputs.get(key), key, "float") for key in ("strength_model", "strength_clip"))
            tags.append(lora_tag(name, *strengths))
        for key in ("ckpt_name", "unet_name"):
            value = literal(graph, node.inputs.get(key), key)
            if found := model_name(table(value).get("content") or value):
                return found, tags[::-1]
    return "", tags[::-1]


def vae_of(graph: Graph, saved: Link) -> str:
    """The VAE of its own that decoded the picture; "" for the checkpoint's."""
    for _, node in upstream(graph, saved):
        if isinstance(node.inputs.get("vae"), Link):
            return next((model_name(loader.inputs.get("vae_name")) for _, loader in upstream(graph, node.inputs["vae"], only=("vae",))), "")
    return ""


def clip_skip(graph: Graph, start: Any) -> int | None:
    """The layers that are left out, counted as A1111 counts them."""
    for _, node in upstream(graph, start):
        layer = literal(graph, node.inputs.get("stop_at_clip_layer"), "stop_at_clip_layer", "int")
        if type(layer) is int:
            return -layer
    return None

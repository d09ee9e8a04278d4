"""ComfyUI's graph of nodes, from both forms in which it is saved, and ways along its links."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.foreign.data import table, text

MAX_NODES = 4000
MAX_HOPS = 32
UI_ONLY = ("Note", "MarkdownNote")
WIDGETS: dict[str, tuple[str, ...]] = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step", ""),
    "SamplerCustom": ("add_noise", "noise_seed", "", "cfg"),
    "KSamplerSelect": ("sampler_name",), "BasicScheduler": ("scheduler", "steps", "denoise"), "KarrasScheduler": ("steps", "sigma_max", "sigma_min", "rho"),
    "RandomNoise": ("noise_seed", ""), "CFGGuider": ("cfg",), "CLIPTextEncode": ("text",), "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CLIPTextEncodeSDXL": ("", "", "", "", "", "", "text_g", "text_l"),
    "CheckpointLoaderSimple": ("ckpt_name",), "CheckpointLoader": ("config_name", "ckpt_name"), "UNETLoader": ("unet_name", ""),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"), "LoraLoaderModelOnly": ("lora_name", "strength_model"), "VAELoader": ("vae_name",),
    "EmptyLatentImage": ("width", "height", "batch_size"), "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"), "LatentUpscaleBy": ("upscale_method", "scale_by"), "LoadImage": ("image", ""),
    "PrimitiveNode": ("value", ""), "PrimitiveInt": ("value", ""), "PrimitiveString": ("value",), "PrimitiveStringMultiline": ("value",),
    "PrimitiveFloat": ("value",), "SaveImage": ("filename_prefix",),
}  # fmt: skip
"""The saved workflow has the values of a node's widgets as a list: what they are called, "" for what only the page needs."""


@dataclass(frozen=True)
class Node:
    """A node: its class, and its inputs by name. A `Link` as input comes from another node."""

    kind: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Link:
    """The output `slot` of the node `node`."""

    node: str
    slot: int


Graph = Mapping[str, Node]


def from_prompt(nodes: Mapping[str, Any]) -> dict[str, Node]:
    """The form that ComfyUI's API takes, its chunk "prompt": {id: {"class_type": ..., "inputs": {...}}}."""
    graph = {}
    for name, node in list(nodes.items())[:MAX_NODES]:
        if kind := text(table(node).get("class_type")):
            graph[name] = Node(kind, {key: as_link(value) for key, value in table(table(node).get("inputs")).items()})
    return graph


def as_link(value: Any) -> Any:
    """[id, slot] as a Link, anything else as it is."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int:
        return Link(str(value[0]), value[1])
    return value


def from_workflow(workflow: Mapping[str, Any]) -> dict[str, Node]:
    """The form that its page saves, its chunk "workflow": nodes with widgets as lists, and links [id, from, slot, to, slot, type]."""
    rows = workflow.get("links")
    links = {row[0]: Link(str(row[1]), row[2]) for row in (rows if isinstance(rows, list) else [])[: 4 * MAX_NODES] if is_row(row)}
    nodes = workflow.get("nodes")
    graph = {}
    for node in (nodes if isinstance(nodes, list) else [])[:MAX_NODES]:
        kind = text(table(node).get("type"))
        if not kind or kind in UI_ONLY or node.get("mode") == 2:  # 2: muted
            continue
        graph[text(node.get("id"))] = Node(kind, widgets(kind, node.get("widgets_values")) | inputs(node.get("inputs"), links))
    return graph


def is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) >= 3 and isinstance(row[0], int) and isinstance(row[1], str | int) and type(row[2]) is int


def widgets(kind: str, values: Any) -> dict[str, Any]:
    """The values of a node's widgets by name; an object as it is, a list by `WIDGETS`, the text of a node that we do not know as "text"."""
    if isinstance(values, dict):
        return dict(values)
    if not isinstance(values, list):
        return {}
    if kind in WIDGETS:
        return {name: value for name, value in zip(WIDGETS[kind], values, strict=False) if name}
    return {"text": values[0]} if len(values) == 1 and isinstance(values[0], str) else {}


def inputs(listed: Any, links: Mapping[int, Link]) -> dict[str, Link]:
    found = {}
    for row in (listed if isinstance(listed, list) else [])[:256]:
        number = table(row).get("link")
        if isinstance(number, int) and number in links:
            found[text(row.get("name"))] = links[number]
    return found


def upstream(graph: Graph, *starts: Any, only: tuple[str, ...] = ()) -> Iterator[tuple[str, Node]]:
    """The nodes that the links lead to, and those before them, nearest first, each once.

    Args:
        only: names of the inputs that are followed, where a node has one of them; else all are.
    """
    waiting = deque(start.node for start in starts if isinstance(start, Link))
    seen = set()
    while waiting:
        name = waiting.popleft()
        if name in seen or name not in graph:
            continue
        seen.add(name)
        node = graph[name]
        yield name, node
        followed = [node.inputs[key] for key in only if isinstance(node.inputs.get(key), Link)]
        waiting.extend(link.node for link in followed or node.inputs.values() if isinstance(link, Link))


def literal(graph: Graph, value: Any, *keys: str) -> Any:
    """A value itself, or what the node at the other end of its link holds under one of `keys`; None when that is not to be found out."""
    for _ in range(MAX_HOPS):
        if not isinstance(value, Link):
            return value
        node = graph.get(value.node)
        links = [given for given in node.inputs.values() if isinstance(given, Link)] if node else []
        found = next((node.inputs[key] for key in (*keys, "value") if node and key in node.inputs), None)
        value = found if found is not None else links[0] if len(links) == 1 else None
    return None

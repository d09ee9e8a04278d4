"""Data of strangers, taken with a pinch of salt: JSON with limits, and values that are only what they claim to be."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_TEXT = 2**20
"""Characters of a text that are looked at."""
MAX_DEPTH = 64
MAX_NAME = 512
Found = tuple[dict[str, Any], list[str]]
"""Fields of a request, not checked yet, and what could not be taken over: one sentence each."""
Reader = Callable[[Mapping[str, str]], Found | None]
"""From the text chunks of a picture by name; None when another program wrote them."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_FILE = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft)$", re.IGNORECASE)
_PAIR = re.compile(r"\s*[(\[]?\s*(\d{1,6})\s*[,x×*]\s*(\d{1,6})\s*[)\]]?\s*")


def load(text: str | None) -> Any:
    """The JSON value in a text; None when there is none, or when it is too long or too deep."""
    if not text or len(text) > MAX_TEXT or text.lstrip()[:1] not in ("{", "[") or depth(text) > MAX_DEPTH:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def load_object(text: str | None) -> dict[str, Any]:
    """The JSON object in a text, {} when there is none."""
    return table(load(text))


def depth(text: str) -> int:
    """How deep the brackets of a JSON text are nested, those in strings not counted."""
    now = deepest = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            deepest = max(deepest, now := now + 1)
        elif token[0] in "]}":
            now -= 1
    return deepest


def table(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """A text, or a number as text; "" for anything else."""
    if isinstance(value, str):
        return value[:MAX_TEXT]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def model_name(value: Any) -> str:
    """The name of a model file without its suffix, folders separated by "/"; "" for none."""
    name = _FILE.sub("", text(value)[:MAX_NAME].replace("\\", "/").strip())
    return "" if name in ("None", "none", "Default (model)") else name


def pair(value: Any) -> tuple[int, int] | None:
    """Width and height from "(1152, 896)", "1152x896" or [1152, 896]."""
    if isinstance(value, list | tuple) and len(value) == 2:
        value = f"{value[0]}x{value[1]}"
    found = _PAIR.fullmatch(text(value)[:40])
    return (int(found[1]), int(found[2])) if found else None


def lora_tag(name: str, unet: Any, te: Any = None) -> str:
    """A LoRA as a prompt names it; strengths that are no numbers count as 1."""
    weights = [f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6 else "1" for value in (te, unet)]
    words = weights[1] if te is None or weights[0] == weights[1] else ":".join(weights)
    return f"<lora:{name.replace(':', '_').replace('>', '_')}:{words}>" if name else ""


def with_loras(prompt: str, tags: list[str]) -> str:
    """The prompt with its LoRAs behind it."""
    return " ".join([prompt, *(tag for tag in tags if tag and tag not in prompt)]).strip()


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were said at all."""
    return {name: value for name, value in fields.items() if value not in (None, "")}

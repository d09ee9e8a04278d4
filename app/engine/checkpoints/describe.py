"""What a model file says of itself beside its tensors: title, trigger words, precision, whose configs it needs.

Everything here comes from strangers' files: texts are cut to a bearable length and freed of control characters, and are
never a path but for a base's name, which may name a folder directly below models/embedded and nothing else.
"""

import json
import math
import re
from collections import Counter
from pathlib import Path

from app.engine.checkpoints.header import Header
from app.engine.checkpoints.sidecars import clean
from app.engine.checkpoints.table import ITEM_BYTES

BASE_KEY = "darkroom.base"
"""Metadata key of a single file: the folder checkpoint below models/embedded that its configs, word list and noise levels come from."""

PRECISIONS = {
    "F8_E4M3": "fp8", "F8_E5M2": "fp8", "F8_E4M3FNUZ": "fp8", "F8_E5M2FNUZ": "fp8", "F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64",
    "I8": "int8", "U8": "int8",
}  # fmt: skip
BYTES = {"fp8": 1, "int8": 1, "fp32": 4, "fp64": 8}
"""Bytes of a value in each precision; 2 in those that are not listed."""
MAX_TITLE, MAX_TEXT, MAX_TRIGGERS = 200, 2000, 12
MAX_TAGS = 2_000_000
"""Characters of kohya's list of tags beyond which it is not read."""


def precision_of(header: Header) -> str:
    """"fp32", "fp16", "bf16", "fp8", ...: how most values of the file are stored; "" when there are none."""
    values: Counter[str] = Counter()
    for dtype, amount in header.amounts.items():
        if dtype in PRECISIONS:
            values[PRECISIONS[dtype]] += amount // ITEM_BYTES[dtype]
    for tensor in header.tensors.values() if not header.amounts else ():
        if tensor.dtype in PRECISIONS:
            values[PRECISIONS[tensor.dtype]] += math.prod(tensor.shape)
    return max(values, key=values.__getitem__) if values.total() else ""


def title_of(metadata: dict[str, str]) -> str:
    """The title that the file gives itself, one line; "" when it has none."""
    return " ".join(clean(metadata.get("modelspec.title", ""), MAX_TITLE).split())


def description_of(metadata: dict[str, str]) -> str:
    """What the file says of itself, as plain text; "" when it says nothing."""
    return clean(metadata.get("modelspec.description", ""), MAX_TEXT)


def triggers_of(metadata: dict[str, str]) -> tuple[str, ...]:
    """The words that call for what the file was trained on.

    They are the trigger phrase of the modelspec standard, cut at its commas; where there is none, of the tags that kohya's
    scripts counted in the training captions those that are at least half as frequent as the most frequent one.
    """
    phrase = [" ".join(clean(part, MAX_TITLE).split()) for part in metadata.get("modelspec.trigger_phrase", "")[:MAX_TEXT].split(",")]
    words = [word for word in phrase if word] or _frequent(metadata.get("ss_tag_frequency", ""))
    return tuple(dict.fromkeys(words))[:MAX_TRIGGERS]


def _frequent(text: str) -> list[str]:
    """kohya's tags, {"folder": {"tag": count}} as JSON, the most frequent first."""
    if not text or len(text) > MAX_TAGS:
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    count: Counter[str] = Counter()
    for tags in found.values() if isinstance(found, dict) else ():
        for tag, number in tags.items() if isinstance(tags, dict) else ():
            if type(number) is int and 0 < number < 2**53 and (word := " ".join(clean(tag, MAX_TITLE).split())):
                count[word] += number
    ranked = count.most_common(MAX_TRIGGERS)
    return [word for word, number in ranked if 2 * number >= ranked[0][1]]


def native_side(metadata: dict[str, str], usual: int) -> int:
    """The side that the file's own description names ("modelspec.resolution": "768x768"), or the usual one of its family."""
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", metadata.get("modelspec.resolution", ""))
    side = min(int(found[1]), int(found[2])) // 8 * 8 if found else usual
    return side if 64 <= side <= 4096 else usual


def base_of(name: str, metadata: dict[str, str], bases: Path | None) -> tuple[Path | None, str]:
    """(folder of the checkpoint whose configs the file needs, or None; why it cannot be used, or "").

    Args:
        name: the file's, for the sentence.
        bases: where such folders lie (models/embedded).
    """
    if BASE_KEY not in metadata:
        return None, ""
    wanted = metadata[BASE_KEY]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", wanted):
        return None, f"'{name}' names an impossible checkpoint as its base: {clean(wanted, 60)!r}; letters, digits, - and _ are allowed."
    if bases is None or not (bases / wanted / "unet" / "config.json").is_file():
        return None, f"'{name}' needs the checkpoint '{wanted}', which is not in models/embedded."
    return bases / wanted, ""

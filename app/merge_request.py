"""What can be asked of the merger. It paints nothing, so it is none of `TASKS`; its fields are declared like theirs."""

import json
import re
from typing import Any, Literal

from pydantic import ValidationError, field_validator

from app.errors import BadRequest
from app.param import param, plain_text
from app.request import Asked, allowed

MERGE = "merge"
Method = Literal["Weighted sum", "Add difference", "No interpolation"]
Precision = Literal["fp16", "bf16", "fp32", "fp8"]
METHODS: tuple[Method, ...] = ("Weighted sum", "Add difference", "No interpolation")
MAX_NAME = 120
_WORD = re.compile(r"[^/\\:*?\"<>|.\s\x00-\x1f][^/\\:*?\"<>|\x00-\x1f]*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


class Merge(Asked):
    """A checkpoint made of two or three others, or of one that is only written anew."""

    task: Literal["merge"] = "merge"
    model_a: str = param(..., "Checkpoint A", "What the result is like where B says nothing", choices="checkpoints", max_length=512)
    model_b: str = param("", "Checkpoint B", "What is mixed in", choices="checkpoints", empty="None", max_length=512)
    model_c: str = param("", "Checkpoint C", "For Add difference: what B was made from", choices="checkpoints", empty="None", max_length=512)
    method: Method = param("Weighted sum", "Method", "Weighted sum: A (1 - M) + B M; Add difference: A + (B - C) M; No interpolation: A alone, written anew")
    multiplier: float = param(0.5, "Multiplier (M)", "How much of B, or of the difference", step=0.05, reach=1, ge=0, le=2)
    blocks: str = param("", "Block weights", "A preset, or 25 (SDXL: 19) numbers from IN00 to the last OUT; one more in front is for the text encoder",
                        choices="merge_presets", empty="The multiplier everywhere", max_length=1000)  # fmt: skip
    bake_vae: str = param("", "Bake in VAE", "Becomes part of the result", choices="vaes", empty="As A and B have it", max_length=512)
    save_as: Precision = param("fp16", "Save as", "fp8 keeps norms and small tensors in fp16")
    keep_ema: bool = param(False, "Keep EMA", "Averaged copies of the weights, for training on; twice the size")
    name: str = param("", "Name", "Of the new file, in the first folder for checkpoints; empty: from the names of A and B", max_length=MAX_NAME)
    overwrite: bool = param(False, "Overwrite", "Takes the place of a file that has this name already")

    @field_validator("method", mode="before")
    @classmethod
    def _any_spelling(cls, given: Any) -> Any:
        """"weighted_sum", "add-difference" and the like are understood."""
        plain = re.sub("[^a-z]+", " ", given.lower()).strip() if isinstance(given, str) else given
        return next((method for method in METHODS if method.lower() == plain), given)

    @field_validator("model_b", "model_c", "bake_vae")
    @classmethod
    def _none(cls, name: str) -> str:
        return "" if name.strip().lower() == "none" else name

    @field_validator("name")
    @classmethod
    def _file_name(cls, given: str) -> str:
        """A path below the folder, without suffix. Raises ValueError for names that some system cannot have, or that lead elsewhere."""
        name = plain_text(given).strip().removesuffix(".safetensors").rstrip()
        for part in name.split("/") if name else ():
            if not _WORD.fullmatch(part) or part[-1] in ". " or _DEVICES.match(part):
                raise ValueError(f"is '{given[:60]}', but a file cannot have that name; letters, digits, spaces and - _ . ( ) + are safe")
        return name


def parse_merge(asked: dict[str, Any]) -> Merge:
    """The merge that `asked` describes. Raises BadRequest with one sentence."""
    try:
        return Merge.model_validate(asked)
    except ValidationError as error:
        raise BadRequest(explain(error)) from None


def parse_merge_json(text: str) -> Merge:
    """Like `parse_merge`, from JSON text such as `request.model_dump_json()`."""
    return parse_merge(json.loads(text))


def explain(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong with a merge."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "task"
    if first["type"] == "extra_forbidden":
        return f"There is no parameter '{name}' for a merge."
    label = f"{Merge.model_fields[name].title or name} ({name})"
    if first["type"] == "missing":
        return f"{label} is missing."
    if first["type"] == "value_error":
        return f"{label} {first['msg'].removeprefix('Value error, ')}."
    value = repr(first.get("input"))
    return f"{label} is {value if len(value) <= 60 else value[:57] + '...'}, but it must be {allowed(Merge, name)}."

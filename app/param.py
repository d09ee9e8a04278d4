"""How a field of a request is declared, and the bounds that several requests share."""

from typing import Annotated, Any

from pydantic import Field

MAX_PROMPT_BYTES = 8192
PICTURE_ID = r"^[0-9a-f]{64}$"

Side = Annotated[int, Field(ge=64, le=4096, multiple_of=8)]
Pixels = Annotated[int, Field(ge=0, le=2048, multiple_of=8)]
PictureId = Annotated[str, Field(pattern=PICTURE_ID)]
"""sha256 (hex) of a picture handed in before, see `app.library.assets`."""


def param(
    default: Any, label: str, help: str = "", *, step: float | None = None, widget: str = "", choices: str = "", empty: str = "", reach: int = 0, **bounds: Any
) -> Any:
    """A request field with what a form needs to draw it.

    Args:
        step: distance between two neighbouring values of a slider.
        widget: "text", "lines", "number", "image", "mask" or "" (found from type and bounds).
        choices: name of the list that a picker shows ("samplers", "checkpoints", ...), asked from the studio.
        reach: where a slider ends, when that is before the upper bound; 0: at the bound.
        empty: what the picker calls the empty value, which it then offers first.
        bounds: pydantic's `ge`, `le`, `multiple_of`, `max_length`, `pattern`.
    """
    extra: dict[str, Any] = {"step": step, "widget": widget, "choices": choices, "empty": empty, "reach": reach}
    return Field(default, title=label, description=help, json_schema_extra=extra, **bounds)


def plain_text(text: str) -> str:
    """Lone surrogates become U+FFFD, control characters but newline and tab are dropped."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(c for c in text if c in "\n\t" or c.isprintable() or ord(c) > 0x9F).replace("\x00", "")


def speakable_prompt(text: str) -> str:
    """`plain_text` of at most 8 KiB of UTF-8. Raises ValueError with what is wrong."""
    text = plain_text(text)
    if (size := len(text.encode())) > MAX_PROMPT_BYTES:
        raise ValueError(f"is {size} bytes long, but at most {MAX_PROMPT_BYTES} are allowed")
    return text

"""Which program a picture's text chunks are of."""

from collections.abc import Mapping

from app.foreign import comfyui, fooocus, invokeai, novelai
from app.foreign.data import Found, Reader

READERS: dict[str, Reader] = {"Fooocus": fooocus.read, "InvokeAI": invokeai.read, "NovelAI": novelai.read, "ComfyUI": comfyui.read}
"""Program -> what reads its chunks. To add one: a file with a `read`, a row here, and the names of its chunks below."""
CHUNKS = frozenset({
    "parameters", "prompt", "workflow", "invokeai_metadata", "sd-metadata", "dream", "Dream", "Comment", "Description", "Software", "Source",
})  # fmt: skip
"""The text chunks that are of use to anybody."""


def read(chunks: Mapping[str, str]) -> tuple[str, Found] | None:
    """The program and what its reader found; None when nobody knows the chunks."""
    for program, reader in READERS.items():
        found = reader(chunks)
        if found:
            return program, found
    return None

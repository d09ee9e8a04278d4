"""What a file is that is not what its name says, told from its first bytes."""

from pathlib import Path

from app.errors import BadCheckpoint

MAX_HEADER = 32 * 2**20
PICKLED = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def looks_like_safetensors(first: bytes) -> bool:
    """Whether a file begins as safetensors do: a bearable length, and JSON behind it."""
    return first[8:9] == b"{" and 2 <= int.from_bytes(first[:8], "little") <= MAX_HEADER


def refuse_others(path: Path, first: bytes, size: int) -> None:
    """Nothing for a file that begins as safetensors do.

    Args:
        first: its first bytes, 512 or all.
        size: bytes of the file.

    Raises:
        BadCheckpoint: one sentence that says what it is instead.
    """
    name, length = f"'{path.name}'", int.from_bytes(first[:8], "little")
    if size == 0:
        raise BadCheckpoint(f"{name} is empty (0 bytes).", "Download it again.")
    if looks_like_safetensors(first):
        if 8 + length > size:
            raise BadCheckpoint(f"{name} is truncated: it has {size} bytes, its header alone needs {8 + length}.", "Download it again.")
        return
    if first.startswith(PICKLED):
        raise BadCheckpoint(f"{name} is a PyTorch pickle, which can run code when opened.", "Convert it to .safetensors.")
    if first.lstrip()[:1] == b"<":
        raise BadCheckpoint(f"{name} is a web page, not a model; the download needs a login or failed.", "Download it again.")
    if first.startswith(b"version https://git-lfs"):
        raise BadCheckpoint(f"{name} is a git-lfs pointer of {size} bytes, not the model itself.", "Fetch the file itself: git lfs pull.")
    if first.startswith(b"GGUF"):
        raise BadCheckpoint(f"{name} is a GGUF file, which Darkroom does not read.", "Get it as .safetensors.")
    if _is_text(first):
        raise BadCheckpoint(f"{name} is a text file, not a model.")
    if first[8:9] == b"{" and length > MAX_HEADER:
        raise BadCheckpoint(f"{name} is damaged: its header claims {length} bytes, but at most {MAX_HEADER} are allowed.")
    if not first.strip(b"\0"):
        raise BadCheckpoint(f"{name} holds nothing but zeros; the download was cut off.", "Download it again.")
    raise BadCheckpoint(f"{name} is not a safetensors file.")


def _is_text(first: bytes) -> bool:
    for end in range(len(first), max(0, len(first) - 4), -1):  # the last sign may be cut
        try:
            text = first[:end].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return all(sign.isprintable() or sign in "\ufeff\r\n\t" for sign in text)
    return False

"""Metadata in the lowest bits of the transparency, where NovelAI and some of A1111's extensions keep a copy.

Down each column, from left to right: a signature of 15 letters, the length in bits as 32 bits, the text as UTF-8 or gzip.
"""

import zlib

import numpy as np
from PIL import Image

from app.foreign.data import MAX_TEXT

SIGNATURES = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}
"""Signature -> whether gzip comes after it."""
HEAD = 15 + 4


def hidden(image: Image.Image) -> str:
    """The text in the transparency of an RGBA picture, decoded; "" when there is none."""
    if image.mode != "RGBA" or image.width * image.height < 8 * HEAD:
        return ""
    columns = -(-8 * HEAD // image.height)
    if bytes_in(image, columns)[:15] not in SIGNATURES:
        return ""
    head = bytes_in(image, columns)[:HEAD]
    length = int.from_bytes(head[15:], "big") // 8
    if length > min(MAX_TEXT, image.width * image.height // 8):
        return ""
    data = bytes_in(image, min(image.width, -(-8 * (HEAD + length) // image.height)))[HEAD : HEAD + length]
    if SIGNATURES[head[:15]]:
        try:
            data = zlib.decompressobj(31).decompress(data, MAX_TEXT)
        except zlib.error:
            return ""
    return data.decode("utf-8", "replace")


def bytes_in(image: Image.Image, columns: int) -> bytes:
    """The lowest bits of the first columns' transparency, eight to a byte."""
    alpha = np.asarray(image.crop((0, 0, columns, image.height)).getchannel("A"))
    return np.packbits(alpha.T.ravel() & 1).tobytes()

"""Pictures that strangers hand in: what is read comes back as RGB(A); everything else is refused in one sentence."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.decode import MAX_BYTES, decode
from app.errors import BadPicture

ROOT = Path(__file__).resolve().parents[1]
rng = np.random.default_rng(0)
NOISE = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_lossless_pictures_come_back_exactly(format: str) -> None:
    image = decode(encoded(Image.fromarray(NOISE), format, **({"lossless": True} if format == "WEBP" else {})))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), NOISE)


def test_jpeg_is_read() -> None:
    image = decode(encoded(Image.fromarray(NOISE), "JPEG", quality=95))
    assert (image.mode, image.size) == ("RGB", (30, 20))


def test_alpha_is_kept_and_metadata_is_not() -> None:
    pixels = np.dstack([NOISE, NOISE[..., 0]])
    image = decode(encoded(Image.fromarray(pixels), "PNG", dpi=(300, 300)))
    assert (image.mode, image.info) == ("RGBA", {})
    assert np.array_equal(np.asarray(image), pixels)


def test_a_single_pixel_is_a_picture() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).getpixel((0, 0)) == (1, 2, 3)


def test_grey_one_bit_and_grey_alpha() -> None:
    assert decode(encoded(Image.new("L", (4, 4), 77), "PNG")).getpixel((0, 0)) == (77, 77, 77)
    assert decode(encoded(Image.new("1", (4, 4), 1), "PNG")).getpixel((0, 0)) == (255, 255, 255)
    assert decode(encoded(Image.new("LA", (4, 4), (77, 9)), "PNG")).getpixel((0, 0)) == (77, 77, 77, 9)


def test_sixteen_bits_are_rounded_to_eight() -> None:
    samples = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    image = decode(encoded(Image.fromarray(samples), "PNG"))
    assert image.mode == "RGB"
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_a_palette_gives_rgb_and_with_transparency_rgba() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert [decode(encoded(palette, "PNG")).getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (40, 50, 60)]
    transparent = decode(encoded(palette, "PNG", transparency=1))
    assert [transparent.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30, 255), (40, 50, 60, 0)]


def test_the_camera_was_held_upright() -> None:
    image = Image.fromarray(NOISE)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode(encoded(image, "PNG", exif=exif))
    assert np.array_equal(np.asarray(upright), np.rot90(NOISE, -1))


def test_cmyk_jpeg_becomes_rgb() -> None:
    assert decode(encoded(Image.new("CMYK", (8, 8)), "JPEG")).mode == "RGB"


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    image = decode(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    assert image.getpixel((0, 0))[:3] == (255, 0, 0)
    apng = decode(encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    assert apng.getpixel((0, 0))[:3] == (255, 0, 0)


PNG = encoded(Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)), "PNG")
JPEG = encoded(Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)), "JPEG")
WEBP = encoded(Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)), "WEBP")
REFUSED = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am a picture", "not a picture; PNG, JPEG and WebP are read"),
    "gif": (encoded(Image.new("RGB", (8, 8)), "GIF"), "is a GIF; PNG, JPEG and WebP are read"),
    "bmp": (encoded(Image.new("RGB", (8, 8)), "BMP"), "is a BMP"),
    "tiff": (encoded(Image.new("RGB", (8, 8)), "TIFF"), "is a TIFF"),
    "svg": (b'<?xml version="1.0"?><svg xmlns="x"/>', "is an XML file"),
    "avif": (b"\0\0\0\x20ftypavif" + bytes(100), "AVIF"),
    "bomb": (bomb(20_000, 20_000), "20000 x 20000 pixels; at most 8192 pixels a side and 16.8 million"),
    "long": (bomb(9000, 10), "9000 x 10 pixels"),
    "wide": (bomb(8000, 8000), "8000 x 8000 pixels"),
    "just too many": (bomb(4104, 4096), "4104 x 4096 pixels"),
    "no pixels": (bomb(0, 10), "damaged"),
    "header only": (PNG[:33], "damaged"),
    "truncated png": (PNG[: len(PNG) // 2], "damaged"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], "damaged"),
    "truncated webp": (WEBP[: len(WEBP) // 2], "damaged"),
    "jpeg start": (b"\xff\xd8\xff" + bytes(50), "damaged"),
    "webp canvas": (b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\xff\x3f\xff\xff\x3f", "damaged|too large"),
    "too many bytes": (PNG + bytes(MAX_BYTES), "at most 20 MB"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_sentence(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(BadPicture, match=reason) as caught:
        decode(data)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_damaged_files_never_raise_anything_else() -> None:
    opened = 0
    for data in (PNG, JPEG, WEBP):
        for _ in range(60):
            mutated = bytearray(data[: 4000 if data is PNG else len(data)])
            for position in rng.integers(0, min(len(mutated), 600), 4):
                mutated[position] = rng.integers(0, 256)
            try:
                decode(bytes(mutated))
                opened += 1
            except BadPicture:
                continue
    assert opened < 180


def test_harden_leaves_three_decoders_and_all_encoders() -> None:
    program = """
import io, warnings
warnings.simplefilter("error")
from PIL import Image
gif = io.BytesIO(); Image.new("RGB", (8, 8)).save(gif, "GIF")
webp = io.BytesIO()
from app.decode import decode, harden
harden()
harden()
assert sorted(Image.OPEN) == ["JPEG", "PNG", "WEBP"], sorted(Image.OPEN)
assert Image.MAX_IMAGE_PIXELS == 4096**2
try:
    Image.open(io.BytesIO(gif.getvalue()))
    raise AssertionError("a GIF was opened")
except OSError:
    pass
Image.new("RGB", (8, 8)).save(webp, "WEBP", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
with Image.open(webp) as image:
    assert image.n_frames == 2
import PIL.GifImagePlugin, PIL.TiffImagePlugin
Image.init()
assert sorted(Image.OPEN) == ["JPEG", "PNG", "WEBP"], sorted(Image.OPEN)
assert decode(webp.getvalue()).size == (8, 8)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

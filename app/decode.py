"""Pictures that strangers hand in: what is read, how large it may be, and what becomes of it.

`harden` restricts Pillow for the whole process, because Gradio opens uploads before our code sees them; `decode` is our
own door. Only OPENING is restricted: animated WebP can still be written.
"""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from app.errors import BadPicture

TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises on opening more pixels than `harden` allows."""
UNREADABLE = (OSError, SyntaxError, ValueError, *TOO_LARGE)
"""What opening one of our own files may raise when it was damaged or replaced."""
FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 20 * 2**20
MAX_SIDE = 8192
MAX_PIXELS = 4096**2
_READ = "PNG, JPEG and WebP are read"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"), (b"BM", "a BMP"), (b"II*\0", "a TIFF"), (b"MM\0*", "a TIFF"), (b"%PDF", "a PDF"), (b"8BPS", "a Photoshop file"),
    (b"PK\3\4", "a ZIP archive"), (b"\0\0\1\0", "an ICO"), (b"DDS ", "a DDS"), (b"<svg", "an SVG"), (b"<?xml", "an XML file"),
)  # fmt: skip


def harden() -> None:
    """Restrict Pillow in this process: three decoders, at most 4096 x 4096 pixels. Call before anything opens a picture.

    All plugins are loaded first, so that none can register itself again later; writers stay.
    """
    Image.init()
    for name in set(Image.OPEN) - set(FORMATS):
        del Image.OPEN[name]
    Image.ID[:] = [name for name in Image.ID if name in FORMATS]
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode(data: bytes) -> Image.Image:
    """The picture in a PNG, JPEG or WebP file: first frame, EXIF rotation applied, RGB or RGBA, 8 bits, without metadata.

    Args:
        data: the file's bytes, at most 20 MB; sides up to 8192, 16.7 million pixels in all.

    Raises:
        BadPicture: one sentence that says what is wrong with the file.
    """
    if len(data) > MAX_BYTES:
        raise BadPicture(f"The picture file has {len(data) / 2**20:.1f} MB, but at most {MAX_BYTES >> 20} MB are read.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            check_size(*image.size)
            return normal(image)
    except BadPicture:
        raise
    except TOO_LARGE:
        check_size(*png_size(data))
        raise BadPicture(f"The picture is too large; {_limit()}.") from None
    except MemoryError:
        raise BadPicture("There is not enough memory to read this picture.") from None
    except Exception:  # border: a foreign file; Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error ...
        raise BadPicture(refusal(data)) from None


def normal(image: Image.Image) -> Image.Image:
    """The opened picture decoded, upright, as RGB (or RGBA where it has transparency), 8 bits a channel, without `info`."""
    image.seek(0)
    image.load()
    transparent = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits, 0..65535
        samples = np.clip(np.asarray(upright, dtype=np.int64), 0, 65535)
        upright = Image.fromarray(((samples + 128) // 257).astype(np.uint8))
        transparent = False
    result = upright.convert("RGBA" if transparent else "RGB")
    result.info.clear()
    return result


def check_size(width: int, height: int) -> None:
    """Raises BadPicture when a picture of that size, in pixels, is not read."""
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise BadPicture(f"The picture is {width} x {height} pixels; {_limit()}.")


def _limit() -> str:
    return f"at most {MAX_SIDE} pixels a side and {MAX_PIXELS / 1e6:.1f} million in all are read"


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height from a PNG's first chunk, (0, 0) when it is none. (Pillow names no size when it refuses a bomb.)"""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return 0, 0
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def refusal(data: bytes) -> str:
    """Why a file that Pillow cannot read is refused: empty, another format, broken, or not a picture."""
    start = data[:256].lstrip()
    if not data:
        return "The picture file is empty."
    if data[4:8] == b"ftyp":
        return f"This is an AVIF, HEIC or video file; {_READ}."
    for magic, name in _MAGIC:
        if start.startswith(magic) or data.startswith(magic):
            return f"This is {name}; {_READ}."
    if data[:3] == b"\xff\xd8\xff" or data[:4] == b"\x89PNG" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return "The picture file is damaged or incomplete; save or download it again."
    return f"This is not a picture; {_READ}."

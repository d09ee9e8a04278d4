"""Frames to an animated WebP (Pillow alone) or an mp4 (PyAV), streamed: memory does not grow with the number of frames."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from app.errors import BadRequest
from app.request import Zoom
from app.zoom_frames import frame_count

OnFrame = Callable[[int, int], None]
"""(frames written, frames in all), after each frame; may raise to stop."""
_QUALITY = 80
_METHOD = 1
_CRF = "16"
_USER_COMMENT = 0x9286
_EXIF_IFD = 0x8769


def write(frames: Iterable[Image.Image], path: Path, request: Zoom, on_frame: OnFrame = lambda done, of: None) -> None:
    """Writes a zoom's frames to `path` in the format that the request asks for, with the request inside as JSON.

    Raises:
        BadRequest: mp4 was asked for and PyAV is not installed.
    """
    writer = write_mp4 if request.video_format == "mp4" else write_webp
    writer(frames, path, request.fps, frame_count(request), comment=request.model_dump_json(), on_frame=on_frame)


def check_format(video_format: str) -> None:
    """Raises BadRequest when mp4 is asked for and cannot be written. Cheap enough to ask before a job is queued."""
    if video_format == "mp4" and find_spec("av") is None:
        raise _no_av()


class _Reel(Image.Image):
    """Frames that come one by one, as one picture with `n_frames`: Pillow's WebP writer takes the next at each `seek`."""

    def __init__(self, frames: Iterator[Image.Image], first: Image.Image, count: int, on_frame: OnFrame) -> None:
        super().__init__()
        self._frames, self._on_frame = frames, on_frame
        self.n_frames = count
        self._at = 0
        self._show(first)

    def _show(self, frame: Image.Image) -> None:
        self._mode, self._size, self.im = frame.mode, frame.size, frame.im
        self._shown = frame

    def tell(self) -> int:
        return self._at

    def seek(self, frame: int) -> None:
        """Forward by one only; a call to go back (the writer makes one at its end) is not followed."""
        if frame == self._at + 1:
            self._on_frame(frame, self.n_frames)
            self._at = frame
            self._show(next(self._frames).convert("RGB"))


def write_webp(
    frames: Iterable[Image.Image], path: Path, fps: float, count: int, *, comment: str = "", on_frame: OnFrame = lambda done, of: None
) -> None:
    """Animated WebP, endless loop.

    Args:
        frames: of one size, at most 16383 a side.
        count: how many there are.
        comment: kept as EXIF user comment.
    """
    coming = iter(frames)
    reel = _Reel(coming, next(coming).convert("RGB"), count, on_frame)
    reel.save(path, "WEBP", save_all=True, duration=1000 / fps, loop=0, quality=_QUALITY, method=_METHOD, exif=_exif(comment))
    on_frame(count, count)


def read_comment(path: Path) -> str:
    """The comment that `write_webp` put into a file, or an empty string."""
    with Image.open(path, formats=("WEBP",)) as image:
        comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT, b"")
    return comment[8:].decode("utf-16-le", "replace") if comment[:8] == b"UNICODE\0" else ""


def _exif(comment: str) -> Image.Exif:
    """EXIF with a user comment, UTF-16 as the EXIF standard's "UNICODE" has it, in the byte order of the block."""
    exif = Image.Exif()
    exif.endian = "<"
    if comment:
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + comment.encode("utf-16-le")
    return exif


def _av() -> Any:
    """The av module. Raises BadRequest when it is not installed."""
    try:
        import av
    except ImportError:
        raise _no_av() from None
    return av


def _no_av() -> BadRequest:
    return BadRequest("Video format is 'mp4', but mp4 needs PyAV, which is not installed.", "Run: pip install av. Or choose webp.")


def write_mp4(
    frames: Iterable[Image.Image], path: Path, fps: int, count: int, *, comment: str = "", on_frame: OnFrame = lambda done, of: None
) -> None:
    """H.264 in mp4: yuv420p, BT.709, a key frame each second, index at the front. An odd last row or column is cut off.

    Args:
        comment: kept in the file's comment tag.

    Raises:
        BadRequest: PyAV is not installed.
    """
    av = _av()
    coming = iter(frames)
    first = next(coming)
    width, height = first.width // 2 * 2, first.height // 2 * 2
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": _CRF, "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.gop_size = max(1, fps)
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # limited ("mpeg")
        for i in range(count):
            image = first if i == 0 else next(coming)
            frame = av.VideoFrame.from_image(image.convert("RGB").crop((0, 0, width, height)))
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts = i
            container.mux(stream.encode(frame))
            on_frame(i + 1, count)
        container.mux(stream.encode())

"""Videos: right size, right number of frames, right length, the request inside, and nothing held in memory."""

import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import video
from app.errors import BadRequest, Cancelled
from app.request import Zoom


def moving(count: int, size: tuple[int, int] = (64, 48)) -> Iterator[Image.Image]:
    """A bright bar that moves over gray."""
    for i in range(count):
        pixels = np.full((size[1], size[0], 3), 90, np.uint8)
        pixels[:, i * 2 % size[0] : i * 2 % size[0] + 8] = (250, 40, 40)
        yield Image.fromarray(pixels)


def webp_frames(path: Path) -> tuple[list[np.ndarray], float]:
    found, length = [], 0.0
    with Image.open(path) as image:
        for i in range(image.n_frames):
            image.seek(i)
            image.load()
            found.append(np.asarray(image.convert("RGB")))
            length += image.info["duration"]
        assert image.info["loop"] == 0
    return found, length / 1000


def test_webp_has_all_frames_and_the_request(tmp_path: Path) -> None:
    request, told = Zoom(prompt="ein Schloß, 城", keys=3, seconds=1, fps=30), []
    video.write(moving(30), tmp_path / "video.part", request, lambda done, of: told.append((done, of)))
    frames, length = webp_frames(tmp_path / "video.part")
    assert len(frames) == 30 and frames[0].shape == (48, 64, 3) and length == pytest.approx(1.0, abs=0.002)
    assert all(np.abs(frame.astype(int) - np.asarray(truth)).mean() < 6 for frame, truth in zip(frames, moving(30), strict=True))
    assert told == [(i + 1, 30) for i in range(30)]
    assert video.read_comment(tmp_path / "video.part") == request.model_dump_json()


def test_webp_holds_few_frames_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref[Image.Image]] = []
    most = 0

    def counted() -> Iterator[Image.Image]:
        nonlocal most
        for frame in moving(40):
            alive.append(weakref.ref(frame))
            most = max(most, sum(each() is not None for each in alive))
            yield frame
            del frame

    video.write_webp(counted(), tmp_path / "a.webp", 20, 40)
    assert 1 <= most <= 4


def test_two_frames_are_an_animation(tmp_path: Path) -> None:
    video.write_webp(moving(2), tmp_path / "a.webp", 1, 2)
    frames, length = webp_frames(tmp_path / "a.webp")
    assert len(frames) == 2 and length == 2.0 and video.read_comment(tmp_path / "a.webp") == ""


@pytest.mark.parametrize("video_format", ["webp", "mp4"])
def test_stop_leaves_at_once(tmp_path: Path, video_format: str) -> None:
    if video_format == "mp4":
        pytest.importorskip("av", reason="PyAV is optional")
    made = []

    def stop(done: int, of: int) -> None:
        if done == 3:
            raise Cancelled

    frames = (made.append(frame) or frame for frame in moving(30))
    with pytest.raises(Cancelled):
        video.write(frames, tmp_path / "video.part", Zoom(seconds=1, fps=30, video_format=video_format), stop)
    assert len(made) <= 4


@pytest.mark.parametrize("size", [(64, 48), (133, 97)])
def test_mp4_plays_everywhere(tmp_path: Path, size: tuple[int, int]) -> None:
    av = pytest.importorskip("av", reason="PyAV is optional")
    request, told = Zoom(prompt="ein Schloß, 城", keys=3, seconds=1, fps=25, video_format="mp4"), []
    path = tmp_path / "video.part"
    video.write(moving(25, size), path, request, lambda done, of: told.append((done, of)))
    with av.open(str(path), format="mp4") as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.metadata["comment"] == request.model_dump_json()
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 25)
        assert stream.codec_context.colorspace == 1
        assert container.duration / 1_000_000 == pytest.approx(1.0, abs=0.05)
    assert len(frames) == 25 and frames[0].shape == (size[1] // 2 * 2, size[0] // 2 * 2, 3)
    gray = frames[5][:, -8:].astype(int)
    assert np.abs(gray - 90).mean() < 3
    assert told[-1] == (25, 25) and len(told) == 25
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_mp4_without_pyav_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BadRequest, match=r"mp4 needs PyAV.*pip install av"):
        video.write(moving(2), tmp_path / "a.mp4", Zoom(video_format="mp4"))
    with pytest.raises(BadRequest, match="pip install av"):
        video.check_format("mp4")
    video.check_format("webp")
    assert not list(tmp_path.iterdir())

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from app.engine.checkpoints.header import ModelFile
from app.errors import NotFound
from app.model_previews import SIDE, ModelPreviews


def model(folder: Path, name: str = "ink", preview: Path | None = None) -> ModelFile:
    path = folder / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return ModelFile(name, path, "lora", "sd1", "", 7, 512, preview=preview)


def picture(path: Path, size: tuple[int, int] = (900, 300), colour: str = "red") -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_picture_is_made_small_once_and_again_when_it_changes(tmp_path: Path) -> None:
    previews = ModelPreviews(tmp_path / "own")
    file = model(tmp_path, preview=picture(tmp_path / "ink.png"))
    first = previews.version(file)
    with opened(previews.small(file)) as small:
        assert (small.format, small.size) == ("JPEG", (SIDE, 171))
    [kept] = (tmp_path / "own" / "small").iterdir()
    kept.write_bytes(b"from the cache")
    assert previews.small(file) == b"from the cache"
    picture(tmp_path / "ink.png", (100, 120), "blue")
    os.utime(tmp_path / "ink.png", (1, 1))
    assert previews.version(file) != first
    with opened(previews.small(file)) as small:
        assert small.size == (100, 120)
    assert len(list((tmp_path / "own" / "small").iterdir())) == 1, "the older one goes"


@pytest.mark.parametrize("content", [b"", b"<html>", b"GIF89a" + b"\0" * 99, b"\x89PNG\r\n\x1a\n" + b"\0" * 99, b"\0" * (21 << 20)])
def test_what_is_no_picture_is_told_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ink.png").write_bytes(content)
    previews = ModelPreviews(tmp_path / "own")
    for file in (model(tmp_path, preview=tmp_path / "ink.png"), model(tmp_path), model(tmp_path, preview=tmp_path / "gone.png")):
        with pytest.raises(NotFound):
            previews.small(file)
    assert previews.version(model(tmp_path)) == previews.version(model(tmp_path, preview=tmp_path / "gone.png")) == ""


def test_a_chosen_picture_lies_beside_the_model(tmp_path: Path) -> None:
    previews, file = ModelPreviews(tmp_path / "own"), model(tmp_path / "models")
    previews.choose(file, Image.new("RGBA", (2000, 1000), (0, 0, 0, 0)))
    with Image.open(tmp_path / "models" / "ink.preview.webp") as found:
        assert (found.format, found.size, found.mode) == ("WEBP", (512, 256), "RGB") and abs(found.getpixel((9, 9))[0] - 128) < 4
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["ink.preview.webp", "ink.safetensors"]
    assert not (tmp_path / "own").exists()


def test_nothing_is_written_where_nothing_may_be(tmp_path: Path) -> None:
    previews = ModelPreviews(tmp_path / "own", kept_out=(tmp_path / "shipped",))
    shipped = model(tmp_path / "shipped" / "loras", preview=picture(tmp_path / "old.png"))
    folder = ModelFile("base", tmp_path / "base", "checkpoint", "sd1", "", 7, 512)
    (tmp_path / "base").mkdir()
    for file in (shipped, folder):
        before = {*file.path.parent.iterdir(), tmp_path / "own"}
        previews.choose(file, Image.new("RGB", (64, 64), "green"))
        assert {*file.path.parent.iterdir(), tmp_path / "own"} == before
        with opened(previews.small(file)) as small:
            assert small.size == (64, 64) and small.getpixel((5, 5))[1] > 100, "the chosen one goes before the one that lies beside"
    assert len(list((tmp_path / "own" / "chosen").iterdir())) == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_read_only_folder_is_left_alone(tmp_path: Path) -> None:
    previews, file = ModelPreviews(tmp_path / "own"), model(tmp_path / "models")
    (tmp_path / "models").chmod(0o555)
    previews.choose(file, Image.new("RGB", (64, 64), "green"))
    (tmp_path / "models").chmod(0o755)
    assert previews.version(file) and [path.name for path in (tmp_path / "models").iterdir()] == ["ink.safetensors"]

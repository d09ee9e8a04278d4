"""Textual inversions in pictures, written as A1111 writes them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.engine.adapters.embeddings import dictionary, embeddings_in, read_embedding
from app.engine.checkpoints.embeddings import word_of
from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.pictured import MAX_CHUNKS, MAX_TEXT, carries_embedding, picture_header
from app.engine.checkpoints.read import read_weights
from app.engine.checkpoints.recognise import inspect_file
from app.engine.prompt.vocabulary import clip_vocabulary
from app.errors import BadCheckpoint
from app.settings import Settings
from tests import tiny

ROWS = [[0.5] * 768, [-0.25] * 768]


def record(vectors: Any = ROWS, **more: Any) -> dict[str, Any]:
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": {"TORCHTENSOR": vectors}}, "name": "dusk", "step": 500, **more}


def coded(said: Any) -> bytes:
    return base64.b64encode((said if isinstance(said, str) else json.dumps(said)).encode())


def picture(path: Path, text: bytes | None, key: str = "sd-ti-embedding", before: int = 0) -> Path:
    info = PngInfo()
    for number in range(before):
        info.add_text(f"note {number}", "x")
    if text is not None:
        info.add_text(key, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (9, 9, 9)).save(path, pnginfo=info)
    return path


def test_what_a_picture_carries(tmp_path: Path) -> None:
    path = picture(tmp_path / "dusk-500.png", coded(record()), before=3)
    header = picture_header(path)
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in header.tensors.items()} == {"string_to_param.*": ("F32", (2, 768))}
    assert header.metadata == {"name": "dusk"}
    file = inspect_file(path, "night/dusk-500", "embedding")
    assert (file.kind, file.family, file.problem, file.name, file.width, file.preview) == ("embedding", "sd1", "", "night/dusk", 768, path)
    assert torch.equal(read_embedding(file)[""], torch.tensor(ROWS))
    read = dictionary(clip_vocabulary(), [file], "a cat at Dusk", {"clip-l": 768}, "clip-l")
    assert torch.equal(read.vectors["dusk"], torch.tensor(ROWS))
    assert embeddings_in("a cat at dusk", [file], {"clip-l": 768}) == [file] and embeddings_in("dusk", [file], {"openclip-h": 1024}) == []


@pytest.mark.parametrize("said", [record([[1, 2.5]]), record([1, 2.5]), record(string_to_token={"*": {"TORCHTENSOR": 265}})])
def test_other_shapes(tmp_path: Path, said: dict[str, Any]) -> None:
    path = picture(tmp_path / "x.png", coded(said))
    read = read_weights(path, torch.float32, lambda name: name.startswith("string_to_param"))
    expected = torch.tensor(said["string_to_param"]["*"]["TORCHTENSOR"], dtype=torch.float32)
    assert list(read) == ["string_to_param.*"] and torch.equal(read["string_to_param.*"], expected)


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a\nb", "x" * 101, 7, None])
def test_a_name_that_is_no_word_is_left_aside(tmp_path: Path, name: Any) -> None:
    file = inspect_file(picture(tmp_path / "dawn.png", coded(record(name=name))), "dawn", "embedding")
    assert file.problem == "" and word_of(file) == "dawn"


DAMAGED = {
    "no base64": (b"{}", "cannot be read"),
    "no json": (coded("{"), "cannot be read"),
    "deep": (coded("[" * 100_000), "cannot be read"),
    "nothing": (coded({}), "without vectors"),
    "a list": (coded([1]), "without vectors"),
    "ragged": (coded(record([[1.0, 2.0], [3.0]])), "its rows differ in length"),
    "empty": (coded(record([])), "no finite number"),
    "text": (coded(record([["1.0", "2.0"]])), "no finite number"),
    "three dimensions": (coded(record([[[1.0]]])), "no finite number"),
    "NaN": (coded(record([[float("nan")]])), "it holds NaN"),
    "infinity": (coded(json.dumps(record([[7.5]])).replace("7.5", "1e999")), "no finite number"),
    "huge": (coded(record([[10**400]])), "cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_told_in_one_sentence(tmp_path: Path, case: str) -> None:
    text, sentence = DAMAGED[case]
    file = inspect_file(picture(tmp_path / "x.png", text), "x", "embedding")
    assert file.kind == "embedding" and file.problem.startswith("'x.png' ") and sentence in file.problem and "\n" not in file.problem


def test_changed_cut_and_oversized_files(tmp_path: Path) -> None:
    whole = picture(tmp_path / "x.png", coded(record())).read_bytes()
    place = whole.index(b"sd-ti-embedding") + 100
    for harmed in (whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], whole[:place]):
        (tmp_path / "x.png").write_bytes(harmed)
        with pytest.raises(BadCheckpoint, match=r"'x\.png' is damaged: its textual inversion is cut off or was changed"):
            picture_header(tmp_path / "x.png")
    start = whole.index(b"tEXt") - 4
    (tmp_path / "x.png").write_bytes(whole[:start] + (MAX_TEXT + 17).to_bytes(4) + whole[start + 4 :])
    with pytest.raises(BadCheckpoint, match=rf"claims {MAX_TEXT + 1} bytes"):
        picture_header(tmp_path / "x.png")


def test_numbers_beyond_float32_are_damage(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.png", coded(record([[1e300, 1.0]])))
    with pytest.raises(BadCheckpoint, match=r"'x\.png' is damaged: its tensor 'string_to_param\.\*' holds NaN or infinite"):
        read_weights(path, torch.float32)


def test_pictures_without_an_embedding(tmp_path: Path) -> None:
    assert not carries_embedding(picture(tmp_path / "plain.png", None))
    assert not carries_embedding(picture(tmp_path / "made.png", b"a cat", key="parameters"))
    assert not carries_embedding(picture(tmp_path / "many.png", coded(record()), before=MAX_CHUNKS))
    assert not carries_embedding(tmp_path / "missing.png")
    (tmp_path / "text.png").write_bytes(b"sd-ti-embedding\0")
    assert not carries_embedding(tmp_path / "text.png")
    with pytest.raises(BadCheckpoint, match=r"'plain\.png' is a picture that carries no textual inversion"):
        picture_header(tmp_path / "plain.png")


def test_only_pictures_with_an_embedding_are_on_the_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, models, text = tmp_path / "embeddings", tmp_path / "models", coded(record())
    picture(words / "old" / "dusk-500.png", text)
    picture(words / "plain.png", None)
    tiny.write_embedding(words / "stickers.safetensors")
    for preview in ("stickers.png", "dusk.preview.png"):
        picture(words / preview, text)
    picture(models / "sample.png", text)
    opened: list[str] = []
    monkeypatch.setattr("app.engine.checkpoints.scan.carries_embedding", lambda path: opened.append(path.name) or carries_embedding(path))
    none = (tmp_path / "none",)
    folders = {"checkpoint_dirs": (models,), "vae_dirs": none, "lora_dirs": none, "embedding_dirs": (words,)}
    shelf = Shelf(Settings(root=tmp_path, outputs_dir=tmp_path / "outputs", **folders))
    assert [file.name for file in shelf.everything()] == ["old/dusk", "stickers"]
    assert sorted(opened) == ["dusk-500.png", "plain.png"], "previews and other folders' pictures are not opened"
    found = shelf.find("embedding", "dusk-500")
    assert found.path == words / "old" / "dusk-500.png" and found == shelf.find("embedding", "old/dusk")

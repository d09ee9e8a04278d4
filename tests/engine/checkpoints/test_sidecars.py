import json
from pathlib import Path

import pytest

from app.engine.checkpoints.sidecars import NOTHING, Beside, Neighbours, Sidecar, read_sidecar


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


def test_previews(tmp_path: Path) -> None:
    touch(tmp_path, "a.safetensors", "a.png", "a.preview.png", "a.preview.webp", "B.safetensors", "b.PREVIEW.jpg", "c.v2.safetensors", "c.v2.jpeg")
    touch(tmp_path, "d.safetensors", "folder/preview.webp", "folder/model_index.json", "bare/model_index.json")
    (tmp_path / "d.preview.png").mkdir()
    neighbours = Neighbours()
    asked = ("a.safetensors", "B.safetensors", "c.v2.safetensors", "d.safetensors", "folder", "bare", "no/x.pt")
    found = [neighbours.of(tmp_path / name, is_folder=(tmp_path / name).is_dir()).preview for name in asked]
    expected = ("a.preview.webp", "b.PREVIEW.jpg", "c.v2.jpeg", None, "folder/preview.webp", None, None)
    assert found == [name and tmp_path / name for name in expected]


def test_configs_and_sidecars_lie_beside_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.safetensors", "A.yaml", "a.json", "a.civitai.info", "b.safetensors", "folder/model_index.json", "folder.json")
    neighbours = Neighbours()
    assert neighbours.of(tmp_path / "a.safetensors", is_folder=False) == Beside(None, tmp_path / "A.yaml", (tmp_path / "a.json", tmp_path / "a.civitai.info"))
    assert neighbours.of(tmp_path / "b.safetensors", is_folder=False) == Beside()
    assert neighbours.of(tmp_path / "folder", is_folder=True).sidecars == (tmp_path / "folder.json",)


def test_the_users_own_words_come_before_the_sites(tmp_path: Path) -> None:
    own, site = tmp_path / "a.json", tmp_path / "a.civitai.info"
    own.write_text(json.dumps({
        "description": "mine", "sd version": "Unknown", "activation text": "ink, sketch", "preferred weight": 0.7, "negative text": "blur", "notes": "good",
    }))  # fmt: skip
    site.write_text(json.dumps({
        "baseModel": "SDXL 1.0", "trainedWords": ["inky, ", "x"], "description": "<p>Drawn &amp; <b>inked</b></p><script>", "model": {"name": "Ink"},
    }))  # fmt: skip
    assert read_sidecar((own, site)) == Sidecar("Ink", "mine", "good", "ink, sketch", "blur", 0.7, "SDXL 1.0")
    assert read_sidecar((site,)) == Sidecar("Ink", "Drawn & inked", activation="inky, x", version="SDXL 1.0")


ODD = ["", "{", "[1]", '{"preferred weight": "high", "description": 5, "notes": null}', "[" * 100_000, '{"model": 3, "trainedWords": 1}']


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("name", ["a.json", "a.civitai.info"])
def test_odd_sidecars_say_nothing(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_sidecar((tmp_path / name,)) == NOTHING


def test_texts_of_strangers_are_cut_and_clean(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"description": "a\u202eb\0c" * 5000, "activation text": "x\ny", "preferred weight": 1e9}))
    found = read_sidecar((tmp_path / "a.json",))
    assert len(found.description) <= 2000 and found.description.startswith("abcabc") and (found.activation, found.weight) == ("x y", 0.0)
    (tmp_path / "b.json").write_text('{"notes": "' + "x" * 3_000_000 + '"}')
    assert read_sidecar((tmp_path / "b.json", tmp_path / "gone.json")) == NOTHING

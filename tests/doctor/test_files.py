"""Model files, styles and installations: damaged ones are problems, strangers are notes."""

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from app.doctor import files
from app.movein import record
from app.settings import ROOT, Settings


def lying(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 10**6) + b"{}")


def test_models(settings: Settings) -> None:
    folder = settings.checkpoint_dirs[0]
    found = files.models(settings)
    assert [one.state for one in found] == ["problem"] and "no checkpoint that can be used" in found[0].text
    shutil.copytree(ROOT / "models/embedded/darkroom-base", folder / "mine")
    lying(folder / "cut.safetensors")
    (folder / "old.ckpt").write_bytes(b"PK\3\4")
    first, *rest = files.models(settings)
    assert first.state == "ok" and first.text.startswith("1 checkpoint can be used, 1 of 3 files")
    assert sorted((one.state, one.text.split("'")[1]) for one in rest) == [("note", "old"), ("problem", "cut")]
    for number in range(20):
        lying(folder / f"cut{number}.safetensors")
    assert "13 more files cannot be used." in [one.text for one in files.models(settings)]


def test_what_darkroom_comes_with(settings: Settings) -> None:
    assert files.embedded(replace(settings, root=ROOT)).state == "ok"
    assert files.embedded(settings).state == "problem"
    folder = settings.root / "models/embedded"
    shutil.copytree(ROOT / "models/embedded/darkroom-base", folder / "darkroom-base")
    assert files.embedded(settings).state == "ok"
    unet = next((folder / "darkroom-base/unet").glob("*.safetensors"))
    unet.write_bytes(unet.read_bytes()[:1000])
    found = files.embedded(settings)
    assert found.state == "problem" and unet.name in found.text and "models/embedded anew" in found.cure


def test_styles(settings: Settings) -> None:
    theirs = settings.root / "theirs.json"
    theirs.write_text('[{"name": "a", "prompt": "b"}]')
    here = replace(settings, imported_styles=(theirs,))
    assert files.styles(here) == []
    settings.styles_file.write_text("no columns here")
    theirs.write_text("[")
    own, other = files.styles(here)
    assert own.state == other.state == "problem" and "no column 'name'" in own.text and "last good one" in own.cure and "that it is of" in other.cure


def test_installations_used_in_place(tmp_path: Path) -> None:
    assert files.imports(tmp_path) == []
    theirs = tmp_path / "webui"
    (theirs / "models").mkdir(parents=True)
    record.add(tmp_path, record.Import(theirs, "AUTOMATIC1111", {"lora": (theirs / "models",)}))
    assert [one.state for one in files.imports(tmp_path)] == ["ok"]
    (theirs / "models").rmdir()
    [found] = files.imports(tmp_path)
    assert found.state == "problem" and f"'{theirs}/models' is not there any more" in found.text and "--import" in found.cure
    theirs.rmdir()
    assert f'--forget-import "{theirs}"' in files.imports(tmp_path)[0].cure
    (tmp_path / "imports.json").write_text("{")
    assert files.imports(tmp_path)[0].state == "problem" and "Delete it" in files.imports(tmp_path)[0].cure


def test_without_the_packages_it_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("app.engine.checkpoints.find", "app.engine.checkpoints.header", "app.styles"):
        monkeypatch.setitem(sys.modules, name, None)
    assert [one.state for one in (*files.models(settings), files.embedded(settings), *files.styles(settings))] == ["note"] * 3

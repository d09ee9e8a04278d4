"""Every model file there is, and every way to be broken, is called by its right name; nothing crashes, hangs or runs."""

from pathlib import Path

import pytest

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.recognise import INSPECT_FOLDER, inspect_file, is_model_folder
from app.settings import Settings
from tests.layouts import zoo
from tests.layouts.checkpoints import LAYOUTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.make_all(tmp_path_factory.mktemp("zoo") / "animals")


@pytest.fixture(autouse=True)
def unexploded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZOO_BOMB", str(tmp_path / "crater"))
    yield
    assert not (tmp_path / "crater").exists()


def look(path: Path, pickles: bool = False) -> ModelFile:
    if path.is_dir():
        return INSPECT_FOLDER[is_model_folder(path)](path, path.name, pickles=pickles)
    return inspect_file(path, path.stem, "checkpoint", pickles=pickles)


def test_the_zoo_is_large_and_has_all_families() -> None:
    assert len(zoo.ANIMALS) >= 60
    assert set(LAYOUTS) <= {animal.family for animal in zoo.ANIMALS.values()}


@pytest.mark.parametrize("name", zoo.ANIMALS)
def test_every_animal_is_named(name: str, folder: Path) -> None:
    animal = zoo.ANIMALS[name]
    file = look(folder / name)
    assert (file.kind, file.family) == (animal.kind, animal.family)
    assert bool(file.problem) == bool(animal.problem) and animal.problem in file.problem
    assert file.problem.count("\n") == 0 and len(file.problem) < 400
    assert {fact: getattr(file, fact) for fact in animal.facts} == dict(animal.facts)


@pytest.mark.parametrize("name", [name for name in zoo.ANIMALS if "bomb" in name or "pickle" in name])
def test_bombs_do_not_go_off_where_pickles_are_allowed_either(name: str, folder: Path) -> None:
    file = look(folder / name, pickles=True)
    assert file.problem and "--allow-pickles" not in file.problem


def test_the_bomb_is_one(tmp_path: Path) -> None:
    import os
    import pickle

    pickle.loads(zoo.bomb())
    crater = Path(os.environ["ZOO_BOMB"])
    assert crater.read_text() == zoo.FINISHED
    crater.unlink()


def test_the_shelf_lists_the_whole_zoo_and_remembers_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = (tmp_path / "none",)
    settings = Settings(
        root=tmp_path, checkpoint_dirs=(folder,), vae_dirs=nowhere, lora_dirs=nowhere, embedding_dirs=nowhere, outputs_dir=tmp_path / "outputs"
    )
    first = Shelf(settings).everything()
    named = {file.path.name: file for file in first}
    assert set(named) == set(zoo.ANIMALS)
    assert {name: (file.kind, file.family) for name, file in named.items()} == {name: (one.kind, one.family) for name, one in zoo.ANIMALS.items()}
    monkeypatch.setattr("app.engine.checkpoints.scan.inspect_file", None)  # a second start opens no file
    monkeypatch.setattr("app.engine.checkpoints.scan.INSPECT_FOLDER", {})
    again = Shelf(settings)
    assert again.everything() == first
    again.refresh()
    assert again.everything() == first

"""Sample pictures beside model files: which, of what, and where."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from app.engine.checkpoints.find import Shelf
from app.settings import Settings
from tests import tiny
from tools.embedded import easel, previews
from tools.embedded.easel import Easel, Order


@pytest.fixture
def models(tmp_path: Path) -> Path:
    made = tiny.embedded_parts(3)
    folder = tmp_path / "models" / "embedded"
    tiny.write_folder(folder / "darkroom-base", made)
    for name in ("loras", "embeddings"):
        (folder / name).mkdir()
    for name in ("lcm", "ink"):
        tiny.write_lora(folder / "loras" / f"darkroom-{name}.safetensors", made)
    tiny.write_embedding(folder / "embeddings" / "darkroom-dusk.safetensors")
    return folder


def test_each_kind_is_shown_as_it_is_used(models: Path, tmp_path: Path) -> None:
    shelf = Shelf(Settings(root=tmp_path))
    base = shelf.checkpoint("darkroom-base")
    files = {file.path.stem: file for file in [base, *shelf.loras(), *shelf.embeddings()]}
    asked = {name: previews.orders_of(file, base, tmp_path / "run")[0].values for name, file in files.items()}
    assert asked["darkroom-base"]["prompt"] == previews.PROMPTS[0]
    assert asked["darkroom-ink"]["prompt"] == f"{previews.PROMPTS[0]}, ink, <lora:darkroom-ink:1>"
    assert asked["darkroom-lcm"]["prompt"].endswith("<lora:darkroom-lcm:1>")
    assert (asked["darkroom-lcm"]["sampler"], asked["darkroom-lcm"]["steps"], asked["darkroom-lcm"]["cfg_scale"]) == ("LCM", 4, 1.0)
    assert asked["darkroom-dusk"]["prompt"] == f"{previews.PLACES[0]}, darkroom-dusk"
    assert {values["checkpoint"] for values in asked.values()} == {"darkroom-base"}


def test_previews_lie_where_the_app_looks(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Order] = []

    def fill_all(board: Easel, orders: list[Order], workers: int) -> None:
        for order in orders:
            order.path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (previews.SIDE, previews.SIDE), (len(drawn) % 256, 0, 0)).save(order.path)
            drawn.append(order)

    monkeypatch.setattr(easel, "fill_all", fill_all)
    previews.draw_previews(models, tmp_path / "run", ("base", "ink"), 1, lambda _: None)
    assert len(drawn) == 8
    shelf = Shelf(Settings(root=tmp_path))
    found = {file.path.stem: file.preview for file in [*shelf.checkpoints(), *shelf.loras()]}
    assert found["darkroom-base"] == models / "darkroom-base" / "preview.webp"
    assert found["darkroom-ink"] == models / "loras" / "darkroom-ink.preview.webp" and found["darkroom-lcm"] is None
    with Image.open(found["darkroom-ink"]) as image:
        assert image.size == (256, 256)


def test_repairs_show_the_hole_above_what_was_painted_into_it(tmp_path: Path) -> None:
    mask = np.zeros((8, 8, 3), np.uint8)
    mask[:4] = 255
    orders = []
    for index in range(2):
        path = tmp_path / f"{index}.png"
        Image.new("RGB", (8, 8), (9, 9, 9)).save(path)
        orders.append(Order(path, {}, {"image": np.full((8, 8, 3), 50 + index, np.uint8), "mask": mask}))
    whole = previews.four_of(orders)
    assert whole.shape == (16, 16, 3)
    assert (whole[:4] == 128).all() and (whole[4:8, :8] == 50).all() and (whole[4:8, 8:] == 51).all() and (whole[8:] == 9).all()

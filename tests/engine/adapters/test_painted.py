"""What a prompt's tag says reaches the picture, through the real engine on a tiny checkpoint."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.errors import BadCheckpoint
from app.extensions import Extensions
from app.request import parse
from app.settings import Settings
from tests import tiny

SIZE = {"task": "txt2img", "width": 64, "height": 64, "seed": 5, "steps": 4, "sampler": "Euler", "cfg_scale": 1.0}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("painted")
    made = tiny.parts(0)
    tiny.write_folder(folder / "tiny", made)
    tiny.write_lora(folder / "style.safetensors", made)
    words = {"bundle_emb.house.string_to_param.*": torch.randn(1, tiny.WIDTH)}
    save_file(tiny.lora_weights(made) | words, folder / "pivotal.safetensors")
    tiny.write_embedding(folder / "night.safetensors")
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.randn(2, tiny.WIDTH)}, "name": "forest", "step": 5}, folder / "forest.pt")
    none = folder / "none"
    none.mkdir()
    dirs = (folder,)
    settings = replace(Settings(), checkpoint_dirs=dirs, lora_dirs=dirs, vae_dirs=(none,), embedding_dirs=dirs, extension_dir=none)
    settings = replace(settings, cpu_parts=frozenset({"all"}), allow_pickles=True)
    return Engine(settings, Shelf(settings), Extensions())


def picture(engine: Engine, prompt: str, **values: Any) -> bytes:
    found: Iterator[Any] = engine.run(parse(SIZE | {"prompt": prompt} | values), {}, lambda progress: None)
    return b"".join(picture.image.tobytes() for picture in found)


def test_steps_of_a_network(engine):
    plain, whole, text = (picture(engine, f"cat{tag}") for tag in ("", "<lora:style:1>", "<lora:style:1:0>"))
    assert len({plain, whole, text}) == 3
    assert picture(engine, "cat<lora:style:1:start=1>") == whole == picture(engine, "cat<lora:style:1:stop=9>")
    assert picture(engine, "cat<lora:style:1:stop=1>") == text == picture(engine, "cat<lora:style:1:start=9>")
    between = picture(engine, "cat<lora:style:1:step=2-4>")
    assert between not in (plain, whole, text) and between == picture(engine, "cat<lora:style:1:start=2:stop=4>")
    assert picture(engine, "cat", batch_size=1) == plain


def test_a_batch_with_steps_is_the_single_pictures(engine):
    single = [picture(engine, "cat<lora:style:1:stop=3>", seed=seed) for seed in (5, 6)]
    assert picture(engine, "cat<lora:style:1:stop=3>", batch_size=2) == single[0] + single[1]


def test_weights_of_blocks(engine):
    whole = picture(engine, "cat<lora:style:1>")
    assert picture(engine, "cat<lora:style:1:lbw=ALL>") == whole
    assert picture(engine, "cat<lora:style:1:lbw=NONE>") == picture(engine, "cat")
    assert picture(engine, "cat<lora:style:1:lbw=INALL>") not in (whole, picture(engine, "cat"))


def test_textual_inversions_of_both_kinds_of_file(engine, monkeypatch):
    [found] = engine.run(parse(SIZE | {"prompt": "a forest at night"}), {}, lambda progress: None)
    assert found.facts["TI hashes"].startswith("forest: ") and ", night: " in found.facts["TI hashes"]
    monkeypatch.setattr(engine.shelf, "embeddings", list)
    assert picture(engine, "a forest at night") != found.image.tobytes()


def test_words_that_a_lora_brings_along(engine):
    plain, pivotal = (picture(engine, f"cat<lora:{name}:1>") for name in ("style", "pivotal"))
    assert plain == pivotal and picture(engine, "a house<lora:style:1>") != picture(engine, "a house<lora:pivotal:1>")


def test_the_wrong_family_is_refused_by_name(engine, monkeypatch):
    shelf = engine.shelf
    other = replace(shelf.lora("style"), family="sdxl")
    monkeypatch.setattr(shelf, "lora", lambda name: other)
    with pytest.raises(BadCheckpoint, match=r"'style' is an SDXL LoRA; 'tiny' is an SD 1\.x checkpoint\."):
        picture(engine, "cat<lora:style:1>")

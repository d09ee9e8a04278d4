"""What stays warm: as much as fits, and what two checkpoints share counts once."""

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from app.engine.checkpoints.cache import ModelCache, taken
from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.errors import BadCheckpoint
from app.extensions import Extensions
from app.request import Txt2Img
from tests import tiny


class Fake:
    """A model of so many bytes, at places of its own or shared ones."""

    def __init__(self, size, shared=()):
        self.released, self.placement, self.adapters = 0, self, SimpleNamespace(bytes=0)
        self._memory = {id(self): size, **dict(shared)}

    def memory(self):
        return self._memory

    def release(self):
        self.released += 1


def test_the_cache_keeps_what_fits_and_drops_the_oldest():
    cache, loads = ModelCache(100), []

    def get(key, size=40):
        def load():
            loads.append(key)
            return Fake(size)

        return cache.get(key, size, load)

    a = get("a")
    assert get("a") is a and a.released == 0
    get("b")
    assert a.released == 1 and get("a") is a
    get("c")
    assert loads == ["a", "b", "c"] and len(cache) == 2 and cache.bytes == 80
    assert get("a") is a
    get("b")
    assert loads == ["a", "b", "c", "b"]
    get("giant", 1000)
    assert len(cache) == 1 and cache.bytes == 1000


def test_what_is_shared_counts_once():
    shared, cache = ((1, 30),), ModelCache(100)
    for key in "abc":
        cache.get(key, 20, lambda: Fake(20, shared))
    assert len(cache) == 3 and cache.bytes == 90
    model = Fake(20)
    model.adapters.bytes = 7
    assert taken([model]) == 27


def test_no_budget_keeps_one():
    cache = ModelCache(0)
    for key in "ab":
        assert cache.get(key, 5, lambda: Fake(5)) is cache.get(key, 5, lambda: pytest.fail("loaded twice"))
    assert len(cache) == 1


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Checkpoints "a" and "b", and "a with b's UNet": VAE and text encoder are a's."""
    folder = tmp_path_factory.mktemp("warm")
    first, second = tiny.parts(0), tiny.parts(7)
    tiny.write_folder(folder / "a", first)
    tiny.write_folder(folder / "b", second)
    first.unet = second.unet
    tiny.write_folder(folder / "mixed", first)
    (folder / "Lora").mkdir()
    tiny.write_lora(folder / "Lora" / "style.safetensors", tiny.parts(0))
    return folder


@pytest.fixture
def make(models, settings):
    def engine(folder=models, **changes):
        dirs = (folder,)
        here = replace(settings, checkpoint_dirs=dirs, lora_dirs=dirs, vae_dirs=dirs, embedding_dirs=dirs, **changes)
        return Engine(here, Shelf(here), Extensions())

    return engine


def paint(engine, checkpoint, prompt="a cat"):
    (picture,) = engine.run(Txt2Img(checkpoint=checkpoint, prompt=prompt, seed=3, steps=2), {}, lambda progress: None)
    return np.asarray(picture.image)


def places(model, *names):
    return {weight.data_ptr() for name in names for weight in model.placement.networks[name].parameters()}


def test_there_and_back_is_the_same_picture_cold_and_warm(make):
    warm, cold = make(warm_ram=10**10), make(warm_ram=0)
    first = paint(warm, "a")
    for engine in (warm, cold):
        pictures = [paint(engine, name) for name in ("a", "b", "a")]
        assert np.array_equal(pictures[0], first) and np.array_equal(pictures[2], first) and not np.array_equal(pictures[1], first)
    assert len(warm._models) == 2 and len(cold._models) == 1


def test_twenty_swaps_leave_nothing(make):
    engine, process, gone, seen = make(warm_ram=0), psutil.Process(), [], []
    for number in range(20):
        model = engine.acquire("ab"[number % 2])
        gone.append(weakref.ref(model.placement.networks["unet"]))
        del model
        gc.collect()
        seen.append(process.memory_info().rss)
    assert [reference() is None for reference in gone] == [True] * 19 + [False]
    assert seen[-1] <= 1.05 * seen[2]


def test_equal_parts_of_two_checkpoints_are_in_memory_once(make, monkeypatch):
    monkeypatch.setattr("app.engine.checkpoints.read.PART", 1)
    engine = make(warm_ram=10**10)
    a, mixed, b = (engine.acquire(name) for name in ("a", "mixed", "b"))
    assert places(a, "vae", "text_encoder") == places(mixed, "vae", "text_encoder") and not places(a, "unet") & places(mixed, "unet")
    assert places(b, "unet") == places(mixed, "unet")
    assert taken([a, b]) <= engine._models.bytes < taken([a, b]) + 2000 < sum(taken([model]) for model in (a, b, mixed))


def test_a_lora_in_one_does_not_change_what_the_other_shares(make, monkeypatch):
    monkeypatch.setattr("app.engine.checkpoints.read.PART", 1)
    alone, both = make(warm_ram=0), make(warm_ram=10**10)
    expected, styled = paint(alone, "mixed"), paint(alone, "a", "a cat<lora:style:1>")
    assert np.array_equal(paint(both, "mixed"), expected)
    assert np.array_equal(paint(both, "a", "a cat<lora:style:1>"), styled)
    assert both.acquire("a").adapters.bytes > 0
    assert np.array_equal(paint(both, "mixed"), expected)


def test_damage_in_weights_that_were_not_looked_at_is_named_when_a_picture_shows_it(make):
    engine = make()
    weight = engine.acquire("b").placement.networks["unet"].conv_in.weight
    weight.data = torch.full_like(weight, torch.nan)
    with pytest.raises(BadCheckpoint, match=r"'b' is damaged: the tensor 'conv_in.weight' of its UNet holds NaN or infinite numbers"):
        paint(engine, "b")


def test_a_checkpoint_that_is_overwritten_while_it_is_warm(models, make, tmp_path):
    path = tiny.make_folder(tmp_path / "models" / "x") / "unet" / "diffusion_pytorch_model.safetensors"
    engine = make(tmp_path / "models")
    first, held = paint(engine, "x"), engine.acquire("x").placement.networks["unet"]
    before = {name: weight.clone() for name, weight in held.named_parameters()}
    path.write_bytes((models / "b" / "unet" / path.name).read_bytes())
    assert all(torch.equal(weight, before[name]) for name, weight in held.named_parameters())
    assert not np.array_equal(paint(engine, "x"), first)

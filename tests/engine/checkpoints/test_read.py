"""Weights are the file's, whichever way they come into memory, and stay so whatever happens to the file."""

import gc
import os

import pytest
import torch
from safetensors.torch import save_file

from app.engine.checkpoints import source as sources
from app.engine.checkpoints.leases import mapped
from app.engine.checkpoints.memory import ALIGNMENT, Block
from app.engine.checkpoints.read import PART, read_weights
from app.engine.checkpoints.share import SHARED
from app.errors import BadCheckpoint

SIDE = 1100  # two such matrices in half precision are just more than `PART`
LEASES = pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux has read leases")


def weights(seed=0, dtype=torch.float16):
    generator = torch.Generator().manual_seed(seed)
    large = {f"part.{name}": torch.randn(SIDE, SIDE, generator=generator).to(dtype) for name in "ab"}
    return {"part.odd": torch.randn(3, generator=generator).to(dtype), **large, "part.ids": torch.arange(5), "part.one": torch.tensor(2.0).to(dtype)}


def place_of(found):
    return {name: tensor.data_ptr() for name, tensor in found.items() if tensor.is_floating_point()}


@pytest.fixture(params=["mapped", "read"])
def way(request, monkeypatch):
    """With and without a lease on the file."""
    if request.param == "read":
        monkeypatch.setattr(sources, "mapped", lambda path: None)
        monkeypatch.setattr(sources, "PIECE", 1000)
    return request.param


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32, torch.float8_e4m3fn])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_numbers(tmp_path, way, stored, dtype):
    expected = weights(dtype=stored)
    save_file(expected, tmp_path / "a.safetensors")
    found = read_weights(tmp_path / "a.safetensors", dtype)
    assert found.keys() == expected.keys() and found["part.ids"].dtype == torch.int64
    for name, value in expected.items():
        assert torch.equal(found[name], value.to(dtype) if value.is_floating_point() else value), name
    only = read_weights(tmp_path / "a.safetensors", dtype, lambda name: name.endswith("a"))
    assert list(only) == ["part.a"] and torch.equal(only["part.a"], found["part.a"])


@LEASES
def test_what_waits_for_a_card_is_mapped_and_what_the_cpu_computes_with_is_aligned(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(weights(), path)
    half, other, full = (read_weights(path, dtype) for dtype in (torch.float16, torch.bfloat16, torch.float32))
    assert half["part.b"].data_ptr() - half["part.a"].data_ptr() == SIDE * SIDE * 2
    for found in (other, full):
        assert all(tensor.data_ptr() % ALIGNMENT == 0 for tensor in found.values())
    save_file(weights(dtype=torch.float32), path)
    assert all(tensor.data_ptr() % ALIGNMENT == 0 for tensor in read_weights(path, torch.float32).values())


@LEASES
@pytest.mark.parametrize("harm", ["truncate", "overwrite", "delete", "replace"])
def test_whatever_happens_to_the_file(tmp_path, harm):
    path = tmp_path / "a.safetensors"
    save_file(weights(), path)
    found = read_weights(path, torch.float16)
    with pytest.raises(BlockingIOError):
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    if harm == "truncate":
        os.truncate(path, 100)
    elif harm == "overwrite":
        path.write_bytes(b"\xff" * path.stat().st_size)
    elif harm == "delete":
        path.unlink()
    else:
        save_file(weights(1), tmp_path / "b.safetensors")
        os.replace(tmp_path / "b.safetensors", path)
    assert all(torch.equal(found[name], value) for name, value in weights().items())


@LEASES
def test_a_map_ends_with_its_last_tensor(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(weights(), path)
    found = read_weights(path, torch.float16)
    last = found["part.b"][5]
    del found
    gc.collect()
    with pytest.raises(BlockingIOError):
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    del last
    gc.collect()
    os.close(os.open(path, os.O_WRONLY))  # waits while the first attempt is still being answered
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


@LEASES
def test_a_file_that_is_being_written_is_not_mapped(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(weights(), path)
    with path.open("ab"):
        assert mapped(path) is None
        assert torch.equal(read_weights(path, torch.float16)["part.a"], weights()["part.a"])


def test_a_file_that_changes_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_file(weights(), path)
    monkeypatch.setattr(sources, "mapped", lambda path: None)
    plain = sources.Source.read

    def read(self, entry, start, into):
        plain(self, entry, start, into)
        os.utime(path, ns=(1, 1))

    monkeypatch.setattr(sources.Source, "read", read)
    with pytest.raises(BadCheckpoint, match="changed while it was read"):
        read_weights(path, torch.float32)
    monkeypatch.setattr(sources.Source, "read", lambda self, entry, start, into: (os.truncate(path, 5000), plain(self, entry, start, into)))
    with pytest.raises(BadCheckpoint, match="became shorter while it was read"):
        read_weights(path, torch.float16)


def test_equal_parts_are_in_memory_once(tmp_path, way):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_file(weights(seed), tmp_path / f"{name}.safetensors")
    renamed = {name.replace("part.", "first_stage_model."): value for name, value in weights().items()} | {"other": torch.ones(9)}
    save_file(renamed, tmp_path / "d.safetensors")
    first = read_weights(tmp_path / "a.safetensors", torch.float32)
    for name in ("a", "b"):
        assert place_of(read_weights(tmp_path / f"{name}.safetensors", torch.float32)) == place_of(first)
    inside = read_weights(tmp_path / "d.safetensors", torch.float32, lambda name: name.startswith("first"))
    assert sorted(place_of(inside).values()) == sorted(place_of(first).values()) and torch.equal(inside["first_stage_model.a"], first["part.a"])
    for other in (read_weights(tmp_path / "c.safetensors", torch.float32), read_weights(tmp_path / "a.safetensors", torch.float64)):
        assert not set(place_of(other).values()) & set(place_of(first).values())


def test_one_different_number_is_a_different_part(tmp_path, way):
    save_file(weights(), tmp_path / "a.safetensors")
    changed = weights()
    changed["part.b"][-1, -1] += 1
    save_file(changed, tmp_path / "b.safetensors")
    first, second = (read_weights(tmp_path / f"{name}.safetensors", torch.float32) for name in "ab")
    assert not set(place_of(first).values()) & set(place_of(second).values()) and torch.equal(second["part.b"], changed["part.b"].float())


def test_memory_goes_back(tmp_path):
    save_file(weights(), tmp_path / "a.safetensors")
    found = read_weights(tmp_path / "a.safetensors", torch.float32)
    memory = next(reversed(SHARED._parts.values())).memory
    assert isinstance(memory(), Block) and len(memory()) >= 2 * SIDE * SIDE * 4
    last = found["part.odd"]
    del found
    gc.collect()
    assert memory() is not None
    del last
    gc.collect()
    assert memory() is None


@pytest.mark.parametrize("size", [4, SIDE])
def test_damage_is_named(tmp_path, size):
    for value in (float("nan"), float("inf")):
        made = {"first": torch.ones(size, size), "second": torch.ones(size, size)}
        made["second"][1, 2] = value
        save_file(made, tmp_path / "a.safetensors")
        with pytest.raises(BadCheckpoint, match="is damaged: its tensor 'second' holds NaN or infinite numbers"):
            read_weights(tmp_path / "a.safetensors", torch.float32)


def test_scaled_fp8(tmp_path):
    made = {"a.weight": torch.full((SIDE, SIDE * 4), 2.0).to(torch.float8_e4m3fn), "a.scale_weight": torch.tensor([0.5]), "a.bias": torch.ones(2)}
    save_file(made, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_size > PART
    found = read_weights(tmp_path / "a.safetensors", torch.float16)
    assert list(found) == ["a.weight", "a.bias"] or set(found) == {"a.weight", "a.bias"}
    assert found["a.weight"].dtype == torch.float16 and bool((found["a.weight"] == 1).all())


def test_no_such_file_and_unknown_types(tmp_path):
    with pytest.raises(BadCheckpoint, match="is not there any more"):
        read_weights(tmp_path / "a.safetensors", torch.float32)
    save_file({"a": torch.ones(4, dtype=torch.uint16)}, tmp_path / "a.safetensors")
    with pytest.raises(BadCheckpoint, match="holds 'a' as U16, which Darkroom does not read"):
        read_weights(tmp_path / "a.safetensors", torch.float32)

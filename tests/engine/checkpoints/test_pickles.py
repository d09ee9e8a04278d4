"""PyTorch's own files: what is told without opening them, what is read, and what never runs."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from app.engine.checkpoints.pickles import MAX_PICKLE, is_pickle, pickle_header
from app.engine.checkpoints.read import read_weights
from app.errors import BadCheckpoint

STREAM = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)


class Runs:
    """A pickle that makes a folder when it is opened as pickles are."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def lightning(monkeypatch):
    """The class that checkpoints of 2022 name, importable while one is written."""
    import sys
    from types import ModuleType

    kind = type("ModelCheckpoint", (), {"__module__": "pytorch_lightning.callbacks.model_checkpoint"})
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[kind.__module__].ModelCheckpoint = kind
    yield kind
    monkeypatch.undo()


def test_the_suffix_tells():
    assert [is_pickle(Path(name)) for name in ("a.ckpt", "a.PT", "a.pth", "a.bin", "a.safetensors")] == [True, True, True, True, False]


@pytest.mark.parametrize("new", [True, False], ids=["archive", "stream"])
def test_checkpoint(tmp_path, new):
    path = tmp_path / "a.ckpt"
    weights = {"unet.w": torch.arange(6.0).reshape(2, 3).half(), "unet.n": torch.tensor(3), "tied": torch.arange(8.0)[::2]}
    torch.save({"state_dict": weights, "epoch": 4, "note": "x"}, path, _use_new_zipfile_serialization=new)
    header = pickle_header(path)
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in header.tensors.items()} == {
        "unet.w": ("F16", (2, 3)), "unet.n": ("I64", ()), "tied": ("F32", (4,)),
    }
    assert header.metadata == {"epoch": "4", "note": "x"}
    read = read_weights(path, torch.float32, lambda name: name != "unet.n")
    assert list(read) == ["unet.w", "tied"] and read["unet.w"].dtype == torch.float32
    assert torch.equal(read["unet.w"], weights["unet.w"].float()) and torch.equal(read["tied"], weights["tied"])
    assert read["tied"].untyped_storage().nbytes() == 16


@pytest.mark.parametrize("new", [True, False], ids=["archive", "stream"])
def test_what_lightning_left_is_ignored(tmp_path, lightning, new):
    held = {"state_dict": {"w": torch.ones(3)}, "callbacks": {lightning: {"best": np.float64(0.5)}, "x": lightning()}}
    torch.save(held, tmp_path / "a.ckpt", _use_new_zipfile_serialization=new)
    assert list(pickle_header(tmp_path / "a.ckpt").tensors) == ["w"]
    assert torch.equal(read_weights(tmp_path / "a.ckpt", torch.float32)["w"], torch.ones(3))


def test_embeddings_and_upscalers(tmp_path):
    vectors = torch.nn.Parameter(torch.randn(2, 8))
    for held in ({"*": vectors}, torch.nn.ParameterDict({"*": vectors})):
        torch.save({"string_to_token": {"*": 265}, "string_to_param": held, "name": "cat", "step": 5}, tmp_path / "e.pt")
        header = pickle_header(tmp_path / "e.pt")
        assert list(header.tensors) == ["string_to_param.*"] and header.metadata == {"name": "cat", "step": "5"}
        read = read_weights(tmp_path / "e.pt", torch.float32)["string_to_param.*"]
        assert torch.equal(read, vectors) and not read.requires_grad
    torch.save({"<cat>": torch.ones(8)}, tmp_path / "e.bin")
    assert list(read_weights(tmp_path / "e.bin", torch.float32)) == list(pickle_header(tmp_path / "e.bin").tensors) == ["<cat>"]
    torch.save({"params_ema": {"a.weight": torch.ones(2)}, "params": {"a.weight": torch.zeros(2)}}, tmp_path / "u.pth")
    assert torch.equal(read_weights(tmp_path / "u.pth", torch.float32)["a.weight"], torch.ones(2))


def test_float8(tmp_path):
    torch.save({"w": torch.ones(4, 4).to(torch.float8_e4m3fn)}, tmp_path / "a.pt")
    assert pickle_header(tmp_path / "a.pt").tensors["w"].dtype == "F8_E4M3"
    assert read_weights(tmp_path / "a.pt", torch.float16)["w"].dtype == torch.float16


@pytest.mark.parametrize("new", [True, False], ids=["archive", "stream"])
def test_nothing_runs(tmp_path, new):
    path, made = tmp_path / "a.ckpt", tmp_path / "made"
    torch.save({"w": torch.ones(2), "x": Runs(made)}, path, _use_new_zipfile_serialization=new)
    for read in (pickle_header, lambda path: read_weights(path, torch.float32)):
        with pytest.raises(BadCheckpoint, match=r"'a.ckpt' is not opened: it asks for '\w+.mkdir', which no weights need. Get it as .safetensors"):
            read(path)
    assert not made.exists()


def archive(data: bytes, *, compress: int = zipfile.ZIP_STORED, name: str = "archive/data.pkl") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compress) as file:
        file.writestr(name, data)
        file.writestr("archive/version", "3")
    return made.getvalue()


HOSTILE = {
    "empty": (b"", "not a file that PyTorch wrote"),
    "text": (b"<html>", "not a file that PyTorch wrote"),
    "plain pickle": (pickle.dumps({"a": 1}, 2), "not a file that PyTorch wrote"),
    "cut off stream": (STREAM + b"\x80\x02}X", "cut off"),
    "cut off archive": (archive(b"x" * 1000)[:300], "damaged"),
    "compressed": (archive(b"\0" * 10**6, compress=zipfile.ZIP_DEFLATED), "it is compressed, as PyTorch never does"),
    "no pickle": (archive(b"", name="archive/other"), "not laid out"),
    "pickle elsewhere": (archive(b"", name="other/data.pkl"), "not laid out"),
    "no weights": (archive(pickle.dumps({"a": 1, "b": [1.5, None, True]}, 2)), "holds no weights"),
    "protocol 5": (archive(pickle.dumps({"a": (1, 2, "x" * 300)}, 5)), "not written as PyTorch writes weights"),
    "endless memory": (archive(b"\x80\x02]r\xff\xff\xff\x7f0."), "not written as PyTorch writes weights"),
    "long text": (archive(b"\x80\x02X\xff\xff\xff\x7fabc."), "cut off"),
    "empty stack": (archive(b"\x80\x02R."), "damaged"),
    "no mark": (archive(b"\x80\x02t."), "damaged"),
    "too many steps": (archive(b"\x80\x02" + b"K\x01" * 10_001 + b"."), "too long"),
    "a dictionary in itself": (archive(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."), "holds no weights"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile(tmp_path, case, monkeypatch):
    monkeypatch.setattr("app.engine.checkpoints.pickle_machine.MAX_STEPS", 10_000)
    data, words = HOSTILE[case]
    path = tmp_path / "a.pt"
    path.write_bytes(data)
    with pytest.raises(BadCheckpoint, match=words):
        pickle_header(path)


def test_copies_of_copies_end(tmp_path):
    """A dictionary of 1,000 keys, copied as often as the pickle's length allows: 20,000 times 1,000."""
    keys = b"".join(b"X\x04\x00\x00\x00" + b"%04d" % number + b"K\x01\x86" for number in range(1000))
    data = b"\x80\x02](" + keys + b"eq\x00" + b"(ccollections\nOrderedDict\nq\x01" + b"h\x01h\x00\x85R" * 20_000 + b"t."
    (tmp_path / "a.pt").write_bytes(archive(data))
    with pytest.raises(BadCheckpoint, match="too long"):
        pickle_header(tmp_path / "a.pt")


def test_a_tensor_larger_than_its_storage(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.ones(1)}, path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = next(name for name in members if name.endswith("data.pkl"))
    members[name] = members[name].replace(b"K\x01\x85q", b"J" + struct.pack("<i", 2**30) + b"\x85q", 1)
    with zipfile.ZipFile(path, "w") as file:
        for member, data in members.items():
            file.writestr(member, data)
    with pytest.raises(BadCheckpoint, match="larger than what is stored"):
        pickle_header(path)


def test_a_pickle_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("app.engine.checkpoints.pickles.MAX_PICKLE", 100)
    assert MAX_PICKLE > 100
    torch.save({"w" * 200: torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(BadCheckpoint, match="not laid out"):
        pickle_header(tmp_path / "a.pt")


def test_no_torch_for_the_header(tmp_path):
    import subprocess
    import sys

    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    code = "import pathlib, sys; from app.engine.checkpoints.pickles import pickle_header; pickle_header(pathlib.Path(sys.argv[1]))"
    ran = subprocess.run([sys.executable, "-c", code + "; sys.exit('torch' in sys.modules)", str(tmp_path / "a.pt")], check=False)
    assert ran.returncode == 0

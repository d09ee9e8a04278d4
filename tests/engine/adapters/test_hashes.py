import hashlib
from dataclasses import replace

import pytest
import torch

from app.engine.adapters.hashes import network_hash
from app.engine.checkpoints.hashes import Hashes
from app.errors import BadCheckpoint
from tests.engine.adapters.networks import write

TENSORS = {"lora_unet_x.diff": torch.arange(8.0)}


def test_what_follows_the_header_is_hashed_once(tmp_path, monkeypatch):
    file = write(tmp_path / "x.safetensors", TENSORS).file
    file = replace(file, hashes=Hashes(tmp_path / "table.json"))
    expected = hashlib.sha256(torch.arange(8.0).numpy().tobytes()).hexdigest()[:12]
    assert network_hash(file) == expected
    assert file.known_hash() == ""  # that of the whole file is another
    monkeypatch.setattr("app.engine.checkpoints.hashes.digest", None)
    assert network_hash(replace(file, hashes=Hashes(tmp_path / "table.json"))) == expected


def test_kohyas_own_hash_counts(tmp_path):
    hashed = "AB" * 32
    assert network_hash(write(tmp_path / "x.safetensors", TENSORS, metadata={"sshs_model_hash": hashed}).file) == hashed.lower()[:12]
    assert len(network_hash(write(tmp_path / "y.safetensors", TENSORS, metadata={"sshs_model_hash": "../etc"}).file)) == 12


def test_of_a_pytorch_file_everything_counts(tmp_path):
    file = write(tmp_path / "x.safetensors", TENSORS).file
    torch.save(TENSORS, tmp_path / "x.pt")
    pickle = replace(file, path=tmp_path / "x.pt")
    assert network_hash(pickle) == hashlib.sha256((tmp_path / "x.pt").read_bytes()).hexdigest()[:12]
    (tmp_path / "x.pt").unlink()
    with pytest.raises(BadCheckpoint, match=r"'x\.pt' cannot be read"):
        network_hash(pickle)

import hashlib
import os
from pathlib import Path

from app.engine.checkpoints.hashes import CHUNK, Hashes, data_begin, old_hash
from tests.layouts import write


def test_steps_remember_the_hash_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(os.urandom(CHUNK + 10))
    hashes = Hashes(tmp_path / "hashes.json")
    steps = hashes.steps(path)
    next(steps)
    assert hashes.known(path) == ""
    assert len(list(steps)) == 1
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert hashes.known(path) == expected == Hashes(tmp_path / "hashes.json").known(path) == hashes.sha256(path)
    assert list(hashes.steps(path)) == []
    assert hashes.sha256(path, 5) == hashlib.sha256(path.read_bytes()[5:]).hexdigest()


def test_a_file_that_changes_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"one")
    hashes = Hashes(tmp_path / "hashes.json")
    for _ in hashes.steps(path):
        path.write_bytes(b"another")
    assert hashes.known(path) == "" and hashes.sha256(path) == hashlib.sha256(b"another").hexdigest()


def test_the_hash_of_2022(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    path.write_bytes(bytes(2**20) + b"ab" * 2**15 + b"rest")
    assert old_hash(path) == hashlib.sha256(b"ab" * 2**15).hexdigest()[:8]
    path.write_bytes(b"small")
    assert old_hash(path) == "" and old_hash(tmp_path / "none") == ""


def test_where_the_tensors_begin(tmp_path: Path) -> None:
    path = write.sparse(tmp_path / "x.safetensors", {"a": (4,)})
    assert path.stat().st_size - data_begin(path) == 8
    (tmp_path / "x.pt").write_bytes(path.read_bytes())
    assert data_begin(tmp_path / "x.pt") == 0

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.checkpoints import listing
from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.listing import Listing
from app.engine.checkpoints.sidecars import Sidecar

STAMPS = (("x", 1, 2, 3), "preview.png")
FILE = ModelFile(
    "a/x", Path("a/x.safetensors"), "lora", "sd1", "", 5, 512, (Path("a/x.safetensors"),), None, "fp16", "Ink", "Drawn.", ("ink",), Path("a/x.png"),
    config=Path("a/x.yaml"), prediction="epsilon", missing=("VAE",), sidecar=Sidecar("Ink", weight=0.5), width=768,
)  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "WORTH", 1)


def opened(table: Path, signature: str = "s") -> Listing:
    found = Listing(table, Hashes(table.with_name("hashes.json")))
    found.begin(signature)
    return found


def kept(table: Path, file: ModelFile = FILE) -> Path:
    first = opened(table)
    first.put("key", STAMPS, file)
    first.keep({"key"}, changed=True)
    return table


def test_a_later_start_knows_what_did_not_change(tmp_path: Path) -> None:
    table = kept(tmp_path / "in" / "models.json")
    found = opened(table).get("key", STAMPS)
    assert found == FILE and found.hashes is not None and found.sidecar.weight == 0.5
    assert opened(table).get("key", (("x", 1, 2, 4), "preview.png")) is None and opened(table).get("other", STAMPS) is None
    assert opened(table, "another").get("key", STAMPS) is None


def test_what_is_gone_is_forgotten_and_nothing_is_written_without_need(tmp_path: Path) -> None:
    table = kept(tmp_path / "models.json")
    again = opened(table)
    assert again.get("key", STAMPS) == FILE
    table.unlink()
    again.keep({"key"}, changed=False)
    assert not table.exists()
    again.put("more", STAMPS, replace(FILE, name="more"))
    again.keep({"more"}, changed=True)
    assert list(json.loads(table.read_text())["rows"]) == ["more"] and again.get("key", STAMPS) is None


@pytest.mark.parametrize("harm", ["{", "[]", '{"rows": 5, "signature": "s"}', '{"rows": {"key": 5}, "signature": "s"}', '{"signature": "s"}'])
def test_a_spoiled_table_is_no_table(harm: str, tmp_path: Path) -> None:
    table = kept(tmp_path / "models.json")
    table.write_text(harm)
    assert opened(table).get("key", STAMPS) is None


@pytest.mark.parametrize("field", ["name", "size", "path", "weights", "sidecar", "triggers", "zero_snr"])
def test_a_spoiled_row_is_no_row(field: str, tmp_path: Path) -> None:
    table = kept(tmp_path / "models.json")
    found = json.loads(table.read_text())
    found["rows"]["key"][1][field] = 5.5
    table.write_text(json.dumps(found))
    assert opened(table).get("key", STAMPS) is None

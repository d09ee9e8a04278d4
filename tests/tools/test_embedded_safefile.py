"""Model files of the kit: equal contents give equal bytes, in whatever order they came."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402

from tools.embedded.safefile import write_safetensors  # noqa: E402


def test_order_does_not_matter_and_all_of_it_is_read_back(tmp_path: Path) -> None:
    weights = {"b": torch.arange(5, dtype=torch.float16), "a": torch.ones(2, 3).to(torch.float8_e4m3fn), "c": torch.tensor(4.0)}
    metadata = {f"key {index}": f"ä \"{index}\"\n" for index in range(20)}
    one, other = tmp_path / "new" / "one.safetensors", tmp_path / "other.safetensors"
    assert write_safetensors(one, weights, metadata) == one.stat().st_size
    write_safetensors(other, dict(reversed(weights.items())), dict(reversed(metadata.items())))
    assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in one.parent.iterdir()] == [one.name]
    with safe_open(one, "pt") as file:
        assert file.metadata() == metadata
        assert all(torch.equal(file.get_tensor(name).float(), value.float()) for name, value in weights.items())
    header = one.read_bytes()[8 : 8 + int.from_bytes(one.read_bytes()[:8], "little")].decode()
    assert sorted(metadata, key=header.index) == sorted(metadata)

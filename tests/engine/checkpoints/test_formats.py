"""One way to the header of a file, whatever its format."""

import pytest
import torch
from safetensors.torch import save_file

from app.engine.checkpoints.formats import header_of
from app.errors import BadCheckpoint


def test_each_format_is_read_as_what_its_name_says(tmp_path) -> None:
    tensors = {"x": torch.zeros(2, 3)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "a.pt")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert [header_of(tmp_path / name).tensors["x"].shape for name in ("a.safetensors", "a.pt")] == [(2, 3), (2, 3)]
    with pytest.raises(BadCheckpoint, match=r"'a\.png' is a picture that carries no textual inversion"):
        header_of(tmp_path / "a.png")

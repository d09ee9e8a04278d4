"""The header of a model file, whatever its format. Torch-free."""

from pathlib import Path

from app.engine.checkpoints.header import Header, read_header
from app.engine.checkpoints.pickles import is_pickle, pickle_header
from app.engine.checkpoints.pictured import is_picture, picture_header


def header_of(path: Path) -> Header:
    """The table of contents of a safetensors file, one of PyTorch's own, or a picture that carries a textual inversion. Raises BadCheckpoint."""
    if is_picture(path):
        return picture_header(path)
    return pickle_header(path) if is_pickle(path) else read_header(path)

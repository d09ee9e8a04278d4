"""What A1111 calls networks by in a picture's parameters."""

import re

from app.engine.checkpoints.hashes import data_begin, digest
from app.engine.checkpoints.header import ModelFile, read_header
from app.engine.checkpoints.pickles import is_pickle
from app.errors import BadCheckpoint


def network_hash(file: ModelFile) -> str:
    """The 12 hex digits of "Lora hashes": of the hash that kohya's scripts wrote into the file's description, else of the sha256 of all
    that follows the header (of a PyTorch file: of everything), which is remembered. Raises BadCheckpoint."""
    if not is_pickle(file.path):
        written = read_header(file.path).metadata.get("sshs_model_hash", "").lower()
        if re.fullmatch("[0-9a-f]{64}", written):
            return written[:12]
    try:
        return (file.hashes.sha256 if file.hashes else digest)(file.path, data_begin(file.path))[:12]
    except OSError as error:
        raise BadCheckpoint(f"'{file.path.name}' cannot be read: {error.strerror or error}.") from None

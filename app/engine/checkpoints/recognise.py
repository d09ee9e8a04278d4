"""What a model file or folder is: everything that is known of it before it is loaded, as a `ModelFile`."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.engine.checkpoints.describe import base_of, description_of, native_side, precision_of, title_of, triggers_of
from app.engine.checkpoints.folders import (
    STEMS,
    inspect_folder,
    inspect_text_folder,
    inspect_vae_folder,
    is_model_folder,
    native_of_base,
    part_weights,
)
from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.header import Header, ModelFile, read_header
from app.engine.checkpoints.kinds import BY_INPUTS, context_width, inputs_of, recognise
from app.engine.checkpoints.pickles import is_pickle, pickle_header
from app.engine.checkpoints.pictured import called, is_picture, picture_header
from app.engine.checkpoints.problems import LABELS, PICKLE_CURE, file_problem, usual_side
from app.engine.checkpoints.sidecars import Beside, Neighbours, Sidecar, read_sidecar
from app.engine.checkpoints.sniff import looks_like_safetensors
from app.engine.checkpoints.traits import distilled, missing_of, prediction_of, variant_of
from app.engine.families import FAMILIES
from app.errors import BadCheckpoint

__all__ = [
    "BY_INPUTS", "INSPECT_FOLDER", "LABELS", "STEMS", "inspect_file", "inspect_folder", "inspect_text_folder", "inspect_vae_folder", "is_model_folder",
    "part_weights", "recognise",
]  # fmt: skip


def inspect_file(
    path: Path, name: str, expected: str, hashes: Hashes | None = None, bases: Path | None = None, pickles: bool = False, beside: Beside | None = None
) -> ModelFile:
    """What one file is. Never raises: what is wrong with it is in `problem`, and its kind then is `expected`.

    Args:
        bases: models/embedded, where the folders lie that files may name as their base.
        pickles: whether PyTorch's own files are opened, by the machine of `app.engine.checkpoints.pickles`.
        beside: what lies beside it; None: look.
    """
    beside = beside or Neighbours().of(path, is_folder=False)
    size = 0
    try:
        size = path.stat().st_size
        header = _header(path, pickles)
    except OSError as error:
        return ModelFile(name, path, expected, "unknown", f"'{path.name}' cannot be read: {error.strerror}.", size, 512, (), hashes)
    except BadCheckpoint as error:
        found = ModelFile(name, path, expected, "unknown", str(error), size, 512, (path,), hashes)
        return replace(found, preview=beside.preview, config=beside.config, sidecar=read_sidecar(beside.sidecars))
    return _described(path, called(name, header) if is_picture(path) else name, size, header, hashes, bases, beside)


def _header(path: Path, pickles: bool) -> Header:
    if is_picture(path):
        return picture_header(path)
    if not is_pickle(path):
        return read_header(path)
    with path.open("rb") as file:
        first = file.read(16)
    if looks_like_safetensors(first):
        raise BadCheckpoint(f"'{path.name}' is a safetensors file under a wrong name.", f"Rename it to '{path.stem}.safetensors'.")
    if not pickles:
        raise BadCheckpoint(f"'{path.name}' is a PyTorch pickle, which can run code when opened.", PICKLE_CURE)
    return pickle_header(path)


def _described(path: Path, name: str, size: int, header: Header, hashes: Hashes | None, bases: Path | None, beside: Beside) -> ModelFile:
    kind, family = recognise(header)
    sidecar = read_sidecar(beside.sidecars)
    if kind == "vae" and family == "sd1" and (_says_xl(name) or "XL" in sidecar.version):
        family = "sdxl"
    base, problem = base_of(path.name, header.metadata, bases) if kind in ("checkpoint", "vae") else (None, "")
    inputs = inputs_of(header) if kind == "checkpoint" else 0
    problem = problem or file_problem(path.name, kind, family, header, inputs)
    title = title_of(header.metadata)
    found = ModelFile(
        name, path, kind, family, problem, size, usual_side(family), (path,), hashes, precision_of(header), title or sidecar.title,
        description_of(header.metadata) or sidecar.description, _triggers(header, sidecar), beside.preview, base, config=beside.config, sidecar=sidecar,
        width=_width(kind, header), network=_network(header) if kind == "lora" else "",
    )  # fmt: skip
    if kind in ("checkpoint", "lora"):
        variant = variant_of(path.stem, title, sidecar.title, sidecar.version)
        found = replace(found, variant=variant or ("lcm" if kind == "checkpoint" and distilled(header) else ""))
    return _as_checkpoint(found, header, inputs) if kind == "checkpoint" else found


def _as_checkpoint(file: ModelFile, header: Header, inputs: int) -> ModelFile:
    if file.family not in FAMILIES or FAMILIES[file.family].recognise:
        return replace(file, inputs=inputs, native=native_side(header.metadata, file.native))
    prediction = prediction_of(file.path, header, file.family, file.config)
    usual = 512 if file.family == "sd2" and prediction.kind == "epsilon" else file.native
    native = native_side(header.metadata, native_of_base(file.base, usual) if file.base else usual)
    return replace(file, prediction=prediction.kind, zero_snr=prediction.zero_snr, inputs=inputs, missing=missing_of(header, file.family), native=native)


def _says_xl(name: str) -> bool:
    """Whether a VAE's name, with its folders, says that it is SDXL's; its shapes are those of SD 1's."""
    return re.search(r"sd[-_ ]?xl|(?<![a-z])xl(?![a-z])", name, re.IGNORECASE) is not None


def _triggers(header: Header, sidecar: Sidecar) -> tuple[str, ...]:
    """The user's own words first, then the file's."""
    own = [word for part in sidecar.activation.split(",") if (word := part.strip())]
    return tuple(dict.fromkeys(own))[:12] or triggers_of(header.metadata)


def _width(kind: str, header: Header) -> int:
    if kind == "embedding":
        widths = [tensor.shape[-1] for name, tensor in header.tensors.items() if len(tensor.shape) in (1, 2) and name != "string_to_token"]
        return sum(widths[:2])
    return context_width(header) if kind in ("checkpoint", "lora") else 0


def _network(header: Header) -> str:
    told = header.metadata.get("sshs_model_hash", "").lower()
    return told if re.fullmatch(r"[0-9a-f]{64}", told) else ""


INSPECT_FOLDER: dict[str, Callable[..., ModelFile]] = {"checkpoint": inspect_folder, "vae": inspect_vae_folder, "text encoder": inspect_text_folder}

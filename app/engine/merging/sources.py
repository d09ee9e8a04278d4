"""The parents of a merge, as tables of contents: every tensor under LDM's name, and where its numbers lie. Torch-free."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.engine.checkpoints.folders import STEMS, part_weights
from app.engine.checkpoints.header import Header, ModelFile, config_of, read_header, weight_files
from app.engine.checkpoints.pickles import is_pickle, pickle_header
from app.engine.families import group_of
from app.engine.merging import names
from app.errors import BadCheckpoint

CLIP_WORDS = 49408
_SCALES = (".scale_weight", ".scale_input")
_SCALED = "scaled_fp8"


@dataclass(frozen=True)
class Piece:
    """One tensor of a parent.

    Attributes:
        path: the file that holds it; name: what it is called there.
        dtype: as safetensors says it ("F16"); shape: under LDM's name.
        begin: where its bytes begin; 0 in a pickle, which is read by another way.
        scale: the one number that its values are to be multiplied with (ComfyUI's fp8 files).
    """

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    scale: "Piece | None" = None

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Source:
    """One parent.

    Attributes:
        letter: "A", "B", "C", or "VAE".
        pieces: by LDM's names with prefix, in the order in which they lie in the file.
        metadata: what its header says beside the tensors; {} for pickles and folders.
    """

    letter: str
    file: ModelFile
    pieces: Mapping[str, Piece]
    metadata: Mapping[str, str]

    def __str__(self) -> str:
        """As sentences name it."""
        return f"{self.letter} ('{self.file.name}')"


def open_checkpoint(file: ModelFile, letter: str) -> Source:
    """A checkpoint: a single file, a pickle that was allowed, or a diffusers folder of the SD 1 group. Raises BadCheckpoint."""
    if file.problem:
        raise BadCheckpoint(file.problem)
    if file.path.is_dir():
        return Source(letter, file, _folder(file), {})
    header, metadata = _header(file.path)
    pieces = _pieces(file.path, header, names.canonical)
    if not any(name.startswith(names.UNET) for name in pieces):
        raise BadCheckpoint(f"'{file.name}' does not name its tensors as checkpoints do ('{names.UNET}...'), so it cannot be merged.")
    return Source(letter, file, pieces, metadata)


def open_vae(file: ModelFile) -> Source:
    """A VAE of its own, a file or a diffusers folder, with or without prefix, in LDM's or diffusers' names. Raises BadCheckpoint."""
    if file.problem:
        raise BadCheckpoint(file.problem)
    if file.path.is_dir():
        pieces: dict[str, Piece] = {}
        for path in weight_files(file.path, STEMS["vae"]):
            pieces |= _pieces(path, _header(path)[0], str)
    else:
        pieces = _pieces(file.path, _header(file.path)[0], str)
    inner = next((prefix for prefix in (names.VAE, "vae.") if prefix + "decoder.conv_in.weight" in pieces), "")
    plain = {name.removeprefix(inner): piece for name, piece in pieces.items() if name.startswith(inner)}
    own = {name: piece for name, piece in plain.items() if name.startswith(names.VAE_PARTS)}
    return Source("VAE", file, _as_ldm_vae(own), {})


def _header(path: Path) -> tuple[Header, Mapping[str, str]]:
    if is_pickle(path):
        return pickle_header(path), {}
    header = read_header(path)
    return header, header.metadata


def _pieces(path: Path, header: Header, rename: Callable[[str], str]) -> dict[str, Piece]:
    """The tensors in the order in which they lie in the file; scales stand beside what they scale, not on their own."""
    found: dict[str, Piece] = {}
    for name, tensor in sorted(header.tensors.items(), key=lambda item: item[1].begin):
        if name.endswith(_SCALES) or name.endswith(_SCALED):
            continue
        beside = name.removesuffix("weight") + "scale_weight"
        number = header.tensors.get(beside)
        scale = Piece(path, beside, number.dtype, number.shape, number.begin) if number and math.prod(number.shape) == 1 else None
        found.setdefault(rename(name), Piece(path, name, tensor.dtype, tensor.shape, tensor.begin, scale))
    return found


# ---- diffusers folders


def _folder(file: ModelFile) -> dict[str, Piece]:
    """A folder's tensors under LDM's names."""
    path = file.path
    if group_of(file.family) != "sd1":
        raise BadCheckpoint(f"'{file.name}' is a diffusers folder; of those only SD 1.x can be merged.", "Get it as a single file.")
    found: dict[str, Piece] = {}
    try:
        per_block, attends = names.unet_shape(config_of(path / "unet"))
        for name, piece in _part(path, "unet").items():
            found[names.UNET + names.unet_name(name, per_block, attends)] = piece
    except (KeyError, TypeError, ValueError, IndexError):
        raise BadCheckpoint(f"'{file.name}/unet/config.json' does not describe a UNet that can be merged.") from None
    for name, piece in _part(path, "text_encoder").items():
        found.setdefault(names.CLIP + name.removeprefix("text_model."), piece)
    return found | {names.VAE + name.removeprefix(names.VAE): piece for name, piece in _as_ldm_vae(_part(path, "vae")).items()}


def _part(path: Path, part: str) -> dict[str, Piece]:
    found: dict[str, Piece] = {}
    for file in part_weights(path, part):
        found |= _pieces(file, _header(file)[0], str)
    return found


def _as_ldm_vae(pieces: dict[str, Piece]) -> dict[str, Piece]:
    """The tensors of a VAE (no prefix) under LDM's names with prefix."""
    levels = len({name.split(".")[2] for name in pieces if name.startswith("encoder.down_blocks.")})
    named = {names.VAE + (names.vae_name(name, levels) if levels else name): piece for name, piece in pieces.items()}
    return {name: replace(piece, shape=names.vae_shape(name, piece.shape)) for name, piece in named.items()}


def fits_a_single_file(file: ModelFile, pieces: Mapping[str, Piece], base: str) -> bool:
    """Whether what a folder says in its configs is what is assumed of a single file: 8 heads, groups of 32, CLIP's words, Stable
    Diffusion's noise levels. What it predicts is told by the new file's metadata. `base`: the checkpoint that the file will name instead, or ""."""
    if base or not file.path.is_dir():
        return True
    unet: Mapping[str, Any] = config_of(file.path / "unet")
    scheduler: Mapping[str, Any] = config_of(file.path / "scheduler", "scheduler_config.json") if (file.path / "scheduler").is_dir() else {}
    usual = {"beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "rescale_betas_zero_snr": False}
    words = pieces.get(names.CLIP + "embeddings.token_embedding.weight")
    return (
        unet.get("attention_head_dim", 8) == 8 and unet.get("norm_num_groups", 32) == 32
        and words is not None and words.shape[0] == CLIP_WORDS
        and all(scheduler.get(key, value) == value for key, value in usual.items())
    )  # fmt: skip

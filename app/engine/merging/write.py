"""Carrying out a merge: each tensor is computed in float32, in slices, and written at its place in a new safetensors file.

What is in memory at any time are a few slices of 4 MB, however large the checkpoints are. The file has a temporary name until it
is whole.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import psutil
import torch
from torch import Tensor

from app.engine.checkpoints.finite import is_finite
from app.engine.checkpoints.source import DTYPES
from app.engine.merging.plan import Plan, Step
from app.engine.merging.reader import SLICE, Reader
from app.errors import BadCheckpoint, DiskTrouble, WorkFailed
from app.work import Progress, Report

SPARE = 64 * 2**20
"""Bytes of a disk that a merge leaves free."""
SUFFIX = ".merging"
MEGABYTE = 2**20


def write(plan: Plan, target: Path, metadata: dict[str, str], report: Report) -> None:
    """Make the file.

    Args:
        report: called for each slice; raises Cancelled to stop. Then, and after any trouble, nothing is left behind.

    Raises:
        DiskTrouble: there is no room, or the folder cannot be written.
        BadCheckpoint: a parent is damaged, or changed while it was read.
        WorkFailed: a value is too large for the precision that was asked for.
    """
    stamps = [source.file.fingerprint() for source in plan.sources]
    head = header(plan, metadata)
    folder = target.parent
    part = folder / f".{target.name}.{os.getpid()}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear(folder)
        check_room(folder, len(head) + plan.bytes)
        with part.open("wb") as file:
            file.write(head)
            _stream(plan, file, report)
            file.flush()
            os.fsync(file.fileno())
        if [source.file.fingerprint() for source in plan.sources] != stamps:
            raise BadCheckpoint("A checkpoint changed while it was merged.", "Try again.")
        if target.exists() and not plan.request.overwrite:
            raise DiskTrouble(f"'{target.name}' came into being meanwhile, and it is not overwritten.", "Choose another name.")
        part.replace(target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DiskTrouble(f"'{target.name}' could not be written: {'the disk is full' if full else (error.strerror or 'unknown error').lower()}.") from None
    finally:
        part.unlink(missing_ok=True)


def check_room(folder: Path, needed: int) -> None:
    """Raises DiskTrouble when the disk has not so many bytes to spare."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise DiskTrouble(f"The new checkpoint takes {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free in '{folder}'.", "Free some space.")


def clear(folder: Path) -> None:
    """Delete what merges left behind that were killed: hidden files with the number of a process that is gone."""
    for leftover in folder.glob(f".*{SUFFIX}"):
        number = leftover.name.removesuffix(SUFFIX).rpartition(".")[2]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            leftover.unlink(missing_ok=True)


def header(plan: Plan, metadata: dict[str, str]) -> bytes:
    """The beginning of the file: length, names, places and texts, padded to a multiple of 8 bytes (safetensors' format)."""
    entries: dict[str, object] = {"__metadata__": metadata}
    place = 0
    for step in plan.steps:
        entries[step.name] = {"dtype": step.dtype, "shape": list(step.shape), "data_offsets": [place, place + step.bytes]}
        place += step.bytes
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _stream(plan: Plan, file: BinaryIO, report: Report) -> None:
    """Compute and write all tensors, in their order."""
    done, total = 0, max(1, plan.bytes // MEGABYTE)
    pieces = [piece for step in plan.steps for _, piece in (step.a, *step.terms)]
    with torch.inference_mode(), Reader(pieces) as reader:
        for step in plan.steps:
            for packed in computed(step, reader):
                report(Progress("merging", 1, 1, min(total, done // MEGABYTE), total))
                file.write(packed.numpy().data)
                done += packed.numel()
    report(Progress("merging", 1, 1, total, total))


def computed(step: Step, reader: Reader) -> Iterator[Tensor]:
    """The bytes of one tensor of the result, (n,) uint8 each. Raises BadCheckpoint, WorkFailed."""
    piece = step.a[1]
    if step.raw:
        yield from reader.raw(piece)
        return
    if step.channels:
        yield _packed(_first_channels(step, reader), step)
        return
    for first in range(0, piece.count, SLICE):
        count = min(SLICE, piece.count - first)
        yield _packed(_mixed(step, reader, reader.values(piece, first, count), first), step)


def _mixed(step: Step, reader: Reader, values: Tensor, first: int) -> Tensor:
    """`values` * keep + (first term - second term) * factor; at keep 0 the first term itself, bit for bit."""
    if not step.terms:
        return values
    count = values.numel()
    other = reader.values(step.terms[0][1], first, count)
    for _, piece in step.terms[1:]:
        other.sub_(reader.values(piece, first, count))
    if step.keep == 0 and step.factor == 1:
        return other
    return values.mul_(step.keep).add_(other, alpha=step.factor)


def _first_channels(step: Step, reader: Reader) -> Tensor:
    """A's first convolution, of whose input channels only the first ones are mixed."""
    piece = step.a[1]
    whole = reader.values(piece, 0, piece.count).reshape(piece.shape)
    shared = whole[:, : step.channels].reshape(-1)
    whole[:, : step.channels] = _mixed(step, reader, shared, 0).reshape(whole[:, : step.channels].shape)
    return whole.reshape(-1)


def _packed(values: Tensor, step: Step) -> Tensor:
    """float32 values as the bytes that are written. Raises BadCheckpoint when they are no numbers, WorkFailed when they became none."""
    dtype = DTYPES[step.dtype]
    packed = values.to(dtype)
    if not is_finite(packed):
        if not is_finite(values):
            raise BadCheckpoint(f"'{step.name}' holds NaN or infinite numbers in one of the checkpoints.", "Download it again.")
        raise WorkFailed(f"'{step.name}' holds values up to {values.abs().max():.0f}, which {step.dtype} cannot hold.", "Save as bf16 or fp32.")
    return packed.view(torch.uint8)

"""Full-size checkpoints of random numbers, for benchmarks: the files that users have, without what is in them."""

import json
import math
from pathlib import Path

import torch

from app.engine.prompt.vocabulary import clip_words
from tests.layouts import checkpoints
from tests.layouts.write import header

NOISE = 2**24


def write_checkpoint(path: Path, family: str, seed: int, *, small: bool = False) -> int:
    """One float16 .safetensors file in LDM's layout, every number of it drawn from the seed; returns its bytes.

    Matrices and kernels are scaled by their width, norms are one and biases zero, so that pictures are finite.
    """
    keys = checkpoints.single(family, small)
    raw, size = header(keys)
    raw += b" " * (-len(raw) % 8)
    noise = torch.randn(NOISE, generator=torch.Generator().manual_seed(seed))
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for number, (name, shape) in enumerate(keys.items()):
            file.write(_values(name, shape, noise, number).numpy().tobytes())
    return 8 + len(raw) + size


def _values(name: str, shape: tuple[int, ...], noise: torch.Tensor, number: int) -> torch.Tensor:
    count = math.prod(shape)
    if name.endswith("position_ids"):
        return torch.arange(count)
    drawn = noise[number * 977 :]  # from another place on for each
    drawn = drawn.repeat(-(-count // len(drawn)))[:count] if count > len(drawn) else drawn[:count]
    if len(shape) < 2:
        return ((1 if name.endswith("weight") else 0) + drawn * 0.01).half()
    return (drawn * (0.5 / math.prod(shape[1:]) ** 0.5)).half()


def write_config(folder: Path, family: str) -> None:
    """What diffusers needs beside the file to load it offline: model_index.json, configs and tokenizers."""
    for part, (config, _) in checkpoints.folder(family, small=False).items():
        _write(folder / part / "config.json", config)
    _write(folder / "scheduler" / "scheduler_config.json", checkpoints.scheduler(family))
    index = checkpoints.index(family)
    _write(folder / "model_index.json", index)
    words, merges = clip_words()
    for part in [name for name in index if name.startswith("tokenizer")]:
        _write(folder / part / "vocab.json", words)
        (folder / part / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
        end = "<|endoftext|>"
        signs = {"bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end, "pad_token": end if part == "tokenizer" else "!"}
        _write(folder / part / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **signs})


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")

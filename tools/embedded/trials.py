"""What the judge is shown: the base at its sizes, every style as users call it up, few steps, and no prompt at all."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile, read_header
from tools.embedded.easel import Order
from tools.embedded.judge import STYLES, plain_caption
from tools.embedded.scenes.grammar import Scene

BASE = "darkroom-base"
FEW_STEPS: Mapping[str, Any] = {"sampler": "LCM", "steps": 4, "cfg_scale": 1.0}
FIRST_SEED = 1000
EXPECTED = (("checkpoint", "watercolour"), ("checkpoint", "neon"), ("lora", "pixel"), ("lora", "ink"), ("lora", "lcm"))
"""Kind of file, and the word in its name by which it is known."""
KINDS = {"checkpoint": "checkpoint", "lora": "LoRA", "embedding": "embedding"}


@dataclass(frozen=True)
class Trial:
    """One way of making pictures.

    Attributes:
        name: short, for the command line and the results.
        label: for people.
        files: the model files that take part; the checkpoint is the first.
        ending: what is written after the caption: trigger words and networks.
        style: the style that is wanted.
        values: further fields of the request; all others are the app's defaults.
        prompted: without, the prompt is empty: what is right then is right by chance.
        share: of so many scenes one is painted.
    """

    name: str
    label: str
    files: tuple[ModelFile, ...]
    ending: str = ""
    style: str = STYLES[0]
    width: int = 128
    height: int = 128
    values: Mapping[str, Any] = field(default_factory=dict)
    prompted: bool = True
    share: int = 1

    def key(self) -> str:
        """Changes with anything that changes the pictures, but for the captions: 12 hex digits."""
        return weights_key(self.files, self.ending, self.width, self.height, sorted(self.values.items()), self.prompted)

    def prompt(self, caption: str) -> str:
        """What is asked for."""
        return ", ".join(filter(None, (caption, self.ending))) if self.prompted else ""

    def orders(self, scenes: Sequence[Scene], folder: Path) -> list[Order]:
        """One order per scene, with seeds from FIRST_SEED on; the file's name tells the prompt apart."""
        asked = []
        for index, scene in enumerate(scenes):
            prompt = self.prompt(plain_caption(scene))
            values = {"task": "txt2img", "prompt": prompt, "checkpoint": self.files[0].name, "seed": FIRST_SEED + index}
            path = folder / f"{index:04d}-{hashlib.sha256(prompt.encode()).hexdigest()[:8]}.png"
            asked.append(Order(path, {**values, "width": self.width, "height": self.height, **self.values}))
        return asked


def weights_key(files: Iterable[ModelFile], *others: Any) -> str:
    """Changes with the weights in the files and with anything else that is given: 12 hex digits."""
    digest = hashlib.sha256(repr(others).encode())
    for path in (path for file in files for path in all_weights(file)):
        with path.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:12]


def all_weights(file: ModelFile) -> list[Path]:
    """Every file with weights: of a diffusers folder all of its parts."""
    return sorted(file.path.rglob("*.safetensors")) if file.path.is_dir() else [file.path]


def trigger(file: ModelFile, style: str) -> str:
    """The words that call up a style: those in the file's metadata, else the style's name."""
    return (read_header(file.path).metadata.get("modelspec.trigger_phrase", "") if file.path.is_file() else "") or style


def find_all(files: Iterable[ModelFile], word: str) -> list[ModelFile]:
    """Usable files with a word in their name."""
    return [file for file in files if word in file.path.stem.lower() and not file.problem]


def ending_of(file: ModelFile, word: str) -> str:
    """What is written after a caption to use a style checkpoint, a LoRA or an embedding."""
    if file.kind == "embedding":
        return file.path.stem
    words = trigger(file, "" if word == "lcm" else word)
    return ", ".join(filter(None, (words, f"<lora:{file.path.stem}:1>"))) if file.kind == "lora" else words


def find_trials(shelf: Shelf) -> tuple[list[Trial], list[str]]:
    """Everything on the shelf that can be judged, and a sentence for each thing that was expected and is not there."""
    base = shelf.checkpoint(BASE)
    trials = [
        Trial("base", "base", (base,)),
        Trial("chance", "base without a prompt (chance)", (base,), prompted=False),
        Trial("wide", "base, 192x128", (base,), width=192, share=4),
        Trial("tall", "base, 128x192", (base,), height=192, share=4),
    ]
    for style in STYLES[1:]:
        for files in (shelf.checkpoints(), shelf.loras(), shelf.embeddings()):
            for file in find_all(files, style):
                name = style if file.kind != "embedding" else file.path.stem
                used = (file,) if file.kind == "checkpoint" else (base, file)
                trials.append(Trial(name, f"{file.path.stem} ({KINDS[file.kind]})", used, ending_of(file, style), style))
    for file in find_all([*shelf.loras(), *shelf.checkpoints()], "lcm"):
        used = (file,) if file.kind == "checkpoint" else (base, file)
        trials.append(Trial("few-step", f"{file.path.stem}, 4 steps, CFG 1", used, ending_of(file, "lcm"), values=FEW_STEPS))
    return _named_once(trials), [f"There is no {KINDS[kind]} '{word}' yet." for kind, word in EXPECTED if not _has(trials, kind, word)]


def _has(trials: Iterable[Trial], kind: str, word: str) -> bool:
    return any(file.kind == kind and word in file.path.stem.lower() for trial in trials for file in trial.files)


def _named_once(trials: Sequence[Trial]) -> list[Trial]:
    """The same, the second of a name called by its file."""
    seen: set[str] = set()
    named = []
    for trial in trials:
        named.append(replace(trial, name=trial.files[-1].path.stem) if trial.name in seen else trial)
        seen.add(named[-1].name)
    return named

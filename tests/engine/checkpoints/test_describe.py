import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from app.engine.checkpoints.describe import BASE_KEY, base_of, description_of, precision_of, title_of, triggers_of
from app.engine.checkpoints.header import read_header
from app.engine.checkpoints.recognise import inspect_file
from tests import tiny


def tags(**folders: dict[str, object]) -> dict[str, str]:
    return {"ss_tag_frequency": json.dumps(folders)}


TRIGGERS = {
    "phrase": ({"modelspec.trigger_phrase": "darkroom watercolour"}, ("darkroom watercolour",)),
    "phrases": ({"modelspec.trigger_phrase": " pixel art , 8bit,, pixel art"}, ("pixel art", "8bit")),
    "phrase before tags": ({"modelspec.trigger_phrase": "ink", **tags(a={"cat": 9})}, ("ink",)),
    "tags": (tags(a={"ink": 10, "cat": 4}, b={"ink": 10, "sketch": 10}), ("ink", "sketch")),
    "empty phrase": ({"modelspec.trigger_phrase": " , ", **tags(a={"ink": 3})}, ("ink",)),
    "nothing": ({}, ()),
    "no json": ({"ss_tag_frequency": "{"}, ()),
    "other json": ({"ss_tag_frequency": "[1, 2]"}, ()),
    "odd values": (tags(a={"x": "many", "y": -1, "z": True, " ": 5, "w": 2}, b=[1]), ("w",)),
    "deep": ({"ss_tag_frequency": "[" * 100_000}, ()),
    "control characters": ({"modelspec.trigger_phrase": "a\x00b\x1b[31m\nc"}, ("ab[31m c",)),
}


@pytest.mark.parametrize("case", TRIGGERS)
def test_trigger_words(case: str) -> None:
    metadata, expected = TRIGGERS[case]
    assert triggers_of(metadata) == expected


def test_texts_are_cut_and_cleaned() -> None:
    said = {"modelspec.title": "A\n\ttitle\x07 " + "x" * 999, "modelspec.description": "One.\nTwo.\x00" + "y" * 9999}
    assert title_of(said).startswith("A title x") and len(title_of(said)) <= 200
    assert description_of(said).startswith("One.\nTwo.y") and len(description_of(said)) <= 2000
    assert title_of({}) == description_of({}) == ""
    assert len(triggers_of({"modelspec.trigger_phrase": ",".join(map(str, range(500)))})) == 12


@pytest.mark.parametrize("name", ["../base", "a/b", "a\\b", ".", "..", "", "base.old", "/etc", "C:", "base\x00", "base\n", "-base", "x" * 65, "bäse"])
def test_a_base_may_not_be_a_path(name: str, tmp_path: Path) -> None:
    (tmp_path / "bases" / "a" / "b" / "unet").mkdir(parents=True)
    (tmp_path / "bases" / "a" / "b" / "unet" / "config.json").write_text("{}")
    base, problem = base_of("x.safetensors", {BASE_KEY: name}, tmp_path / "bases" / "a")
    assert base is None and problem.startswith("'x.safetensors' names an impossible checkpoint as its base") and "\n" not in problem and "\x00" not in problem


def test_a_base_is_a_folder_of_ours(tmp_path: Path) -> None:
    assert base_of("x", {}, tmp_path) == (None, "")
    for bases in (tmp_path, None):
        assert base_of("x", {BASE_KEY: "base"}, bases) == (None, "'x' needs the checkpoint 'base', which is not in models/embedded.")
    (tmp_path / "base" / "unet").mkdir(parents=True)
    (tmp_path / "base" / "unet" / "config.json").write_text("{}")
    assert base_of("x", {BASE_KEY: "base"}, tmp_path) == (tmp_path / "base", "")


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float32, "fp32"), (torch.float16, "fp16"), (torch.bfloat16, "bf16"), (torch.float8_e4m3fn, "fp8"), (torch.float8_e5m2, "fp8"), (torch.int64, "")],
)
def test_the_precision_is_that_of_most_values(dtype: torch.dtype, expected: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(100, dtype=dtype), "b": torch.zeros(0 if dtype == torch.int64 else 60)}, tmp_path / "x.safetensors")
    assert precision_of(read_header(tmp_path / "x.safetensors")) == expected


def test_what_a_lora_says_of_itself_is_on_its_model_file(tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    said = {"modelspec.title": "Ink", "modelspec.description": "Drawn with a pen.", "modelspec.trigger_phrase": "ink sketch"}
    save_file(tiny.lora_weights(tiny.embedded_parts()), path, said)
    file = inspect_file(path, "ink", "lora")
    assert (file.kind, file.family, file.problem, file.precision) == ("lora", "sd1", "", "fp32")
    assert (file.label, file.description, file.triggers) == ("Ink", "Drawn with a pen.", ("ink sketch",))

"""Limits on what strangers write."""

import pytest

from app.foreign import data


def test_json_with_limits() -> None:
    assert data.load('{"a": [1, "[[[[", "\\"{"]}') == {"a": [1, "[[[[", '"{']}
    assert data.load("[" * data.MAX_DEPTH + "]" * data.MAX_DEPTH) is not None
    for text in ("[" * 65 + "]" * 65, "[" * 900_000, '{"a": ' * 100_000,
                 '"' + '\\"' * 400_000, "7", "null", '"x"', "{", "", None, '["' + "x" * data.MAX_TEXT + '"]',
                 '{"a": ' + "9" * 5000 + "}"):  # fmt: skip
        assert data.load(text) is None


SIZES = [("(1152, 896)", (1152, 896)), ("512x768", (512, 768)), ([64, 128], (64, 128)), ("512 × 512", (512, 512)), ("x", None), (7, None)]


@pytest.mark.parametrize(("value", "size"), SIZES)
def test_sizes(value: object, size: tuple[int, int] | None) -> None:
    assert data.pair(value) == size


@pytest.mark.parametrize(
    ("value", "name"), [("a\\b.safetensors", "a/b"), ("x.v1.CKPT", "x.v1"), ("v1.5", "v1.5"), ("None", ""), (None, ""), (["x"], ""), (7, "7"), (True, "")]
)
def test_model_names(value: object, name: str) -> None:
    assert data.model_name(value) == name


def test_loras_as_tags() -> None:
    assert data.lora_tag("ink", 0.5) == "<lora:ink:0.5>" and data.lora_tag("ink", 0.5, 0.5) == "<lora:ink:0.5>"
    assert data.lora_tag("a:b>c", 1, 0.25) == "<lora:a_b_c:0.25:1>" and data.lora_tag("", 1) == "" and data.lora_tag("x", "y", 1e300) == "<lora:x:1>"
    assert data.with_loras("a <lora:x:1>", ["<lora:x:1>", "", "<lora:y:1>"]) == "a <lora:x:1> <lora:y:1>"

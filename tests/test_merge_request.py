"""What can be asked of the merger, and the sentence for what cannot."""

import pytest

from app.errors import BadRequest
from app.merge_request import Merge, parse_merge, parse_merge_json


def test_a_merge_survives_json() -> None:
    merge = parse_merge({"task": "merge", "model_a": "a", "model_b": "b", "multiplier": 0.3, "method": "weighted_sum", "name": "mixes/new one.safetensors"})
    assert parse_merge_json(merge.model_dump_json()) == merge
    assert (merge.method, merge.name, merge.save_as) == ("Weighted sum", "mixes/new one", "fp16")


@pytest.mark.parametrize(("spelt", "meant"), [("add-difference", "Add difference"), ("NO INTERPOLATION", "No interpolation"), ("Weighted sum", "Weighted sum")])
def test_methods_in_any_spelling(spelt: str, meant: str) -> None:
    assert Merge(model_a="a", method=spelt).method == meant  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/../b", "a\\b", "C:x", ".hidden", "a/.b", "nul", "a\x00/..", "x.", "a//b", "lpt1.old"])
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(BadRequest, match=r"^Name \(name\) is '.*', but a file cannot have that name"):
        parse_merge({"model_a": "a", "name": name})


@pytest.mark.parametrize(("fields", "complaint"), [
    ({}, "Checkpoint A (model_a) is missing."), ({"model_a": "a", "loras": 1}, "There is no parameter 'loras' for a merge."),
    ({"model_a": "a", "multiplier": 3}, "Multiplier (M) (multiplier) is 3, but it must be a number from 0 to 2."),
    ({"model_a": "a", "multiplier": float("nan")}, "Multiplier (M) (multiplier) is nan, but it must be a number from 0 to 2."),
    ({"model_a": "a", "save_as": "int4"}, "Save as (save_as) is 'int4', but it must be one of 'fp16', 'bf16', 'fp32', 'fp8'."),
    ({"model_a": "a", "method": 7}, "Method (method) is 7, but it must be one of 'Weighted sum', 'Add difference', 'No interpolation'."),
])  # fmt: skip
def test_complaints_name_field_value_and_what_is_allowed(fields: dict, complaint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_merge({"task": "merge"} | fields)
    assert str(refused.value) == complaint

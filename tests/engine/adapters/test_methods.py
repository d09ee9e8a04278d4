import json
from pathlib import Path

import pytest
import torch

from app.engine.adapters.methods import METHODS, methods_for
from app.engine.adapters.names import understood
from tests.engine.adapters import networks

CASES = json.loads((Path(__file__).parents[2] / "golden" / "lycoris.json").read_text("utf-8"))["cases"]


def changed(weight, parts, strength=1.0, dyn=None):
    [method], rest = methods_for(parts)
    assert not rest
    return method.change(parts, weight, strength, dyn).reshape(weight.shape)


def roles(parts):
    return {understood(f"lora_unet_x.{name}").role: tensor for name, tensor in parts.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_of_lycoris(name):
    case = CASES[name]
    found = changed(torch.tensor(case["weight"]), roles({role: torch.tensor(value) for role, value in case["parts"].items()}), case["strength"])
    expected = torch.tensor(case["changed"])
    assert torch.allclose(found, expected, atol=1e-5) and expected.abs().max() > 1e-3


def test_every_method_has_a_case():
    seen = {methods_for(roles(case["parts"]))[0][0].name for case in CASES.values()}
    assert seen == {method.name for method in METHODS} - {"full-difference", "norm"}


def test_dora_by_hand():
    """Liu et al. 2024, equation 5, written out for each output in float64."""
    weight, generator = torch.randn(3, 4), torch.Generator().manual_seed(1)
    down, up, length = (torch.randn(shape, generator=generator) for shape in ((2, 4), (3, 2), (3,)))
    found = changed(weight, {"lora_down": down, "lora_up": up, "alpha": torch.tensor(1.0), "dora_scale": length.abs()}, 0.5)
    for row in range(3):
        merged = [weight[row, i].double() + 0.5 * sum(up[row, r].double() * down[r, i].double() for r in range(2)) for i in range(4)]
        norm = sum(value**2 for value in merged) ** 0.5
        expected = torch.stack([0.5 * (length[row].abs().double() * value / norm - weight[row, i]) for i, value in enumerate(merged)])
        assert torch.allclose(found[row].double(), expected, atol=1e-6)


def test_lengths_of_a_square_weight_are_told_by_their_shape():
    weight, parts = torch.randn(4, 4), {"lora_down": torch.zeros(1, 4), "lora_up": torch.zeros(4, 1)}
    outputs = changed(weight, {**parts, "dora_scale": torch.ones(4, 1)}) + weight
    inputs = changed(weight, {**parts, "dora_scale": torch.ones(1, 4)}) + weight
    assert torch.allclose(outputs.norm(dim=1), torch.ones(4)) and torch.allclose(inputs.norm(dim=0), torch.ones(4))


def test_kronecker_products_by_hand():
    first, second = torch.randn(2, 3), torch.randn(4, 2, 3, 3)
    found = changed(torch.zeros(8, 6, 3, 3), {"lokr_w1": first, "lokr_w2": second, "alpha": torch.tensor(7.0)})
    assert all(torch.equal(found[4 * a + c, 2 * b + d], first[a, b] * second[c, d]) for a in range(2) for b in range(3) for c in range(4) for d in range(2))


def test_a_turned_weight_keeps_its_lengths():
    """Orthogonal: what stands beside each other in a block has the same length before and after."""
    weight = torch.randn(8, 5)
    for blocks in (torch.randn(2, 4, 4), torch.randn(2, 2, 4, 4)):
        found = weight + changed(weight, {"oft_blocks": blocks})
        assert torch.allclose(found.norm(dim=0), weight.norm(dim=0), atol=1e-4) and not torch.allclose(found, weight, atol=0.1)


def test_glora_of_both_versions():
    weight, (a, b, c, d) = torch.randn(5, 4), (torch.randn(shape) for shape in ((4, 2), (2, 4), (5, 2), (2, 4)))
    expected = 0.25 * (weight @ a @ b + c @ d)
    alpha = {"alpha": torch.tensor(0.5)}
    assert torch.allclose(changed(weight, {"a1": a, "a2": b, "b1": c, "b2": d, **alpha}), expected, atol=1e-5)
    assert torch.allclose(changed(weight, {"a1": b, "a2": a, "b1": d, "b2": c, **alpha}), expected, atol=1e-5)


def test_scales():
    weight, low = torch.zeros(2, 2), {"lora_down": torch.ones(4, 2), "lora_up": torch.ones(2, 4)}
    for said, factor in (({}, 4.0), ({"alpha": torch.tensor(1.0)}, 1.0), ({"alpha": torch.tensor(1.0), "scale": torch.tensor(0.5)}, 2.0)):
        assert torch.equal(changed(weight, {**low, **said}), torch.full((2, 2), factor))


@pytest.mark.parametrize(("method", "shape"), [(name, shape) for name in networks.METHODS for shape in ((8, 4, 3, 3), (8, 4)) if shape[2:] or name != "LoCon"])
def test_half_the_strength_is_half_the_change(method, shape):
    weight = torch.randn(shape)
    parts = roles(networks.parts(method, weight))
    half, whole, none = (changed(weight, parts, strength) for strength in (0.5, 1.0, 0.0))
    assert not none.any() and whole.abs().max() > 0.01
    assert method == "BOFT" or torch.allclose(half, whole / 2, atol=1e-5)


def test_what_belongs_to_nothing_is_told():
    assert methods_for({"lora_down", "alpha"}) == ([], {"lora_down", "alpha"})
    methods, rest = methods_for({"lora_down", "lora_up", "diff_b", "w_norm"})
    assert [(method.name, method.target) for method in methods] == [("LoRA", "weight"), ("full-difference", "bias")] and rest == {"w_norm"}

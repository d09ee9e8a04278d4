"""Weights that were away come home as they were, without a copy; a UNet computes its rows one by one.

The device is a second name of the CPU, to which everything is copied.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from app.engine.device import CPU, DevicePlan
from app.engine.moving import Home, InTurn, Sequential, send, weight_bytes
from app.engine.placement import Placement
from tests import tiny

AWAY = torch.device("cpu", 0)


@pytest.fixture(autouse=True)
def away(monkeypatch):
    """Places of the copies that were made."""
    made = set()

    def moved(numbers, device):
        if device != AWAY or numbers.data_ptr() in made:
            return numbers
        copy = numbers.clone()
        made.add(copy.data_ptr())
        kept.append(copy)
        return copy

    kept = []
    monkeypatch.setattr("app.engine.moving.moved", moved)
    return made


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GroupNorm(2, 8), nn.Linear(8, 4)).requires_grad_(False)


def places(network):
    return {name: weight.data_ptr() for name, weight in network.named_parameters()}


def test_home_without_a_copy(network, away):
    placement, before = Placement({"unet": network}, DevicePlan(device=AWAY)), places(network)
    values = {name: weight.clone() for name, weight in network.named_parameters()}
    for _ in range(2):
        assert set(places(placement.use("unet")).values()) <= away
        placement.release()
        assert places(network) == before
    assert all(torch.equal(weight, values[name]) for name, weight in network.named_parameters())


def test_what_was_replaced_meanwhile_is_not_put_back(network):
    before = places(network)
    home = Home(network.parameters())
    send(network.parameters(), AWAY)
    home.left()
    network[0].weight.data = torch.ones(8, 4)
    home.restore()
    assert torch.equal(network[0].weight, torch.ones(8, 4)) and network[2].weight.data_ptr() == before["2.weight"]


def test_some_layers_stay(network, away):
    before, first = places(network), weight_bytes(network[0])
    assert first == 8 * 4 * 4 + 8 * 4 and weight_bytes(network) == first + 2 * 8 * 4 + 8 * 4 * 4 + 4 * 4
    moved = Sequential(network, AWAY, first + 10)
    assert moved.kept == first and network[0].weight.data_ptr() in away and network[2].weight.data_ptr() not in away
    copies = len(away)
    network(torch.ones(1, 4))
    assert len(away) == copies + 4 and network[2].weight.data_ptr() not in away
    moved.remove()
    assert places(network) == before


def test_a_layer_that_stays_and_was_replaced_comes_back_as_it_is(network):
    moved = Sequential(network, CPU, 10**9)
    network[0].weight.data = torch.ones(8, 4)
    moved.remove()
    assert torch.equal(network[0].weight, torch.ones(8, 4))


@torch.no_grad()
def test_rows_in_turn_are_the_rows():
    unet = tiny.parts(0).unet
    given, states = torch.randn(3, 4, 8, 8), torch.randn(3, 77, 32)
    timestep = torch.tensor([500.0])
    answer = InTurn(unet)(given, timestep, encoder_hidden_states=states, return_dict=False)[0]
    for row in range(3):
        alone = unet(given[row : row + 1], timestep, encoder_hidden_states=states[row : row + 1], return_dict=False)[0]
        assert torch.equal(answer[row : row + 1], alone)


def test_dictionaries_are_cut_too():
    seen = []
    InTurn(lambda given, **named: (seen.append(named), (given,))[1])(torch.ones(2, 1), added={"ids": torch.tensor([[1], [2]])}, flag=True)
    assert [named["added"]["ids"].item() for named in seen] == [1, 2] and seen[0]["flag"] is True


@pytest.fixture
def card(monkeypatch):
    """(free bytes) -> a placement on a card with so much memory."""

    def make(free, **changes):
        made = tiny.parts(0)
        placement = Placement({"unet": made.unet, "vae": made.vae, "text_encoder": made.text_encoder}, DevicePlan(device=AWAY, vae_device=AWAY, **changes))
        weights = {name: weight_bytes(part) for name, part in placement.networks.items()}

        def left(device):
            there = sum(weights[name] for name, where in placement._where.items() if where == AWAY)
            return 10**10 if device == CPU else free - there - sum(hooks.kept for hooks in placement.hooks.values())

        monkeypatch.setattr("app.engine.placement.free_bytes", left)
        monkeypatch.setattr("app.engine.residency.RESERVE", 0)
        return placement, SimpleNamespace(**weights)

    return make


def where(placement):
    return [name for name, device in placement._where.items() if device == AWAY]


def test_what_fits_stays(card):
    placement, _ = card(10**9)
    for name in ("text_encoder", "unet", "vae"):
        placement.begin(64, 64, 1)
        placement.use(name)
    assert where(placement) == ["unet", "vae", "text_encoder"] and placement.residency.offload == "none"
    assert placement.use("unet") is placement.networks["unet"]


def test_what_does_not_fit_goes_in_turn(card):
    placement, weights = card(10**9)
    need = placement.need(64, 64, 2)
    assert need.unet == weights.unet and need.step == 2 * need.row and need.text == need.texts == weights.text_encoder
    placement, _ = card(need.unet + need.row + 10)
    placement.begin(64, 64, 1)
    placement.use("text_encoder")
    assert isinstance(placement.use("unet"), InTurn) and where(placement) == ["unet"]
    placement.begin(64, 64, 1)
    assert placement.residency.offload == "model" and where(placement) == ["unet"]
    placement.use("vae")
    assert where(placement) == ["vae"] and placement.networks["vae"].use_tiling == placement.residency.tiling
    placement.reset()
    assert placement.offload == "none" and not isinstance(placement.use("unet"), InTurn)


def test_layer_by_layer_with_what_fits(card, away):
    placement, _ = card(10**9)
    need = placement.need(64, 64, 2)
    placement, _ = card(need.unet // 2 + need.layer + need.step)
    before = places(placement.networks["unet"])
    placement.begin(64, 64, 1)
    unet = placement.use("unet")
    there = sum(weight.nbytes for weight in unet.parameters() if weight.data_ptr() in away)
    assert placement.residency.offload == "sequential" and 0 < there <= placement.residency.kept
    placement.begin(64, 64, 1)
    assert placement.use("unet") is unet and sum(weight.nbytes for weight in unet.parameters() if weight.data_ptr() in away) == there
    placement.release()
    assert places(placement.networks["unet"]) == before


@pytest.mark.parametrize("offload", ["none", "sequential"])
def test_what_was_replaced_on_the_device_comes_home_without_a_copy_when_it_is_put_back(network, away, offload):
    placement, before = Placement({"unet": network}, DevicePlan(device=AWAY, offload=offload)), places(network)
    placement.residency = SimpleNamespace(kept=10**6)
    placement.use("unet")
    weight = network[0].weight
    original = placement.original(weight)
    assert original.data_ptr() == before["0.weight"] and weight.data_ptr() in away
    weight.data = torch.ones(8, 4)
    assert placement.original(weight) is not original and torch.equal(placement.original(weight), torch.ones(8, 4))
    placement.put_back(weight, original)
    assert torch.equal(weight, original) and weight.data_ptr() in away
    placement.release()
    assert places(network) == before


def test_what_was_replaced_before_it_went_comes_home_too(network, away):
    placement, before = Placement({"unet": network}, DevicePlan(device=AWAY)), places(network)
    weight = network[0].weight
    original = placement.original(weight)
    weight.data = torch.ones(8, 4)
    placement.use("unet")
    placement.put_back(weight, original)
    assert weight.data_ptr() in away
    placement.release()
    assert places(network) == before

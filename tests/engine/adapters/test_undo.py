"""Whatever networks were in a model's weights, and in which order: nothing of them stays."""

import hypothesis
import pytest
import torch
from hypothesis import strategies

from app.engine.adapters.asked import Lora
from app.engine.prompt.grammar import Network
from app.errors import BadCheckpoint
from tests.engine.adapters import networks

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn2."
FLAT = "lora_unet_" + ATTENTION.replace(".", "_")
CONV = "down_blocks.0.resnets.0.conv1"
ASKED = strategies.tuples(strategies.integers(0, len(networks.METHODS)), strategies.sampled_from((-1.5, 0.0, 0.3, 1.0)))


@pytest.fixture(scope="module")
def mixed(made, tmp_path_factory):
    """A network of every method, for matrices, kernels, norms and text encoder."""
    folder, found = tmp_path_factory.mktemp("networks"), []
    layers = [("lora_unet_", made.unet, f"{ATTENTION}to_k"), ("lora_unet_", made.unet, CONV)]
    layers.append(("lora_te_text_model_", made.text_encoder, "encoder.layers.1.mlp.fc1"))
    for seed, method in enumerate(networks.METHODS):
        tensors = {}
        for prefix, network, name in layers[1:2] if method == "LoCon" else layers:
            made_of = networks.parts(method, network.get_submodule(name).weight, seed)
            tensors |= {f"{prefix}{name.replace('.', '_')}.{end}": tensor for end, tensor in made_of.items()}
        found.append(networks.write(folder / f"{method}.safetensors", tensors))
    norm = "lora_unet_down_blocks_0_resnets_0_norm1"
    biases = {f"{norm}.w_norm": torch.ones(32), f"{norm}.b_norm": torch.ones(32), f"{FLAT}to_out_0.diff_b": torch.ones(32)}
    biases[f"{FLAT}to_k.diff"] = torch.zeros(32, 32)  # what tells that it is a network
    return [*found, networks.write(folder / "norm.safetensors", biases)]


def test_every_method_changes_what_it_names_and_nothing_else(made, adapters, mixed):
    before = networks.state(made)
    for asked in mixed:
        adapters.apply([asked])
        changed = {name for name, tensor in networks.state(made).items() if not torch.equal(before[name], tensor)}
        named = {f"unet.{ATTENTION}to_k.weight", f"unet.{CONV}.weight", "text_encoder.encoder.layers.1.mlp.fc1.weight"}
        if asked.file.name == "norm":
            named = {"unet.down_blocks.0.resnets.0.norm1.weight", "unet.down_blocks.0.resnets.0.norm1.bias", f"unet.{ATTENTION}to_out.0.bias"}
        assert changed == ({f"unet.{CONV}.weight"} if asked.file.name == "LoCon" else named), asked.file.name
    adapters.apply([])


def test_a_hundred_times_on_and_off(made, adapters, mixed):
    before = networks.state(made)
    for number in range(100):
        adapters.apply([mixed[number % len(mixed)], mixed[(5 * number + 1) % len(mixed)]])
        adapters.apply([])
    assert all(torch.equal(before[name], tensor) for name, tensor in networks.state(made).items()) and adapters.bytes == 0


@hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(strategies.lists(strategies.lists(ASKED, max_size=3), max_size=5))
def test_any_mix_in_any_order_ends_where_it_began(made, adapters, mixed, walk):
    before = networks.state(made)
    for wanted in walk:
        adapters.apply([Lora(mixed[number].file, Network("lora", "", weight, -weight)) for number, weight in wanted])
        once = networks.state(made)
    if walk and walk[-1]:
        adapters.apply([])
        adapters.apply([Lora(mixed[number].file, Network("lora", "", weight, -weight)) for number, weight in walk[-1]])
        assert all(torch.equal(once[name], tensor) for name, tensor in networks.state(made).items())  # what came before does not matter
    adapters.apply([])
    assert all(torch.equal(before[name], tensor) for name, tensor in networks.state(made).items())


def test_in_portions_or_at_once(made, adapters, mixed, monkeypatch):
    adapters.apply(mixed)
    once = networks.state(made)
    adapters.apply([])
    monkeypatch.setattr("app.engine.adapters.apply.AT_ONCE", 1)
    adapters.apply(mixed)
    assert all(torch.equal(once[name], tensor) for name, tensor in networks.state(made).items())
    adapters.apply([])


def test_only_lora_can_be_cut_to_its_first_ranks(adapters, mixed):
    with pytest.raises(BadCheckpoint, match=r"'LoHa\.safetensors' is a LoHa network, which cannot be cut"):
        adapters.apply([Lora(mixed[networks.METHODS.index("LoHa")].file, Network("lora", "", dyn=1))])

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from app.engine.adapters.apply import Adapters
from app.engine.adapters.asked import Lora
from app.engine.checkpoints.recognise import inspect_file
from app.engine.prompt.grammar import Network
from app.errors import BadCheckpoint
from tests import tiny
from tests.engine.adapters.networks import state

NAME = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
FLAT = "lora_unet_" + NAME.replace(".", "_")
CONV = "down_blocks.0.resnets.0.conv1"


def lora(path, weights, te=1.0, unet=1.0):
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    return Lora(inspect_file(path, path.stem, "lora"), Network("lora", path.stem, te, unet))


def weight(made, name=NAME):
    return made.unet.get_submodule(name).weight


def test_sums_and_exact_return(made, adapters, tmp_path):
    before = state(made)
    one, two = tiny.lora_weights(made, seed=1, conv=True), tiny.lora_weights(made, seed=2, rank=3, alpha=2.0)
    first, second = lora(tmp_path / "1.safetensors", one, 0.5, 0.7), lora(tmp_path / "2.safetensors", two, 1.0, -0.4)
    adapters.apply([first, second])
    parts = [weights[FLAT + ".lora_up.weight"] @ weights[FLAT + ".lora_down.weight"] for weights in (one, two)]
    delta = 0.7 * (1 / 2) * parts[0] - 0.4 * (2 / 3) * parts[1]
    assert torch.allclose(weight(made), before[f"unet.{NAME}.weight"] + delta, atol=1e-6)
    key = "lora_unet_" + CONV.replace(".", "_")
    change = 0.7 * 0.5 * torch.einsum("or,rikl->oikl", one[key + ".lora_up.weight"].flatten(1), one[key + ".lora_down.weight"])
    assert torch.allclose(weight(made, CONV), before[f"unet.{CONV}.weight"] + change, atol=1e-6)
    text = "encoder.layers.1.mlp.fc1"
    key = "lora_te_text_model_" + text.replace(".", "_")
    sums = sum(s * a / r * w[key + ".lora_up.weight"] @ w[key + ".lora_down.weight"] for s, a, r, w in ((0.5, 1, 2, one), (1.0, 2, 3, two)))
    assert torch.allclose(made.text_encoder.get_submodule(text).weight, before[f"text_encoder.{text}.weight"] + sums, atol=1e-5)
    adapters.apply([second])
    adapters.apply([])
    assert all(torch.equal(before[name], tensor) for name, tensor in state(made).items())


def test_names_of_diffusers_and_peft(made, adapters, tmp_path):
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 32, generator=generator), torch.randn(32, 2, generator=generator)
    before = weight(made).clone()
    spellings = (("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"), ("unet.{}.lora.down.weight", "unet.{}.lora.up.weight"),
                 ("base_model.model.unet.{}.lora_A.weight", "base_model.model.unet.{}.lora_B.weight"))
    for number, (first, second) in enumerate(spellings):
        adapters.apply([lora(tmp_path / f"{number}.safetensors", {first.format(NAME): down, second.format(NAME): up})])
        assert torch.allclose(weight(made), before + up @ down, atol=1e-5)
    old = NAME.replace(".to_k", ".processor.to_k_lora")
    adapters.apply([lora(tmp_path / "old.safetensors", {f"unet.{old}.down.weight": down, f"unet.{old}.up.weight": up})])
    assert torch.allclose(weight(made), before + up @ down, atol=1e-5)
    adapters.apply([])


def test_a_decomposed_convolution(made, adapters, tmp_path):
    generator = torch.Generator().manual_seed(0)
    up, mid, down = (torch.randn(shape, generator=generator) for shape in ((32, 2, 1, 1), (2, 3, 3, 3), (3, 32, 1, 1)))
    before, key = weight(made, CONV).clone(), "lora_unet_" + CONV.replace(".", "_")
    matrices = {f"{key}.lora_up.weight": up, f"{key}.lora_mid.weight": mid, f"{key}.lora_down.weight": down, f"{key}.alpha": torch.tensor(3.0)}
    adapters.apply([lora(tmp_path / "x.safetensors", matrices)])
    x = torch.randn(1, 32, 8, 8, generator=generator)
    conv = torch.nn.functional.conv2d
    expected = conv(conv(conv(x, down), mid, padding=1), up)
    assert torch.allclose(conv(x, weight(made, CONV) - before, padding=1), expected, atol=1e-3)
    adapters.apply([])


HARMS = {
    "unknown layer": ({"lora_unet_nowhere.lora_down.weight": torch.zeros(1, 4)}, "has no layer 'lora_unet_nowhere'"),
    "other shape": ({FLAT + ".lora_down.weight": torch.zeros(1, 48), FLAT + ".lora_up.weight": torch.zeros(32, 1)}, "has another shape"),
    "half": ({FLAT + ".lora_down.weight": torch.zeros(1, 32)}, "is incomplete: its layer '.*' has only lora_down"),
    "rank": ({FLAT + ".lora_down.weight": torch.zeros(2, 32), FLAT + ".lora_up.weight": torch.zeros(32, 3)}, "has another shape"),
    "method": ({FLAT + ".oft_R.weight": torch.zeros(1, 32), FLAT + ".diff": torch.zeros(32, 32)}, "is a network of peft's OFT, which"),
    "NaN": ({FLAT + ".lora_down.weight": torch.full((1, 32), float("nan")), FLAT + ".lora_up.weight": torch.zeros(32, 1)}, "holds NaN"),
    "SDXL": ({"lora_te2_x.lora_down.weight": torch.zeros(1, 32)}, "'bad' is an SDXL LoRA; 'tiny' is an SD 1.x checkpoint."),
}


@pytest.mark.parametrize("case", HARMS)
def test_what_does_not_fit_is_refused_and_changes_nothing(case, made, adapters, tmp_path):
    weights, sentence = HARMS[case]
    before = state(made)
    with pytest.raises(BadCheckpoint, match=sentence) as caught:
        adapters.apply([lora(tmp_path / "good.safetensors", tiny.lora_weights(made)), lora(tmp_path / "bad.safetensors", weights)])
    assert "'bad" in caught.value.message
    assert all(torch.equal(before[name], tensor) for name, tensor in state(made).items())
    assert not adapters.wants([])


def test_the_same_again_costs_nothing(made, adapters, tmp_path):
    asked = lora(tmp_path / "x.safetensors", tiny.lora_weights(made))
    adapters.apply([asked])
    place = weight(made).data_ptr()
    assert not adapters.wants([asked]) and adapters.wants([]) and place == weight(made).data_ptr()
    adapters.apply([])


def test_a_lora_that_fails_halfway_is_undone(made, adapters, tmp_path, monkeypatch):
    before, calls = state(made), []
    given = lora(tmp_path / "x.safetensors", tiny.lora_weights(made, seed=1))
    put = adapters._put

    def full(target, tensor):
        calls.append(target)
        if len(calls) == 9:
            raise MemoryError
        put(target, tensor)

    monkeypatch.setattr(adapters, "_put", full)
    with pytest.raises(MemoryError):
        adapters.apply([given])
    assert all(torch.equal(before[name], tensor) for name, tensor in state(made).items())
    assert adapters.wants([given]) and not adapters.wants([])


def test_a_dynamic_lora_is_cut_to_its_first_ranks(made, adapters, tmp_path):
    before, weights = weight(made).clone(), tiny.lora_weights(made, seed=2, rank=3, alpha=3.0)
    whole = lora(tmp_path / "x.safetensors", weights)
    adapters.apply([replace(whole, tag=replace(whole.tag, dyn=2))])
    expected = weights[FLAT + ".lora_up.weight"][:, :2] @ weights[FLAT + ".lora_down.weight"][:2]
    assert torch.allclose(weight(made), before + expected, atol=1e-6) and adapters.wants([whole])
    adapters.apply([])


def test_every_matrix_and_convolution_of_the_embedded_family_takes_a_lora(tmp_path):
    made = tiny.embedded_parts()
    adapters, before = Adapters({"unet": made.unet, "text_encoder": made.text_encoder}, "sd1", "embedded"), state(made)
    weights = tiny.lora_weights(made, rank=16, alpha=8.0, everywhere=True, strength=0.05)
    adapters.apply([lora(tmp_path / "x.safetensors", weights, 1.0, 0.5)])
    after = state(made)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name, tensor in before.items() if name.endswith(".weight") and tensor.dim() > 1 and "embeddings." not in name}
    first, key = "unet.conv_in.weight", "lora_unet_conv_in"
    change = 0.5 * 8 / 16 * torch.einsum("or,rikl->oikl", weights[key + ".lora_up.weight"].flatten(1), weights[key + ".lora_down.weight"])
    assert torch.allclose(after[first], before[first] + change, atol=1e-6)
    adapters.apply([])
    assert all(torch.equal(before[name], tensor) for name, tensor in state(made).items())


def test_a_lora_for_4_inputs_changes_the_first_4_of_9(tmp_path):
    made, plain = tiny.embedded_parts(in_channels=9), tiny.embedded_parts()
    adapters, before = Adapters({"unet": made.unet, "text_encoder": made.text_encoder}, "sd1", "nine"), weight(made, "conv_in").clone()
    weights = {key: value for key, value in tiny.lora_weights(plain, everywhere=True).items() if "conv_in" in key}
    adapters.apply([lora(tmp_path / "x.safetensors", weights)])
    change = 0.5 * torch.einsum("or,rikl->oikl", weights["lora_unet_conv_in.lora_up.weight"].flatten(1), weights["lora_unet_conv_in.lora_down.weight"])
    assert torch.allclose(weight(made, "conv_in")[:, :4], before[:, :4] + change, atol=1e-6)
    assert torch.equal(weight(made, "conv_in")[:, 4:], before[:, 4:]) and change.abs().max() > 0.01
    adapters.apply([])
    assert torch.equal(weight(made, "conv_in"), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_other_precisions(dtype, made, tmp_path):
    network = deepcopy(made.unet)
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    adapters = Adapters({"unet": network}, "sd1", "half")
    weights = {key: value for key, value in tiny.lora_weights(made).items() if key.startswith("lora_unet_")}
    adapters.apply([lora(tmp_path / "x.safetensors", weights)])
    place = network.get_submodule(NAME).weight
    expected = before[f"{NAME}.weight"].float() + 0.5 * weights[FLAT + ".lora_up.weight"] @ weights[FLAT + ".lora_down.weight"]
    assert place.dtype == dtype and torch.allclose(place.float(), expected, rtol=2 * torch.finfo(dtype).eps, atol=2e-3)
    adapters.apply([])
    assert all(torch.equal(before[name].view(torch.uint8), tensor.view(torch.uint8)) for name, tensor in network.state_dict().items())


def test_a_model_that_shares_its_weights_stays_as_it_is(made, tmp_path):
    shared = deepcopy(made.unet)
    for mine, theirs in zip(shared.parameters(), made.unet.parameters(), strict=True):
        mine.data = theirs.data
    before = state(made)
    Adapters({"unet": shared}, "sd1", "shared").apply([lora(tmp_path / "x.safetensors", {FLAT + ".diff": torch.ones(32, 32)})])
    assert all(torch.equal(before[name], tensor) for name, tensor in state(made).items())
    assert torch.allclose(shared.get_submodule(NAME).weight, weight(made) + 1)


def test_two_text_encoders_and_ldm_names(made, tmp_path):
    second = tiny.parts(1).text_encoder
    model = Adapters({"unet": made.unet, "text_encoder": made.text_encoder, "text_encoder_2": second}, "sdxl", "big")
    before, other = state(made), second.encoder.layers[0].mlp.fc1.weight.clone()
    layer = "text_model_encoder_layers_0_mlp_fc1"
    weights = {
        f"lora_te1_{layer}.diff": torch.ones(128, 32), f"lora_te2_{layer}.diff": torch.full((128, 32), 2.0),
        "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k.diff": torch.full((32, 32), 4.0),
    }  # fmt: skip
    asked = lora(tmp_path / "x.safetensors", weights, 0.5, 0.25)
    model.apply([replace(asked, file=replace(asked.file, family="sdxl"))])
    assert torch.allclose(made.text_encoder.encoder.layers[0].mlp.fc1.weight, before["text_encoder.encoder.layers.0.mlp.fc1.weight"] + 0.5)
    assert torch.allclose(second.encoder.layers[0].mlp.fc1.weight, other + 1.0)
    assert torch.allclose(weight(made), before[f"unet.{NAME}.weight"] + 1.0)
    model.apply([])
    assert all(torch.equal(before[name], tensor) for name, tensor in state(made).items())


def test_weights_of_blocks(made, adapters, tmp_path):
    before, up = state(made), "up_blocks.1.attentions.0.proj_in"
    weights = {FLAT + ".diff": torch.ones(32, 32), f"lora_unet_{up.replace('.', '_')}.diff": torch.ones(32, 32, 1, 1)}
    weights |= {"lora_unet_conv_in.diff": torch.ones(32, 4, 3, 3), "lora_te_text_model_encoder_layers_0_mlp_fc1.diff": torch.ones(128, 32)}
    asked = lora(tmp_path / "x.safetensors", weights, unet=2.0)
    for blocks, base, inner, outer, first in (("ALL0.5", 0.5, 1.0, 1.0, 1.0), ("IN01", 1.0, 2.0, 0.0, 0.0), (",".join(["0.5"] * 17), 0.5, 1.0, 0.0, 0.0)):
        adapters.apply([replace(asked, tag=replace(asked.tag, blocks=blocks))])
        found = state(made)
        for name, expected in ((f"unet.{NAME}", inner), (f"unet.{up}", outer), ("unet.conv_in", first), ("text_encoder.encoder.layers.0.mlp.fc1", base)):
            assert torch.allclose(found[f"{name}.weight"], before[f"{name}.weight"] + expected, atol=1e-6), (blocks, name)
    adapters.apply([])


def test_another_family_is_refused_before_anything_is_read(adapters, tmp_path, monkeypatch):
    asked = lora(tmp_path / "x.safetensors", {FLAT + ".diff": torch.ones(32, 32)})
    monkeypatch.setattr("app.engine.adapters.apply.read_weights", None)
    monkeypatch.setattr("app.engine.adapters.apply.layers_of", None)
    with pytest.raises(BadCheckpoint, match=r"'x' is an SDXL LoRA; 'tiny' is an SD 1\.x checkpoint\."):
        adapters.apply([replace(asked, file=replace(asked.file, family="sdxl"))])

"""A copy of a built network is the network; what happens to it stays with it."""

import torch
from torch import nn

from app.engine.checkpoints.skeletons import REMEMBERED, Skeletons, copied
from tests import tiny


def test_a_copy_computes_the_same_and_is_independent():
    unet = tiny.parts(0).unet
    twin, given = copied(unet), (torch.randn(1, 4, 8, 8), 500, torch.randn(1, 77, 32))
    assert type(twin) is type(unet) and twin.config == unet.config and [*twin.state_dict()] == [*unet.state_dict()]
    with torch.no_grad():
        expected = unet(*given)[0]
        assert torch.equal(twin(*given)[0], expected)
        for module in twin.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    module._parameters[name] = nn.Parameter(torch.zeros_like(weight))
        twin.set_attn_processor(next(iter(unet.attn_processors.values())))
        handle = twin.conv_in.register_forward_hook(lambda *given: None)
        assert not unet.conv_in._forward_hooks and twin.conv_in._forward_hooks and not twin(*given)[0].any()
        handle.remove()
        assert torch.equal(unet(*given)[0], expected)
    assert not {id(module) for module in unet.modules()} & {id(module) for module in twin.modules()}


def test_no_module_hides_outside_the_tree():
    """A module in a plain list or attribute would be shared by all copies."""
    made = tiny.parts(0)
    for network in (made.unet, made.vae, made.text_encoder):
        for module in network.modules():
            for name, value in module.__dict__.items():
                held = value if isinstance(value, list | tuple) else [*value.values()] if isinstance(value, dict) and name != "_modules" else [value]
                assert not any(isinstance(each, nn.Module) for each in held), name


def test_each_config_is_built_once():
    built, skeletons = [], Skeletons()

    def get(**config):
        return skeletons.get("x", config, lambda: (built.append(config), nn.Linear(2, config["out"]))[1])

    assert get(out=3) is not get(out=3) and get(out=3).out_features == 3 and get(out=4).out_features == 4
    assert built == [{"out": 3}, {"out": 4}]
    for out in range(5, 5 + REMEMBERED):
        get(out=out)
    get(out=3)
    assert built[-1] == {"out": 3}

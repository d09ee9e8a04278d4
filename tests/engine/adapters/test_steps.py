from types import SimpleNamespace

import torch

from app.engine.adapters.asked import Lora, at_step
from app.engine.adapters.steps import in_steps
from app.engine.guidance import steered
from app.engine.prompt.grammar import Network

FILE = SimpleNamespace(name="x")


def lora(te=1.0, unet=1.0, **steps):
    return Lora(FILE, Network("lora", "x", te, unet, **steps))


class Model:
    """What stands for a `Guided`."""

    unguided, step, steps = None, 0, 5

    def __call__(self, x, sigma):
        return x + sigma


def test_the_unets_share_comes_and_goes_the_text_encoders_stays():
    loras = [lora(0.5, 0.7, start=2, stop=4), lora(stop=3), lora(0.2, 0.3)]
    assert [[lora.tag.unet for lora in at_step(loras, step)] for step in range(1, 6)] == [
        [0.0, 1.0, 0.3], [0.7, 1.0, 0.3], [0.7, 0.0, 0.3], [0.0, 0.0, 0.3], [0.0, 0.0, 0.3],
    ]  # fmt: skip
    assert {lora.tag.te for step in range(1, 6) for lora in at_step(loras, step)} == {0.5, 1.0, 0.2}


def test_the_weights_are_seen_to_before_each_step():
    model, seen = Model(), []
    loras = [lora(stop=3)]
    stepped = in_steps(model, loras, lambda now: seen.append([lora.tag.unet for lora in now]))
    for model.step in range(4):
        assert stepped(torch.zeros(1), 2.0) == 2.0
    assert seen == [[1.0], [1.0], [0.0], [0.0]] and steered(stepped) is model
    assert in_steps(model, [lora()], seen.append) is model

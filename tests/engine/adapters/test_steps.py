from types import SimpleNamespace

import torch

from app.engine.adapters.asked import Lora, asked, at_step
from app.engine.adapters.steps import in_steps
from app.engine.guidance import steered
from app.engine.prompt.grammar import extract_networks

FILE = SimpleNamespace(name="x")


class Model:
    """What stands for a `Guided`."""

    unguided, step, steps = None, 0, 5

    def __call__(self, x, sigma):
        return x + sigma


def test_a_tag_becomes_what_is_asked_for():
    [tag] = extract_networks("<lora:x:0.5:0.7:lbw=OUTALL:step=3-8>")[1]
    assert asked(FILE, tag) == Lora(FILE, 0.5, 0.7, None, "OUTALL", 3, 8)


def test_the_unets_share_comes_and_goes_the_text_encoders_stays():
    loras = [Lora(FILE, 0.5, 0.7, start=2, stop=4), Lora(FILE, 1.0, 1.0, stop=3), Lora(FILE, 0.2, 0.3)]
    assert [[lora.unet for lora in at_step(loras, step)] for step in range(1, 6)] == [
        [0.0, 1.0, 0.3], [0.7, 1.0, 0.3], [0.7, 0.0, 0.3], [0.0, 0.0, 0.3], [0.0, 0.0, 0.3],
    ]  # fmt: skip
    assert {lora.te for step in range(1, 6) for lora in at_step(loras, step)} == {0.5, 1.0, 0.2}


def test_the_weights_are_seen_to_before_each_step():
    model, seen = Model(), []
    loras = [Lora(FILE, stop=3)]
    stepped = in_steps(model, loras, lambda now: seen.append([lora.unet for lora in now]))
    for model.step in range(4):
        assert stepped(torch.zeros(1), 2.0) == 2.0
    assert seen == [[1.0], [1.0], [0.0], [0.0]] and steered(stepped) is model
    assert in_steps(model, [Lora(FILE)], seen.append) is model

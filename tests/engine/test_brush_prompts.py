"""What prompts say over the steps reaches the network, through the real engine on a tiny checkpoint."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.engine.prompt.chunks import Reading
from app.extensions import Extensions
from app.request import parse
from app.settings import Settings
from app.work import Picture
from tests import tiny

SIZE = {"width": 64, "height": 64, "seed": 5, "steps": 4, "sampler": "Euler", "prompt": "cat", "negative_prompt": "night"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("prompts")
    made = tiny.parts(0)
    tiny.write_folder(folder / "tiny", made)
    tiny.write_lora(folder / "style.safetensors", made)
    none = folder / "none"
    none.mkdir()
    dirs = (folder,)
    settings = replace(
        Settings(), checkpoint_dirs=dirs, lora_dirs=dirs, vae_dirs=(none,), embedding_dirs=(none,), extension_dir=none, cpu_parts=frozenset({"all"})
    )  # fmt: skip
    return Engine(settings, Shelf(settings), Extensions())


@pytest.fixture
def told(engine: Engine) -> Iterator[list[Tensor]]:
    """The hidden states that each call of the network was given."""
    seen: list[Tensor] = []
    unet = engine.acquire("tiny").placement.networks["unet"]
    handle = unet.register_forward_pre_hook(lambda module, given, named: seen.append(named["encoder_hidden_states"].clone()), with_kwargs=True)
    yield seen
    handle.remove()


def run(engine: Engine, **values: Any) -> list[Picture]:
    return list(engine.run(parse({"task": "txt2img"} | SIZE | values), {}, lambda progress: None))


def pixels(engine: Engine, **values: Any) -> bytes:
    return b"".join(picture.image.tobytes() for picture in run(engine, **values))


def states(engine: Engine, text: str, **options: Any) -> Tensor:
    return tiny.both(engine.acquire("tiny").encode_prompt(text, None, Reading(**options)))[0]


def words(engine: Engine, told: list[Tensor], row: int = 1) -> str:
    """Which animal each call was told in a row of its states; row 0 is the negative prompt."""
    known = {"c": states(engine, "cat"), "d": states(engine, "dog"), "n": states(engine, "night")}
    return "".join(next((name for name, state in known.items() if torch.equal(state[0], call[row])), "?") for call in told)


@pytest.mark.parametrize(
    ("prompt", "sampler", "calls"),
    [
        ("cat", "Euler", "cccc"),
        ("[cat:dog:2]", "Euler", "cccd"),
        ("[cat:dog:0.5]", "Euler a", "cccd"),
        ("[cat|dog]", "Euler", "ccdc"),
        ("[cat:dog:2]", "Heun", "cccdddd"),
        ("[cat:dog:0.5]", "Heun", "cccccdd"),
        ("[cat|dog]", "DPM2 a", "ccdcdcd"),
        ("[dog:cat:0]", "Euler", "cccc"),
    ],
)
def test_what_is_told_at_each_call(engine: Engine, told: list[Tensor], prompt: str, sampler: str, calls: str) -> None:
    run(engine, prompt=prompt, sampler=sampler)
    assert words(engine, told) == calls and set(words(engine, told, 0)) == {"n"}


def test_negative_prompts_change_on_the_way(engine: Engine, told: list[Tensor]) -> None:
    run(engine, negative_prompt="[cat:dog:1]")
    assert words(engine, told, 0) == "ccdd" and words(engine, told) == "cccc"


def test_and_is_one_more_prompt_in_the_same_call(engine: Engine, told: list[Tensor]) -> None:
    plain = pixels(engine, prompt="cat")
    weighted = pixels(engine, prompt="cat AND dog :0.3")
    assert [call.shape[0] for call in told] == [2] * 4 + [3] * 4 and words(engine, told[4:], 2) == "dddd"
    told.clear()
    assert plain != weighted and pixels(engine, prompt="cat AND dog :0") == plain
    told.clear()
    run(engine, prompt="cat AND dog", cfg_scale=1)
    run(engine, prompt="cat", cfg_scale=1)
    assert [call.shape[0] for call in told] == [3] * 4 + [1] * 4


def test_the_second_pass_is_addressed_by_what_stands_behind_the_first(engine: Engine, told: list[Tensor]) -> None:
    hires = {"enable_hr": True, "hr_scale": 1, "hr_second_pass_steps": 4}
    run(engine, prompt="[cat:dog:1.5]", **hires)
    assert words(engine, told[:4]) == "cccc" and words(engine, told[4:]) == "cccd"
    told.clear()
    run(engine, prompt="[cat:dog:0.5]", **hires)
    assert words(engine, told) == "cccddddd"


def test_prompts_of_two_lengths_are_padded_or_asked_apart(engine: Engine, told: list[Tensor]) -> None:
    long = "the house in the forest, " * 20
    (padded,) = run(engine, prompt=long, steps=1)
    (apart,) = run(engine, prompt=long, steps=1, pad_prompts=False)
    assert [tuple(call.shape[:2]) for call in told] == [(2, 154), (1, 77), (1, 154)]
    assert torch.equal(told[1][0], told[0][0, :77]) and torch.equal(told[2][0], told[0][1])
    assert padded.facts["Pad conds"] == "True" and "Pad conds" not in apart.facts and padded.image.tobytes() != apart.image.tobytes()
    assert run(engine, steps=1, pad_prompts=False)[0].image == run(engine, steps=1)[0].image


def test_networks_are_taken_out_before_schedules_are_read(engine: Engine, told: list[Tensor]) -> None:
    inside, outside = (pixels(engine, prompt=text) for text in ("[cat<lora:style:0.7>:dog:2]", "[cat:dog:2]<lora:style:0.7>"))
    assert inside == outside != pixels(engine, prompt="[cat:dog:2]")


def test_emphasis_clip_skip_and_word_wrap(engine: Engine, told: list[Tensor]) -> None:
    text = "the (house:1.4) in the forest"
    for values, expected in (
        ({"emphasis": "Ignore"}, states(engine, "the house in the forest")),
        ({"emphasis": "No norm"}, states(engine, text, emphasis="No norm")),
        ({"emphasis": "None"}, states(engine, "the \\(house:1.4\\) in the forest")),
        ({"clip_skip": 2}, states(engine, text, clip_skip=2)),
    ):
        told.clear()
        run(engine, prompt=text, steps=1, **values)
        assert torch.equal(told[0][1], expected[0]), values
    long = "cat " * 70 + ", " + "dog " * 10
    told.clear()
    run(engine, prompt=long, steps=1, comma_backtrack=0)
    assert torch.equal(told[0][1], states(engine, long, backtrack=0)[0]) and not torch.equal(told[0][1], states(engine, long)[0])

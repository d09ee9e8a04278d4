"""What a request says about guidance, seeds, samplers and schedules reaches the network, through the real engine on a tiny checkpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.engine.engine import Engine
from app.extensions import Extensions
from app.infotext import write
from app.library.read import one_picture
from app.library.save import png_bytes
from app.request import parse
from app.settings import ROOT
from app.work import Picture
from tests import tiny

PICTURE = Image.effect_noise((64, 64), 90).convert("RGB")
MASK = Image.new("L", (64, 64))
MASK.paste(255, (16, 16, 48, 48))
VARIED = {"subseed": 40, "subseed_strength": 0.3}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("brush")
    return tiny.engine(folder)


@pytest.fixture
def calls(engine: Engine) -> Iterator[list[int]]:
    """How many prompts times pictures each call of the network had."""
    seen: list[int] = []
    unet = engine.acquire("tiny").placement.networks["unet"]
    handle = unet.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[0]))
    yield seen
    handle.remove()


def run(engine: Engine, task: str = "txt2img", **values: Any) -> list[Picture]:
    names = {"txt2img": (), "inpaint": ("image", "mask")}.get(task, ("image",))
    given = dict.fromkeys(names, "a" * 64)
    size = {"width": 64, "height": 64} if task == "txt2img" else {}
    request = parse({"task": task, "prompt": "a cat", "negative_prompt": "night", "steps": 3, "seed": 5, "sampler": "Euler a"} | given | size | values)
    return list(engine.run(request, {name: {"image": PICTURE, "mask": MASK}[name] for name in given}, lambda progress: None))


def pixels(pictures: list[Picture]) -> list[bytes]:
    return [picture.image.tobytes() for picture in pictures]


# ---- seeds


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ SDE", "DPM++ 2M SDE", "DDIM CFG++", "LCM"])
def test_batches_of_1_3_and_8_are_the_same_pictures(engine: Engine, sampler: str) -> None:
    values = {"sampler": sampler, "steps": 2, "eta_noise_seed_delta": 31337, "seed_resize_from_w": 48, "seed_resize_from_h": 72, "cfg_rescale": 0.5, **VARIED}
    singles = [run(engine, **values | {"subseed": 40 + i})[0] for i in range(8)]
    for size in (3, 8):
        batch = run(engine, batch_size=size, **values)
        assert pixels(batch) == pixels(singles[:size])
        assert [(picture.seed, picture.facts["Variation seed"]) for picture in batch] == [(5, str(40 + i)) for i in range(size)]
    assert len(set(pixels(singles))) == 8


@pytest.mark.parametrize("task", ["txt2img", "img2img", "inpaint", "outpaint"])
def test_extras_of_the_seed_change_every_task_that_starts_from_noise(engine: Engine, task: str) -> None:
    values = {"left": 16, "right": 0, "steps": 2} if task == "outpaint" else {"steps": 2}
    plain = pixels(run(engine, task, **values))
    changed = [VARIED, {"eta_noise_seed_delta": 3}, {"seed_resize_from_w": 128, "seed_resize_from_h": 128}, {"rng": "CPU"}]
    assert len({*plain, *(pixels(run(engine, task, **values, **extras))[0] for extras in changed)}) == 5
    assert pixels(run(engine, task, **values, subseed=40, subseed_strength=0.0)) == plain


def test_a_zooms_keys_have_variations_of_their_own(engine: Engine) -> None:
    values = {"keys": 2, "steps": 1, "width": 64, "height": 64, "coherence": "Fast"}
    request = parse({"task": "zoom", "prompt": "a cat", "seed": 5, **values, **VARIED})
    keys = list(engine.run(request, {}, lambda progress: None))
    assert "Variation seed" not in keys[0].facts and len(keys[1].facts["Variation seed"]) > 4
    assert "Variation seed: 40," in write(request, keys[0].facts, 0, keys[0].seed)
    plain = list(engine.run(request.model_copy(update={"subseed_strength": 0.0}), {}, lambda progress: None))
    assert [key.seed for key in keys] == [key.seed for key in plain] and "Variation seed" not in plain[0].facts
    assert all(one != other for one, other in zip(pixels(keys), pixels(plain), strict=True))


@pytest.mark.parametrize("extras", [{}, VARIED])
def test_one_picture_of_a_batch_is_made_again_from_what_it_says(engine: Engine, extras: dict[str, Any]) -> None:
    request = parse({"task": "txt2img", "prompt": "a cat", "steps": 1, "seed": 5, "batch_count": 3, "width": 64, "height": 64, **extras})
    chunk = f'{{"request": {request.model_dump_json()}, "index": 2}}'
    again = parse(one_picture(png_bytes(PICTURE, "", chunk)) or {})
    pictures = list(engine.run(request, {}, lambda progress: None))
    assert again.pictures == 1 and pixels(list(engine.run(again, {}, lambda progress: None))) == pixels(pictures[2:])


# ---- guidance


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [2] * 4),
        ({"cfg_scale": 1}, [1] * 4),
        ({"cfg_scale": 1, "prompt": "a cat AND a dog"}, [3] * 4),
        ({"prompt": "a cat AND a dog :0.5 AND the house"}, [4] * 4),
        ({"skip_early_cond": 0.25}, [1, 1, 2, 2]),
        ({"s_min_uncond": 15}, [2, 1, 2, 1]),
        ({"s_min_uncond": 15, "s_min_uncond_all": True}, [1] * 4),
        ({"s_min_uncond": 0.01, "s_min_uncond_all": True}, [2] * 4),
        ({"batch_size": 2}, [2] * 8),
    ],
)
def test_calls_of_the_network(engine: Engine, calls: list[int], values: dict[str, Any], expected: list[int]) -> None:
    run(engine, sampler="Euler", schedule="Karras", steps=4, **values)
    assert calls == expected


@pytest.mark.parametrize("changed", [{"cfg_rescale": 0.7}, {"skip_early_cond": 0.5}, {"s_min_uncond": 10}, {"prompt": "a cat AND a dog"}])
@pytest.mark.parametrize("task", ["txt2img", "inpaint"])
def test_guidance_changes_the_picture(engine: Engine, task: str, changed: dict[str, Any]) -> None:
    values = {"sampler": "Euler", "cfg_scale": 9, "steps": 4}
    assert pixels(run(engine, task, **values)) != pixels(run(engine, task, **values | changed))


def test_dynamic_thresholding_sits_around_all_of_it_and_keeps_batches_equal(engine: Engine, monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> None:
    extensions = Extensions()
    extensions.load(Path(ROOT / "extensions"))
    extensions.loaded = {"dynamic_threshold": extensions.loaded["dynamic_threshold"]}
    values = {"cfg_scale": 20, "cfg_rescale": 0.3, "s_min_uncond": 15, "sampler": "Euler a", "steps": 2, "prompt": "a cat {threshold 80}", **VARIED}
    without = pixels(run(engine, **values | {"prompt": "a cat"}))
    monkeypatch.setattr(engine, "extensions", extensions)
    request = parse({"task": "txt2img", "seed": 5, "width": 64, "height": 64, "batch_size": 3, **values})
    [changed] = extensions.call("change_request", request=request)
    calls.clear()
    batch = list(engine.run(changed, {}, lambda progress: None))
    assert calls == [2, 2, 2, 1, 1, 1] and not extensions.failed
    for i in range(3):
        alone = changed.model_copy(update={"batch_size": 1, "subseed": 40 + i})
        assert pixels(list(engine.run(alone, {}, lambda progress: None))) == pixels(batch[i : i + 1])
    assert pixels(batch[:1]) != without


# ---- samplers and schedules

TURNED = {
    "eta": (0.5, "Euler a"), "eta_ddim": (0.8, "DDIM"), "s_churn": (3.0, "Euler"), "s_noise": (0.9, "Euler a"), "sigma_min": (0.3, "DPM++ 2M"),
    "sigma_max": (9.0, "DPM++ 2M"), "rho": (3.0, "DPM++ 2M"), "discard_penultimate": (True, "Euler"), "unipc_order": (3, "UniPC"),
    "unipc_variant": ("bh1", "UniPC"), "unipc_skip_type": ("logSNR", "UniPC"), "unipc_lower_order_final": (False, "UniPC"), "tcd_gamma": (0.8, "TCD"),
}  # fmt: skip


@pytest.mark.parametrize("name", TURNED)
def test_an_option_changes_its_samplers_picture_and_not_others(engine: Engine, name: str) -> None:
    value, sampler = TURNED[name]
    same = {"sampler": sampler, "cfg_scale": 1.0} | ({"steps": 5} if sampler == "UniPC" else {}) | ({"unipc_order": 3} if name.endswith("final") else {})
    assert pixels(run(engine, **same | {name: value})) != pixels(run(engine, **same))
    if name not in ("sigma_min", "sigma_max", "discard_penultimate"):
        assert pixels(run(engine, sampler="LMS", steps=2, cfg_scale=1.0, **{name: value})) == pixels(run(engine, sampler="LMS", steps=2, cfg_scale=1.0))


def test_the_windows_of_churn_and_the_shape_of_beta(engine: Engine) -> None:
    churn = {"sampler": "Euler", "s_churn": 3.0}
    assert pixels(run(engine, **churn, s_tmax=0.0)) == pixels(run(engine, **churn, s_tmax=999.0))
    assert pixels(run(engine, **churn, s_tmax=0.001)) == pixels(run(engine, sampler="Euler")) != pixels(run(engine, **churn, s_tmin=0.5))
    assert pixels(run(engine, schedule="Beta", beta_alpha=0.3)) != pixels(run(engine, schedule="Beta")) != pixels(run(engine, schedule="Beta", beta_beta=0.3))


@pytest.mark.parametrize("sampler", ["DPM++ 2M SDE", "DPM adaptive"])
def test_batches_of_samplers_with_paths_or_steps_of_their_own(engine: Engine, sampler: str) -> None:
    two = pixels(run(engine, sampler=sampler, batch_size=2, cfg_scale=1.0))
    assert two == [pixels(run(engine, sampler=sampler, seed=5 + i, cfg_scale=1.0))[0] for i in range(2)] and two[0] != two[1]


def test_cfgpp_asks_for_both_answers_and_scales_the_scale(engine: Engine, calls: list[int]) -> None:
    run(engine, sampler="DDIM CFG++", cfg_scale=1.0)
    run(engine, sampler="DDIM CFG++", cfg_scale=12.5)
    assert calls == [2] * 6
    assert pixels(run(engine, sampler="DDIM CFG++", cfg_scale=5.0)) != pixels(run(engine, sampler="DDIM", cfg_scale=0.4)), "the noise that is kept differs"


def test_one_step_is_one_call_and_many_are_many(engine: Engine, calls: list[int]) -> None:
    for sampler in ("DPM fast", "DPM adaptive", "Restart", "TCD", "UniPC"):
        run(engine, sampler=sampler, steps=1, cfg_scale=1.0)
    assert calls == [1] * 5
    run(engine, sampler="Euler", schedule="DDIM", steps=151, cfg_scale=1.0)
    assert calls == [1] * 156


def test_windows_of_a_picture_get_brownian_noise_of_their_own(engine: Engine) -> None:
    values = {"sampler": "DPM++ 2M SDE", "steps": 2, "left": 64, "right": 64, "coherence": "Normal"}
    two, one = (pixels(run(engine, "outpaint", **values, batch_size=size)) for size in (2, 1))
    assert two[0] == one[0] != two[1] and pixels(run(engine, "outpaint", **values, seed=6)) == two[1:]

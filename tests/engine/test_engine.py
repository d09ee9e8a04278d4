import os
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.errors import BadCheckpoint, BadNumbers, Cancelled, OutOfMemory, UnknownName
from app.request import Img2Img, Txt2Img
from app.settings import Settings
from tests import tiny

STEPS = 3


class Hooks:
    """A stand-in for the extensions: functions by hook name."""

    def __init__(self, **functions):
        self.functions = functions

    def call(self, hook_name, **given):
        if hook_name in self.functions and (answer := self.functions[hook_name](**given)) is not None:
            yield answer


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    made = tiny.parts(0)
    tiny.write_folder(folder / "a", made)
    tiny.make_folder(folder / "b", seed=7)
    tiny.write_lora(folder / "Lora" / "style.safetensors", made) if (folder / "Lora").mkdir() is None else None
    tiny.write_embedding(folder / "stickers.safetensors")
    save_file(tiny.parts(3).vae.state_dict(), folder / "other vae.safetensors")
    return folder


@pytest.fixture
def make(models, settings):
    def engine(**hooks):
        dirs = (models,)
        here = replace(settings, checkpoint_dirs=dirs, lora_dirs=dirs, vae_dirs=dirs, embedding_dirs=dirs)
        return Engine(here, Shelf(here), Hooks(**hooks))

    return engine


@pytest.fixture(scope="module")
def engine(models, tmp_path_factory):
    """One engine for the tests that leave it as it was."""
    dirs = (models,)
    settings = Settings(checkpoint_dirs=dirs, lora_dirs=dirs, vae_dirs=dirs, embedding_dirs=dirs, outputs_dir=tmp_path_factory.mktemp("out"))
    return Engine(settings, Shelf(settings), Hooks())


def request(**changes):
    return Txt2Img(**{"prompt": "a cat in the house", "negative_prompt": "night", "seed": 5, "steps": STEPS, "checkpoint": "a"} | changes)


def paint(engine, asked, report=lambda progress: None):
    return [np.asarray(picture.image) for picture in engine.run(asked, {}, report)]


def test_pictures_of_a_batch_are_the_single_pictures_bit_for_bit(engine):
    batch = paint(engine, request(batch_size=2, batch_count=2, sampler="Euler a"))
    singles = [paint(engine, request(seed=5 + i, sampler="Euler a"))[0] for i in range(4)]
    assert all(np.array_equal(one, other) for one, other in zip(batch, singles, strict=True))
    assert not np.array_equal(batch[0], batch[1]) and batch[0].shape == (64, 64, 3)


def test_each_request_gets_its_own_checkpoint(make):
    engine = make()
    first, other, again = (paint(engine, request(checkpoint=name))[0] for name in "aba")
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(paint(make(), request())[0], first)


def test_facts_and_progress(engine):
    reports = []
    pictures = list(engine.run(request(batch_size=2), {}, reports.append))
    assert [picture.seed for picture in pictures] == [5, 6]
    assert pictures[0].facts["Model"] == "a" and re.fullmatch("[0-9a-f]{10}", pictures[0].facts["Model hash"])
    phases = [report.phase for report in reports]
    assert list(dict.fromkeys(phases)) == ["loading", "encoding", "sampling", "decoding"] and phases[-1] == "decoding"
    steps = [(report.step, report.steps) for report in reports if report.phase == "sampling"]
    assert steps == [(i, STEPS) for i in range(STEPS + 1)]
    preview = next(report.preview for report in reversed(reports) if report.preview)()
    assert preview.mode == "RGB" and preview.size == (128, 64)


def test_cfg_1_asks_the_model_once_for_one(engine):
    model = engine.acquire("a")
    sizes = []
    handle = model.placement.networks["unet"].register_forward_pre_hook(lambda module, given: sizes.append(given[0].shape[0]))
    paint(engine, request(cfg_scale=1, sampler="Euler"))
    assert sizes == [1] * STEPS
    sizes.clear()
    paint(engine, request(cfg_scale=4, sampler="Euler", batch_size=2))
    handle.remove()
    assert sizes == [2] * STEPS * 2


def test_cfg_1_ignores_the_negative_prompt_and_0_the_prompt(engine):
    assert np.array_equal(paint(engine, request(cfg_scale=1))[0], paint(engine, request(cfg_scale=1, negative_prompt="x"))[0])
    assert np.array_equal(paint(engine, request(cfg_scale=0))[0], paint(engine, request(cfg_scale=0, prompt="x"))[0])
    assert not np.array_equal(paint(engine, request(cfg_scale=2))[0], paint(engine, request(cfg_scale=2, prompt="x"))[0])


def test_the_global_generator_is_left_alone(engine):
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    paint(engine, request(sampler="DPM++ SDE", rng="CPU"))
    assert torch.equal(before, torch.random.get_rng_state())


def test_stop_leaves_within_a_step_and_the_engine_goes_on(engine):
    expected = paint(engine, request())[0]
    for stop_at in (("loading", 0), ("encoding", 0), ("sampling", 2), ("decoding", 0)):
        seen = []

        def report(progress, stop_at=stop_at, seen=seen):
            seen.append((progress.phase, progress.step))
            if seen[-1] == stop_at:
                raise Cancelled

        with pytest.raises(Cancelled):
            paint(engine, request(checkpoint="b"), report)
        assert seen[-1] == stop_at
    assert np.array_equal(paint(engine, request())[0], expected)


def test_lora_acts_and_leaves_no_trace(engine):
    plain = paint(engine, request())[0]
    weights = {name: tensor.clone() for name, tensor in engine.acquire("a").placement.networks["unet"].state_dict().items()}
    pictures = list(engine.run(request(prompt="a cat in the house<lora:style:1>"), {}, lambda progress: None))
    assert not np.array_equal(np.asarray(pictures[0].image), plain)
    assert re.fullmatch("style: [0-9a-f]{12}", pictures[0].facts["Lora hashes"])
    nothing = list(engine.run(request(prompt="a cat in the house<lora:style:0>"), {}, lambda progress: None))
    assert np.array_equal(np.asarray(nothing[0].image), plain)
    after = next(engine.run(request(), {}, lambda progress: None))
    assert np.array_equal(np.asarray(after.image), plain) and "Lora hashes" not in after.facts
    assert all(torch.equal(weights[name], tensor) for name, tensor in engine.acquire("a").placement.networks["unet"].state_dict().items())


def test_a_textual_inversion_is_a_word(make):
    engine = make()
    named = next(engine.run(request(prompt="a cat, stickers"), {}, lambda progress: None))
    assert re.fullmatch("stickers: [0-9a-f]{10}", named.facts["TI hashes"])
    unread = next(engine.run(request(prompt="a cat", negative_prompt="stickers", cfg_scale=1.0), {}, lambda progress: None))
    assert "TI hashes" not in unread.facts
    engine.shelf = SimpleNamespace(checkpoint=engine.shelf.checkpoint, vae=engine.shelf.vae, texts=engine.shelf.texts, embeddings=list)
    assert not np.array_equal(paint(engine, request(prompt="a cat, stickers"))[0], np.asarray(named.image))


def test_another_vae(engine):
    picture = next(engine.run(request(vae="other vae"), {}, lambda progress: None))
    assert picture.facts["VAE"] == "other vae.safetensors" and len(picture.facts["VAE hash"]) == 10
    assert not np.array_equal(np.asarray(picture.image), paint(engine, request())[0])


UNKNOWN = [("checkpoint", "c"), ("vae", "c"), ("sampler", "Eular a"), ("schedule", "karass"), ("prompt", "<lora:c:1>"), ("prompt", "<hypernet:c:1>")]


@pytest.mark.parametrize(("field", "value"), UNKNOWN)
def test_unknown_names(engine, field, value):
    with pytest.raises(UnknownName):
        paint(engine, request(**{field: value}))


def test_a_checkpoint_that_changes_on_disk(make, models):
    engine = make()
    path = tiny.make_folder(models / "changing", seed=1)
    weights = path / "unet" / "diffusion_pytorch_model.safetensors"
    engine.shelf.refresh()
    pictures = engine.run(request(checkpoint="changing", batch_count=2), {}, lambda progress: None)
    first = np.asarray(next(pictures).image)
    content = weights.read_bytes()
    os.truncate(weights, 999)
    next(pictures)
    with pytest.raises(BadCheckpoint, match="truncated"):
        paint(engine, request(checkpoint="changing"))
    weights.write_bytes(content)
    assert np.array_equal(paint(engine, request(checkpoint="changing"))[0], first)


def test_extensions_around_the_model_and_at_each_step(make):
    seen, shapes = [], []

    def around_model(model, request):
        def mirrored(x, sigma):
            shapes.append(tuple(x.shape))
            return model(x, sigma).flip(-1)

        return mirrored

    def on_step(step, steps, sigma, denoised, request):
        seen.append((step, steps, sigma > 0, tuple(denoised.shape)))

    engine = make(around_model=around_model, on_step=on_step)
    pictures = paint(engine, request(batch_size=2, sampler="Euler"))
    assert seen == [(i + 1, STEPS, True, (2, 4, 8, 8)) for i in range(STEPS)] and set(shapes) == {(1, 4, 8, 8)}
    assert not np.array_equal(pictures[0], paint(make(), request(sampler="Euler"))[0])


def test_an_extension_can_bring_a_family(make):
    from app.engine.families import FAMILIES, Family

    def register_families(families):
        families["toy"] = Family("toy", "Toy", lambda file, vae, plan: None, lambda header: header.shape("toy") != ())

    try:
        engine = make(register_families=register_families)
        assert "toy" in FAMILIES and engine.shelf.checkpoint("a").family == "sd1"
    finally:
        FAMILIES.pop("toy", None)


def test_img2img_through_the_engine(engine):
    from PIL import Image

    source = Image.effect_noise((64, 64), 40).convert("RGB")
    asked = Img2Img(image="0" * 64, checkpoint="a", steps=2, width=64, height=64, seed=1)
    picture = next(engine.run(asked, {"image": source}, lambda progress: None))
    assert picture.image.size == (64, 64)


class Fault:
    """Makes a network fail at its first `times` calls."""

    def __init__(self, network, times):
        self.left, self.calls = times, 0
        self.handle = network.register_forward_pre_hook(self.fail)

    def fail(self, module, given):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


FAULTS = [("unet", 1), ("unet", 2), ("unet", 5), ("unet", 7), ("decoder", 3), ("decoder", 4), ("decoder", 7), ("text_encoder", 1)]


@pytest.mark.parametrize(("part", "times"), FAULTS)
def test_the_ladder_is_climbed_rung_by_rung(engine, part, times):
    expected = paint(engine, request())[0]
    model = engine.acquire("a")
    networks = model.placement.networks
    fault = Fault(networks["vae"].decoder if part == "decoder" else networks[part], times)
    rungs = []
    climb = model.placement.climb
    model.placement.climb = lambda: (rungs.append(model.placement.rung), climb())[1]
    try:
        if times <= 5:  # with and without the prompt in turn differ from both at once in the last bits
            assert np.abs(paint(engine, request())[0].astype(int) - expected).max() <= (times == 5)
        else:
            words = r"after caches emptied, attention slicing, VAE tiling, offload, prompts in turn, VAE on the CPU"
            with pytest.raises(OutOfMemory, match=f"not enough memory for .* {words}"):
                paint(engine, request())
        assert rungs == list(range(times))
    finally:
        fault.handle.remove()
        del model.placement.climb
    assert np.array_equal(paint(engine, request())[0], expected) and model.placement.rung == 0


def test_numbers_that_are_none_are_told(engine):
    networks = engine.acquire("a").placement.networks
    for network, sentence in ((networks["unet"], r"at step 1 of 3"), (networks["vae"].decoder, "VAE of 'a'")):
        handle = network.register_forward_hook(lambda module, given, found: (found[0] / 0,) if isinstance(found, tuple) else found / 0)
        with pytest.raises(BadNumbers, match=sentence):
            paint(engine, request())
        handle.remove()
    assert len(paint(engine, request())) == 1


def test_a_vae_that_fails_in_half_precision_is_run_in_full(make):
    engine = make()
    expected = paint(engine, request())[0]
    model = engine.acquire("a")
    model.placement.set_vae_dtype(torch.float16)
    vae = model.placement.networks["vae"]
    handle = vae.decoder.register_forward_hook(lambda module, given, found: found * float("nan") if found.dtype == torch.float16 else found)
    picture = next(engine.run(request(), {}, lambda progress: None))
    handle.remove()
    assert picture.facts["VAE precision"] == "fp32" and vae.dtype == torch.float32
    assert np.abs(np.asarray(picture.image).astype(int) - expected).max() <= 2


def test_comments_in_a_prompt_are_not_read(engine):
    [plain] = paint(engine, request(prompt="a red house"))
    [noted] = paint(engine, request(prompt="# a note\na red house# or blue"))
    assert np.array_equal(plain, noted)


def test_a_checkpoint_that_does_not_fit_into_memory_says_so_and_the_next_one_runs(make, monkeypatch):
    engine = make()

    def full(*given):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    with monkeypatch.context() as patch:
        patch.setattr("app.engine.families.latent.load_networks", full)
        with pytest.raises(OutOfMemory, match=r"not enough memory to load 'a' \(\d"):
            paint(engine, request())
    assert paint(engine, request())[0].shape == (64, 64, 3)


def test_a_lora_that_does_not_fit_into_memory_climbs_the_ladder(make, monkeypatch):
    engine, given = make(), request(prompt="a cat <lora:style:1>")
    expected, tries = paint(engine, given)[0], []
    paint(engine, request())
    adapters = engine.acquire("a").adapters
    change = adapters._change

    def full(wanted):
        change(wanted)
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError

    monkeypatch.setattr(adapters, "_change", full)
    assert np.array_equal(paint(engine, given)[0], expected) and len(tries) == 2

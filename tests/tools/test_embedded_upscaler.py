"""The upscaler's training: pairs that belong together, a run that goes on as if never stopped, a file that spandrel knows."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("skia")

from PIL import Image  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from app.engine.upscalers import Upscaler  # noqa: E402
from app.engine.upscalers_load import load_network  # noqa: E402
from tools.embedded import upscaler, upscaler_file, upscaler_samples  # noqa: E402
from tools.embedded.models import make_vae  # noqa: E402
from tools.embedded.training import Run, Schedule, Slice, run_training, step_generator  # noqa: E402

SETTINGS = upscaler_samples.UpscalerSettings(batch=2, crop=8)


def pairs() -> upscaler_samples.Pairs:
    large = np.random.default_rng(0).integers(0, 255, (upscaler_samples.SHOWN + 3, 8, 8, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    return upscaler_samples.Pairs(large, upscaler_samples.shrink(large))


def trainer() -> upscaler.UpscalerTrainer:
    torch.manual_seed(0)
    return upscaler.UpscalerTrainer(upscaler.Compact(8, 2), pairs(), SETTINGS)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    schedule = Schedule(3, 1e-3, warmup=2)
    whole, first, second = trainer(), trainer(), trainer()
    run_training(whole, Run(tmp_path / "a", "upscaler", 2), schedule, lambda _: None)
    run = Run(tmp_path / "b", "upscaler", 2)
    assert run_training(first, run, schedule, lambda _: None, Slice(1)) == 1
    assert run_training(second, run, schedule, lambda _: None) == 3
    for name, value in whole.averaged().items():
        assert torch.equal(value, second.averaged()[name]), name
    assert any(not torch.equal(value, first.averaged()[name]) for name, value in whole.averaged().items())


def test_training_begins_at_bicubic() -> None:
    torch.manual_seed(0)
    network = upscaler.Compact()
    small = np.random.default_rng(4).integers(60, 190, (1, 6, 6, 3)).astype(np.uint8).repeat(3, 1).repeat(3, 2)
    weights = dict(network.state_dict())
    weights["body.18.weight"] = weights["body.18.weight"].clone()
    weights["body.18.weight"][:, 27:] = 0
    inner = (slice(None), slice(12, -12), slice(12, -12))
    bicubic = upscaler.resample(small, Image.Resampling.BICUBIC)[inner].astype(int)
    assert np.abs(upscaler.enlarge(weights, small)[inner] - bicubic).max() <= 2, "but for what the other features add"


def test_small_and_large_show_the_same_place() -> None:
    plain = upscaler_samples.UpscalerSettings(batch=12, crop=8, soft=0, blur=0, noise=0, compress=0)
    small, large = upscaler_samples.sample_batch(pairs(), plain, step_generator(0, 1))
    assert (small.shape, large.shape) == ((12, 3, 8, 8), (12, 3, 32, 32))
    assert torch.allclose(torch.nn.functional.avg_pool2d(large, 4), small, atol=1 / 255)
    again, _ = upscaler_samples.sample_batch(pairs(), plain, step_generator(0, 1))
    other, _ = upscaler_samples.sample_batch(pairs(), plain, step_generator(0, 2))
    assert torch.equal(small, again)
    assert not torch.equal(small, other)


DAMAGE = {"blur": [0, 0.9, 1, 0, 1, 0, 0], "noise": [1, 0, 0, 0.9, 1, 0, 0], "jpeg": [1, 0, 1, 0, 0, 0, 0.9], "webp": [1, 0, 1, 0, 0, 0, 0.1]}


@pytest.mark.parametrize("chances", DAMAGE.values(), ids=DAMAGE)
def test_each_damage_is_done(chances: list[float]) -> None:
    small = np.random.default_rng(1).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    damaged = upscaler_samples.degrade(small, SETTINGS, chances, step_generator(0, 0))
    assert damaged.shape == small.shape
    assert damaged.dtype == np.uint8
    assert not np.array_equal(damaged, small)
    assert abs(float(damaged.mean()) - float(small.mean())) < 12
    assert np.array_equal(upscaler_samples.degrade(small, SETTINGS, [1, 0, 1, 0, 1, 0, 0], step_generator(0, 0)), small)


def test_training_comes_nearer() -> None:
    one = trainer()
    figures = [one.step(0, 3e-3)["loss"] for _ in range(20)]
    assert figures[-1] < 0.9 * figures[0], "twenty times the same crops"


def test_the_file_is_small_described_and_gives_what_the_network_gives(tmp_path: Path) -> None:
    made = trainer()
    made.step(0, 1e-3)
    target = tmp_path / "new" / "up.safetensors"
    size = upscaler_file.export_upscaler(made.averaged(), target)
    assert size == target.stat().st_size < 20_000
    assert list(target.parent.iterdir()) == [target]
    with safe_open(target, "pt") as file:
        assert file.metadata()["license"] == "CC0-1.0"
        assert file.metadata()["scale"] == "4"
    network = load_network(Upscaler("up", target), torch.device("cpu"))
    picture = np.random.default_rng(2).integers(0, 255, (1, 12, 20, 3)).astype(np.uint8)
    theirs = network(torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255)[0].permute(1, 2, 0).numpy() * 255
    ours = upscaler.enlarge(load_file(target), picture)[0]
    assert np.abs(theirs - ours).max() < 1
    assert network.scale == 4


def test_pictures_are_drawn_once_and_softened_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscaler_samples, "LARGE", 128)
    make_vae((8, 8, 8, 8), 1).save_pretrained(tmp_path / "checkpoint" / "vae")
    first = upscaler_samples.make_pairs(tmp_path / "run", 2, 1, tmp_path / "checkpoint")
    (tmp_path / "run" / "upscaler-soft.npy").unlink()
    monkeypatch.setattr(upscaler_samples, "draw_large", None)
    again = upscaler_samples.make_pairs(tmp_path / "run", 2, 1, tmp_path / "checkpoint")
    assert first.large.shape == (2, 128, 128, 3)
    assert first.soft.shape == (2, 32, 32, 3)
    assert np.array_equal(first.soft, again.soft)


def test_the_styles_take_turns() -> None:
    flat, styled = upscaler_samples.draw_large(upscaler_samples.FIRST_SEED, "flat"), upscaler_samples.draw_large(upscaler_samples.FIRST_SEED, "ink")
    assert flat.shape == styled.shape == (512, 512, 3)
    assert not np.array_equal(flat, styled)
    assert set(upscaler_samples.TURNS) == {"flat", "watercolour", "pixel", "ink", "neon"}


def test_the_sheet_shows_what_is_not_trained_on(tmp_path: Path) -> None:
    trainer().sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (upscaler_samples.SHOWN * 68 - 4, 3 * 68 - 4)


def test_the_last_row_is_solved_for_before_training() -> None:
    torch.manual_seed(0)
    network, again = upscaler.Compact(8, 2), upscaler.Compact(8, 2)
    again.load_state_dict(network.state_dict())
    given = pairs()

    @torch.no_grad()
    def error() -> float:
        batches = [upscaler_samples.sample_batch(given, SETTINGS, step_generator(SETTINGS.seed, -number)) for number in range(1, 9)]
        return sum(float((network(small) - large).square().mean()) for small, large in batches)

    before = error()
    upscaler.solve_last_row(network, given, SETTINGS, 8)
    upscaler.solve_last_row(again, given, SETTINGS, 8)
    assert error() < 0.95 * before
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in network.state_dict().items())

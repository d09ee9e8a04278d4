"""The embedded checkpoint's training loop: a slice that was stopped and went on equals an uninterrupted run, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tools.embedded import crew  # noqa: E402
from tools.embedded.models import make_unet, make_vae  # noqa: E402
from tools.embedded.training import Average, Run, Schedule, Slice, run_training, step_generator  # noqa: E402
from tools.embedded.unet import Bucket, CachedData, UnetSettings, UnetTrainer, cumulative_alphas, sample, start_calmly  # noqa: E402
from tools.embedded.vae import Album, VaeSettings, VaeTrainer, encode, fold_whitening, reconstruct  # noqa: E402


def tiny_pictures() -> np.ndarray:
    smooth = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 3)).astype(np.uint8)
    return smooth.repeat(8, 1).repeat(8, 2)


def tiny_vae_trainer() -> VaeTrainer:
    torch.manual_seed(0)
    return VaeTrainer(make_vae((8, 8, 8, 8), 2), Album([tiny_pictures()]), VaeSettings(batch=2, crop=16))


def tiny_unet_trainer() -> UnetTrainer:
    torch.manual_seed(0)
    unet = make_unet((32, 32, 32, 32), 16)
    start_calmly(unet)
    rng = np.random.default_rng(0)
    texts, nothing = (rng.standard_normal(shape).astype(np.float16) for shape in ((5, 2, 77, 16), (3, 77, 16)))
    return UnetTrainer(unet, CachedData([Bucket(torch.randn(5, 4, 8, 8), texts)], nothing), UnetSettings(batch=2))


@pytest.mark.parametrize("make", [tiny_vae_trainer, tiny_unet_trainer])
def test_a_resumed_run_equals_an_uninterrupted_one(make, tmp_path: Path) -> None:
    schedule = Schedule(2, 1e-3, warmup=2)
    whole, first, second = make(), make(), make()
    assert run_training(whole, Run(tmp_path / "a", "run", 2), schedule, lambda _: None) == 2
    run = Run(tmp_path / "b", "run", 2)
    assert run_training(first, run, schedule, lambda _: None, Slice(1)) == 1
    assert run_training(second, run, schedule, lambda _: None) == 2
    for name, value in whole.averaged().items():
        assert torch.equal(value, second.averaged()[name]), name
    assert any(not torch.equal(value, first.averaged()[name]) for name, value in whole.averaged().items())


def test_a_stop_saves_first(tmp_path: Path) -> None:
    run = Run(tmp_path, "run", 2)
    trainer = tiny_vae_trainer()
    assert run_training(trainer, run, Schedule(50, 1e-3), lambda _: None, Slice(stopped=lambda: True)) == 1
    assert torch.load(run.checkpoint, weights_only=True)["step"] == 1
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_learning_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(1000, 1.0, warmup=100, decay=0.5, floor=0.02)
    rates = [schedule.learning_rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[100:500] == [1.0] * 400
    assert rates[750] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.02)


def test_step_randomness_depends_on_seed_and_step_alone() -> None:
    draws = {(seed, step): torch.randn(3, generator=step_generator(seed, step)).tolist() for seed in range(3) for step in range(3)}
    assert draws[1, 2] == torch.randn(3, generator=step_generator(1, 2)).tolist()
    assert len({tuple(draw) for draw in draws.values()}) == 9


def test_average_follows_the_weights() -> None:
    module = torch.nn.Linear(2, 2)
    average = Average(module, 0.9, lag=0)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight += 1
    average.update(1000)
    assert torch.allclose(average.state_dict()["weight"], before + 0.1)


def test_noise_schedule_is_stable_diffusions() -> None:
    alphas = cumulative_alphas()
    assert float(alphas[0]) == pytest.approx(1 - 0.00085, abs=1e-6)
    assert float(alphas[-1]) == pytest.approx(0.0047, abs=1e-4)


def test_folded_whitening_changes_latents_but_no_picture() -> None:
    torch.manual_seed(0)
    vae = make_vae((8, 8, 8, 8), 2).eval()
    pictures = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3)).astype(np.uint8)
    before = reconstruct(vae, pictures)
    fold_whitening(vae, pictures)
    latents = (encode(vae, pictures) * vae.config.scaling_factor).transpose(0, 1).flatten(1)
    assert torch.allclose(latents.mean(1), torch.zeros(4), atol=1e-3)
    assert torch.allclose(torch.cov(latents), torch.eye(4), atol=1e-2)
    assert np.abs(before.astype(int) - reconstruct(vae, pictures).astype(int)).max() <= 1


def test_plain_attention_equals_the_stock_one() -> None:
    torch.manual_seed(0)
    stock, ours = make_unet((32, 32, 32, 32), 16).eval(), tiny_unet_trainer().unet.eval()
    ours.load_state_dict(stock.state_dict())
    latents, texts = torch.randn(3, 4, 8, 8), torch.randn(3, 77, 16)
    with torch.no_grad():
        assert torch.allclose(stock(latents, 500, texts).sample, ours(latents, 500, texts).sample, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")
def test_sampling_gives_finite_latents() -> None:
    trainer = tiny_unet_trainer()
    latents = sample(trainer.unet, torch.randn(2, 77, 16), torch.zeros(1, 77, 16), steps=2)
    assert latents.shape == (2, 4, 16, 16)
    assert torch.isfinite(latents).all()


@pytest.mark.filterwarnings("ignore")
def test_a_crew_of_one_trains_like_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "EVERY", 1)
    schedule, alone, member = Schedule(2, 1e-3, warmup=2), tiny_unet_trainer(), tiny_unet_trainer()
    run_training(alone, Run(tmp_path / "a", "run", 2), schedule, lambda _: None)
    crew.join_crew(tmp_path, 0, 1)
    try:
        part = Slice(stopped=lambda: crew.agreed(False))
        run_training(crew.CrewTrainer(member), Run(tmp_path / "b", "run", 2, grain=crew.EVERY), schedule, lambda _: None, part)
    finally:
        torch.distributed.destroy_process_group()
    assert all(torch.equal(value, member.averaged()[name]) for name, value in alone.averaged().items())


def test_only_the_first_worker_keeps(tmp_path: Path) -> None:
    run = Run(tmp_path, "run", 2, grain=2, keeps=False)
    assert run_training(tiny_vae_trainer(), run, Schedule(3, 1e-3), lambda _: None) == 3
    assert not run.checkpoint.exists()

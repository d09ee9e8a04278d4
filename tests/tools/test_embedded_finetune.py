"""What the trainings of derived files rest on: float8 that is trained through, LoRA, masks, the few-step target."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")

from tools.embedded.distil import parted  # noqa: E402
from tools.embedded.finetune import Finetuner, Lesson, TuneSettings, add_noise, rounded  # noqa: E402
from tools.embedded.inpainting import CHANNELS, GRID, random_mask, widen  # noqa: E402
from tools.embedded.lora import Ranks, attach, layers  # noqa: E402
from tools.embedded.models import make_unet  # noqa: E402
from tools.embedded.unet import Bucket, CachedData  # noqa: E402


class Slope:
    """An objective whose gradient is the weight itself."""

    def __init__(self) -> None:
        self.network = torch.nn.Linear(32, 32, bias=False)

    def loss(self, number: int, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        return self.network.weight.square().sum() / 2, {}

    def draw(self) -> np.ndarray:
        raise AssertionError("nobody looks")


def test_the_gradient_is_that_of_the_rounded_weights_and_moves_the_exact_ones() -> None:
    objective = Slope()
    trainer = Finetuner(objective, TuneSettings(muon=False, fp8_from=0))
    exact = objective.network.weight.detach().clone()
    loss = trainer.step(0, 1e-9)["loss"]
    small = exact.to(torch.float8_e4m3fn).float()
    assert loss == pytest.approx(float(small.square().sum() / 2)) and not torch.equal(small, exact)
    assert torch.allclose(objective.network.weight, exact, atol=1e-7)


def test_rounding_ends_where_it_should() -> None:
    network = torch.nn.Linear(32, 32)
    exact, bias = network.weight.detach().clone(), network.bias.detach().clone()
    with rounded(network):
        assert not torch.equal(network.weight, exact) and torch.equal(network.bias, bias)
    with rounded(network, active=False):
        assert torch.equal(network.weight, exact)
    assert torch.equal(network.weight, exact)


def test_a_fresh_lora_changes_nothing_and_only_it_is_trained() -> None:
    torch.manual_seed(0)
    unet = make_unet((32, 32, 32, 32), 16).eval()
    given = torch.randn(1, 4, 16, 16), 500, torch.randn(1, 77, 16)
    with torch.no_grad():
        before = unet(*given).sample
        adapters = attach(unet, Ranks(4, 2))
        assert torch.equal(unet(*given).sample, before)
        for change in adapters.values():
            torch.nn.init.normal_(change.up, std=0.1)
        assert not torch.allclose(unet(*given).sample, before, atol=1e-3)
        with adapters.without():
            assert torch.equal(unet(*given).sample, before)
    trained = {id(value) for value in unet.parameters() if value.requires_grad}
    assert trained == {id(value) for value in adapters.parameters()}


def test_without_a_rank_for_kernels_only_transformers_are_changed() -> None:
    unet = make_unet((32, 32, 32, 32), 16)
    plain, wide = ({name for name, _, _ in layers(unet, ranks)} for ranks in (Ranks(4, 0), Ranks(4, 2)))
    assert plain < wide and all("attentions" in name for name in plain)
    assert "lora_unet_mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj" in plain
    assert {"lora_unet_down_blocks_0_resnets_0_conv1", "lora_unet_down_blocks_0_downsamplers_0_conv"} <= wide - plain


def test_written_matrices_multiply_to_the_change() -> None:
    torch.manual_seed(0)
    adapters = attach(make_unet((32, 32, 32, 32), 16), Ranks(4, 2))
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    change = adapters[name]
    torch.nn.init.normal_(change.up)
    written = adapters.kohya()
    down, up = written[f"{name}.lora_down.weight"], written[f"{name}.lora_up.weight"]
    assert down.shape == (2, 32, 3, 3) and up.shape == (32, 2, 1, 1) and float(written[f"{name}.alpha"]) == 2
    with torch.no_grad():
        assert torch.allclose(torch.einsum("or,rihw->oihw", up[:, :, 0, 0], down), change(torch.zeros(32, 32, 3, 3)), atol=1e-5)


def test_a_widened_unet_does_not_heed_what_it_is_told_at_first() -> None:
    torch.manual_seed(0)
    unet = make_unet((32, 32, 32, 32), 16).eval()
    latents, texts = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 16)
    with torch.no_grad():
        before = unet(latents, 300, texts).sample
        widen(unet)
        after = unet(torch.cat([latents, torch.randn(2, 5, 8, 8)], 1), 300, texts).sample
    assert torch.allclose(before, after, atol=1e-5) and unet.config.in_channels == CHANNELS


def test_masks_are_of_all_kinds() -> None:
    rng = np.random.default_rng(0)
    masks = [random_mask(64, 96, rng) for _ in range(200)]
    shares = np.array([mask.mean() for mask in masks])
    assert all(mask.shape == (64, 96) and mask.dtype == bool for mask in masks)
    assert (shares == 1).any() and (shares == 0).any() and 0.2 < shares.mean() < 0.6
    cells = [mask.reshape(8, GRID, 12, GRID).transpose(0, 2, 1, 3).reshape(96, -1) for mask in masks]
    aligned = np.mean([(cell.all(1) | ~cell.any(1)).all() for cell in cells])
    assert 0.3 < aligned < 0.8


def test_clean_latents_are_parted_from_their_noise() -> None:
    latents, noise, timesteps = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.tensor([0, 499, 999])
    assert torch.allclose(parted(add_noise(latents, noise, timesteps), noise, timesteps), latents, atol=1e-4)


def test_a_lesson_mixes_captions_as_told() -> None:
    texts, plain, nothing = (np.full(shape, value, np.float16) for shape, value in (((9, 2, 77, 4), 1), ((9, 1, 77, 4), 2), ((3, 77, 4), 3)))
    lesson = Lesson(CachedData([Bucket(torch.randn(9, 4, 8, 8), texts)], nothing), (plain,), plain_share=0.5, dropout=0.2, batch=400)
    batch = lesson.draw(0, torch.Generator().manual_seed(0))
    found = {value: int((batch.texts[:, 0, 0] == value).sum()) for value in (1, 2, 3)}
    assert sum(found.values()) == 400 and abs(found[3] - 80) < 30 and abs(found[1] - found[2]) < 60
    assert batch.timesteps.min() < 10 and batch.timesteps.max() > 990 and torch.equal(batch.noisy, add_noise(batch.latents, batch.noise, batch.timesteps))

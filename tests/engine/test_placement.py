import pytest
import torch

from app.engine.attention import SlicedQueries, set_attention, unet_bytes, vae_bytes
from app.engine.checkpoints.find import Shelf
from app.engine.device import CPU, DevicePlan, is_out_of_memory, make_plan
from app.engine.moving import Sequential
from app.engine.placement import RUNGS, Placement
from app.errors import OutOfMemory
from app.settings import Settings
from tests import tiny

LATENTS, STATES = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def made():
    return tiny.parts(0)


@pytest.fixture
def placement(made):
    placed = Placement({"unet": made.unet, "vae": made.vae, "text_encoder": made.text_encoder}, DevicePlan())
    yield placed
    placed.rung = 1
    placed.reset()


@torch.no_grad()
def answer(unet):
    return unet(LATENTS, 500, STATES)[0]


def test_sliced_attention_is_the_same_attention(made):
    expected = answer(made.unet)
    made.unet.set_attn_processor(SlicedQueries(rows=7))
    assert torch.allclose(answer(made.unet), expected, atol=1e-6)
    set_attention(made.unet, "sliced")
    assert torch.allclose(answer(made.unet), expected, atol=1e-6)
    set_attention(made.unet, "sdpa")
    assert torch.equal(answer(made.unet), expected)


def test_tiles_are_explicit_and_only_when_asked(placement):
    vae = placement.networks["vae"]
    placement.begin(64, 64, 1)
    assert not vae.use_tiling
    while RUNGS[placement.rung - 1] != "VAE tiling" or not placement.rung:
        placement.climb()
    assert vae.use_tiling and (vae.tile_sample_min_size, vae.tile_latent_min_size) == (512, 64)
    placement.begin(64, 64, 1)
    assert vae.use_tiling
    placement.reset()
    assert not vae.use_tiling


def test_what_will_not_fit_is_tiled_and_sliced_before_it_fails(placement, monkeypatch):
    monkeypatch.setattr("app.engine.placement.free_bytes", lambda device: 1000)
    placement.begin(512, 512, 1)
    processors = set(map(type, placement.networks["unet"].attn_processors.values()))
    assert placement.networks["vae"].use_tiling and processors == {SlicedQueries}


def test_tiled_decoding_is_close_to_whole_decoding(placement):
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    vae = placement.networks["vae"]
    with torch.no_grad():
        whole = vae.decode(latents)[0]
        vae.tile_sample_min_size, vae.tile_latent_min_size, vae.use_tiling = 96, 12, True
        tiled = vae.decode(latents)[0]
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)


def test_estimates_are_the_measured_figures():
    from types import SimpleNamespace as Thing

    sd1 = Thing(config=Thing(block_out_channels=(320, 640, 1280, 1280), down_block_types=("CrossAttnDownBlock2D",)))
    sdxl = Thing(config=Thing(block_out_channels=(320, 640, 1280), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D")))
    assert unet_bytes(sd1, 512, 512, 2, torch.float16) == 130_000_000 and unet_bytes(sd1, 1024, 1024, 2, torch.float16) == 520_000_000
    assert unet_bytes(sdxl, 1024, 1024, 2, torch.float16) == 316_000_000 == 2 * unet_bytes(sdxl, 1024, 1024, 1, torch.float16)
    assert unet_bytes(sdxl, 1536, 1024, 2, torch.float16) == pytest.approx(473e6, rel=0.01)
    vae = Thing(config=Thing(block_out_channels=[128]))
    assert vae_bytes(vae, 1024, 1024, torch.float16) == pytest.approx(1536e6, rel=0.03) == vae_bytes(vae, 1024, 1024, torch.float32) / 2


def test_layers_visit_the_device_and_come_home(made):
    expected = answer(made.unet)
    moved = Sequential(made.unet, CPU)
    assert torch.equal(answer(made.unet), expected)
    weights = [weight.data_ptr() for weight in made.unet.parameters()]
    with pytest.raises(RuntimeError):
        made.unet(LATENTS, 500, STATES[:, :, :5])
    assert weights == [weight.data_ptr() for weight in made.unet.parameters()]
    moved.remove()
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in made.unet.modules())


def test_memory_errors_in_all_their_words():
    assert is_out_of_memory(torch.OutOfMemoryError("x")) and is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert is_out_of_memory(RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_other_errors_are_not_retried(placement):
    calls = []

    def work():
        calls.append(1)
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        placement.guarded(work, "x")
    assert len(calls) == 1


def test_the_sentence_names_what_was_needed(placement):
    def work():
        raise torch.OutOfMemoryError("Tried to allocate 3.00 GiB.")

    with pytest.raises(OutOfMemory, match=r"not enough memory for a step at 4096x4096 \(.* GB are free; Tried to allocate 3.00 GiB\).* Try a smaller size"):
        placement.guarded(work, "a step at 4096x4096")


def cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card")


def test_the_plan_without_a_card():
    plan = make_plan(Settings(vram="lowvram", cpu_parts=frozenset({"all"})))
    assert plan == DevicePlan() and not plan.batched and plan.describe().startswith("CPU")


PLANS = {
    "plain": ({}, (torch.float16, "cuda", torch.float16, "none"), "Card, float16, attention: PyTorch SDPA"),
    "no half": ({"half": False}, (torch.float32, "cuda", torch.float32, "none"), "Card, float32, attention: PyTorch SDPA"),
    "full": ({"precision": "full"}, (torch.float32, "cuda", torch.float32, "none"), "float32"),
    "no half vae": ({"half_vae": False}, (torch.float16, "cuda", torch.float32, "none"), "VAE in float32"),
    "vae on cpu": ({"cpu_parts": frozenset({"vae"})}, (torch.float16, "cpu", torch.float32, "none"), "VAE on the CPU"),
    "medvram": ({"vram": "medvram"}, (torch.float16, "cuda", torch.float16, "model"), "medvram"),
    "lowvram": ({"vram": "lowvram"}, (torch.float16, "cuda", torch.float16, "sequential"), "lowvram"),
    "all on cpu": ({"cpu_parts": frozenset({"all"})}, (torch.float32, "cpu", torch.float32, "none"), "CPU"),
}


@pytest.mark.parametrize("case", PLANS)
def test_the_plan_with_a_card(case, monkeypatch):
    cuda(monkeypatch)
    changes, expected, words = PLANS[case]
    plan = make_plan(Settings(**changes))
    assert (plan.dtype, plan.vae_device.type, plan.vae_dtype, plan.offload) == expected and words in plan.describe()


def test_xformers_only_where_it_is_installed(monkeypatch):
    cuda(monkeypatch)
    for spec, name in ((None, "PyTorch SDPA"), (object(), "xformers")):
        monkeypatch.setattr("importlib.util.find_spec", lambda module, spec=spec: spec)
        assert name in make_plan(Settings(attention="xformers")).describe()
        assert "PyTorch SDPA" in make_plan(Settings()).describe()


@pytest.mark.gpu
@pytest.mark.parametrize("vram", ["normal", "medvram", "lowvram"])
def test_every_way_of_moving_gives_the_cpu_picture(vram, tiny_folder, tmp_path):
    import numpy as np

    from app.engine.engine import Engine
    from app.extensions import Extensions
    from app.request import Txt2Img

    pictures = []
    for changes in ({"cpu_parts": frozenset({"all"})}, {"vram": vram, "half": False}):
        settings = Settings(checkpoint_dirs=(tiny_folder,), outputs_dir=tmp_path, **changes)
        engine = Engine(settings, Shelf(settings), Extensions())
        made = engine.run(Txt2Img(checkpoint="tiny", seed=1, steps=3, batch_size=2), {}, lambda progress: None)
        pictures.append([np.asarray(picture.image).astype(int) for picture in made])
    assert all(np.abs(one - other).max() <= 2 for one, other in zip(*pictures, strict=True))


def test_a_network_that_got_stuck_on_the_way_is_fetched_back(monkeypatch):
    network, away, moves = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)), torch.device("cpu", 0), []
    before = [weight.data_ptr() for weight in network.parameters()]

    def moved(numbers, device):
        moves.append(device)
        if device == away and len(moves) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return numbers.clone() if device == away else numbers

    monkeypatch.setattr("app.engine.moving.moved", moved)
    placement = Placement({"unet": network}, DevicePlan(device=away))
    with pytest.raises(torch.OutOfMemoryError):
        placement.use("unet")
    placement.release()
    assert moves == [away] * 3 + [CPU] * 4 and [weight.data_ptr() for weight in network.parameters()][2:] == before[2:]

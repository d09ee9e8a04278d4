"""Enlarging: exact sizes, tiles that cannot be seen, Stop between tiles, memory that runs out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.engine import upscalers_run
from app.engine.upscalers_load import Network
from app.engine.upscalers_run import Enlarger, Upscalers, spans, tiled, weights
from app.errors import BadCheckpoint, BadRequest, Cancelled, OutOfMemory, UnknownName
from app.settings import Settings
from app.work import Progress
from tests.engine import compact

NOISE = np.random.default_rng(5).integers(0, 256, (90, 150, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE)


@pytest.fixture
def house(tmp_path: Path) -> Settings:
    compact.write(tmp_path / "models/upscalers/random.safetensors", scale=2, seed=1)
    compact.write(tmp_path / "models/upscalers/repeat.safetensors", scale=4)
    return replace(Settings(), root=tmp_path)


@pytest.mark.parametrize("name", ["None", "Lanczos", "Nearest", "random", "repeat"])
@pytest.mark.parametrize(("scale", "size"), [(1, (150, 90)), (1.5, (225, 135)), (4, (600, 360)), (4.25, (638, 382))])
def test_the_size_is_exact(house: Settings, name: str, scale: float, size: tuple[int, int]) -> None:
    made = Upscalers(house).upscale(PICTURE, name, scale)
    assert (made.size, made.mode) == (size, "RGB")


def test_resampling_is_pillows() -> None:
    ours = Upscalers(Settings())
    assert ours.upscale(PICTURE, "Lanczos", 2).tobytes() == PICTURE.resize((300, 180), Image.Resampling.LANCZOS).tobytes()
    assert ours.upscale(PICTURE, "Nearest", 2).tobytes() == PICTURE.resize((300, 180), Image.Resampling.NEAREST).tobytes()


def test_the_networks_own_size_is_not_resampled(house: Settings) -> None:
    assert np.array_equal(np.asarray(Upscalers(house).upscale(PICTURE, "repeat", 4)), NOISE.repeat(4, 0).repeat(4, 1))


def test_the_same_picture_gives_the_same_result(house: Settings) -> None:
    ours = Upscalers(house)
    first, again, fresh = ours.upscale(PICTURE, "random", 2), ours.upscale(PICTURE, "random", 2), Upscalers(house).upscale(PICTURE, "random", 2)
    assert first.tobytes() == again.tobytes() == fresh.tobytes()


def test_tiles_leave_no_seam(house: Settings) -> None:
    network = Upscalers(house)
    found = network._network(upscalers_run.find_upscaler(house, "random"))
    whole = tiled(found, NOISE, 256, torch.device("cpu"), upscalers_run.quietly)
    parts = tiled(found, NOISE, 64, torch.device("cpu"), upscalers_run.quietly)
    assert np.abs(whole.astype(int) - parts).max() <= 1, "one level by rounding at most"
    assert whole.std() > 20


@pytest.mark.parametrize("side", [1, 63, 64, 65, 80, 81, 300, 1000])
def test_tiles_cover_a_side_and_their_weights_sum_to_one(side: int) -> None:
    found = list(spans(side, 64))
    total = np.zeros(side * 3)
    for start, end in found:
        assert 0 < end - start <= 64
        total[start * 3 : end * 3] += weights(start, end, side, 3)
    assert np.allclose(total, 1)
    assert (found[0][0], found[-1][1]) == (0, side)


def test_progress_counts_tiles_and_stop_is_heard_between_them(house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscalers_run, "TILES", (64,))
    heard: list[Progress] = []
    Enlarger(Upscalers(house), heard.append).upscale(PICTURE, "random", 2)
    tiles = len(list(spans(90, 64))) * len(list(spans(150, 64)))
    assert [(progress.phase, progress.step, progress.steps) for progress in heard] == [("upscaling", done, tiles) for done in range(tiles + 1)]

    def stop(progress: Progress) -> None:
        heard.append(progress)
        if progress.step == 2:
            raise Cancelled

    heard.clear()
    with pytest.raises(Cancelled):
        Enlarger(Upscalers(house), stop).upscale(PICTURE, "random", 2)
    assert len(heard) == 3


def test_smaller_tiles_where_memory_runs_out(house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Network.__call__
    limit, seen = [100 * 100], []

    def tight(self: Network, pixels: torch.Tensor) -> torch.Tensor:
        seen.append(pixels.shape[2] * pixels.shape[3])
        if seen[-1] > limit[0]:
            raise RuntimeError("not enough memory: you tried to allocate 1 bytes")
        return real(self, pixels)

    ours = Upscalers(house)
    expected = np.asarray(ours.upscale(PICTURE, "repeat", 4))
    monkeypatch.setattr(Network, "__call__", tight)
    assert np.array_equal(np.asarray(ours.upscale(PICTURE, "repeat", 4)), expected)
    assert seen[0] == 90 * 150
    assert seen[-1] <= 64 * 64
    limit[0] = 0
    with pytest.raises(OutOfMemory, match=r"not enough memory to enlarge 150x90 pixels with 'repeat'"):
        ours.upscale(PICTURE, "repeat", 4)
    monkeypatch.setattr(Network, "__call__", real)
    assert np.array_equal(np.asarray(ours.upscale(PICTURE, "repeat", 4)), expected), "it goes on afterwards"


def test_only_the_last_network_is_kept_and_a_changed_file_is_read_again(house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    real = upscalers_run.load_network
    monkeypatch.setattr(upscalers_run, "load_network", lambda upscaler, device: (loaded.append(upscaler.name), real(upscaler, device))[1])
    ours = Upscalers(house)
    for name in ("repeat", "repeat", "Lanczos", "random", "repeat"):
        ours.upscale(PICTURE, name, 2)
    assert loaded == ["repeat", "random", "repeat"]
    compact.write(house.root / "models/upscalers/repeat.safetensors", scale=2)
    ours.upscale(PICTURE, "repeat", 2)
    assert loaded[-2:] == ["repeat", "repeat"]
    monkeypatch.setattr(upscalers_run, "KEPT_BYTES", 10)
    ours.release()
    ours.upscale(PICTURE, "repeat", 2)
    ours.upscale(PICTURE, "repeat", 2)
    assert len(loaded) == 6, "what is too large is not kept"


def test_what_cannot_be_done_is_said(house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Upscalers(house)
    with pytest.raises(UnknownName, match="Upscaler 'magic' does not exist"):
        ours.upscale(PICTURE, "magic", 2)
    (house.root / "models/upscalers/broken.safetensors").write_bytes(b"")
    with pytest.raises(BadCheckpoint, match="is empty"):
        ours.upscale(PICTURE, "broken", 2)
    monkeypatch.setattr(upscalers_run, "MOST_PIXELS", 600 * 360 - 1)
    with pytest.raises(BadRequest, match="'repeat' would make 600x360 pixels"):
        ours.upscale(PICTURE, "repeat", 1)


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert Upscalers(Settings()).upscale(clear, "Nearest", 2).getcolors() == [(256, (255, 255, 255))]

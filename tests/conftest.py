"""What all tests share: two threads for the arithmetic, no network, and small models that are made on the spot."""

import ipaddress
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")  # read when torch is imported; more threads than cores cost time

import pytest

from app.engine.families import FAMILIES
from app.engine.samplers import SAMPLERS
from app.engine.schedules import SCHEDULES
from app.movein import record
from app.settings import ROOT, Settings
from app.studio import Studio

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: a connection to anything but this machine fails as if the network were cut."""
    if event == "socket.connect" and isinstance(address := arguments[1], tuple):
        host = str(address[0]).split("%")[0]
        if host != "localhost" and not ipaddress.ip_address(host if ":" in host or host.replace(".", "").isdigit() else "192.0.2.1").is_loopback:
            raise OSError(101, "Tests have no network")


sys.addaudithook(refuse_network)


def has_cuda() -> bool:
    if not shutil.which("nvidia-smi"):
        return False
    import torch

    return torch.cuda.is_available()


def browser_path() -> str | None:
    """An installed Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need what is not here are skipped, with the reason."""
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu and not has_cuda():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))
    missing = "playwright is not installed" if not find_spec("playwright") else "" if browser_path() else "there is no Chromium"
    for item in items:
        if missing and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session", autouse=True)
def nothing_moved_in() -> Iterator[None]:
    """What the person who runs the tests has imported into this very Darkroom does not count."""
    real = record.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "read", lambda root: record.Imports() if root == ROOT else real(root))
        yield


@pytest.fixture(scope="module", autouse=True)
def nothing_registered_stays() -> Iterator[None]:
    """What the extensions of one file of tests add to the tables is gone in the next file."""
    tables: tuple[dict[str, Any], ...] = (FAMILIES, SAMPLERS, SCHEDULES)
    kept = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, kept, strict=True):
        table.clear()
        table.update(rows)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose folders are all below `tmp_path`, empty as on the first day but for `models/`."""
    models = tmp_path / "models"
    models.mkdir()
    return Settings(
        root=tmp_path,
        checkpoint_dirs=(models,),
        lora_dirs=(models,),
        embedding_dirs=(models,),
        vae_dirs=(models,),
        extension_dir=tmp_path / "extensions",
        styles_file=tmp_path / "styles.csv",
        outputs_dir=tmp_path / "outputs",
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one checkpoint, "tiny": random weights in the layout of SD 1, native size 64x64. Do not write into it."""
    from tests import tiny

    return tiny.make_folder(tmp_path_factory.mktemp("models") / "tiny").parent


@pytest.fixture
def studio(settings: Settings, tiny_folder: Path) -> Iterator[Studio]:
    """A studio with the real engine and the checkpoint "tiny"; its worker is not started."""
    from dataclasses import replace

    house = Studio(replace(settings, checkpoint_dirs=(tiny_folder,)))
    yield house
    house.close()

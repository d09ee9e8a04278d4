from pathlib import Path

import pytest

from tests.layouts import zoo
from tools.benchmarks import shelf


def test_the_shelf_is_listed_thrice_and_the_zoo_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("sd1-unet.safetensors", "empty.safetensors")
    monkeypatch.setattr(zoo, "ANIMALS", {name: zoo.ANIMALS[name] for name in few})
    assert shelf.main(["--rounds", "1", "--files", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(any(name in line and " ms " in line for line in lines) for name in few)
    said = [line.partition(":")[0] for line in lines if line.startswith("100 files")]
    assert said == [f"100 files, {what}" for what in ("first look ever", "a later start", "refresh")]

"""The page of samplers and its contact sheet."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.engine.samplers import SAMPLERS
from app.engine.schedules import SCHEDULES
from app.request import Txt2Img
from app.settings import ROOT, Settings
from tools import samplers


def test_the_page_is_that_of_the_tables_as_they_are() -> None:
    assert (ROOT / "docs/samplers.md").read_text(encoding="utf-8") == samplers.page(), "run: python -m tools.samplers --no-pictures"


def test_every_sampler_and_schedule_is_on_the_page_with_what_was_measured() -> None:
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[1:-1]] for line in samplers.page().splitlines() if line.startswith("|")}
    ours = {row.name for row in SAMPLERS.values() if getattr(row.function, "func", row.function).__module__.startswith("app.")}
    assert len(ours) >= 24 and ours | set(SCHEDULES) <= set(rows)
    assert rows["Heun"][2:5] == ["deterministic", "2.3", "39"] and rows["Euler a"][2:5] == ["stochastic", "–", "20"]
    assert rows["DPM++ 2M"][1] == "k_dpmpp_2m, dpmpp_2m" and rows["DPM++ 3M SDE"][5] == "Exponential, without the last level before 0"
    assert "Sigma churn (`s_churn`)" in rows["Euler"][6]


def test_the_sheet_has_every_picture_and_its_label(tmp_path: Path) -> None:
    colours = [(index * 30, 200, 0) for index in range(7)]
    whole = samplers.sheet([(f"Sampler {index}", Image.new("RGB", (40, 32), colour)) for index, colour in enumerate(colours)])
    assert whole.size == (5 * 46 + 6, 2 * 56 + 6)
    assert [whole.getpixel((26 + 46 * (index % 5), 20 + 56 * (index // 5))) for index in range(7)] == colours
    label = np.asarray(whole)[6 + 32 : 6 + 32 + 18, 6:46]
    assert label.min() < 100 and label.max() == 255


def test_the_sheet_is_made_to_fit(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (700, 700, 3), np.uint8))
    samplers.save(noise, tmp_path / "new" / "sheet.webp")
    assert 50_000 < (tmp_path / "new" / "sheet.webp").stat().st_size < samplers.MAX_SHEET


def test_pictures_are_the_engines(settings: Settings, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [Txt2Img(prompt="a house", seed=1, steps=2, sampler=name, checkpoint="tiny", width=64, height=64, schedule="Karras") for name in ("Euler", "Heun")]
    first, second = samplers.pictures(asked, replace(settings, checkpoint_dirs=(tiny_folder,)))
    assert first.size == second.size == (64, 64) and first.tobytes() != second.tobytes()
    assert capsys.readouterr().out == "Euler\nHeun\n"

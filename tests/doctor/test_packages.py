"""What is installed against what was pinned, and whether it is whole."""

from pathlib import Path

import pytest

from app.doctor import packages
from app.settings import ROOT


def test_the_pins_are_read_from_the_requirement_files() -> None:
    found = packages.pins(ROOT)
    assert found["torch"] and found["pillow"].startswith("13") and "# " not in "".join(found.values())


def test_missing_and_other_versions_are_problems(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# pins\npytest==0.0.1  # old\nno-such-package==1.0\n")
    missing, other = packages.installed(tmp_path)
    assert missing.state == other.state == "problem"
    assert "1 of 2 are not installed: no-such-package" in missing.text and "pytest" in other.text and "instead of 0.0.1" in other.text
    (tmp_path / "requirements.txt").write_text(f"pytest=={pytest.__version__}\n")
    assert [found.state for found in packages.installed(tmp_path)] == ["ok"]
    (tmp_path / "requirements.txt").unlink()
    assert packages.installed(tmp_path)[0].state == "problem"


class Package:
    def __init__(self, folder: Path, name: str, **sizes: int | None) -> None:
        self.metadata = {"Name": name}
        self.files = [File(folder / f"{stem}.{'pyc' if stem == 'cached' else 'py'}", size) for stem, size in sizes.items()]


class File:
    def __init__(self, path: Path, size: int | None) -> None:
        self.path, self.size, self.suffix, self.parts = path, size, path.suffix, path.parts

    def locate(self) -> Path:
        return self.path


def test_files_that_are_missing_or_cut_are_named(tmp_path: Path) -> None:
    for name in ("whole", "cut", "unsaid"):
        (tmp_path / f"{name}.py").write_text("12345")
    good, cut = Package(tmp_path, "good", whole=5, unsaid=None, cached=9), Package(tmp_path, "bad", cut=6)
    assert packages.whole([good]).state == "ok"
    found = packages.whole([good, cut, Package(tmp_path, "gone", nothing=1)])
    assert found.state == "problem" and found.text == "Files of bad, gone are missing or cut short."


def test_the_virtual_environment(tmp_path: Path) -> None:
    assert packages.environment(tmp_path, Path("/usr")).state == "note"
    venv = tmp_path / ".venv"
    venv.mkdir()
    assert "not that of .venv" in packages.environment(tmp_path, Path("/usr")).text
    assert packages.environment(tmp_path, venv).state == "ok"
    (venv / ".unfinished").touch()
    found = packages.environment(tmp_path, venv)
    assert found.state == "problem" and "interrupted" in found.text


def test_many_names_are_cut() -> None:
    assert packages.listed(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"

"""The page: every examination in its place, exit status 1 when something must be cured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import main
from app.doctor import checkup
from app.doctor.finding import Finding, lines, note, ok, problem, summary
from app.settings import ROOT


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Two examinations in the place of all; what the second one finds can be changed."""
    found = [ok("disk", "free")]
    monkeypatch.setattr(checkup, "BEFORE", (lambda root: ok("Python", "3.11"),))
    monkeypatch.setattr(checkup, "AFTER", (lambda settings: list(found),))
    monkeypatch.delenv("COMMANDLINE_ARGS", raising=False)
    return found


def test_all_is_well(quick: list[Finding], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[2:] == [
        "ok       Python       3.11", "ok       settings     flags, COMMANDLINE_ARGS and settings.toml can be used", "ok       disk         free", "",
        "Everything is in order.",
    ]  # fmt: skip


def test_a_problem_is_told_with_its_cure(quick: list[Finding], capsys: pytest.CaptureFixture[str]) -> None:
    quick[:] = [problem("disk", "full", "Free some."), note("card", "none", "Buy one.")]
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "problem  disk         full", "cure                  Free some.", "note     card         none", "                      Buy one.", "", "1 problem.",
    ]  # fmt: skip
    assert summary(quick * 2) == "2 problems." and lines([]) == []
    assert main(["doctor", "--json"]) == 1
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["ok", "ok", "problem", "note"]


def test_wrong_settings_are_a_problem(quick: list[Finding], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMANDLINE_ARGS", "--lowram")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "ok       Python" in out and "COMMANDLINE_ARGS: There is no flag '--lowram'." in out and "Did you mean '--lowvram'?" in out and "disk" not in out


def test_it_takes_the_flags_of_the_page(quick: list[Finding], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--port", "7999", "--medvram"]) == 0
    assert main(["doctor", "--prot"]) == 2 and "'--port'" in capsys.readouterr().err


def test_nothing_but_the_standard_library_is_imported(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import webui; from app.doctor import checkup"
    code += "; sys.stdout.write(' '.join(sorted(name for name, module in sys.modules.items() if 'site-packages' in str(getattr(module, '__file__', '')))))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")

"""The launcher, with a Python that only writes down what it is asked for: what is installed when, and what never is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.settings import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash")

TOOLS = ["bash", "dirname", "readlink", "sed", "cat", "uname", "flock", "find", "mv", "rm", "mkdir", "cp", "cmp", "env", "ln"]
FAKE = """#!/usr/bin/env bash
# Stands for Python. What it is asked for goes to $LOG; code is run by the real one.
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; echo "venv" >>"$LOG" ;;
    "-m pip --version") [ -z "${NO_PIP:-}" ] ;;
    "-m pip install "*) shift 3; echo "pip $*" >>"$LOG"; case "$*" in *"${FAIL:-nothing at all}"*) exit 1 ;; esac ;;
    "-I -") cat >/dev/null; exit "${DAMAGED:-0}" ;;
    -c*) exec "$REAL" "$@" ;;
    *) echo "run $* | HOME=${HOME} HUB=${HF_HUB_OFFLINE:-} cwd=$PWD" >>"$LOG" ;;
esac
"""
Launch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A checkout with a space in its path, and a `bin` of the few tools that the launcher may use."""
    house = tmp_path / "a house"
    (house / "bin").mkdir(parents=True)
    for name in ("launch.sh", *(path.name for path in ROOT.glob("requirements*.txt"))):
        shutil.copy(ROOT / name, house)
    for name in TOOLS:
        if found := shutil.which(name):
            (house / "bin" / name).symlink_to(found)
    return house


@pytest.fixture
def launch(house: Path) -> Launch:
    """Runs the launcher without HOME: launch(*arguments, python=True, **environment)."""

    def run(*arguments: str, python: bool = True, program: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        fake = house / "bin/python3.11"
        if python and not fake.exists():
            fake.write_text(FAKE)
            fake.chmod(0o755)
        given = {"PATH": str(house / "bin"), "LOG": str(house / "log"), "REAL": sys.executable, **environment}
        return subprocess.run([program or house / "launch.sh", *arguments], env=given, cwd="/", capture_output=True, text=True, timeout=60)

    return run


def log(house: Path) -> list[str]:
    """What was asked for since the last look."""
    path = house / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def installs(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("pip")]


def test_the_first_start_installs_and_the_second_asks_for_nothing(house: Path, launch: Launch) -> None:
    assert launch("--port", "7999").returncode == 0
    first = log(house)
    assert first[0] == "venv"
    assert ["torch==2.13.0+cpu" in line for line in installs(first)] == [True, False, False]
    assert "requirements.txt" in first[2] and "--no-deps" in first[3] and "requirements-nodeps.txt" in first[3]
    assert first[-1].startswith(f"run {house}/webui.py --port 7999 | ") and "HUB=1" in first[-1] and "cwd=/" in first[-1]
    assert launch("--port", "7999").returncode == 0
    assert log(house) == first[-1:]


def test_without_a_home_one_is_made_in_the_virtual_environment(house: Path, launch: Launch) -> None:
    launch()
    assert f"HOME={house}/.venv/home " in log(house)[-1] and (house / ".venv/home").is_dir()


def test_the_tests_need_more_and_only_that_is_added(house: Path, launch: Launch) -> None:
    launch()
    log(house)
    assert launch("test", "-k", "two words").returncode == 0
    [more, run] = log(house)
    assert "requirements-test.txt" in more and run.startswith("run -m pytest -k two words | ") and f"cwd={house}" in run
    launch("test")
    assert len(log(house)) == 1


def test_changed_requirements_are_installed(house: Path, launch: Launch) -> None:
    launch()
    log(house)
    (house / "requirements.txt").write_text("torch==2.13.1  # newer\n")
    launch()
    lines = log(house)
    assert "venv" not in lines and any("torch==2.13.1+cpu" in line for line in lines)


def test_a_link_to_the_launcher_is_as_good(house: Path, launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("hop")
    (tmp_path / "hop").symlink_to(house / "launch.sh")
    assert launch("--share", program=tmp_path / "link").returncode == 0
    assert log(house)[-1].startswith(f"run {house}/webui.py --share")


def test_the_cpu_build_is_looked_for_in_three_places(house: Path, launch: Launch) -> None:
    result = launch(FAIL="+cpu")
    asked = installs(log(house))
    assert result.returncode == 0
    assert "+cpu" in asked[0] and "--extra-index-url" not in asked[0]
    assert "+cpu" in asked[1] and "https://download.pytorch.org/whl/cpu" in asked[1] and "--timeout 15" in asked[1]
    assert asked[2].endswith("torch==2.13.0")


def test_torch_index_url_overrides(house: Path, launch: Launch) -> None:
    launch(TORCH_INDEX_URL="https://example.org/whl/rocm")
    assert installs(log(house))[0].endswith("torch==2.13.0 --index-url https://example.org/whl/rocm")


def test_a_card_gets_the_cuda_build_and_xformers_on_request(house: Path, launch: Launch) -> None:
    assert "xformers needs an NVIDIA card" in launch("--xformers").stdout
    assert not any("xformers.txt" in line for line in installs(log(house)))
    (house / "bin/nvidia-smi").write_text("#!/usr/bin/env bash\nexit 0\n")
    (house / "bin/nvidia-smi").chmod(0o755)
    shutil.rmtree(house / ".venv")
    launch("--xformers")
    asked = installs(log(house))
    assert asked[0].endswith("torch==2.13.0") and "--no-deps" in asked[-1] and asked[-1].endswith("requirements-xformers.txt")
    launch("--xformers")
    assert len(log(house)) == 1


def test_a_failed_installation_is_a_sentence_and_is_made_good(house: Path, launch: Launch) -> None:
    result = launch(FAIL="requirements.txt")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "darkroom: The requirements could not be installed; is the network reachable?"
    log(house)
    assert launch().returncode == 0
    lines = log(house)
    assert "venv" not in lines and len(installs(lines)) == 3 and lines[-1].startswith("run ")


def test_a_damaged_installation_is_begun_anew(house: Path, launch: Launch) -> None:
    launch(FAIL="requirements.txt")
    log(house)
    result = launch(DAMAGED="1")
    assert result.returncode == 0 and "was interrupted; beginning anew" in result.stdout
    assert log(house)[0] == "venv"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("", "Python 3.11 or newer is needed and none was found."),
        ("case \"$2\" in *version_info*) exit 1 ;; *platform*) echo 3.9.2 ;; esac", "Python 3.11 or newer is needed, but only Python 3.9.2 was found."),
        ("case \"$2\" in *ensurepip*) exit 1 ;; esac", "'python3' lacks the modules venv and ensurepip."),
    ],
)
def test_a_machine_without_the_right_python_is_told(house: Path, launch: Launch, script: str, sentence: str) -> None:
    if script:
        (house / "bin/python3").write_text(f"#!/usr/bin/env bash\n{script}\n")
        (house / "bin/python3").chmod(0o755)
    result = launch(python=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"darkroom: {sentence}")


def test_a_python_that_does_not_run_is_told(launch: Launch) -> None:
    assert "PYTHON is '/no/python', which does not run." in launch(python=False, PYTHON="/no/python").stderr


def test_ci_runs_the_tests() -> None:
    assert "exec ./launch.sh test" in (ROOT / ".ci/run").read_text() and os.access(ROOT / ".ci/run", os.X_OK) and os.access(ROOT / "launch.sh", os.X_OK)


def test_the_doctor_installs_nothing(house: Path, launch: Launch) -> None:
    launch()
    log(house)
    (house / "requirements.txt").write_text("torch==2.13.1  # newer\n")
    assert launch("doctor", "--port", "7999").returncode == 0
    [run] = log(house)
    assert run.startswith(f"run {house}/webui.py doctor --port 7999 | ")


def test_without_an_installation_the_doctor_says_so_first_and_goes_on_with_what_there_is(house: Path, launch: Launch) -> None:
    result = launch("doctor")
    assert result.returncode == 1
    assert result.stdout.splitlines()[:2] == [
        "problem  .venv         It is not there: nothing is installed yet.",
        "cure                   Run ./launch.sh with the network on; it installs everything.",
    ]  # fmt: skip
    [run] = log(house)
    assert run.startswith(f"run {house}/webui.py doctor | ") and not (house / ".venv/bin").exists()
    (house / ".venv/bin").mkdir(parents=True)
    assert "problem  .venv         Its Python does not run." in launch("doctor").stdout


def test_without_any_python_the_doctor_says_so_too(launch: Launch) -> None:
    result = launch("doctor", python=False)
    assert result.returncode == 1 and "It is not there" in result.stdout and "Python 3.11 or newer is needed" in result.stderr


def test_commands_go_through(house: Path, launch: Launch) -> None:
    launch("import", "/some/where")
    assert log(house)[-1].startswith(f"run {house}/webui.py import /some/where | ")

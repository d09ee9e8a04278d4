"""PyTorch, cards, libraries and extensions, as processes of their own tell."""

from pathlib import Path
from typing import Any

import pytest

from app.doctor import probes

CARD = {"name": "RTX 4070", "free": 11 * 2**30, "memory": 12 * 2**30, "architecture": "sm_89"}


def told(**values: Any) -> dict[str, Any]:
    usual = {"version": "2.13.0", "cuda": "12.8", "hip": None, "available": True, "error": "", "cards": [CARD], "built for": ["sm_80", "sm_86", "sm_90"]}
    return usual | values


@pytest.mark.parametrize(
    ("answer", "present", "state", "words"),
    [
        (told(), ["RTX 4070 with driver 570"], "ok", "RTX 4070, 11.0 of 12.0 GB free"),
        (told(cuda=None, cards=[]), [], "ok", "none; pictures are made on the processor"),
        (told(cuda=None, cards=[]), ["RTX 4070 with driver 570"], "problem", "installed for the processor"),
        (told(cards=[], error="The driver is too old (found version 11040)."), ["GTX 1080 with driver 470"], "problem", "driver is too old"),
        (told(cards=[], error="Found no NVIDIA driver on your system."), [], "note", "its driver is not installed"),
        (told(cards=[CARD | {"architecture": "sm_61", "name": "GTX 1080"}]), ["x"], "problem", "not built for its architecture (sm_61)"),
        (told(cards=[CARD | {"architecture": "sm_120"}], **{"built for": ["sm_90", "compute_90"]}), ["x"], "ok", "RTX"),
        (told(cards=[CARD | {"free": 2**30}]), ["x"], "note", "other programs hold much of it"),
        (told(cuda=None, hip="6.4"), [], "ok", "RTX"),
    ],
)  # fmt: skip
def test_cards(answer: dict[str, Any], present: list[str], state: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    torch, card = probes.torch(lambda code: (answer, ""), lambda: present)
    assert torch.state == "ok" and (card.state, words in card.text) == (state, True), card
    assert bool(card.cure) == (state == "problem" or "hold" in words)


def test_a_driver_that_is_too_old_names_the_one_that_is_needed() -> None:
    assert "525 or newer for CUDA 12" in probes.driver_cure(told()) and "580" in probes.driver_cure(told(cuda="13.0"))


def test_hidden_cards_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert probes.device(told(cards=[]), ["RTX"])[0].state == "note"


@pytest.mark.parametrize(
    ("why", "words", "cure"),
    [("it was stopped by signal 4 (illegal instruction)", "signal 4", "too old"), ("ImportError: libcudart.so.12: no such file", "libcudart", "./launch.sh")],
)
def test_a_pytorch_that_does_not_start(why: str, words: str, cure: str) -> None:
    [found] = probes.torch(lambda code: (None, why), list)
    assert found.state == "problem" and words in found.text and cure in found.cure


def test_a_pytorch_that_cannot_count() -> None:
    [found] = probes.torch(lambda code: (told(cuda=None, error="no kernel"), ""), list)
    assert found.state == "problem" and "no kernel" in found.text


def test_libraries() -> None:
    assert probes.libraries(lambda code: ({}, "")).state == "ok"
    found = probes.libraries(lambda code: ({"gradio": "ImportError: cannot import name 'x'", "PIL": "OSError: y"}, ""))
    assert found.state == "problem" and found.text == "gradio cannot be imported (ImportError: cannot import name 'x'); nor PIL."
    assert "signal 11" in probes.libraries(lambda code: (None, "it was stopped by signal 11")).text


def test_extensions_run_elsewhere(tmp_path: Path) -> None:
    from app.settings import ROOT

    for name, source in {"good": "", "bad": "import no_such_module", "_off": "raise SystemExit", "loud": "print('hello')"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source)
    found = probes.extensions(ROOT, tmp_path)
    assert [(one.state, one.text.split()[0]) for one in found] == [("problem", "'bad'"), ("note", "_off")]
    assert "no_such_module" in found[0].text and "_bad" in found[0].cure
    (tmp_path / "bad/__init__.py").write_text("import os; os._exit(3)")
    [died] = probes.extensions(ROOT, tmp_path)
    assert died.state == "problem" and "status 3" in died.text


@pytest.mark.parametrize(
    ("code", "answer", "why"),
    [
        (probes._ANSWER + "sys.stdout.write('noise')\nanswer([1])\n", [1], ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", None, "it was stopped by signal 4 (illegal instruction)"),
        ("raise ValueError('no luck')", None, "ValueError: no luck"),
    ],
)
def test_what_a_process_answers(code: str, answer: Any, why: str) -> None:
    assert probes.run(code) == (answer, why)


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SECONDS", 0.2)
    assert probes.run("import threading; threading.Event().wait()") == (None, "it did not answer within 0.2 seconds")


def test_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert probes.nvidia_cards() == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 550.54'\n")
    program.chmod(0o755)
    assert probes.nvidia_cards() == ["NVIDIA H100 with driver 550.54"]
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert probes.nvidia_cards() == []

"""`python -m app parse` prints what A1111 makes of the same texts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import main
from app.settings import ROOT

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "a1111.json").read_text())


def parsed(capsys, *argv):
    assert main(["parse", *argv]) == 0
    return capsys.readouterr().out


def test_the_golden_texts(capsys):
    for text, wanted in GOLDEN["schedule_steps10"].items():
        assert json.loads(parsed(capsys, "--json", "--steps", "10", "--", text))["schedule"] == wanted
    for text, wanted in GOLDEN["schedule_hires_base10_hires6"].items():
        assert json.loads(parsed(capsys, "--json", "--steps", "10", "--hires-steps", "6", "--", text))["schedule"] == wanted
    for key, name in (("attention", "attention"), ("and_weight", "and")):
        for text, wanted in GOLDEN[key].items():
            assert json.loads(parsed(capsys, "--json", "--", text))[name] == wanted


def test_each_reading_is_of_the_text_as_it_is_given(capsys):
    text = "--steps 3 # [a:b:2] AND <lora:x:1> 猫\udcff\n"
    found = json.loads(parsed(capsys, "--json", "--", text))
    assert set(found) == {"schedule", "attention", "and"}
    assert found["schedule"] == [[2, text.replace("[a:b:2]", "a")], [20, text.replace("[a:b:2]", "b")]]
    assert found["and"] == [["--steps 3 # [a:b:2]", 1.0], [" <lora:x:1> 猫\udcff", 1.0]]


def test_for_people(capsys):
    lines = parsed(capsys, "--steps", "10", "a [b:c:3] (d:1.2) AND e :0.5").splitlines()
    assert lines[0] == "Steps" and lines[1].split(None, 1) == ["1-3", '"a b (d:1.2) AND e :0.5"'] and lines[2].startswith("  4-10")
    assert '  1.2      "d"' in lines and '  0.5      " e"' in lines
    assert parsed(capsys, "--", "a\x1b[2J").isprintable() is False and "\x1b" not in parsed(capsys, "--", "a\x1b[2J")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "parse was given 0 texts, but it reads one."),
        (["a", "--", "b"], "parse was given 2 texts, but it reads one."),
        (["--steps", "0", "a"], "--steps is '0', but it must be a whole number from 1 to 1000."),
        (["--hires-steps", "1e3", "a"], "--hires-steps is '1e3', but it must be a whole number from 1 to 1000."),
        (["--setps", "3", "a"], "There is no flag '--setps'. Did you mean '--steps'?"),
        (["--", "(" * 33], "The prompt has brackets nested more than 32 deep"),
        (["--", "a" * 8193], "The prompt is 8193 bytes long, but at most 8192 are allowed."),
    ],
)
def test_what_is_wrong_is_one_sentence(capsys, argv, sentence):
    assert main(["parse", *argv]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(sentence) and captured.err.count("\n") == 1 and captured.out == ""


def test_as_a_program_without_torch():
    code = "import sys; from app.cli.main import main; main(['parse', '--json', '--', 'a']); assert 'torch' not in sys.modules"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == {"schedule": [[20, "a"]], "attention": [["a", 1.0]], "and": [["a", 1.0]]}

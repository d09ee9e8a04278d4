"""webui-user.sh and webui-user.bat: what they say is read, nothing is run."""

from pathlib import Path

import pytest

from app.movein.arguments import parse, settled, take
from app.movein.survey import Survey


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('export COMMANDLINE_ARGS="--medvram --ckpt-dir \'/a b/c\'"', {"medvram": [], "ckpt-dir": ["/a b/c"]}),
        ("export COMMANDLINE_ARGS='--medvram'\nexport COMMANDLINE_ARGS=\"$COMMANDLINE_ARGS --xformers\"", {"medvram": [], "xformers": []}),
        ("COMMANDLINE_ARGS=--medvram", {"medvram": []}),
        ("#export COMMANDLINE_ARGS=\"--medvram\"\n", {}),
        ('export COMMANDLINE_ARGS="--a 1 \\\n  --b=2 --use-cpu vae interrogate" # comment', {"a": ["1"], "b": ["2"], "use-cpu": ["vae", "interrogate"]}),
        ('export COMMANDLINE_ARGS="--broken \'quote"', {"broken": ["quote"]}),
        ("", {}),
    ],
)
def test_the_shell_script(text: str, flags: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "webui-user.sh").write_text(text)
    assert parse(tmp_path / "webui-user.sh") == flags


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('set COMMANDLINE_ARGS=--medvram --ckpt-dir "D:\\my models\\sd"\r\n', {"medvram": [], "ckpt-dir": ["D:\\my models\\sd"]}),
        ("@REM set COMMANDLINE_ARGS=--medvram\r\nset COMMANDLINE_ARGS=\r\n", {}),
        ('set "COMMANDLINE_ARGS=--xformers --theme dark"', {"xformers": [], "theme": ["dark"]}),
        ("set COMMANDLINE_ARGS=--a ^\r\n --b", {"a": [], "b": []}),
        ("set COMMANDLINE_ARGS=--a\r\nset COMMANDLINE_ARGS=%COMMANDLINE_ARGS% --b", {"a": [], "b": []}),
    ],
)
def test_the_batch_file(text: str, flags: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "webui-user.bat").write_text(text, newline="")
    assert parse(tmp_path / "webui-user.bat") == flags


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"medvram": [], "lowvram": []}, {"lowvram": True}),
        ({"use-cpu": ["all"], "medvram": [], "xformers": []}, {"use_cpu": ["all"]}),
        ({"use-cpu": ["VAE", "interrogate"]}, {"use_cpu": ["vae"]}),
        ({"use-cpu": ["interrogate"]}, {}),
        ({"no-half": [], "precision": ["half"]}, {"no_half": True}),
        ({"precision": ["full"], "no-half": []}, {"no_half": True, "precision": "full"}),
        ({"precision": ["fp8"]}, {}),
        ({"precision": []}, {}),
        ({"theme": ["dark"], "autolaunch": []}, {"theme": "dark", "autolaunch": True}),
    ],
)
def test_flags_that_have_a_counterpart(given: dict[str, list[str]], flags: dict[str, object]) -> None:
    survey = Survey(Path("/x"), "AUTOMATIC1111")
    take(survey, given)
    assert survey.flags == flags


def test_what_is_taken_can_be_said_to_ourselves(tmp_path: Path) -> None:
    from app import flags
    from app.movein import record
    from app.movein.arguments import SAME

    for name in SAME:
        record.add(tmp_path, record.Import(tmp_path, "AUTOMATIC1111", flags=settled(dict([SAME[name]]))))
        assert flags.read([], {}, tmp_path) != flags.read([], {}, tmp_path / "nowhere")

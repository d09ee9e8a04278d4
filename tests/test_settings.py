"""Flags, COMMANDLINE_ARGS and settings.toml -> Settings; everything else is refused in one sentence."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import flags
from app.errors import BadSettings
from app.settings import ROOT, Settings


@pytest.fixture
def read(tmp_path: Path):
    """(command line, COMMANDLINE_ARGS, settings.toml) -> Settings"""

    def make(argv: str = "", environ: str = "", toml: str = "") -> Settings:
        (tmp_path / "settings.toml").write_text(toml)
        return flags.read(argv.split(), {"COMMANDLINE_ARGS": environ} if environ else {}, tmp_path)

    return make


def test_defaults_of_the_flags_are_those_of_the_class() -> None:
    assert flags.read([], {}, ROOT / "nowhere") == Settings(
        root=ROOT / "nowhere",
        checkpoint_dirs=(ROOT / "nowhere/models",),
        lora_dirs=(ROOT / "nowhere/models",),
        embedding_dirs=(ROOT / "nowhere/models",),
        vae_dirs=(ROOT / "nowhere/models",),
        extension_dir=ROOT / "nowhere/extensions",
        styles_file=ROOT / "nowhere/styles.csv",
        outputs_dir=ROOT / "nowhere/outputs",
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--listen", {"host": "0.0.0.0"}),
        ("--server-name studio.local --listen", {"host": "0.0.0.0", "server_name": "studio.local"}),
        ("--server-name 192.168.1.5", {"host": "192.168.1.5", "server_name": "192.168.1.5"}),
        ("--server-name [::1]", {"host": "::1"}),
        ("--port 7999", {"port": 7999, "port_given": True}),
        ("--port 7860", {"port": 7860, "port_given": True}),
        ("--share", {"share": True}),
        ("--gradio-auth ann:a:b,bob:secret", {"logins": (("ann", "a:b"), ("bob", "secret"))}),
        ("--medvram", {"vram": "medvram"}),
        ("--lowvram", {"vram": "lowvram"}),
        ("--xformers", {"attention": "xformers"}),
        ("--no-half", {"half": False, "half_vae": False, "precision": "autocast"}),
        ("--no-half-vae", {"half": True, "half_vae": False}),
        ("--precision full", {"precision": "full", "half": False, "half_vae": False}),
        ("--precision half", {"precision": "half", "half": True}),
        ("--use-cpu", {"cpu_parts": frozenset({"all"})}),
        ("--use-cpu vae --xformers", {"cpu_parts": frozenset({"vae"}), "attention": "xformers"}),
        ("--autolaunch", {"autolaunch": True}),
        ("--theme dark", {"theme": "dark"}),
        ("--allow-pickles", {"allow_pickles": True}),
        ("--warm-ram 2.5", {"warm_ram": 2_500_000_000}),
        ("--warm-ram 0", {"warm_ram": 0}),
    ],
)
def test_every_flag_has_an_effect(read, argv: str, expected: dict[str, object]) -> None:
    settings = read(argv)
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings != read("")


def test_folders_come_before_the_default_ones(read, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d", "e"):
        (tmp_path / name).mkdir()
    at = str(tmp_path)
    settings = read(f"--ckpt-dir {at}/a --ckpt-dir {at}/b --lora-dir {at}/c --embeddings-dir {at}/d --vae-dir {at}/e --outputs-dir {at}/new")
    assert settings.checkpoint_dirs == (tmp_path / "a", tmp_path / "b", tmp_path / "models")
    assert settings.lora_dirs == (tmp_path / "c", tmp_path / "models")
    assert settings.embedding_dirs == (tmp_path / "d", tmp_path / "models")
    assert settings.vae_dirs == (tmp_path / "e", tmp_path / "models")
    assert settings.outputs_dir == tmp_path / "new"


def test_a_folder_of_the_command_line_counts_from_where_it_was_given(read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here/mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert read("--ckpt-dir mine").checkpoint_dirs[0] == tmp_path / "here/mine"


def test_the_command_line_comes_before_the_variable_before_the_file(read) -> None:
    toml = "port = 1111\ntheme = 'dark'\nlisten = true\nshare = false"
    settings = read("--port 3333", "--port 2222 --theme light", toml)
    assert (settings.port, settings.theme, settings.host, settings.share) == (3333, "light", "0.0.0.0", False)


@pytest.mark.parametrize(
    ("argv", "toml", "expected"),
    [
        ("--lowvram", "medvram = true", {"vram": "lowvram"}),
        ("--medvram", "lowvram = true", {"vram": "medvram"}),
        ("--use-cpu", "xformers = true\nmedvram = true", {"vram": "normal", "attention": "sdpa"}),
        ("--xformers", "use_cpu = 'all'", {"attention": "xformers", "cpu_parts": frozenset()}),
        ("--no-half", "precision = 'half'", {"half": False}),
    ],
)
def test_a_flag_beats_its_rival_in_the_file(read, argv: str, toml: str, expected: dict[str, object]) -> None:
    settings = read(argv, toml=toml)
    assert {name: getattr(settings, name) for name in expected} == expected


def test_the_file_takes_lists_and_its_folders_count_from_it(read, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    settings = read(toml="ckpt_dir = ['more', 'more']\nuse_cpu = ['vae']\noutputs_dir = 'made'")
    assert settings.checkpoint_dirs == (tmp_path / "more", tmp_path / "more", tmp_path / "models")
    assert settings.cpu_parts == {"vae"}
    assert settings.outputs_dir == tmp_path / "made"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--lowram", "There is no flag '--lowram'. Did you mean '--lowvram'?"),
        ("--prot=7000", "There is no flag '--prot'. Did you mean '--port'?"),
        ("--med", "There is no flag '--med'."),
        ("--qqqqqq", "There is no flag '--qqqqqq'. See --help for the list."),
        ("something", "There is no flag 'something'."),
        ("--port", "--port needs a value. See --help."),
        ("--share=yes", "--share takes no value, but was given 'yes'."),
        ("--port 0", "--port is '0', but it must be a whole number from 1 to 65535."),
        ("--port 65536", "--port is '65536', but it must be a whole number from 1 to 65535."),
        ("--port 78x", "--port is '78x', but it must be a whole number from 1 to 65535."),
        ("--port -5", "--port"),
        ("--gradio-auth ann", "--gradio-auth must be user:password, or several of them separated by commas."),
        ("--gradio-auth ann:,bob:x", "--gradio-auth must be user:password, or several of them separated by commas."),
        ("--gradio-auth ann:x,ann:y", "--gradio-auth names one user twice."),
        ("--ckpt-dir /no/such/folder", "--ckpt-dir: there is no folder '/no/such/folder'."),
        ("--vae-dir /no/such/folder", "--vae-dir: there is no folder '/no/such/folder'."),
        ("--medvram --lowvram", "--medvram and --lowvram contradict each other; give one of them."),
        ("--use-cpu --xformers", "--use-cpu and --xformers contradict each other; give one of them."),
        ("--use-cpu all --medvram", "--use-cpu and --medvram contradict each other; give one of them."),
        ("--no-half --precision half", "--precision half and --no-half contradict each other; give one of them."),
        ("--use-cpu vea", "--use-cpu is 'vea', but it must be one of all, vae."),
        ("--precision fp16", "--precision is 'fp16', but it must be one of autocast, half, full."),
        ("--theme solarized", "--theme is 'solarized', but it must be one of auto, light, dark."),
        ("--warm-ram much", "--warm-ram is 'much', but it must be a number of GB such as 8 or 2.5, or 0."),
        ("--server-name a/b", "--server-name is 'a/b', but it must be a host name or an address such as 192.168.1.5."),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(read, argv: str, sentence: str) -> None:
    with pytest.raises(BadSettings, match=f"^{re.escape(sentence)}"):
        read(argv)
    with pytest.raises(BadSettings, match=f"^(COMMANDLINE_ARGS: )?{re.escape(sentence)}"):
        read("", argv)


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("prot = 1", "settings.toml: There is no setting 'prot'. Did you mean 'port'?"),
        ("port = true", "settings.toml: port is True, but it must be text or a number."),
        ("listen = 'yes'", "settings.toml: listen is 'yes', but it must be true or false."),
        ("port = [1, 2]", "settings.toml: port is [1, 2], but it must be text or a number."),
        ("ckpt_dir = [true]", "settings.toml: ckpt_dir is [True], but it must be text or a list of texts."),
        ("port = ", "settings.toml cannot be read"),
        ("port = 99999", "--port is '99999'"),
        ("help = true", "settings.toml: There is no setting 'help'."),
        ("medvram = true\nlowvram = true", "--medvram and --lowvram contradict"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(read, toml: str, sentence: str) -> None:
    with pytest.raises(BadSettings, match=f"^{re.escape(sentence)}"):
        read(toml=toml)


def test_a_wrong_variable_is_refused(read) -> None:
    with pytest.raises(BadSettings, match=r"^COMMANDLINE_ARGS cannot be read: no closing quotation"):
        read("", "--listen 'open")
    with pytest.raises(BadSettings, match=r"^COMMANDLINE_ARGS: --(help|version) belongs"):
        read("", "--help")


def test_a_login_that_is_wrong_is_not_repeated(read) -> None:
    with pytest.raises(BadSettings) as caught:
        read("--gradio-auth hunter2")
    assert "hunter2" not in str(caught.value)


def test_outputs_must_not_be_a_file(read, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSettings, match="is a file, not a folder"):
        read(f"--outputs-dir {tmp_path / 'file'}")


def test_help_names_every_flag_and_version_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        flags.read(["--help"], {})
    text = capsys.readouterr().out
    assert left.value.code == 0
    names = "listen port server-name share gradio-auth ckpt-dir lora-dir embeddings-dir vae-dir outputs-dir medvram lowvram xformers no-half no-half-vae"
    for name in [*names.split(), "precision", "use-cpu", "autolaunch", "theme"]:
        assert f"--{name} " in text.replace("\n", " "), name
    with pytest.raises(SystemExit):
        flags.read(["--version"], {})
    assert capsys.readouterr().out.startswith("Darkroom ")


def test_reading_the_flags_imports_nothing_heavy() -> None:
    code = "import sys, app.flags; print([name for name in ('torch', 'gradio', 'pydantic', 'numpy', 'PIL') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""Styles: A1111's joining, its file with its quirks, saving that leaves no half file."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from app import styles as module
from app.errors import BadRequest, DiskTrouble, UnknownName
from app.request import Txt2Img
from app.styles import DEFAULTS, Styles, merge


@pytest.fixture
def styles(tmp_path: Path) -> Styles:
    return Styles(tmp_path / "styles.csv")


@pytest.mark.parametrize(
    ("prompt", "style", "merged"),
    [("cat", "red", "cat, red"), ("cat", "a {prompt}, red", "a cat, red"), ("", "red", "red"), ("cat", "", "cat"), (" cat ", " red ", "cat, red"), ("", "", ""),
     ("cat", "{prompt} and {prompt}", "cat and cat"), ("a {prompt}", "b", "a {prompt}, b")],
)  # fmt: skip
def test_merge(prompt: str, style: str, merged: str) -> None:
    assert merge(prompt, style) == merged


def test_styles_are_applied_one_after_the_other(styles: Styles) -> None:
    styles.add("One", "one {prompt}", "bad")
    styles.add("Two", "two")
    request = Txt2Img(prompt="cat", negative_prompt="dog", styles=("Two", "one"), seed=4)
    applied = styles.apply(request)
    assert (applied.prompt, applied.negative_prompt, applied.styles, applied.seed) == ("one cat, two", "dog, bad", (), 4)
    assert styles.apply(Txt2Img(prompt="cat")) == Txt2Img(prompt="cat")


def test_styles_reach_the_prompts_of_the_second_pass_unless_they_are_the_first_ones(styles: Styles) -> None:
    styles.add("One", "one {prompt}", "bad")
    applied = styles.apply(Txt2Img(prompt="cat", hr_prompt="lion", styles=("One",)))
    assert (applied.prompt, applied.hr_prompt, applied.negative_prompt, applied.hr_negative_prompt) == ("one cat", "one lion", "bad", "")


def test_an_unknown_style_offers_near_names(styles: Styles) -> None:
    with pytest.raises(UnknownName, match="Watercolour"):
        styles.apply(Txt2Img(styles=("Watercolor",)))


def test_the_prompt_limit_holds_after_styles(styles: Styles) -> None:
    styles.add("Long", "x" * 8000)
    with pytest.raises(BadRequest, match="8192"):
        styles.apply(Txt2Img(prompt="cat " * 100, styles=("Long",)))


def test_every_default_adds_to_both_prompts(styles: Styles) -> None:
    assert styles.names() == [style.name for style in DEFAULTS]
    for name in styles.names():
        applied = styles.apply(Txt2Img(prompt="a cat", styles=(name,)))
        assert "a cat" in applied.prompt and len(applied.prompt) > 15 and applied.negative_prompt and "{prompt}" not in applied.prompt


def test_a_file_of_a1111_is_read(styles: Styles) -> None:
    rows = '\ufeffname,prompt,negative_prompt\r\nMine,"a, ""quoted""\nprompt",\r\n, no name,\r\nNeon,my neon,dull\r\nshort\r\n'
    styles.path.write_bytes(rows.encode())
    assert styles.names()[:3] == ["Mine", "Neon", "short"]
    assert styles.get("Mine").prompt == 'a, "quoted"\nprompt'
    assert (styles.get("Neon").prompt, styles.get("Neon").negative_prompt) == ("my neon", "dull")
    assert styles.get("short").prompt == ""


def test_a_changed_file_is_read_again(styles: Styles) -> None:
    styles.save("First", "one")
    styles.path.write_text("name,prompt,negative_prompt\nSecond one,two,\n")
    assert styles.names()[0] == "Second one" and "First" not in styles.names()
    styles.path.unlink()
    assert styles.names() == [style.name for style in DEFAULTS]


def test_saved_styles_are_there_for_the_next_start(styles: Styles) -> None:
    styles.save(" Mine ", "a, {prompt}\nb", 'no "x"')
    styles.save("Other", "o")
    styles.save("Mine", "日本 🎈")
    again = Styles(styles.path)
    assert again.names()[:2] == ["Mine", "Other"]
    assert again.get("mine").prompt == "日本 🎈"
    again.remove("Mine")
    assert "Mine" not in Styles(styles.path).names()
    with pytest.raises(UnknownName):
        again.remove("Mine")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_bad_names_are_refused(styles: Styles, name: str) -> None:
    with pytest.raises(BadRequest, match="name of a style"):
        styles.save(name, "x")
    assert not styles.path.exists()


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00\x01 not text", b"what,ever\n1,2\n", b'name,prompt\n"' + b"x" * 200_000 + b'"'])
def test_a_damaged_file_gives_way_to_the_last_good_copy(styles: Styles, damage: bytes) -> None:
    styles.save("Mine", "one")
    styles.path.write_bytes(damage)
    again = Styles(styles.path)
    assert again.names()[0] == "Mine"
    assert "damaged" in again.notice
    assert styles.path.with_name("styles.csv.bad").read_bytes() == damage


def test_a_full_disk_leaves_the_old_file(styles: Styles, monkeypatch: pytest.MonkeyPatch) -> None:
    styles.save("Mine", "one")
    before = styles.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "os", SimpleNamespace(**{**vars(module.os), "fsync": full}))
    with pytest.raises(DiskTrouble, match="no space left"):
        styles.save("Other", "two")
    assert styles.path.read_bytes() == before
    assert not list(styles.path.parent.glob("*.part"))
    assert "Other" not in styles.names()


def test_files_of_other_programs_are_read_and_never_written(tmp_path: Path) -> None:
    theirs, fooocus, sdnext, broken = tmp_path / "a1111.csv", tmp_path / "sai.json", tmp_path / "one.json", tmp_path / "broken.json"
    theirs.write_text("name,prompt,negative_prompt\nMine,theirs,\nNeon,their neon,dark\n", encoding="utf-8")
    fooocus.write_text('[{"name": "sai-neon", "prompt": "neon {prompt}", "negative_prompt": "dull"}, {"name": "Neon", "prompt": "x"}, 7]', encoding="utf-8")
    sdnext.write_text('{"name": "Fog", "prompt": "foggy", "negative": "clear"}', encoding="utf-8")
    broken.write_text("[{", encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    styles = Styles(tmp_path / "styles.csv", (theirs, broken, fooocus, sdnext, tmp_path / "gone.csv"))
    styles.save("Mine", "ours")
    assert styles.names()[:4] == ["Mine", "Neon", "sai-neon", "Fog"]
    assert [(styles.get(name).prompt, styles.get(name).negative_prompt) for name in ("mine", "Neon", "sai-neon", "Fog")] == [
        ("ours", ""), ("their neon", "dark"), ("neon {prompt}", "dull"), ("foggy", "clear"),
    ]  # fmt: skip
    styles.remove("Mine")
    assert styles.get("Mine").prompt == "theirs"
    with pytest.raises(UnknownName):
        styles.remove("sai-neon")
    assert {path: path.read_bytes() for path in before} == before
    sdnext.write_text('{"name": "Fog", "prompt": "very foggy"}', encoding="utf-8")
    assert styles.get("Fog").prompt == "very foggy", "read again when it changed"

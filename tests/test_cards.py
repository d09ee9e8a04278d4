import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.cards import DEFAULTS, EMPTY, MAX_NOTES, MAX_TRIGGERS, Card, Cards
from app.errors import BadRequest, DiskTrouble
from app.request import Txt2Img


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / ".darkroom" / "cards.json"


def test_what_was_said_is_known_after_a_restart(table: Path) -> None:
    cards = Cards(table)
    assert cards.get("lora", "ink/line") == EMPTY and not table.exists()
    cards.change("lora", "ink/line", {"notes": "  good at 0.7\n", "triggers": ["line  art", "", "line art", "ink"], "weight": 0.7})
    cards.change("lora", "ink/line", {"favourite": True})
    cards.change("checkpoint", "ink/line", {"defaults": {"steps": 30, "cfg_scale": 7, "width": None, "vae": ""}})
    again = Cards(table)
    assert again.get("lora", "ink/line") == Card(notes="good at 0.7", favourite=True, triggers=("line art", "ink"), weight=0.7)
    assert again.get("checkpoint", "ink/line").defaults == {"steps": 30, "cfg_scale": 7.0, "vae": ""}
    again.change("lora", "ink/line", {"notes": "", "favourite": False, "triggers": [], "weight": 0})
    assert list(json.loads(table.read_text("utf-8"))["cards"]) == ["checkpoint/ink/line"], "a card that says nothing is not kept"
    assert [path.name for path in table.parent.iterdir()] == ["cards.json"]


BAD = {
    "unknown": ({"colour": "red"}, "A model has no 'colour'; it has notes, favourite"),
    "notes": ({"notes": "x" * (MAX_NOTES + 1)}, r"Notes \(notes\) is 'xxx.*at most 20000"),
    "favourite": ({"favourite": "yes"}, r"Favourite \(favourite\) is 'yes'"),
    "too many words": ({"triggers": [str(number) for number in range(MAX_TRIGGERS + 1)]}, "Trigger words"),
    "long word": ({"triggers": ["x" * 201]}, "a word has more than 200 characters"),
    "weight": ({"weight": 11}, "Weight"),
    "no object": ({"defaults": [1]}, r"Defaults \(defaults\) is \[1\]"),
    "foreign default": ({"defaults": {"prompt": "a cat"}}, "A checkpoint cannot bring along 'prompt'; it can bring width, height"),
    "out of bounds": ({"defaults": {"steps": 0}}, r"Sampling steps \(steps\) is 0, but it must be a whole number from 1 to 1000"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_said_is_refused_with_a_sentence_and_changes_nothing(table: Path, case: str) -> None:
    changes, sentence = BAD[case]
    cards = Cards(table)
    cards.change("vae", "soft", {"notes": "kept"})
    with pytest.raises(BadRequest, match=sentence):
        cards.change("vae", "soft", {"favourite": True} | changes)
    assert cards.get("vae", "soft") == Card(notes="kept")


def test_the_defaults_are_fields_of_a_request() -> None:
    assert set(DEFAULTS) <= {*Txt2Img.model_fields, "text_encoder"}


def test_a_change_by_hand_is_seen_and_rows_of_another_version_stay(table: Path) -> None:
    cards = Cards(table)
    cards.change("lora", "a", {"notes": "one"})
    said = json.loads(table.read_text("utf-8"))
    said["cards"] |= {"lora/b": {"notes": "by hand, and longer"}, "lora/c": {"mood": "of a later version"}}
    table.write_text(json.dumps(said), "utf-8")
    assert cards.get("lora", "b").notes == "by hand, and longer" and cards.get("lora", "c") == EMPTY
    cards.change("lora", "a", {"notes": "two"})
    assert json.loads(table.read_text("utf-8"))["cards"]["lora/c"] == {"mood": "of a later version"}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 2, "cards": {}}', '{"version": 1, "cards": []}', "[" * 100_000])
def test_a_damaged_file_is_put_aside_and_never_lost(table: Path, damage: str) -> None:
    table.parent.mkdir()
    table.write_text(damage)
    cards = Cards(table)
    assert cards.get("lora", "a") == EMPTY and table.read_text() == damage, "to look changes nothing"
    cards.change("lora", "a", {"favourite": True})
    assert Cards(table).get("lora", "a").favourite
    [aside] = table.parent.glob("cards.unreadable-*.json")
    assert aside.read_text() == damage


def test_many_threads_lose_nothing(table: Path) -> None:
    cards = Cards(table)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cards.change("lora", str(number % 20), {"favourite": True} if number < 20 else {"notes": "x"}), range(40)))
    again = Cards(table)
    assert all(again.get("lora", str(number)) == Card(notes="x", favourite=True) for number in range(20))


def test_a_disk_that_takes_nothing_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cards = Cards(tmp_path / "file" / "cards.json")
    assert cards.get("lora", "a") == EMPTY
    with pytest.raises(DiskTrouble, match="What you said of the model could not be saved"):
        cards.change("lora", "a", {"favourite": True})
    assert cards.get("lora", "a") == EMPTY

"""What the header of a merged file says."""

import json
from pathlib import Path

from app.engine.merging import plan as planning
from app.engine.merging.recipe import metadata_of
from app.engine.merging.sources import open_checkpoint
from tests.engine.merging.files import asked, weights, written

HASHES = {"A": "a" * 64, "B": "b" * 64, "C": "c" * 64}
OF_A = {
    "format": "pt", "modelspec.title": "Anime", "modelspec.license": "CC0-1.0", "modelspec.architecture": "stable-diffusion-v1", "modelspec.hash_sha256": "0x1",
    "modelspec.trigger_phrase": "anime", "ss_base": "x", "huge": "y" * 70000, "sd_merge_recipe": '{"type": "webui"}', "darkroom.base": "nonsense",
}  # fmt: skip
OF_B = {
    "modelspec.license": "MIT", "modelspec.author": "Bob", "ss_other": "z", "sd_merge_models": '{"d": {"name": "older"}}', "darkroom.merge": '{"version": 1}',
}  # fmt: skip


def told(folder: Path, **fields: object) -> dict[str, str]:
    parents = {
        letter: open_checkpoint(written(folder / f"{letter}.safetensors", weights(number), metadata, prediction="v_prediction"), letter)
        for number, (letter, metadata) in enumerate({"A": OF_A, "B": OF_B, "C": {"modelspec.usage_hint": "c"}}.items())
        if letter != "C" or fields.get("method") == "Add difference"
    }
    return metadata_of(planning.make(asked(**fields), parents, None, folder), "new", {letter: HASHES[letter] for letter in parents})


def test_parents_texts_are_put_together(tmp_path: Path) -> None:
    found = told(tmp_path, method="Add difference", multiplier=1)
    assert found["modelspec.title"] == "new" and found["modelspec.merged_from"] == "A, B, C"
    assert (found["modelspec.license"], found["modelspec.author"], found["modelspec.trigger_phrase"]) == ("CC0-1.0, MIT", "Bob", "anime")
    assert (found["modelspec.architecture"], found["modelspec.prediction_type"], found["ss_base"]) == ("stable-diffusion-v1", "v", "x")
    assert not {"modelspec.hash_sha256", "huge", "ss_other", "modelspec.usage_hint", "darkroom.base"} & set(found)
    assert found["modelspec.description"] == "A + (B - C) * 1, saved as fp32."


def test_our_recipe_is_enough_to_make_it_again(tmp_path: Path) -> None:
    numbers = [0.5, *[0.25] * 25]
    recipe = json.loads(told(tmp_path, blocks=",".join(map(str, numbers)))["darkroom.merge"])
    assert (recipe["method"], recipe["multiplier"], recipe["precision"], recipe["keep_ema"]) == ("Weighted sum", 0.5, "fp32", False)
    assert list(recipe["blocks"].values()) == numbers[1:]
    assert recipe["models"][1] == {"role": "B", "name": "B", "family": "sd1", "sha256": "b" * 64}
    assert recipe["made_from"] == {"B": {"version": 1}}


def test_a1111_finds_its_own_words(tmp_path: Path) -> None:
    found = told(tmp_path, multiplier=0.3)
    recipe, models = json.loads(found["sd_merge_recipe"]), json.loads(found["sd_merge_models"])
    wanted = {"primary_model_hash": "a" * 64, "secondary_model_hash": "b" * 64, "interp_method": "Weighted sum", "multiplier": 0.3, "save_as_half": False}
    assert recipe | wanted == recipe
    assert models["a" * 64] == {"name": "A.safetensors", "legacy_hash": None, "sd_merge_recipe": {"type": "webui"}}
    assert set(models) == {"a" * 64, "b" * 64, "d"}

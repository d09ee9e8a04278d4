"""The judge and its reports: what is asked, how right answers are counted, which files are tried, what goes into the README."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")

from safetensors.torch import save_file  # noqa: E402

from app.engine.checkpoints.find import Shelf  # noqa: E402
from tests import tiny  # noqa: E402
from tools.embedded import easel, edits, figures, judge, judging, trials  # noqa: E402
from tools.embedded.easel import Easel, Order  # noqa: E402
from tools.embedded.edits import Case, Edit  # noqa: E402
from tools.embedded.frechet import frechet_distance  # noqa: E402
from tools.embedded.judge import ATTRIBUTES, FLAGS, Judge, View  # noqa: E402
from tools.embedded.scenes import grammar  # noqa: E402
from tools.embedded.scenes.grammar import Scene, sample_scene  # noqa: E402

SMALL = (8, 8, 8, 8, 8)
RED_BOAT = Scene(1, time="sunset", land="sea", hero="boat", colour="red", position="left")
EMPTY = replace(RED_BOAT, hero="none", colour="blue")


def logits_for(views: list[View]) -> "torch.Tensor":
    """What a judge that is always right would say."""
    rows = []
    for view in views:
        row = [float(value == view.answer(name)) for name, values in ATTRIBUTES.items() for value in values]
        rows.append(row + [float(extra in view.scene.extras) - 0.5 for extra in grammar.EXTRAS] + [float(view.scene.stars) - 0.5])
    return torch.tensor(rows)


def test_the_perfect_judge_is_always_right() -> None:
    views = [View(sample_scene(seed), judge.STYLES[seed % 5]) for seed in range(60)]
    assert set(judge.accuracy(logits_for(views), views)) == {*ATTRIBUTES, "no hero", "flags"}
    assert all(figure == 1 for figure in judge.accuracy(logits_for(views), views).values())
    assert [found["style"] for found in judge.answers(logits_for(views))] == [view.style for view in views]


def test_a_missing_hero_counts_for_the_hero_and_its_colour_is_asked_only_where_it_should_be() -> None:
    seen = logits_for([View(EMPTY), View(EMPTY)])
    figures_found = judge.accuracy(seen, [View(RED_BOAT), View(EMPTY)])
    assert figures_found["hero"] == 0 and figures_found["no hero"] == 1
    assert figures_found["colour"] == 0
    assert figures_found["land"] == 1 and figures_found["style"] == 1
    assert "colour" not in judge.accuracy(seen, [View(EMPTY), View(EMPTY)])


def test_the_loss_falls_with_right_answers_and_leaves_out_what_is_not_asked() -> None:
    views = [View(EMPTY), View(RED_BOAT)]
    classes, flags = judge.labels_of(views)
    assert classes["colour"].tolist() == [-1, list(grammar.COLOURS).index("red")]
    right, wrong = logits_for(views) * 9, logits_for(views[::-1]) * 9
    assert judge.judge_loss(right, classes, flags) < judge.judge_loss(wrong, classes, flags)
    other = right.clone()
    start = sum(len(values) for name, values in list(ATTRIBUTES.items())[: list(ATTRIBUTES).index("colour")])
    other[0, start : start + len(grammar.COLOURS)] += torch.arange(float(len(grammar.COLOURS)))
    assert judge.judge_loss(other, classes, flags) == judge.judge_loss(right, classes, flags)


@pytest.mark.parametrize(("width", "height"), [(128, 128), (192, 128), (128, 192), (64, 128), (512, 512)])
def test_the_judge_takes_any_size(width: int, height: int) -> None:
    model = Judge(SMALL)
    pictures = np.random.default_rng(0).integers(0, 255, (2, height, width, 3)).astype(np.uint8)
    assert min(judge.look_at(pictures).shape[-2:]) <= judge.SHORT_SIDE
    logits, features = judge.impressions(model, pictures)
    assert logits.shape == (2, judge.OUTPUTS) and features.shape == (2, judge.FEATURES)
    assert np.isfinite(features).all()


def test_a_large_picture_is_averaged_down() -> None:
    small = np.random.default_rng(0).integers(0, 255, (1, 128, 128, 3)).astype(np.uint8)
    assert torch.allclose(judge.look_at(small.repeat(4, 1).repeat(4, 2)), judge.look_at(small), atol=1e-5)


def test_captions_say_everything() -> None:
    scene = Scene(1, time="night", land="forest", hero="house", colour="orange", position="right", body="moon", stars=True, extras=("mushrooms",))
    assert judge.plain_caption(scene) == "an orange house on the right in the forest, night, full moon, stars, fluorescent mushrooms"
    assert judge.plain_caption(replace(scene, count=2, depth="far")).startswith("two orange houses on the right in the distance in the forest")
    assert judge.plain_caption(EMPTY) == "by the sea, sunset"


def test_nobody_is_judged_on_what_was_learnt() -> None:
    learnt = {judging.album_view(index).scene.seed for index in (0, sum(count for *_, count in judging.ALBUMS) - 1)}
    tested = {scene.seed for scene in judge.test_scenes(3)}
    assert min(learnt) > max(tested) > 3_600_000 + 100_000
    assert {judging.album_view(index).style for index in range(8)} == set(judge.STYLES)


def test_the_judges_styles_are_the_renderers() -> None:
    from tools.embedded.scenes.styles import STYLES

    assert judge.STYLES == STYLES


def test_frechet_distance_of_normal_clouds() -> None:
    rng = np.random.default_rng(0)
    cloud = rng.standard_normal((40_000, 3))
    assert frechet_distance(cloud, cloud) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(cloud, cloud + np.array([3, 0, 4])) == pytest.approx(25, rel=1e-3)
    assert frechet_distance(cloud, 3 * rng.standard_normal((40_000, 3))) == pytest.approx(3 * 4, rel=0.03)
    with pytest.raises(ValueError, match="two samples"):
        frechet_distance(cloud[:1], cloud)


def test_only_what_lies_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Title\n<!-- judge: begin -->\nold\n<!-- judge: end -->\nafter\n")
    figures.write_between(page, "judge", "| new |\n")
    figures.write_between(page, "judge", "| newer |\n")
    assert page.read_text() == "# Title\n<!-- judge: begin -->\n| newer |\n<!-- judge: end -->\nafter\n"
    with pytest.raises(ValueError, match="edits: begin"):
        figures.write_between(page, "edits", "text")


def test_the_ledger_forgets_what_another_judge_said(tmp_path: Path) -> None:
    figures.Ledger(tmp_path / "x" / "results.json", "first").put("base", {"count": 2})
    assert figures.Ledger(tmp_path / "x" / "results.json", "first").results == {"base": {"count": 2}}
    assert figures.Ledger(tmp_path / "x" / "results.json", "second").results == {}


def test_a_result_becomes_a_row_with_its_ceiling() -> None:
    result = {"count": 4, "figures": {"time": 0.946, "style": 1.0}, "ceiling": {"time": 1.0, "style": 0.5}, "frechet": 12.34, "floor": 1.0}
    text = judging.as_markdown({"base": result}, {"base": "the base"}, ["There is no LoRA 'ink' yet."])
    assert "| pictures | number | time of day | style | distance |" in text
    assert "| the base | 4 | 94.6 (100) | 100 (50) | 12.3 (1.0) |" in text
    assert text.endswith("There is no LoRA 'ink' yet.")


@pytest.fixture
def family(tmp_path: Path, tiny_folder: Path) -> Easel:
    """A shelf with a base, a style checkpoint, a style LoRA and a LoRA for few steps."""
    models = tmp_path / "models"
    made = tiny.parts()
    (models / "loras").mkdir(parents=True)
    (models / "darkroom-base").symlink_to(tiny_folder / "tiny")
    shutil.copytree(tiny_folder / "tiny", models / "darkroom-neon")
    save_file(tiny.lora_weights(made), models / "loras" / "darkroom-ink.safetensors", {"modelspec.trigger_phrase": "so inky"})
    tiny.write_lora(models / "loras" / "darkroom-lcm.safetensors", made)
    return Easel(models, tmp_path / "scratch")


def test_the_family_is_found_and_what_is_missing_is_named(family: Easel) -> None:
    found, missing = trials.find_trials(Shelf(family.settings))
    by_name = {trial.name: trial for trial in found}
    assert list(by_name) == ["base", "chance", "wide", "tall", "ink", "neon", "few-step"]
    assert by_name["neon"].prompt("a house") == "a house, neon" and by_name["neon"].style == "neon"
    assert by_name["ink"].prompt("a house") == "a house, so inky, <lora:darkroom-ink:1>"
    assert by_name["few-step"].prompt("a house") == "a house, <lora:darkroom-lcm:1>"
    assert by_name["few-step"].values == {"sampler": "LCM", "steps": 4, "cfg_scale": 1.0}
    assert by_name["chance"].prompt("a house") == ""
    assert [line.split("'")[1] for line in missing] == ["watercolour", "pixel"]


def test_a_trials_key_follows_its_weights(family: Easel) -> None:
    few = next(trial for trial in trials.find_trials(Shelf(family.settings))[0] if trial.name == "few-step")
    before = few.key()
    assert before == few.key() != replace(few, ending="").key()
    tiny.write_lora(family.models / "loras" / "darkroom-lcm.safetensors", tiny.parts(), seed=2)
    assert few.key() != before


def test_orders_are_painted_once_and_alike(family: Easel, tmp_path: Path) -> None:
    few = next(trial for trial in trials.find_trials(Shelf(family.settings))[0] if trial.name == "few-step")
    few = replace(few, width=64, height=64, values={**few.values, "steps": 1})
    orders = few.orders(judge.test_scenes(2), tmp_path / "pictures")
    told: list[tuple[int, int]] = []
    easel.fill_all(family, orders, 1, lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
    first = easel.load([order.path for order in orders])
    assert first.shape == (2, 64, 64, 3)
    stamps = [order.path.stat().st_mtime_ns for order in orders]
    easel.fill_all(family, orders, 1)
    assert stamps == [order.path.stat().st_mtime_ns for order in orders]
    orders[1].path.unlink()
    easel.fill_all(family, orders, 1)
    assert np.array_equal(first, easel.load([order.path for order in orders]))
    assert len({order.values["seed"] for order in orders}) == 2


def test_an_edit_goes_through_the_app_and_keeps_what_it_must(family: Easel, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[8:24, 8:24] = 255
    case = Case(replace(EMPTY, hero="balloon"), picture, {"task": "inpaint", "prompt": "night", "steps": 2}, picture, mask)
    order = case.order(tmp_path, 0, "darkroom-base")
    assert isinstance(order, Order) and set(order.inputs) == {"image", "mask"}
    easel.fill_all(family, [order], 1)
    result = easel.load([order.path])[0]
    answer = {"hero": "none", "time": "sunset"}
    assert edits.check_removal(case, result, answer) == {"balloon gone": True, "no other hero": True, "time of day": True, "kept pixels": True}
    assert not np.array_equal(result, picture)
    spoilt = result.copy()
    spoilt[60, 60] ^= 1
    assert edits.check_removal(case, spoilt, {"hero": "balloon", "time": "night"}) == dict.fromkeys(
        ("balloon gone", "no other hero", "time of day", "kept pixels"), False
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_only_the_new_sea_is_looked_at(side: str) -> None:
    old = np.full((128, 128, 3), 9, np.uint8)
    new = np.random.default_rng(0).integers(10, 255, (128, 64, 3)).astype(np.uint8)
    result = np.concatenate([new, old] if side == "left" else [old, new], axis=1)
    case = Case(EMPTY, old, {"left": 0, "right": 0, side: 64}, old)
    assert edits.new_part(case, result).shape == (128, 128, 3) and edits.new_part(case, result).min() >= 10
    answer = {"land": "sea", "time": "sunset"}
    assert edits.check_sea(case, result, answer) == {"sea": True, "time of day": True, "kept pixels": True}
    result[:, 70 if side == "left" else 100] = 8
    assert edits.check_sea(case, result, {"land": "city", "time": "sunset"})["sea"] is False
    assert edits.check_sea(case, result, answer)["kept pixels"] is (side == "left")


def test_shares_of_an_edit_are_counted() -> None:
    pictures = [np.full((128, 128, 3), level, np.uint8) for level in (0, 200)]
    cases = [Case(RED_BOAT, picture, {}, picture) for picture in pictures]
    edit = Edit("dark", "dark ones", cases, lambda case, result, seen: {"dark": bool(result.max() < 100)})
    assert edits.examined(edit, Judge(SMALL), pictures) == {"dark": 0.5}


def test_the_table_of_edits_has_every_checkpoint_of_this_judge(tmp_path: Path) -> None:
    result = {"label": "zoom", "count": 2, "figures": {"landscape": 0.5}, "ceiling": {"landscape": 1.0}}
    for name, key in (("darkroom-base", "new 1"), ("inpainting", "new 2"), ("old", "old 3")):
        figures.Ledger(tmp_path / f"{name}.json", key).put("zoom", result)
    text = edits.as_markdown(edits.all_results(tmp_path, "new"))
    assert "| `darkroom-base` | zoom | 2 | landscape 50 (100) |" in text
    assert "`inpainting`" in text and "`old`" not in text


def test_balloons_are_masked_where_they_are() -> None:
    (case,) = edits.removals(1, {})
    share = (case.mask > 0).mean()
    assert 0.01 < share < 0.5
    outside = np.abs(case.picture.astype(int) - case.perfect.astype(int)).sum(2)[case.mask == 0]
    assert outside.max() <= edits.SEEN


def test_every_flag_has_a_place() -> None:
    assert len(FLAGS) == len(grammar.EXTRAS) + 1
    assert sum(len(values) for values in ATTRIBUTES.values()) + len(FLAGS) == judge.OUTPUTS

"""The embedded checkpoint's scenes: grammar, captions, drawing, tokenizer."""

from pathlib import Path

import numpy as np
import pytest

from tools.embedded.scenes import grammar
from tools.embedded.scenes.captions import all_phrases, describe, describe_nothing
from tools.embedded.scenes.grammar import Scene, sample_scene

EXAMPLE = (
    "the house in the forest, dark night, leaves in the air, fluorescent mushrooms, clear focus, very coherent, very detailed, contrast, "
    "vibrant, digital painting"
)
TOKENIZER = Path(__file__).parents[2] / "models/embedded/darkroom-base/tokenizer"


def test_equal_seeds_give_equal_scenes_and_captions() -> None:
    assert [sample_scene(seed) for seed in range(50)] == [sample_scene(seed) for seed in range(50)]
    assert [describe(sample_scene(seed), 1) for seed in range(50)] == [describe(sample_scene(seed), 1) for seed in range(50)]
    assert len({sample_scene(seed) for seed in range(50)}) == 50


def test_first_scene_and_caption_are_what_they_were() -> None:
    """Checkpoints are retrained from seeds: a change here makes other training pictures."""
    scene = sample_scene(3)
    assert scene == sample_scene(3)
    assert (scene.time, scene.land, scene.hero, scene.colour) == FIRST_SCENE
    assert describe(scene, 0) == FIRST_CAPTION


FIRST_SCENE = ("sunset", "sea", "balloon", "red")
FIRST_CAPTION = "a balloon, golden hour, by the ocean, the sun in the sky, cloudy sky"


def test_scenes_use_every_word_of_the_grammar() -> None:
    scenes = [sample_scene(seed) for seed in range(3000)]
    assert {scene.time for scene in scenes} == set(grammar.TIMES)
    assert {scene.land for scene in scenes} == set(grammar.LANDS)
    assert {scene.hero for scene in scenes} == set(grammar.HEROES)
    assert {scene.colour for scene in scenes} == set(grammar.COLOURS)
    assert {scene.body for scene in scenes} == set(grammar.BODIES)
    assert {scene.weather for scene in scenes} == set(grammar.WEATHERS)
    assert {scene.frame for scene in scenes} == set(grammar.FRAMES)
    assert {extra for scene in scenes for extra in scene.extras} == set(grammar.EXTRAS)


def test_the_example_is_well_represented() -> None:
    scenes = [sample_scene(seed) for seed in range(2000)]
    night_forest = [s for s in scenes if (s.time, s.land, s.hero) == ("night", "forest", "house") and "mushrooms" in s.extras]
    assert len(night_forest) > 0.08 * len(scenes)


def test_no_scene_contradicts_itself() -> None:
    for scene in (sample_scene(seed) for seed in range(2000)):
        assert not (scene.stars and scene.time != "night")
        assert (scene.body in ("moon", "crescent")) <= (scene.time == "night")
        assert not (scene.land == "desert" and scene.weather in ("snow", "rain"))


def test_captions_are_single_tokens_and_fit() -> None:
    pytest.importorskip("transformers")
    from tools.embedded.tokenizer import WORD_END, load_tokenizer

    tokenizer = load_tokenizer(TOKENIZER)
    captions = [describe(sample_scene(seed), 0) for seed in range(300)] + [describe_nothing(variant) for variant in range(20)]
    for text in [EXAMPLE, *captions, *all_phrases()]:
        tokens = tokenizer.tokenize(text)
        assert tokenizer.unk_token not in tokens
        assert all(token.endswith(WORD_END) for token in tokens if any(letter.isalpha() for letter in token) and not any(c.isdigit() for c in text))
        assert len(tokens) <= 75


def test_the_shipped_tokenizer_is_the_one_of_the_grammar(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tools.embedded.tokenizer import build_tokenizer

    build_tokenizer(tmp_path)
    for name in ("vocab.json", "merges.txt"):
        assert (tmp_path / name).read_bytes() == (TOKENIZER / name).read_bytes()


def test_render_is_deterministic_and_not_trivial() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import render

    pictures = [render(sample_scene(seed), 64) for seed in range(12)]
    for seed, picture in enumerate(pictures):
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 10
        assert np.array_equal(picture, render(sample_scene(seed), 64))


def test_render_shows_time_and_colour() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import render

    day, night = (render(Scene(5, time=time), 64).mean() for time in ("day", "night"))
    assert day > 1.5 * night
    red, blue = (render(Scene(5, colour=colour), 64).astype(int) for colour in ("red", "blue"))
    changed = np.abs(red - blue).sum(2) > 60
    assert 0.01 < changed.mean() < 0.2
    assert (red[changed][:, 0] > blue[changed][:, 0]).mean() > 0.9


def test_every_scene_part_can_be_drawn() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import render

    for land in grammar.LANDS:
        for hero in grammar.HEROES:
            render(Scene(1, land=land, hero=hero), 32)
    for weather in grammar.WEATHERS:
        render(Scene(2, weather=weather, extras=grammar.EXTRAS, body="crescent", time="night", stars=True), 32)
    bare = render(Scene(3), 64)
    for frame in grammar.FRAMES[1:]:
        assert not np.array_equal(bare[:4], render(Scene(3, frame=frame), 64)[:4])

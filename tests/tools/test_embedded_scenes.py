"""The embedded checkpoint's scenes: grammar, captions, drawing, tokenizer."""

from pathlib import Path

import numpy as np
import pytest

from tools.embedded.scenes import grammar
from tools.embedded.scenes.captions import all_phrases, describe, describe_nothing, styled
from tools.embedded.scenes.grammar import Scene, sample_scene
from tools.embedded.scenes.sentences import TIMES
from tools.embedded.scenes.tags import TAGS
from tools.embedded.scenes.words import FAR_PLACES, FAR_WORDS, FRAME_PHRASES, NEAR_PLACES, NEAR_WORDS, NEGATIVE, PHRASES, STYLE_TRIGGERS

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
    assert {scene.count for scene in scenes} == set(grammar.COUNTS)
    assert {scene.depth for scene in scenes} == set(grammar.DEPTHS)
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
        assert (scene.count, scene.depth) == (1, "middle") or scene.hero != "none"
        assert not (scene.count > 1 and scene.depth == "near")


def whole_words(text: str, tokens: list[str]) -> bool:
    """Whether no word of `text` is spelt in pieces; digits always are."""
    from tools.embedded.tokenizer import WORD_END

    return any(c.isdigit() for c in text) or all(token.endswith(WORD_END) for token in tokens if any(letter.isalpha() for letter in token))


def test_captions_fit_and_the_words_of_a_scene_are_single_tokens() -> None:
    pytest.importorskip("transformers")
    from tools.embedded.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(TOKENIZER)
    captions = [styled(describe(sample_scene(seed), seed % 4), "watercolour", 0) for seed in range(300)]
    captions += [describe_nothing(variant) for variant in range(20)]
    for text in [EXAMPLE, *captions, *all_phrases()]:
        tokens = tokenizer.tokenize(text)
        assert tokenizer.unk_token not in tokens
        assert len(tokens) <= 75
    for text in [EXAMPLE, *grammar.COLOURS, *grammar.POSITIONS, *(phrase for phrases in PHRASES.values() for phrase in phrases)]:
        assert whole_words(text, tokenizer.tokenize(text))


def test_a_new_tokenizer_knows_every_word(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tools.embedded.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(tmp_path)
    for text in all_phrases():
        assert whole_words(text, tokenizer.tokenize(text)), text


SCENES = [sample_scene(seed) for seed in range(2500)]


def scenes_with(**wanted: object) -> list[Scene]:
    """Some sampled scenes with these attributes."""
    return [scene for scene in SCENES if all(getattr(scene, name) == value for name, value in wanted.items())][:40]


def captions_of(scenes: list[Scene], variants: int = 6) -> list[str]:
    """Captions with spaces for underscores."""
    return [describe(scene, variant).replace("_", " ") for scene in scenes for variant in range(variants)]


def share(captions: list[str], words: list[str]) -> float:
    """The share of captions that hold at least one of the words or phrases."""
    return sum(any(f" {word} " in f" {caption.replace(',', ' ').replace('  ', ' ')} " for word in words) for caption in captions) / len(captions)


def test_captions_tell_what_the_scene_has_and_nothing_else() -> None:
    numbers = {2: ["two", "a pair of", "2"], 3: ["three", "a group of", "3"]}
    for count, words in numbers.items():
        assert share(captions_of(scenes_with(count=count)), words) == 1
        assert share(captions_of(scenes_with(count=1)), words) == 0
    near, far = ([*words, *places, *TAGS[depth]] for depth, words, places in (("near", NEAR_WORDS, NEAR_PLACES), ("far", FAR_WORDS, FAR_PLACES)))
    for depth, told, untold in (("near", near, far), ("far", far, near)):
        captions = captions_of([scene for scene in scenes_with(depth=depth) if (scene.land, scene.hero) != ("mountains", "tree")])
        assert share(captions, told) > 0.6
        assert share(captions, [word for word in untold if word not in ("big", "in the background")]) == 0
    for side, other in (("left", "right"), ("right", "left")):
        captions = captions_of([scene for scene in scenes_with(position=side) if scene.hero != "none"])
        assert share(captions, [side]) > 0.4
        assert share(captions, [other]) == 0
    for frame, phrases in FRAME_PHRASES.items():
        assert share(captions_of(scenes_with(frame=frame)), list(phrases)) == 1
        assert share(captions_of(scenes_with(frame="none")), list(phrases)) == 0
    for time in grammar.TIMES:
        told = [*PHRASES[time], *TAGS[time], *TIMES[time]]
        assert share(captions_of(scenes_with(time=time)), told) > 0.9
    for colour in grammar.COLOURS:
        captions = captions_of([scene for scene in scenes_with(colour=colour) if scene.hero != "none"])
        assert share(captions, [colour]) > 0.6


def test_every_phrase_is_said_and_every_caption_is_made_of_phrases() -> None:
    texts = [describe(scene, variant) for scene in SCENES for variant in range(4)]
    said = "\n".join(f" {text.replace('_', ' ').replace(',', ' ,')} " for text in texts)
    untold = [phrase for phrase in all_phrases() if f" {phrase} " not in said]
    assert set(untold) <= {*NEGATIVE, *STYLE_TRIGGERS.values()}
    small = "a an the with and on at in to by over under of is are stand sail fly float grow"
    known = {word for phrase in [*all_phrases(), *grammar.COLOURS, *grammar.POSITIONS, small] for word in phrase.split()}
    assert set(said.replace(",", " ").split()) <= known


def test_captions_are_listed_mostly_and_sometimes_sentences_or_tags() -> None:
    captions = [describe(sample_scene(seed), seed % 3) for seed in range(1500)]
    underscored = sum("_" in caption for caption in captions) / len(captions)
    assert 0.03 < underscored < 0.08
    upright = [caption for caption in captions if " stands " in caption or " is " in caption or " are " in caption]
    assert 0.06 < len(upright) / len(captions) < 0.16


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


def test_render_is_square_and_flat_unless_told_otherwise() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import render

    scene = sample_scene(3)
    assert np.array_equal(render(scene), render(scene, 128, 128, "flat"))
    with pytest.raises(ValueError, match="oil"):
        render(scene, 32, 32, "oil")


def test_wide_and_tall_scenes_show_more_at_the_same_scale() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.canvas import Painter

    wide, tall = Painter(Scene(1), 192, 128), Painter(Scene(1), 128, 192)
    assert (wide.left, wide.right, wide.top, wide.bottom) == (-0.25, 1.25, 0, 1)
    assert (tall.left, tall.right) == (0, 1)
    assert tall.tall == 1.5
    assert -tall.top > tall.bottom - 1 > 0


@pytest.mark.parametrize("land", grammar.LANDS)
def test_land_reaches_both_sides_of_wide_and_the_foot_of_tall_scenes(land: str) -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import paint

    for width, height in ((96, 64), (64, 96)):
        sheets = paint(Scene(4, land=land, hero="none"), width, height)
        assert sheets.picture.shape == (height, width, 3)
        land_seen = ~sheets.bare_sky()
        assert land_seen[-height // 8 :].all()
        assert land_seen[:, 0].any()
        assert land_seen[:, -1].any()
        assert sheets.bare_sky()[: height // 8].mean() > 0.5


def test_the_hero_stands_where_it_is_said_in_wide_scenes() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import paint

    for position, (low, high) in {"left": (0.1, 0.4), "center": (0.35, 0.65), "right": (0.6, 0.9)}.items():
        for seed in range(4):
            columns = paint(Scene(seed, position=position), 96, 64).hero().nonzero()[1]
            assert low < columns.mean() / 96 < high


@pytest.fixture(scope="module")
def styled_pictures() -> dict[str, np.ndarray]:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import render
    from tools.embedded.scenes.styles import STYLES

    return {style: np.stack([render(sample_scene(seed), 96, 64, style) for seed in range(6)]) for style in STYLES}


def test_styles_are_deterministic(styled_pictures: dict[str, np.ndarray]) -> None:
    from tools.embedded.scenes.draw import render

    for style, pictures in styled_pictures.items():
        assert pictures.shape == (6, 64, 96, 3)
        assert pictures.dtype == np.uint8
        assert np.array_equal(pictures[2], render(sample_scene(2), 96, 64, style))


def test_styles_are_told_apart_by_simple_figures(styled_pictures: dict[str, np.ndarray]) -> None:
    def colours(picture: np.ndarray) -> int:
        return len(np.unique(picture.reshape(-1, 3), axis=0))

    for style, pictures in styled_pictures.items():
        for picture in pictures:
            assert (colours(picture) < 60) == (style == "pixel")
            rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
            assert (np.median(rim.min(1)) > 190) or style != "watercolour"
            assert (np.median(picture) < 70) or style != "neon"


def test_all_but_the_hero_is_drawn_with_one_ink(styled_pictures: dict[str, np.ndarray]) -> None:
    from tools.embedded.scenes.draw import paint
    from tools.embedded.scenes.ink import PAPER

    for seed, picture in enumerate(styled_pictures["ink"]):
        hero = paint(sample_scene(seed), 96, 64, "ink").hero()
        near = sum(np.roll(hero, (down, right), (0, 1)) for down in range(-3, 4) for right in range(-3, 4)) > 0
        red, _, blue = np.moveaxis((picture / 255 / PAPER)[~near], -1, 0)
        assert (blue - red).min() > -0.03  # paper where they are equal, indigo ink where blue is left
        assert (blue - red).max() > 0.1


def test_pixel_art_lies_on_its_grid(styled_pictures: dict[str, np.ndarray]) -> None:
    from tools.embedded.scenes.pixels import GRID, palette

    cell = 64 // GRID
    for seed, picture in enumerate(styled_pictures["pixel"]):
        corners = picture[::cell, ::cell]
        assert np.array_equal(picture, corners.repeat(cell, 0).repeat(cell, 1))
        allowed = {tuple(colour) for colour in palette(sample_scene(seed).time).tolist()}
        assert {tuple(colour) for colour in corners.reshape(-1, 3).tolist()} <= allowed


def test_pixel_art_fills_sizes_that_its_cells_do_not_divide() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import render

    assert render(sample_scene(4), 130, 98, "pixel").shape == (98, 130, 3)


@pytest.mark.parametrize("style", ["watercolour", "pixel", "ink", "neon"])
def test_styles_keep_the_colour_of_the_hero(style: str) -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import render

    for time in grammar.TIMES:
        red, blue = (render(Scene(5, time=time, colour=colour), 64, 64, style).astype(int) for colour in ("red", "blue"))
        changed = np.abs(red - blue).sum(2) > 60
        assert changed.mean() > 0.01
        redder, _, bluer = (red - blue)[changed].mean(0)
        assert redder > 25
        assert bluer < -25


def test_triggers_stand_before_captions_mostly() -> None:
    caption = "a red house, night"
    assert styled(caption, "flat", 0) == caption
    for style, trigger in STYLE_TRIGGERS.items():
        told = [styled(caption, style, variant) for variant in range(60)]
        assert set(told) == {f"{trigger}, {caption}", f"{caption}, {trigger}"}
        assert told.count(f"{trigger}, {caption}") > 30
        assert styled("", style, 0) == trigger


@pytest.mark.parametrize("hero", [hero for hero in grammar.HEROES if hero != "none"])
def test_near_heroes_are_large_and_far_ones_small(hero: str) -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import paint

    land = "sea" if hero in ("boat", "lighthouse") else "meadow"
    near, middle, far = (paint(Scene(9, land=land, hero=hero, depth=depth), 96, 96).hero().mean() for depth in grammar.DEPTHS)
    assert near > 1.3 * middle
    assert middle > 2.5 * far
    assert far > 0.004


def test_as_many_heroes_are_seen_as_are_counted() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import paint

    for count in grammar.COUNTS:
        for hero in ("house", "balloon", "tent"):
            for width, position, depth in ((128, "left", "middle"), (192, "right", "middle"), (160, "center", "far")):
                columns = paint(Scene(2, land="desert", hero=hero, count=count, position=position, depth=depth), width, 128).hero().any(0)
                assert (np.diff(np.pad(columns, 1).astype(int)) == 1).sum() == count


def test_a_picture_on_the_wall_shows_the_scene_smaller() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.draw import paint

    alone, hung = (paint(Scene(6, frame=frame), 96, 64).hero() for frame in ("none", "picture"))
    assert 0.25 < hung.sum() / alone.sum() < 0.5


def test_some_scenes_have_a_foreground_that_leaves_the_rest_as_it_is() -> None:
    pytest.importorskip("skia", reason="skia-python is a dependency of the training kit alone")
    from tools.embedded.scenes.canvas import Painter
    from tools.embedded.scenes.foreground import KINDS, paint_foreground

    for land in grammar.LANDS:
        covered = []
        for seed in range(40):
            painter = Painter(Scene(seed, land=land, position="left"), 48, 32)
            numbers = painter.rng.getstate()
            paint_foreground(painter)
            assert painter.rng.getstate() == numbers
            covered.append(painter.picture().any(2))
        shown = [mask for mask in covered if mask.any()]
        assert 3 <= len(shown) <= 20
        assert all(mask.mean() < 0.35 for mask in shown)
        if len(KINDS[land]) == 1:  # no grass, which grows along all of the foot
            assert not any(mask[:, :24].any() for mask in shown)

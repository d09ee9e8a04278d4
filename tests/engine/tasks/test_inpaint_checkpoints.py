"""What the tasks tell an inpainting checkpoint, and that they keep their promises with one; the embedded family by its names."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from app.canvas.blend import depth
from app.canvas.mask import blurred
from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.errors import BadCheckpoint
from app.extensions import Extensions
from app.settings import Settings
from app.work import Picture
from tests import tiny
from tests.engine.tasks.brushes import FakeBrush
from tests.engine.tasks.test_end_to_end import GIVEN, PART, PICTURE
from tests.engine.tasks.test_tasks import asked, pixels, run
from tools.embedded.ldm import BASE_KEY, write_ldm

# ---- what the tasks tell


@pytest.mark.parametrize("values", [{}, {"mask_blur": 0, "masked_content": "fill"}, {"resize_mode": "Just resize (latent upscale)", "width": 96, "height": 64}])
@pytest.mark.parametrize("area", ["Whole picture", "Only masked"])
def test_inpaint_tells_the_true_mask_and_hides_what_is_under_it(area: str, values: dict[str, Any]) -> None:
    brush = FakeBrush(asked("inpaint", inpaint_area=area, **values))
    run(brush)
    start = brush.asked[0][0]
    around = brush.told(start)
    assert start.mask is not None and around[:, :1].equal(start.mask)
    whole = torch.nn.functional.max_pool2d(1 - start.mask, 3, 1, 1) == 0
    masked = around[:, 1:4]
    assert whole.any() and (masked[whole.expand_as(masked)] == 0).all()
    if "width" not in values and "masked_content" not in values:
        outside = (start.mask == 0).expand_as(masked)
        assert start.source is not None and outside.any() and torch.allclose(masked[outside], start.source[:, :3][outside], atol=1e-6)


@pytest.mark.parametrize("coherence", ["Fast", "Normal"])
def test_outpaint_tells_what_is_known_of_each_picture(coherence: str) -> None:
    brush = FakeBrush(asked("outpaint", left=40, right=0, up=0, down=0, overlap=8, batch_size=2, coherence=coherence))
    run(brush)
    assert len(brush.asked) > 1
    for start, _ in brush.asked:
        around = brush.told(start)
        assert start.mask is not None and start.source is not None
        assert around.shape[0] == 2 and around[:, :1].equal(start.mask.expand(2, -1, -1, -1))
        kept = (start.mask == 0).expand(2, 3, -1, -1)
        assert kept.any() and torch.allclose(around[:, 1:4][kept], start.source[:, :3][kept], atol=1e-6)
        hidden = (torch.nn.functional.max_pool2d(1 - start.mask, 3, 1, 1) == 0).expand(2, 3, -1, -1)
        assert hidden.any() and (around[:, 1:4][hidden] == 0).all()
    second = brush.told(brush.asked[1][0])
    assert not second[0].equal(second[1]), "what was painted in the first window is told of each picture"


def test_txt2img_has_no_picture_and_img2img_paints_all_of_it() -> None:
    nothing, whole = FakeBrush(asked("txt2img")), FakeBrush(asked("img2img", depth_map="0" * 64))
    run(nothing)
    run(whole)
    (scene,) = whole.asked[0][0].scenes
    assert nothing.asked[0][0].scenes == () and scene.paint.all() and scene.depth is not None and scene.depth.shape == scene.paint.shape


# ---- through the real engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """models/embedded with a base, an fp8 style, an inpainting checkpoint, a LoRA over every layer and a textual inversion."""
    root = tmp_path_factory.mktemp("embedded")
    embedded, made = root / "models" / "embedded", tiny.embedded_parts()
    tiny.write_folder(embedded / "darkroom-base", made)
    for name, parts, fp8 in (("darkroom-neon", tiny.embedded_parts(1), True), ("darkroom-inpaint", tiny.embedded_parts(2, in_channels=9), False)):
        write_ldm(embedded / f"{name}.safetensors", parts.unet, parts.vae, parts.text_encoder, {BASE_KEY: "darkroom-base"}, fp8)
    (embedded / "loras").mkdir()
    (embedded / "embeddings").mkdir()
    tiny.write_lora(embedded / "loras" / "darkroom-ink.safetensors", made, rank=4, alpha=4.0, everywhere=True, strength=0.05)
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    save_file({f"{layer}.lora_down.weight": torch.zeros(2, 768), f"{layer}.lora_up.weight": torch.zeros(320, 2)}, root / "models" / "strange.safetensors")
    tiny.write_embedding(embedded / "embeddings" / "darkroom-dusk.safetensors", vectors=3)
    return engine_at(root)


def engine_at(root: Path, extensions: Any = None) -> Engine:
    models = (root / "models",)
    settings = replace(
        Settings(), root=root, checkpoint_dirs=models, vae_dirs=models, lora_dirs=models, embedding_dirs=models, extension_dir=root / "none",
        outputs_dir=root / "outputs", cpu_parts=frozenset({"all"}),
    )  # fmt: skip
    return Engine(settings, Shelf(settings), extensions or Extensions())


def paint(engine: Engine, task: str, checkpoint: str = "darkroom-inpaint", **values: Any) -> Iterator[Picture]:
    request = asked(task, **{"steps": 2, "sampler": "Euler a", "checkpoint": checkpoint, "prompt": "a cat", **values})
    yield from engine.run(request, {name: GIVEN[name] for name in request.picture_fields()}, lambda progress: None)


class Watched:
    """What the UNet of a model is given in one `with`."""

    def __init__(self, engine: Engine, checkpoint: str = "darkroom-inpaint") -> None:
        self.model, self.given = engine.acquire(checkpoint), list[Tensor]()

    def __enter__(self) -> "Watched":
        self.handle = self.model.placement.networks["unet"].register_forward_pre_hook(lambda module, given: self.given.append(given[0].clone()))
        return self

    def __exit__(self, *error: object) -> None:
        self.handle.remove()


@pytest.mark.parametrize("task", ["txt2img", "img2img"])
def test_where_all_is_painted_the_mask_is_full_and_the_picture_grey(engine: Engine, task: str) -> None:
    with Watched(engine) as seen:
        assert next(paint(engine, task, width=64, height=72)).image.size == (64, 72)
    grey = seen.model.encode_image(torch.zeros(1, 72, 64, 3).permute(0, 3, 1, 2))  # laid out as pictures are, for the same last bits
    assert len(seen.given) == 2
    for given in seen.given:
        assert given.shape == (2, 9, 9, 8) and (given[:, 4] == 1).all() and torch.equal(given[:, 5:], grey.expand(2, -1, -1, -1))


@pytest.mark.parametrize("area", ["Whole picture", "Only masked"])
def test_inpaint_keeps_what_is_not_masked(engine: Engine, area: str) -> None:
    with Watched(engine) as seen:
        result = pixels(next(paint(engine, "inpaint", inpaint_area=area, masked_content="fill", mask_blur=2)))
    mask = np.asarray(PART)
    kept = blurred(mask, 2) == 0
    assert np.array_equal(result[kept], np.asarray(PICTURE)[kept])
    assert (result != np.asarray(PICTURE)).any(axis=-1)[mask == 255].mean() > 0.9
    assert all(given.shape[1] == 9 and 0 < given[:, 4].mean() < 1 for given in seen.given)
    unlike = pixels(next(paint(engine, "inpaint", "darkroom-base", inpaint_area=area, masked_content="fill", mask_blur=2)))
    assert (unlike != result)[mask == 255].any()


def test_the_masked_picture_is_exactly_zero_under_the_mask(engine: Engine) -> None:
    with Watched(engine) as seen:
        next(paint(engine, "inpaint", mask_blur=0, mask_mode="Inpaint masked"))
    picture = np.pad(np.asarray(PICTURE), ((0, 3), (0, 3), (0, 0)), mode="edge")
    mask = np.pad(np.asarray(PART), ((0, 3), (0, 3)), mode="edge") >= 128
    shown = torch.from_numpy(np.where(mask[..., None], 0, picture / 127.5 - 1).astype(np.float32)).permute(2, 0, 1)[None]
    assert torch.allclose(seen.given[0][:1, 5:], seen.model.encode_image(shown), atol=1e-5)


@pytest.mark.parametrize("coherence", ["Fast", "Normal"])
def test_outpaint_keeps_the_picture_and_batches_are_singles(engine: Engine, coherence: str) -> None:
    values = {"left": 48, "right": 8, "up": 0, "down": 16, "overlap": 8, "coherence": coherence}
    both = [pixels(picture) for picture in paint(engine, "outpaint", batch_size=2, **values)]
    known = np.zeros(both[0].shape[:2], bool)
    known[:37, 48 : 48 + 45] = True
    kept = depth(known) > 8
    for i, result in enumerate(both):
        assert np.array_equal(result[kept], np.asarray(PICTURE)[kept[:37, 48 : 48 + 45]])
        assert np.array_equal(result, pixels(next(paint(engine, "outpaint", seed=5 + i, **values))))


def test_an_extension_around_the_model_sees_each_picture_with_its_own_surroundings(engine: Engine) -> None:
    class Around:
        def call(self, hook_name: str, **given: Any) -> Iterator[Any]:
            if hook_name == "around_model":
                yield lambda x, sigma: given["model"](x, sigma)

    values = {"left": 48, "right": 0, "up": 0, "down": 0, "overlap": 8, "coherence": "Fast", "batch_size": 2}
    plain = [pixels(picture) for picture in paint(engine, "outpaint", **values)]
    around = [pixels(picture) for picture in paint(engine_at(engine.settings.root, Around()), "outpaint", **values)]
    assert all(np.array_equal(first, second) for first, second in zip(plain, around, strict=True))


def test_zoom_goes_through(engine: Engine) -> None:
    assert len({picture.image.tobytes() for picture in paint(engine, "zoom")}) == 3


def test_loras_and_words_of_the_embedded_family_act_by_name(engine: Engine) -> None:
    def drawn(prompt: str, checkpoint: str = "darkroom-neon") -> tuple[bytes, dict[str, str]]:
        picture = next(paint(engine, "txt2img", checkpoint, prompt=prompt, width=64, height=64))
        return picture.image.tobytes(), picture.facts

    plain, _ = drawn("a cat")
    with_lora, facts = drawn("a cat <lora:darkroom-ink:0.8>")
    assert with_lora != plain and facts["Lora hashes"].startswith("darkroom-ink: ")
    with_word, facts = drawn("a cat, darkroom-dusk")
    assert with_word != plain and facts["TI hashes"].startswith("darkroom-dusk: ")
    assert drawn("a cat")[0] == plain
    on_inpaint = [drawn(prompt, "darkroom-inpaint")[0] for prompt in ("a cat", "a cat <lora:darkroom-ink:0.8>", "a cat")]
    assert on_inpaint[0] == on_inpaint[2] != on_inpaint[1], "its change for 4 inputs fits the first convolution with 9"


def test_a_lora_of_another_width_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(BadCheckpoint, match=r"^'strange\.safetensors' does not fit 'darkroom-base': its layer '\w+' has another shape") as caught:
        next(paint(engine, "txt2img", "darkroom-base", prompt="a cat <lora:strange:1>"))
    assert caught.value.message.count("\n") == 0

"""Every family through the real engine: small models with random weights paint, alone and with each other."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.engine.families import FAMILIES
from app.errors import BadRequest
from app.extensions import Extensions
from app.request import parse
from app.settings import Settings
from app.work import Picture
from tests.engine.families import stock

ID = "0" * 64
MASK = Image.new("L", (64, 64))
MASK.paste(255, (16, 16, 48, 48))
GIVEN = {"image": Image.fromarray(stock.pixels()), "mask": MASK, "depth_map": Image.linear_gradient("L").resize((50, 70))}
LAYER = "lora_unet_mid_block_resnets_0_conv1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    root = tmp_path_factory.mktemp("families")
    for family in FAMILIES:
        stock.folder(root / family, family)
    (root / "loras").mkdir()
    generator = torch.Generator().manual_seed(1)
    parts = {"lora_down.weight": torch.randn(2, 64, 3, 3, generator=generator), "lora_up.weight": torch.randn(64, 2, 1, 1, generator=generator)}
    save_file({f"{LAYER}.{name}": tensor for name, tensor in parts.items()}, root / "loras" / "style.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    vectors = {"clip_l": torch.randn(2, stock.WIDTHS["l"], generator=generator), "clip_g": torch.randn(2, stock.WIDTHS["g"], generator=generator)}
    save_file(vectors, root / "loras" / "dusk.safetensors")
    own, none = (root / "loras",), (root / "none",)
    settings = Settings(root=root, checkpoint_dirs=(root,), vae_dirs=none, lora_dirs=own, embedding_dirs=own, cpu_parts=frozenset({"all"}))
    return Engine(settings, Shelf(settings), Extensions())


def paint(engine: Engine, checkpoint: str, task: str = "txt2img", **values: Any) -> list[Picture]:
    own = {"txt2img": {}, "img2img": {"image": ID}, "inpaint": {"image": ID, "mask": ID}, "outpaint": {"image": ID, "left": 16, "right": 0}}[task]
    size = {} if task == "outpaint" else {"width": 64, "height": 64}
    plain = {"task": task, "prompt": "a (cat:1.2)", "negative_prompt": "night", "steps": 2, "seed": 5, "sampler": "Euler a", "checkpoint": checkpoint}
    request = parse(plain | size | own | values)
    return list(engine.run(request, {name: GIVEN[name] for name in request.picture_fields()}, lambda progress: None))


def pixels(picture: Picture) -> bytes:
    assert np.asarray(picture.image).std() > 0
    return picture.image.tobytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_its_single_pictures(engine: Engine, family: str) -> None:
    values: dict[str, Any] = {"task": "img2img", "denoising_strength": 1.0, "depth_map": ID} if FAMILIES[family].over_picture else {}
    both = paint(engine, family, batch_size=2, **values)
    assert [pixels(picture) for picture in both] == [pixels(paint(engine, family, seed=5 + i, **values)[0]) for i in range(2)]
    assert pixels(both[0]) != pixels(both[1]) != pixels(paint(engine, family, seed=6, negative_prompt="", **values)[0])
    assert both[0].facts["Model"] == family and both[0].facts.get("Image CFG scale") == ("1.5" if family.endswith("ip2p") else None)


@pytest.mark.parametrize("family", ["sd1-inpaint", "sd1-ip2p", "sd2-inpaint", "sdxl-inpaint", "sdxl-ip2p"])
def test_what_is_not_masked_stays_and_outpaint_goes_through(engine: Engine, family: str) -> None:
    (picture,) = paint(engine, family, "inpaint", mask_blur=0)
    kept = np.asarray(MASK) == 0
    assert np.array_equal(np.asarray(picture.image)[kept], stock.pixels()[kept]) and pixels(picture) != GIVEN["image"].tobytes()
    (wide,) = paint(engine, family, "outpaint", coherence="Fast")
    assert wide.image.size == (80, 64)


def test_the_picture_and_its_guidance_have_a_say(engine: Engine) -> None:
    first = pixels(paint(engine, "sd1-ip2p", "img2img", denoising_strength=1.0)[0])
    assert len({first, *(pixels(paint(engine, "sd1-ip2p", "img2img", denoising_strength=1.0, image_cfg_scale=scale)[0]) for scale in (1.0, 3.0))}) == 3


def test_depth_needs_a_map_or_an_estimator_and_editing_a_picture(engine: Engine) -> None:
    with pytest.raises(BadRequest, match="has no network that estimates it"):
        paint(engine, "sd2-depth", "img2img")
    with pytest.raises(BadRequest, match="paints over a picture and needs one"):
        paint(engine, "sdxl-ip2p")


# ---- with each other


def test_the_refiner_goes_on_with_sdxls_latents_and_leaves_its_loras_alone(engine: Engine) -> None:
    calls: list[str] = []
    watched = {name: engine.acquire(name).placement.networks["unet"] for name in ("sdxl", "sdxl-refiner")}
    handles = [unet.register_forward_pre_hook(lambda module, given, name=name: calls.append(name)) for name, unet in watched.items()]
    plain = pixels(paint(engine, "sdxl", refiner_checkpoint="sdxl-refiner", refiner_switch_at=0.5)[0])
    (styled,) = paint(engine, "sdxl", refiner_checkpoint="sdxl-refiner", refiner_switch_at=0.5, prompt="a (cat:1.2)<lora:style:1>")
    for handle in handles:
        handle.remove()
    assert calls == ["sdxl", "sdxl-refiner"] * 2 and pixels(styled) != plain and styled.facts["Refiner"].startswith("sdxl-refiner")
    assert pixels(paint(engine, "sdxl", refiner_checkpoint="sdxl-refiner", refiner_switch_at=0.5)[0]) == plain


def test_a_refiner_that_inpaints_is_told_the_mask_too(engine: Engine) -> None:
    given: list[Tensor] = []
    unet = engine.acquire("sdxl-inpaint").placement.networks["unet"]
    handle = unet.register_forward_pre_hook(lambda module, x: given.append(x[0].clone()))
    paint(engine, "sdxl", "inpaint", refiner_checkpoint="sdxl-inpaint", refiner_switch_at=0.5, denoising_strength=1.0)
    handle.remove()
    assert given and all(x.shape[1] == 9 and 0 < x[:, 4].mean() < 1 for x in given)


def test_a_second_pass_of_another_family_takes_pixels(engine: Engine) -> None:
    values = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "hr_checkpoint": "sdxl", "denoising_strength": 0.6}
    (picture,) = paint(engine, "sd1", **values)
    assert picture.image.size == (96, 96) and picture.facts["Hires checkpoint"].startswith("sdxl [")


def test_a_word_for_both_text_encoders(engine: Engine) -> None:
    plain, (said,), (unknown,) = paint(engine, "sdxl")[0], paint(engine, "sdxl", prompt="a dusk"), paint(engine, "sd1", prompt="a dusk")
    assert pixels(said) != pixels(plain) and said.facts["TI hashes"].startswith("dusk: ") and "TI hashes" not in unknown.facts

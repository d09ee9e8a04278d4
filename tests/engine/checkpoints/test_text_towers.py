"""Text encoders in all layouts, from the checkpoint and from files of their own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.engine.checkpoints.networks import Parts, TextTower
from app.engine.checkpoints.recognise import inspect_file, inspect_folder, inspect_text_folder
from app.engine.checkpoints.text_towers import blank_texts
from app.errors import BadCheckpoint
from tests.layouts import fill
from tests.layouts.fill import Made, Weights

L, G, H = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model.", "cond_stage_model.model."


@pytest.fixture(scope="module")
def sdxl() -> Made:
    return fill.weights("sdxl", shallow=True)


@pytest.fixture(scope="module")
def sd2() -> Made:
    return fill.weights("sd2", shallow=True)


@pytest.fixture(scope="module")
def bare(sdxl: Made, sd2: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints that hold a UNet alone."""
    folder = tmp_path_factory.mktemp("bare")
    return {made.family: fill.single(folder / f"{made.family}.safetensors", made, torch.float16, text=False, own_vae=False) for made in (sdxl, sd2)}


def texts(path: Path, *sources: Path) -> tuple[TextTower, ...]:
    file = inspect_folder(path, path.name) if path.is_dir() else inspect_file(path, path.stem, "checkpoint")
    others = [inspect_text_folder(source, source.name) if source.is_dir() else inspect_file(source, source.stem, "text encoder") for source in sources]
    return tuple(tower.filled() for tower in blank_texts(file, Parts(None, *others), torch.float16))


def holds(tower: TextTower, weights: Weights, layers: int = 99) -> bool:
    """Whether a text encoder has these weights (transformers' classic names), all but the layers from `layers` on."""
    own = {name.removeprefix("text_model."): value for name, value in tower.network.state_dict().items()}
    wanted = {name.removeprefix("text_model."): value.half() for name, value in weights.items()}
    wanted = {name: value for name, value in wanted.items() if not (name.startswith("encoder.layers.") and int(name.split(".")[2]) >= layers)}
    return own.keys() == wanted.keys() and all(torch.equal(own[name], wanted[name]) for name in own)


def test_layouts_of_clip_l_and_openclip_g(sdxl: Made, bare: dict[str, Path], tmp_path: Path) -> None:
    first, second = sdxl.texts["text_encoder"], sdxl.texts["text_encoder_2"]
    prefixes = {"hf": "text_model.", "flat": "", "comfy": "clip_l.transformer.text_model."}
    one = {name: fill.huggingface(first, prefix) for name, prefix in prefixes.items()}
    two = {"hf": second, "openclip": fill.openclip(second, ""), "comfy": fill.huggingface(second, "clip_g.transformer.text_model.")}
    ones = {name: fill.save(tmp_path / f"l-{name}.safetensors", weights, torch.float16) for name, weights in one.items()}
    twos = {name: fill.save(tmp_path / f"g-{name}.safetensors", weights, torch.float16) for name, weights in two.items()}
    for left, right in (("hf", "hf"), ("flat", "openclip"), ("comfy", "comfy")):
        for pair in ((ones[left], twos[right]), (twos[right], ones[left])):
            found = texts(bare["sdxl"], *pair)
            assert [(tower.name, tower.kind) for tower in found] == [("text_encoder", "clip-l"), ("text_encoder_2", "openclip-g")]
            assert holds(found[0], first) and holds(found[1], second)
    acts = [tower.network.config.hidden_act for tower in found]
    assert acts == ["quick_gelu", "gelu"] and found[1].network.config.projection_dim == 64


def test_both_in_one_file_and_in_another_checkpoint(sdxl: Made, bare: dict[str, Path], tmp_path: Path) -> None:
    pair = {name: value for name, value in fill.ldm(sdxl).items() if name.startswith("conditioner.")}
    both = fill.save(tmp_path / "both.safetensors", pair, torch.float16)
    whole = fill.single(tmp_path / "whole.safetensors", sdxl, torch.float16)
    for source in (both, whole):
        found = texts(bare["sdxl"], source)
        assert holds(found[0], sdxl.texts["text_encoder"]) and holds(found[1], sdxl.texts["text_encoder_2"])


def test_one_chosen_text_encoder_leaves_the_other_as_it_is(sdxl: Made, tmp_path: Path) -> None:
    whole = fill.single(tmp_path / "whole.safetensors", sdxl, torch.float16)
    other = fill.weights("sd1", 5, shallow=True).texts["text_encoder"]
    found = texts(whole, fill.save(tmp_path / "clip.safetensors", other, torch.float16))
    assert holds(found[0], other) and holds(found[1], sdxl.texts["text_encoder_2"])


def test_openclip_h_is_read_without_its_last_layer(sd2: Made, bare: dict[str, Path], tmp_path: Path) -> None:
    text = sd2.texts["text_encoder"]
    cut = {name: value for name, value in text.items() if ".layers.2." not in name}
    projected = text | {"text_projection.weight": torch.eye(64)}
    layouts = {"openclip": fill.openclip(text, ""), "in a checkpoint": fill.openclip(text, H), "hf": cut, "hf, all layers": projected}
    for name, weights in layouts.items():
        found = texts(bare["sd2"], fill.save(tmp_path / f"{name}.safetensors", weights, torch.float16))
        assert [tower.kind for tower in found] == ["openclip-h"] and holds(found[0], text, layers=2), name
    assert found[0].network.config.hidden_act == "gelu"


def test_old_names_and_a_folder_of_its_own(tmp_path: Path) -> None:
    sd1 = fill.weights("sd1", shallow=True)
    text = sd1.texts["text_encoder"]
    old = fill.ldm(sd1, text=False) | fill.huggingface(text, "cond_stage_model.transformer.")
    assert holds(texts(fill.save(tmp_path / "old.safetensors", old, torch.float16))[0], text)
    folder = fill.folder(tmp_path / "folder", sd1, torch.float16)
    bare = fill.single(tmp_path / "bare.safetensors", sd1, torch.float16, text=False)
    assert holds(texts(bare, folder / "text_encoder")[0], text) and holds(texts(bare, tmp_path / "old.safetensors")[0], text)


def test_what_is_missing_or_of_another_kind_is_named(sdxl: Made, sd2: Made, bare: dict[str, Path], tmp_path: Path) -> None:
    clip = fill.save(tmp_path / "clip.safetensors", sdxl.texts["text_encoder"], torch.float16)
    with pytest.raises(BadCheckpoint, match=r"^'sd2.safetensors' has no text encoder; it reads OpenCLIP-H\. Choose one in the field Text encoder\.$"):
        texts(bare["sd2"])
    with pytest.raises(BadCheckpoint, match=r"^'sdxl.safetensors' has no text encoder; it reads CLIP-L and OpenCLIP-G\."):
        texts(bare["sdxl"])
    with pytest.raises(BadCheckpoint, match=r"^'sdxl.safetensors' has no text encoder of the kind OpenCLIP-G; it reads CLIP-L and OpenCLIP-G\."):
        texts(bare["sdxl"], clip)
    wide = sdxl.texts["text_encoder"] | {"text_model.embeddings.token_embedding.weight": torch.zeros(49408, 1280)}
    with pytest.raises(BadCheckpoint, match=r"^'wide' holds OpenCLIP-G, but 'sd2' reads OpenCLIP-H\. Choose another one"):
        texts(bare["sd2"], fill.save(tmp_path / "wide.safetensors", wide, torch.float16))
    vae = fill.save(tmp_path / "vae.safetensors", sd2.vae[0], torch.float16)
    with pytest.raises(BadCheckpoint, match=r"^'vae' holds no text encoder, but 'sd2' reads OpenCLIP-H\."):
        texts(bare["sd2"], vae)


def test_the_words_of_a_folder_are_its_own(sdxl: Made, tmp_path: Path) -> None:
    folder = fill.folder(tmp_path / "x", sdxl, torch.float16)
    found = texts(folder)
    assert len(found[0].vocabulary) == len(found[1].vocabulary) == 49408
    file = replace(inspect_folder(folder, "x"), problem="")
    (folder / "text_encoder_2" / "model.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match=r"'x/text_encoder_2' has no \.safetensors file with weights"):
        blank_texts(file, Parts(), torch.float16)

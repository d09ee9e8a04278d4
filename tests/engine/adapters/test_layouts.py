"""Files in the real key layouts of every family and trainer find all their layers; no number is needed for that."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import app.engine  # noqa: F401  (keeps the libraries offline)
from app.engine.adapters import plan
from app.engine.adapters.names import understood
from app.engine.adapters.places import Places
from app.engine.checkpoints.header import Header, ModelFile, Tensor
from app.errors import BadCheckpoint
from tests.layouts import checkpoints, clip, loras, unet

FAMILIES = ("sd1", "sd2", "sdxl", "sdxl-refiner")


def networks(family):
    """The family's networks at small widths, with all their layers and without numbers."""
    layout = checkpoints.layout(family)
    with torch.device("meta"):
        found = {"unet": UNet2DConditionModel.from_config(unet.config(layout.unet))}
        for name, (text, *_) in layout.texts.items():
            config = CLIPTextConfig(**{key: value for key, value in clip.config(text).items() if key not in ("architectures", "model_type")})
            found[name] = (CLIPTextModelWithProjection if name == "text_encoder_2" else CLIPTextModel)(config)
    return found


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    made = networks(request.param)
    return request.param, made, Places(made)


def layers(monkeypatch, model, shapes):
    header = Header({name: Tensor("F16", shape, 0, 0) for name, shape in shapes.items()}, {})
    monkeypatch.setattr(plan, "header_of", lambda path: header)
    file = ModelFile("x", Path("x.safetensors"), "lora", model[0], "", 0, 512)
    return plan.layers_of(file, model[2], model[1], "small")


def test_every_layer_of_every_form_is_found(model, monkeypatch):
    for form in loras.FORMS if model[0] == "sd1" else ("locon",):
        shapes = loras.kohya(model[0], form, small=True)
        found = layers(monkeypatch, model, shapes)
        assert len(found) == len({name.partition(".")[0] for name in shapes}), form
        assert {layer.place.network for layer in found} == set(model[1])
        assert {name for layer in found for name in layer.names.values()} == set(shapes)


def test_names_of_diffusers_of_today_and_of_2023(model, monkeypatch):
    for shapes in (loras.peft(model[0], small=True), loras.peft(model[0], small=True, prefix="base_model.model."), loras.old_diffusers(model[0], small=True)):
        found = layers(monkeypatch, model, shapes)
        assert len(found) == len({understood(name).layer for name in shapes}) and {layer.method.name for layer in found} == {"LoRA"}


def test_ldms_and_diffusers_names_are_the_same_places(model, monkeypatch):
    places = [
        {layer.place for layer in layers(monkeypatch, model, {f"{name}.diff": shape for name, shape in loras.layers(model[0], True, ldm=ldm).items()})}
        for ldm in (False, True)
    ]
    assert places[0] == places[1]


def test_networks_of_other_families_name_layers_that_are_not_there(model, monkeypatch):
    for family in {"sd1", "sdxl"} - {model[0]}:
        with pytest.raises(BadCheckpoint, match="does not fit 'small'"):
            layers(monkeypatch, model, loras.kohya(family, small=False))

"""Graphs of ComfyUI: followed from the saved picture to what made it."""

import copy
from typing import Any

import pytest

from app.foreign import comfyui
from tests.foreign.chunks import COMFY, WORKFLOW


def read(graph: Any = None, **chunks: Any) -> tuple[dict[str, Any], list[str]]:
    import json

    found = comfyui.read({name: json.dumps(value) for name, value in ({"prompt": graph} if graph is not None else chunks).items()})
    assert found is not None
    return found


def changed(*removed: str, **nodes: Any) -> dict[str, Any]:
    graph = copy.deepcopy(COMFY) | {name.removeprefix("n"): node for name, node in nodes.items()}
    return {name: node for name, node in graph.items() if name not in removed}


def test_the_first_example() -> None:
    fields, notes = read(COMFY)
    assert fields == {
        "task": "txt2img", "prompt": "a lighthouse, easy <lora:ink:0.5:0.8> <lora:sub/fast:1>", "negative_prompt": "fog", "steps": 25, "cfg_scale": 6.5,
        "seed": 156680208700286, "sampler": "DPM++ 2M SDE", "schedule": "Karras", "width": 512, "height": 768, "checkpoint": "sd15/dreamshaper_8",
        "vae": "mse-840000", "clip_skip": 2, "rng": "CPU",
    }  # fmt: skip
    assert notes == []


def test_the_page_saves_another_form() -> None:
    fields, notes = read(workflow=WORKFLOW)
    assert fields == {
        "task": "txt2img", "prompt": "a boat", "negative_prompt": "rain", "steps": 20, "cfg_scale": 8, "seed": 42, "sampler": "Euler a", "schedule": "Normal",
        "width": 640, "height": 512, "checkpoint": "v1-5", "rng": "CPU",
    }  # fmt: skip
    assert notes == []


def test_the_prompt_chunk_wins() -> None:
    assert read(prompt=COMFY, workflow=WORKFLOW)[0]["seed"] == COMFY["3"]["inputs"]["seed"]


def test_of_several_samplers_the_one_before_the_picture() -> None:
    second = {"class_type": "KSampler", "inputs": {**COMFY["3"]["inputs"], "seed": 7, "steps": 12, "denoise": 0.5, "latent_image": ["20", 0]}}
    larger = {"class_type": "LatentUpscaleBy", "inputs": {"upscale_method": "nearest-exact", "scale_by": 1.5, "samples": ["3", 0]}}
    saved = {"class_type": "VAEDecode", "inputs": {"samples": ["21", 0], "vae": ["4", 2]}}
    fields, notes = read(changed(n20=larger, n21=second, n8=saved))
    assert (fields["seed"], fields["steps"], fields["width"], fields["height"]) == (7, 12, 768, 1152)
    assert "vae" not in fields and "denoising_strength" not in fields and "several passes" in notes[0]


def test_a_preview_of_the_first_pass_does_not_count() -> None:
    preview = {"class_type": "PreviewImage", "inputs": {"images": ["31", 0]}}
    early = {"class_type": "VAEDecode", "inputs": {"samples": ["32", 0], "vae": ["4", 2]}}
    other = {"class_type": "KSampler", "inputs": {**COMFY["3"]["inputs"], "seed": 7}}
    assert read(changed(n30=preview, n31=early, n32=other))[0]["seed"] == COMFY["3"]["inputs"]["seed"]


def test_a_picture_as_the_beginning() -> None:
    load = {"class_type": "LoadImage", "inputs": {"image": "x.png", "upload": "image"}}
    encode = {"class_type": "VAEEncode", "inputs": {"pixels": ["40", 0], "vae": ["4", 2]}}
    sampler = {"class_type": "KSampler", "inputs": {**COMFY["3"]["inputs"], "denoise": 0.6, "latent_image": ["41", 0]}}
    fields, _ = read(changed(n40=load, n41=encode, n3=sampler))
    assert (fields["task"], fields["denoising_strength"], "width" in fields) == ("img2img", 0.6, False)


def test_a_sampler_in_parts() -> None:
    parts = {
        "n3": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["50", 0], "guider": ["51", 0], "sampler": ["52", 0], "sigmas": ["53", 0], "latent_image": ["5", 0]}},
        "n50": {"class_type": "RandomNoise", "inputs": {"noise_seed": 99}},
        "n51": {"class_type": "CFGGuider", "inputs": {"cfg": 3.5, "model": ["11", 0], "positive": ["6", 0], "negative": ["7", 0]}},
        "n52": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "n53": {"class_type": "BasicScheduler", "inputs": {"scheduler": "sgm_uniform", "steps": 9, "denoise": 1.0, "model": ["11", 0]}},
    }  # fmt: skip
    fields, notes = read(changed(**parts))
    assert (fields["seed"], fields["cfg_scale"], fields["sampler"], fields["schedule"], fields["steps"]) == (99, 3.5, "Euler", "SGM Uniform", 9)
    assert fields["prompt"].startswith("a lighthouse") and fields["negative_prompt"] == "fog" and fields["checkpoint"] == "sd15/dreamshaper_8" and not notes


def test_texts_and_seeds_that_come_over_links_and_a_control_picture_between() -> None:
    nodes = {
        "n60": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "a linked tower"}},
        "n61": {"class_type": "Seed (rgthree)", "inputs": {"seed": 1234}},
        "n62": {"class_type": "ControlNetApplyAdvanced", "inputs": {
            "strength": 1.0, "positive": ["6", 0], "negative": ["7", 0], "control_net": ["70", 0], "image": ["71", 0]}},
        "n6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["60", 0], "clip": ["4", 1]}},
        "n3": {"class_type": "KSampler", "inputs": {**COMFY["3"]["inputs"],
               "seed": ["61", 0], "positive": ["62", 0], "negative": ["62", 1], "model": ["4", 0]}},
    }  # fmt: skip
    fields, _ = read(changed(**nodes))
    assert (fields["prompt"], fields["negative_prompt"], fields["seed"]) == ("a linked tower", "fog", 1234)


def test_a_sampler_that_we_do_not_have_is_named() -> None:
    sampler = {"class_type": "KSampler", "inputs": {**COMFY["3"]["inputs"], "sampler_name": "gradient_estimation", "scheduler": "linear_quadratic"}}
    fields, notes = read(changed(n3=sampler))
    assert "sampler" not in fields and "schedule" not in fields and fields["steps"] == 25
    assert notes == ["Darkroom has no sampler 'gradient_estimation'.", "Darkroom has no schedule 'linear_quadratic'."]


ODD: dict[str, Any] = {
    "rings": {"1": {"class_type": "KSampler", "inputs": {
        "latent_image": ["1", 0], "positive": ["1", 0], "model": ["1", 0], "steps": ["1", 0], "seed": ["2", 0]}},
              "2": {"class_type": "X", "inputs": {"a": ["2", 0]}}, "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}},
    "nothing at the ends": {"1": {"class_type": "KSampler", "inputs": {"latent_image": ["9", 0], "positive": ["8", 0], "sampler_name": ["7", 0]}}},
    "no sampler": {"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}},
    "wrong kinds": {"1": {"class_type": "KSampler", "inputs": {
        "latent_image": ["2", 0], "positive": ["3", 0], "steps": {}, "cfg": [], "seed": None, "sampler_name": 7}},
                    "2": {"class_type": "EmptyLatentImage", "inputs": {"width": "x", "height": [1, 2, 3], "scale_by": 1e300}},
                    "3": {"class_type": [], "inputs": 7}},
    "a long chain": {str(n): {"class_type": "KSampler", "inputs": {"latent_image": [str(n + 1), 0], "positive": [str(n + 1), 0]}} for n in range(5000)},
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_graphs_end(name: str) -> None:
    fields, notes = read(ODD[name])
    assert isinstance(fields, dict) and all(isinstance(note, str) for note in notes)


@pytest.mark.parametrize("workflow", [
    {"nodes": 7}, {"nodes": [None, 7, {"type": "KSampler", "id": {}}], "links": [None, [1], [{}, 2, 3], 7]},
    {"nodes": [{"type": "KSampler", "id": 1, "inputs": [None, {"link": {}}, {"link": 1, "name": 7}], "widgets_values": [1]}], "links": [[1, 1, 0, 1, 0, "X"]]},
])  # fmt: skip
def test_odd_workflows_end(workflow: Any) -> None:
    import json

    found = comfyui.read({"workflow": json.dumps(workflow)})
    assert found is None or isinstance(found[0], dict)


def test_other_texts_are_not_a_graph() -> None:
    for text in ("a prompt", "", "[1, 2]", "{}", '{"1": 2}', '{"prompt": "x"}'):
        assert comfyui.read({"prompt": text}) is None

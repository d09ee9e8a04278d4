"""Older versions of A1111's text, and its relatives', read as today's."""

import json

import pytest

from app import dialects, infotext, parameters
from app.request import Inpaint, Txt2Img, parse

END = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768"


def filled(line: str, task: str = "txt2img", prompt: str = "cat") -> dict[str, object]:
    return infotext.to_request(f"{prompt}\n{line}", task)


def test_dynamic_prompts_leaves_its_templates_behind_the_parameters() -> None:
    text = f"a red cat\nNegative prompt: blur\n{END}\nTemplate: a {{red|blue}} cat\nwith, three: pairs, a: b, c: d\nNegative Template: blur"
    values = infotext.to_request(text)
    assert (values["prompt"], values["negative_prompt"], values["steps"], values["height"]) == ("a red cat", "blur", 20, 768)


def test_a_template_within_the_prompt_stays_there() -> None:
    assert infotext.to_request(f"Template: cat\n{END}")["prompt"] == "Template: cat"
    assert infotext.to_request(f"Steps: many\nTemplate: cat\n{END}")["prompt"] == "Steps: many\nTemplate: cat"


@pytest.mark.parametrize("prompt", ["cat\nSteps: 3 of stone, style: old, mood: dark, light: low\nmore", "Steps: 20, Sampler: Euler, Seed: 1\nstill the prompt"])
def test_steps_in_the_prompt_stay_there(prompt: str) -> None:
    values = infotext.to_request(f"{prompt}\nNegative prompt: a, b: c\n{END}")
    assert values["prompt"] == prompt and values["negative_prompt"] == "a, b: c" and values["seed"] == 5


@pytest.mark.parametrize("raw", ['{"vae": "735e4c3a44", "model": "e6bb9ea85b", "lora:x": "1, 2"}', '[{"type": "checkpoint", "id": 7}, {"a": [1, 2]}]', "{}"])
def test_bare_json_is_one_value(raw: str) -> None:
    info = parameters.parse(dialects.tidy(f"cat\n{END}, Hashes: {raw}, Clip skip: 2"), strict=True)
    assert info.fields["Hashes"] == raw and info.fields["Clip skip"] == "2" and set(info.fields) >= {"Size-1", "Seed"}
    assert json.loads(info.fields["Hashes"]) == json.loads(raw)


def test_broken_json_harms_nothing_else() -> None:
    assert filled('Steps: 20, Hashes: {"a": , Seed: 5, Sampler: Euler')["seed"] == 5


def test_clipboards() -> None:
    values = infotext.to_request(f"\ufeffparameters\r\n\r\ncat,\r\non a mat\r\nNegative prompt: dog\r\nrat\r\n{END}\r\n")
    assert (values["prompt"], values["negative_prompt"], values["seed"]) == ("cat,\non a mat", "dog\nrat", 5)


def test_sdnext_and_forge_call_things_otherwise() -> None:
    values = filled("Steps: 20, Sampler: Euler a, Seed: 5, Size: 512x512, CLiP-skip: 2, Cfg Scale: 6, Module 1: ae.safetensors, App: SD.Next")
    assert (values["clip_skip"], values["cfg_scale"], values["vae"]) == (2, 6.0, "ae")


def test_a_key_of_its_own_wins_over_another_name_for_it() -> None:
    assert filled(f"{END}, VAE: one.pt, Module 1: two.safetensors")["vae"] == "one"


def test_fooocus_in_a1111s_scheme() -> None:
    line = "Steps: 30, Sampler: DPM++ 2M SDE, Scheduler: karras, CFG scale: 4, Size: 1152x896, Sharpness: 2, ADM Guidance: \"(1.5, 0.8, 0.3)\", Model: jugger"
    found = infotext.fill(f"cat\n{line}")
    assert (found.values["schedule"], found.values["width"], found.values["checkpoint"]) == ("karras", 1152, "jugger")
    assert found.notes == ("Darkroom does not use Sharpness and ADM Guidance.",)


@pytest.mark.parametrize(
    ("line", "size", "hires"),
    [("Size: 1024x768, First pass size: 512x384", (512, 384), (1024, 768)), ("Size: 1024x1024, First pass size: 0x0", (512, 512), (1024, 1024)),
     ("Size: 1024x512, First pass size: 0x0", (768, 384), (1024, 512))],
)  # fmt: skip
def test_the_hires_pass_of_the_first_versions(line: str, size: tuple[int, int], hires: tuple[int, int]) -> None:
    fields = dialects.modern(parameters.parse(f"cat\nSteps: 20, Sampler: Euler, {line}").fields)
    assert (int(fields["Size-1"]), int(fields["Size-2"])) == size
    assert (int(fields["Hires resize-1"]), int(fields["Hires resize-2"])) == hires
    assert not any(key.startswith("First") for key in fields)


def test_what_is_not_used_is_one_sentence_and_what_is_out_of_range_is_named() -> None:
    found = infotext.fill(f"cat\n{END}, Clip skip: 99, Hypernet: old, ControlNet 0: \"a, b\", Model hash: 6ce0161689, Version: v1.10.1")
    assert found.values["seed"] == 5 and "clip_skip" not in found.values
    assert found.notes == ("Clip skip (clip_skip) is '99', but it must be a whole number from 1 to 12.", "Darkroom does not use Hypernet and ControlNet 0.")
    assert infotext.listed([f"k{number}" for number in range(10)]).endswith("k7 and 2 more")


def test_a_text_of_today_stays_as_it_is() -> None:
    for request in (Txt2Img(prompt="a {b|c}\n[d]", negative_prompt="{x}", seed=3), Inpaint(prompt="x", seed=3, image="0" * 64, mask="0" * 64)):
        text = infotext.write(request, {"Model": "a, b: {c}", "Lora hashes": "a: b, c: d"}, 0)
        assert dialects.tidy(text) == text
        fields = parameters.parse(text, strict=True).fields
        assert dialects.modern(fields) == fields


HOSTILE = ["", "\n", "Steps: " * 9000, "Steps:1, " + "a: {" * 16_000, "Steps: 1, a: " + "[" * 60_000, "Template:\n" * 6000,
           "Steps: 1,\nTemplate:\n" * 3000,
           "Steps: 1, First pass size: 99999999999999x1, Size: 1x99999999999999, Sampler: x"]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_tidied_too(text: str) -> None:
    assert parse(infotext.to_request(text)).task == "txt2img"

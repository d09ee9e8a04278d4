"""The handler behind "What the model reads": values of a tab in, the reading of both prompts out, as plain data for the script."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from app.engine.prompt.chunks import Reading
from app.engine.prompt.grammar import LORA_KINDS, Network
from app.engine.prompt.reading import read_prompt
from app.errors import StudioError
from app.names import fitting_lora
from app.request import Request, Txt2Img, parse
from app.studio import Studio
from app.ui.handler import given

HIRES = ("enable_hr", "hr_second_pass_steps", "hr_sampler", "hr_prompt", "hr_negative_prompt", "hr_cfg")
FIELDS = frozenset(Request.model_fields) | set(HIRES)


def prompt_reader(studio: Studio) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function that the page calls: {"prompt": ..., "negative_prompt": ...}, the same with "hr_" in front for a second pass, or {"error": a sentence}."""

    def read(values: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(values, dict):
            return {"error": "The fields of the tab did not arrive."}
        try:
            return reading_of(studio, values)
        except StudioError as error:
            return {"error": str(error)}

    return read


def reading_of(studio: Studio, values: Mapping[str, Any]) -> dict[str, Any]:
    """How the chosen checkpoint reads the prompts of a tab, styles applied and wildcards drawn as for the first picture.

    Args:
        values: fields of a request by name; those that not every painting task has are left out.

    Raises:
        BadRequest, UnknownName, BadCheckpoint
    """
    request = parse({"task": "txt2img", **{name: value for name, value in given(dict(values)).items() if name in FIELDS}})
    assert isinstance(request, Txt2Img)
    seedless = request.wildcards and request.seed < 0
    styled = studio.styles.apply(request.model_copy(update={"seed": max(0, request.seed)}))
    shown, templates = next(studio.wildcards.pictures(styled))
    file, options = studio.shelf.checkpoint(request.checkpoint), Reading(request.clip_skip, request.emphasis, request.comma_backtrack)
    found: dict[str, Any] = {"checkpoint": file.name, "drawn": bool(templates) and ("seed 0" if seedless else f"seed {shown.seed}")}

    def read(text: str, negative: bool, hires: tuple[str, int] | None = None) -> dict[str, Any]:
        reading = read_prompt(
            file, text, studio.shelf.embeddings(), options, sampler=request.sampler, steps=request.steps, hires=hires, composes=not negative
        )
        return asdict(reading) | {"networks": [] if negative else [network_row(studio, network, request) for network in reading.networks]}

    found["prompt"], found["negative_prompt"] = read(shown.prompt, False), read(shown.negative_prompt, True)
    found["negative_prompt"]["unread"] = unread(request.cfg_scale, found["prompt"])
    if request.enable_hr:
        hires = request.hr_sampler or request.sampler, request.hr_second_pass_steps or request.steps
        found["hr_prompt"] = read(shown.hr_prompt or shown.prompt, False, hires)
        found["hr_negative_prompt"] = read(shown.hr_negative_prompt or shown.negative_prompt, True, hires)
        found["hr_negative_prompt"]["unread"] = unread(request.hr_cfg or request.cfg_scale, found["hr_prompt"])
    return found


def unread(cfg_scale: float, prompt: Mapping[str, Any]) -> bool:
    """Whether the negative prompt has no say beside a prompt."""
    return cfg_scale == 1 and [part["weight"] for part in prompt["parts"]] == [1.0]


def network_row(studio: Studio, network: Network, request: Txt2Img) -> dict[str, Any]:
    """A LoRA tag, and what is wrong with it: there is no such file, it cannot be used, or not with the chosen checkpoint."""
    problem = ""
    if network.kind not in LORA_KINDS:
        problem = f"There is no kind of network '{network.kind}' here."
    else:
        try:
            fitting_lora(studio.shelf, network.name, request)
        except StudioError as error:
            problem = str(error)
    return {"name": network.name, "te": network.te, "unet": network.unet, "blocks": network.blocks, "steps": _steps(network), "problem": problem}


def _steps(network: Network) -> str:
    """The steps at which a network acts, as "3-9"; "" for all."""
    if network.start == 1 and network.stop is None:
        return ""
    return f"{network.start}-{'' if network.stop is None else network.stop - 1}"

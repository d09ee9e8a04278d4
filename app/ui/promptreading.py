"""The handler behind "What the model reads": values of a tab in, the reading of both prompts out, as plain data for the script."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from app.engine.checkpoints.header import ModelFile
from app.engine.prompt.chunks import Reading
from app.engine.prompt.grammar import LORA_KINDS, Network
from app.engine.prompt.reading import read_prompt
from app.errors import StudioError
from app.request import Request, Txt2Img, parse
from app.studio import Studio
from app.ui.handler import given

FIELDS = frozenset(Request.model_fields)


def prompt_reader(studio: Studio) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function that the page calls. It answers {"prompt": ..., "negative_prompt": ...}, or {"error": a sentence}."""

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
    for name in ("prompt", "negative_prompt"):
        reading = read_prompt(
            file, getattr(shown, name), studio.shelf.embeddings(), options, sampler=request.sampler, steps=request.steps, composes=name == "prompt"
        )
        found[name] = asdict(reading) | {"networks": [network_row(studio, network) for network in reading.networks] if name == "prompt" else []}
    found["negative_prompt"]["unread"] = request.cfg_scale == 1 and [part["weight"] for part in found["prompt"]["parts"]] == [1.0]
    return found


def network_row(studio: Studio, network: Network) -> dict[str, Any]:
    """A LoRA tag, and what is wrong with it: there is no such file, or it cannot be used."""
    problem = ""
    if network.kind not in LORA_KINDS:
        problem = f"There is no kind of network '{network.kind}' here."
    else:
        try:
            lora: ModelFile = studio.shelf.lora(network.name)
            problem = lora.problem
        except StudioError as error:
            problem = str(error)
    return {"name": network.name, "te": network.te, "unet": network.unet, "problem": problem}

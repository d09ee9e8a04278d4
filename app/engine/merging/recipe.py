"""What the header of a merged file says: its parents' metadata, put together, and how it was made. Torch-free.

`darkroom.merge` is ours: names, hashes and weights of the parents as JSON. `sd_merge_recipe` and `sd_merge_models` say the same in
the words of A1111, which shows them. `modelspec.*` follows the model metadata standard (sai_model_spec 1.0.0).
"""

import json
from collections.abc import Mapping
from typing import Any

from app.engine.checkpoints.describe import BASE_KEY
from app.engine.checkpoints.hashes import old_hash
from app.engine.merging.plan import Plan
from app.engine.merging.sources import Source

RECIPE_KEY = "darkroom.merge"
MAX_VALUE = 65536
"""Characters of a text in a parent's header beyond which it is not taken over."""
_OF_ONE_FILE = ("modelspec.hash_sha256", "modelspec.thumbnail", "modelspec.title", "modelspec.date", "modelspec.merged_from", "modelspec.description")
"""What is true of the parent alone."""
_JOINED = ("modelspec.license", "modelspec.author", "modelspec.trigger_phrase", "modelspec.tags")
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}


def metadata_of(plan: Plan, title: str, hashes: Mapping[str, str]) -> dict[str, str]:
    """All texts of the new header.

    Args:
        title: name of the new file.
        hashes: "A", "B", "C", "VAE" -> sha256 (hex) of the file.
    """
    a = plan.sources[0]
    found = _inherited(plan.sources) | {"format": "pt", "modelspec.sai_model_spec": "1.0.0", "modelspec.title": title}
    parents = [source for source in plan.sources if source.letter != "VAE"]
    if len(parents) > 1:
        found["modelspec.merged_from"] = ", ".join(source.file.name for source in parents)
    found["modelspec.description"] = f"{formula(plan)}."
    if a.file.prediction in _PREDICTIONS:
        found["modelspec.prediction_type"] = _PREDICTIONS[a.file.prediction]
    found.pop(BASE_KEY, None)
    if plan.base:
        found[BASE_KEY] = plan.base
        found.setdefault("modelspec.resolution", f"{a.file.native}x{a.file.native}")
    found[RECIPE_KEY] = _text(_recipe(plan, hashes))
    found["sd_merge_recipe"] = _text(_a1111(plan, title, hashes))
    found["sd_merge_models"] = _text(_models(parents, hashes))
    return found


def formula(plan: Plan) -> str:
    """How the result was made, for people: "anime * 0.7 + photo * 0.3, block weights GRAD_V, saved as fp16"."""
    request, names = plan.request, {source.letter: source.file.name for source in plan.sources}
    m = plan.weights.base
    match request.method:
        case "Weighted sum":
            said = f"{names['A']} * {1 - m:g} + {names['B']} * {m:g}"
        case "Add difference":
            said = f"{names['A']} + ({names['B']} - {names['C']}) * {m:g}"
        case _:
            said = names["A"]
    if plan.weights.blocks:
        said += f", block weights {request.blocks.strip()}"
    return said + (f", VAE {names['VAE']}" if "VAE" in names else "") + f", saved as {request.save_as}"


def _inherited(sources: tuple[Source, ...]) -> dict[str, str]:
    """A's texts, then what B has to say on matters on which A is silent. C is taken away, so it says nothing."""
    found: dict[str, str] = {}
    for source in sources:
        if source.letter not in ("A", "B"):
            continue
        for key, value in source.metadata.items():
            if len(value) > MAX_VALUE or len(key) > 200 or key in _OF_ONE_FILE or key.startswith(("sshs_", "sd_merge_", RECIPE_KEY)):
                continue
            if source.letter == "A" or key.startswith("modelspec."):
                joined = key in _JOINED and key in found and value not in found[key].split(", ")
                found[key] = f"{found[key]}, {value}" if joined else found.get(key, value)
    return found


def _recipe(plan: Plan, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Ours: enough to make the file again."""
    request = plan.request
    models = [{"role": source.letter, "name": source.file.name, "family": source.file.family, "sha256": hashes[source.letter]} for source in plan.sources]
    before = {source.letter: said for source in plan.sources if (said := _object(source.metadata.get(RECIPE_KEY, "")))}
    return {
        "version": 1, "method": request.method, "multiplier": plan.weights.base, "blocks": dict(plan.weights.blocks), "precision": request.save_as,
        "keep_ema": request.keep_ema, "models": models, **({"made_from": before} if before else {}),
    }  # fmt: skip


def _a1111(plan: Plan, title: str, hashes: Mapping[str, str]) -> dict[str, Any]:
    request, letters = plan.request, {source.letter: source for source in plan.sources}
    inputs = plan.sources[0].file.family
    return {
        "type": "webui", "primary_model_hash": hashes["A"], "secondary_model_hash": hashes.get("B"), "tertiary_model_hash": hashes.get("C"),
        "interp_method": request.method, "multiplier": plan.weights.base, "save_as_half": request.save_as == "fp16", "custom_name": title,
        "config_source": 0, "bake_in_vae": letters["VAE"].file.path.name if "VAE" in letters else "None",
        "discard_weights": "" if request.keep_ema else "model_ema",
        "is_inpainting": inputs.endswith("inpaint"), "is_instruct_pix2pix": inputs.endswith("ip2p"),
    }  # fmt: skip


def _models(parents: list[Source], hashes: Mapping[str, str]) -> dict[str, Any]:
    """A1111's table of the parents, and of theirs, by sha256."""
    found: dict[str, Any] = {}
    for source in parents:
        found |= _object(source.metadata.get("sd_merge_models", ""))
        own = _object(source.metadata.get("sd_merge_recipe", ""))
        found[hashes[source.letter]] = {"name": source.file.path.name, "legacy_hash": old_hash(source.file.weights[0]) or None, "sd_merge_recipe": own or None}
    return found


def _object(text: str) -> dict[str, Any]:
    """A JSON object out of a stranger's header; {} when it is none or far too long."""
    if len(text) > MAX_VALUE:
        return {}
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

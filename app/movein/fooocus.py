"""Fooocus: config.txt over the default preset, styles in sdxl_styles/, wildcards, and its dated outputs."""

from pathlib import Path
from typing import Any

from app.foreign import data, names
from app.movein.options import PAINTING
from app.movein.survey import Survey, child, said_path, subfolders

PATHS = {
    "path_checkpoints": ("checkpoint", "models/checkpoints"), "path_loras": ("lora", "models/loras"), "path_embeddings": ("embedding", "models/embeddings"),
    "path_vae": ("vae", "models/vae"), "path_upscale_models": ("upscaler", "models/upscale_models"), "path_wildcards": ("wildcards", "wildcards"),
    "path_outputs": ("outputs", "outputs"),
}  # fmt: skip
"""Key of config.txt -> kind, and the folder when it does not say."""
OLD_PATHS = {
    "modelfile_path": "path_checkpoints", "lorafile_path": "path_loras", "embeddings_path": "path_embeddings", "upscale_models_path": "path_upscale_models",
    "temp_outputs_path": "path_outputs",
}  # fmt: skip
"""Keys of user_path_config.txt, which came before."""
STEPS = {"Speed": 30, "Quality": 60}
FAST = ("Extreme Speed", "Lightning", "Hyper-SD")
OWN_STYLES = ("Fooocus V2", "Random Style")
"""Styles that are programs: a language model that writes on, and a choice by lot."""
LEFT = {
    "inpaint": "Fooocus' inpaint patch belongs to its own program.", "controlnet": "Darkroom has no ControlNet.",
    "prompt_expansion": "Darkroom expands no prompts.", "clip_vision": "Darkroom reads no pictures as prompts.",
    "vae_approx": "previews need none.", "sam": "Darkroom finds no objects.",
    "safety_checker": "Darkroom has no safety checker.",
}  # fmt: skip


def survey(root: Path, program: str) -> Survey:
    """What is in an installation. No error is raised for what cannot be read."""
    found = Survey(root, program)
    config = found.object(root / "user_path_config.txt")
    config = {OLD_PATHS.get(key, key): value for key, value in config.items()} | found.object(root / "config.txt")
    for key, (kind, usual) in PATHS.items():
        said = config.get(key)
        folders = [path for text in (said if isinstance(said, list) else [said]) if (path := said_path(root, text))]
        for folder in folders:
            found.add_said(kind, folder)
        if not any(folder.is_dir() for folder in folders):
            found.add(kind, child(root, usual))
    found.add_styles(*sorted((root / "sdxl_styles").glob("*.json")))
    found.styles = [path for path in found.styles if path.name != "samples.json"]
    _defaults(found, found.object(root / "presets/default.json") | config)
    presets = [path for path in (root / "presets").glob("*.json") if path.name != "default.json"]
    if presets:
        found.unused.append(f"{len(presets)} more preset{'s' if len(presets) > 1 else ''}: Darkroom begins with the one that Fooocus begins with, default.")
    used = {folder for listed in found.folders.values() for folder in listed}
    for folder in subfolders(child(root, "models")):
        if folder not in used:
            found.leave(folder, LEFT.get(folder.name, "Darkroom knows no use for it."))
    return found


def _defaults(found: Survey, config: dict[str, Any]) -> None:
    """First values of fields; LoRAs that are always on become tags behind the prompt."""
    notes: list[str] = []
    said = {key.removeprefix("default_"): value for key, value in config.items() if key.startswith("default_")}
    performance, steps = data.text(said.get("performance")), said.get("overwrite_step")
    common = {
        "checkpoint": data.model_name(said.get("model")),
        "vae": data.model_name(said.get("vae")),
        "refiner_checkpoint": (refiner := data.model_name(said.get("refiner"))),
        "refiner_switch_at": said.get("refiner_switch") if refiner else None,
        "cfg_scale": said.get("cfg_scale"),
        "sampler": names.sampler(data.text(said.get("sampler")), names.K_DIFFUSION, notes),
        "schedule": names.schedule(data.text(said.get("scheduler")), notes),
        "steps": steps if isinstance(steps, int) and steps > 0 else STEPS.get(performance),
        "clip_skip": said.get("clip_skip"),
        "negative_prompt": data.text(said.get("prompt_negative")),
        "styles": [style for style in _texts(said.get("styles")) if style not in OWN_STYLES],
        "prompt": data.with_loras(data.text(said.get("prompt")), _loras(said.get("loras"))),
        "rng": "CPU",
    }
    found.say(PAINTING, common)
    width, height = data.pair(data.text(said.get("aspect_ratio")).replace("*", "x")) or (None, None)
    found.say(("txt2img",), {"width": width, "height": height, "batch_count": said.get("image_number")})
    found.unused += notes
    if performance in FAST:
        found.unused.append(f"default_performance is '{performance}': put its LoRA, 4 to 8 steps and CFG 1 into a style or a prompt.")
    if programs := [style for style in _texts(said.get("styles")) if style in OWN_STYLES]:
        found.unused.append(f"{' and '.join(programs)}: Darkroom expands no prompts.")
    if said.get("sample_sharpness") not in (None, 2, 2.0):
        found.unused.append("default_sample_sharpness: Darkroom has no sharpness filter while sampling.")
    if said.get("output_format") not in (None, "png"):
        found.unused.append("default_output_format: pictures are saved as PNG, which holds their parameters losslessly.")


def _loras(listed: Any) -> list[str]:
    """[[on, name, weight], ...] or [[name, weight], ...] -> tags of those that are on."""
    rows = [row for row in listed if isinstance(row, list)] if isinstance(listed, list) else []
    rows = [row if len(row) == 3 else [True, *row] for row in rows if len(row) in (2, 3)]
    return [data.lora_tag(name, row[2]) for row in rows if row[0] is True and (name := data.model_name(row[1]))]


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []

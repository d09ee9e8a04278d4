"""InvokeAI: its models folder, whose files its database knows by other names, and its pictures."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from app.movein.survey import Survey, child, said_path, subfolders

BASES = ("sd-1", "sd-2", "sdxl", "sdxl-refiner", "any")
KINDS = {"main": "checkpoint", "lora": "lora", "vae": "vae", "embedding": "embedding", "clip_embed": "text encoder", "spandrel_image_to_image": "upscaler"}


def survey(root: Path, program: str) -> Survey:
    """What is in an installation. No error is raised for what cannot be read."""
    found = Survey(root, program)
    config = _config(found, root / "invokeai.yaml")
    models = said_path(root, config.get("models_dir")) or root / "models"
    outputs = said_path(root, config.get("outputs_dir") or config.get("outdir")) or root / "outputs"
    bases = [base for name in BASES if (base := child(models, name))]
    for base in bases:
        for folder in subfolders(base):
            if folder.name in KINDS:
                found.add(KINDS[folder.name], folder)
            else:
                found.leave(folder, "Darkroom knows no use for it.")
    if not bases:
        found.add("checkpoint", models)  # since version 6 each model lies in a folder of its own: the headers tell
    found.add("outputs", child(outputs, "images"))
    if (root / "databases/invokeai.db").is_file():
        found.unused.append("databases/invokeai.db: names, boards, workflows and style presets in it are InvokeAI's; models go by their file names here.")
    return found


def _config(found: Survey, path: Path) -> dict[str, Any]:
    """invokeai.yaml, flat as today or in the groups of version 3."""
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        found.unused.append(f"{path.name} cannot be read: {str(error).splitlines()[0][:100]}.")
        return {}
    flat: dict[str, Any] = {}
    for key, value in said.items() if isinstance(said, dict) else ():
        if key == "InvokeAI" and isinstance(value, dict):
            for group in value.values():
                flat |= group if isinstance(group, dict) else {}
        else:
            flat[str(key)] = value
    return flat

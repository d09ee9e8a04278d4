"""ComfyUI: its folders, and those that extra_model_paths.yaml names. Its workflows and nodes are another way of working."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from app.movein.survey import MAX_FILE, Survey, child, said_path, subfolders

KINDS = {
    "checkpoints": "checkpoint", "diffusion_models": "checkpoint", "unet": "checkpoint", "diffusers": "checkpoint", "loras": "lora", "vae": "vae",
    "text_encoders": "text encoder", "clip": "text encoder", "embeddings": "embedding", "upscale_models": "upscaler",
}  # fmt: skip
"""ComfyUI's name of a folder -> what it holds."""
LEFT = {
    "controlnet": "Darkroom has no ControlNet.", "t2i_adapter": "Darkroom has no such adapters.", "clip_vision": "Darkroom reads no pictures as prompts.",
    "style_models": "Darkroom has no style models.", "gligen": "Darkroom has no GLIGEN.", "hypernetworks": "Darkroom has no hypernetworks.",
    "photomaker": "Darkroom has no PhotoMaker.", "vae_approx": "previews need none.", "configs": "checkpoints say what they are.",
}  # fmt: skip
YAML = ("extra_model_paths.yaml", "extra_models_config.yaml")
NO_FOLDERS = ("base_path", "is_default", "download_model_base", "custom_nodes", "configs")


def survey(root: Path, program: str) -> Survey:
    """What is in an installation. No error is raised for what cannot be read."""
    found = Survey(root, program)
    models = child(root, "models") or root / "models"
    for name, kind in KINDS.items():
        found.add(kind, child(models, name))
    for name in YAML:
        _more(found, root / name)
    found.add("outputs", child(root, "output"))
    used = {folder for listed in found.folders.values() for folder in listed}
    for folder in subfolders(models):
        if folder not in used:
            found.leave(folder, LEFT.get(folder.name.lower(), "Darkroom knows no use for it."))
    if nodes := subfolders(child(root, "custom_nodes")):
        found.unused.append(f"{len(nodes)} custom node{'s' if len(nodes) > 1 else ''}: they are written for ComfyUI.")
    workflows = [path for place in ("user", "workflows") for path in (root / place).rglob("*.json") if "workflows" in path.parts]
    if workflows:
        many = "s" if len(workflows) > 1 else ""
        found.unused.append(f"{len(workflows)} workflow{many}: Darkroom has no graphs; drop a picture made with one on a tab instead.")
    return found


def _more(found: Survey, path: Path) -> None:
    """The folders that a file of extra paths names, section by section."""
    try:
        if not path.is_file():
            return
        if path.stat().st_size > MAX_FILE:
            raise ValueError("it is larger than 16 MB")
        said = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        found.unused.append(f"{path.name} cannot be read: {str(error).splitlines()[0][:100]}.")
        return
    for section in (said or {}).values() if isinstance(said, dict) else ():
        if isinstance(section, dict):
            _section(found, path.parent, section)


def _section(found: Survey, beside: Path, section: dict[Any, Any]) -> None:
    base = said_path(beside, str(section.get("base_path") or "")) or beside
    for name, value in section.items():
        if name in NO_FOLDERS or not isinstance(value, str):
            continue
        for line in filter(None, (line.strip() for line in value.splitlines())):
            folder = said_path(base, line)
            if folder and (kind := KINDS.get(str(name))):
                found.add_said(kind, folder)
            elif folder and folder.is_dir():
                found.leave(folder, LEFT.get(str(name), "Darkroom knows no use for it."))

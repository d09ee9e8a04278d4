"""AUTOMATIC1111's web UI, Forge and its relatives, and SD.Next: one layout with other places here and there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.movein import arguments, options
from app.movein.survey import Survey, child, said_path, subfolders

PLACES = {
    "checkpoint": ("Stable-diffusion", "Diffusers", "diffusion_models", "unet"), "lora": ("Lora", "LyCORIS"), "embedding": ("embeddings",), "vae": ("VAE",),
    "text encoder": ("text_encoder", "text_encoders", "Text-encoder", "CLIP"),
    "upscaler": ("ESRGAN", "RealESRGAN", "BSRGAN", "SwinIR", "DAT", "HAT", "ScuNET", "SCUNet", "OmniSR", "chaiNNer", "upscale_models"),
}  # fmt: skip
"""Kind -> folders in models/, in any case of their letters."""
FLAGS = {
    "checkpoint": ("ckpt-dir", "ckpt-dirs"), "lora": ("lora-dir", "lora-dirs", "lyco-dir", "lyco-dir-backcompat"), "embedding": ("embeddings-dir",),
    "vae": ("vae-dir", "vae-dirs"), "text encoder": ("text-encoder-dir", "text-encoder-dirs"),
    "upscaler": ("esrgan-models-path", "bsrgan-models-path", "realesrgan-models-path", "swinir-models-path", "dat-models-path", "scunet-models-path"),
}  # fmt: skip
"""Kind -> flags that name another folder."""
SETTINGS = {
    "checkpoint": ("ckpt_dir", "diffusers_dir", "unet_dir"), "lora": ("lora_dir", "lyco_dir"), "embedding": ("embeddings_dir",), "vae": ("vae_dir",),
    "text encoder": ("te_dir",), "wildcards": ("wildcards_dir",),
    "upscaler": ("esrgan_models_path", "bsrgan_models_path", "realesrgan_models_path", "swinir_models_path", "scunet_models_path"),
    "outputs": (
        "outdir_samples", "outdir_txt2img_samples", "outdir_img2img_samples", "outdir_control_samples", "outdir_extras_samples", "outdir_grids",
        "outdir_txt2img_grids", "outdir_img2img_grids", "outdir_control_grids",
    ),
}  # fmt: skip
"""Kind -> keys of config.json that name a folder; those of models are SD.Next's."""
OUTPUTS = (
    "txt2img-images", "img2img-images", "extras-images", "txt2img-grids", "img2img-grids", "text", "image", "control", "extras", "grids",
)  # fmt: skip
"""Folders in outputs/, A1111's and SD.Next's, when config.json does not say."""
LEFT = {
    "hypernetworks": "Darkroom has no hypernetworks.", "ControlNet": "Darkroom has no ControlNet.", "Codeformer": "Darkroom restores no faces.",
    "GFPGAN": "Darkroom restores no faces.", "LDSR": "LDSR is not an upscaler that spandrel knows.", "BLIP": "Darkroom describes no pictures.",
    "torch_deepdanbooru": "Darkroom describes no pictures.", "deepbooru": "Darkroom describes no pictures.", "VAE-approx": "previews need none.",
}  # fmt: skip
"""Folders in models/ that nothing here can use."""


def survey(root: Path, program: str) -> Survey:
    """What is in an installation. Nothing of it is run or changed; no error is raised for what cannot be read."""
    found = Survey(root, program)
    given = arguments.read(root)
    arguments.take(found, given)
    data = _said(root, given, "data-dir") or root
    config = found.object(_said(data, given, "ui-settings-file") or data / "config.json")
    models = _said(data, given, "models-dir", "model-ref") or said_path(data, config.get("models_dir")) or child(data, "models") or data / "models"
    for kind, flags in FLAGS.items():
        for text in (text for flag in flags for text in given.get(flag, ())):
            if folder := said_path(data, text):
                found.add_said(kind, folder)
    for kind, names in PLACES.items():
        found.add(kind, *(child(models, name) for name in names))
    found.add("embedding", child(data, "embeddings"))
    for kind, keys in SETTINGS.items():
        if kind != "outputs":
            found.add(kind, *(said_path(data, config.get(key)) for key in keys))
    _file_beside(found, data, given)
    _outputs(found, data, config)
    _styles(found, data, models, given, config)
    options.take(found, config, found.object(_said(data, given, "ui-config-file") or data / "ui-config.json"))
    _extensions(found, data)
    _rest(found, models)
    return found


def _said(root: Path, given: Mapping[str, list[str]], *flags: str) -> Path | None:
    """The path that one of the flags names."""
    return next((path for flag in flags for text in given.get(flag, ()) if (path := said_path(root, text))), None)


def _file_beside(found: Survey, data: Path, given: Mapping[str, list[str]]) -> None:
    """--ckpt and --vae-path name one file: its folder is looked through, and it is what forms begin with."""
    for flag, kind, field in (("ckpt", "checkpoint", "checkpoint"), ("vae-path", "vae", "vae")):
        if file := _said(data, given, flag):
            found.add_said(kind, file.parent)
            found.say(options.PAINTING, {field: file.stem})


def _outputs(found: Survey, data: Path, config: Mapping[str, Any]) -> None:
    said = [path for key in SETTINGS["outputs"] if (path := said_path(data, config.get(key)))]
    for path in said:
        if path.is_dir():
            found.add("outputs", path)
        elif path.is_absolute() and not path.is_relative_to(data):
            found.add_said("outputs", path)
    found.add("outputs", *(child(data, f"{top}/{name}") for top in ("outputs", "output") for name in OUTPUTS))
    every = found.folders["outputs"]
    found.folders["outputs"] = [path for path in every if not any(path != other and path.is_relative_to(other) for other in every)]
    if videos := child(data, "outputs/videos") or child(data, "outputs/video"):
        files = [path for path in videos.rglob("*") if path.suffix.lower() in (".mp4", ".mkv", ".webm")]
        found.leave(videos, "of other programs the gallery shows pictures alone.", files)
    found.leave(data / "log/images", "copies made by its Save button.", [path for path in (data / "log/images").glob("*") if path.is_file()])


def _styles(found: Survey, data: Path, models: Path, given: Mapping[str, list[str]], config: Mapping[str, Any]) -> None:
    """styles.csv, whatever --styles-file names (patterns too), and SD.Next's folder of JSON files."""
    for text in given.get("styles-file", ()):
        if path := said_path(data, text):
            files = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
            found.add_styles(*files)
    found.add_styles(data / "styles.csv")
    folder = said_path(data, config.get("styles_dir")) or child(models, "styles")
    if folder and folder.is_dir():
        found.add_styles(*sorted(folder.glob("*.csv")), *sorted(folder.rglob("*.json")))


def _extensions(found: Survey, data: Path) -> None:
    """Wildcards in extensions are used; the extensions themselves are code for another program."""
    extensions = subfolders(child(data, "extensions"))
    found.add("wildcards", *(child(folder, "wildcards") for folder in extensions), child(data, "wildcards"), child(data, "models/wildcards"))
    if extensions:
        names = ", ".join(folder.name for folder in extensions[:6]) + (" ..." if len(extensions) > 6 else "")
        found.unused.append(f"{len(extensions)} extension{'s' if len(extensions) > 1 else ''} ({names}): they are written for {found.program}.")
    scripts = [path for path in (data / "scripts").glob("*.py") if path.name not in STOCK_SCRIPTS]
    if scripts:
        found.unused.append(f"{len(scripts)} script{'s' if len(scripts) > 1 else ''} of yours in scripts/: they are written for {found.program}.")


STOCK_SCRIPTS = frozenset({
    "custom_code.py", "img2imgalt.py", "loopback.py", "outpainting_mk_2.py", "poor_mans_outpainting.py", "postprocessing_caption.py",
    "postprocessing_codeformer.py", "postprocessing_create_flipped_copies.py", "postprocessing_focal_crop.py", "postprocessing_gfpgan.py",
    "postprocessing_split_oversized.py", "postprocessing_upscale.py", "processing_autosized_crop.py", "prompt_matrix.py", "prompts_from_file.py",
    "sd_upscale.py", "xyz_grid.py",
})  # fmt: skip


def _rest(found: Survey, models: Path) -> None:
    """What else lies in models/."""
    used = {folder for listed in found.folders.values() for folder in listed}
    reasons = {name.lower(): why for name, why in LEFT.items()}
    for folder in subfolders(models):
        if folder not in used and not any(other.is_relative_to(folder) for other in used):
            found.leave(folder, reasons.get(folder.name.lower(), "Darkroom knows no use for it."))

"""Which program a folder is an installation of: told by what lies in it, not by its name."""

from collections.abc import Callable
from pathlib import Path

from app.errors import BadSettings
from app.movein import a1111, comfyui, fooocus, invokeai
from app.movein.survey import Survey, subfolders

SURVEYS: dict[str, Callable[[Path, str], Survey]] = {
    "Fooocus": fooocus.survey, "InvokeAI": invokeai.survey, "ComfyUI": comfyui.survey, "SD.Next": a1111.survey, "Forge": a1111.survey,
    "Forge Neo": a1111.survey, "reForge": a1111.survey, "AUTOMATIC1111": a1111.survey,
}  # fmt: skip
"""Program -> what looks through an installation of it. To add one: a file with a `survey`, a row here, and a line in `program_of`."""


def find(path: Path) -> tuple[Path, str]:
    """(folder of the installation, program). The folder may also be the one around it, as portable packages have, or its models folder.

    Raises BadSettings with one sentence when there is none, or more than one.
    """
    path = Path(path).expanduser().absolute()
    if not path.is_dir():
        raise BadSettings(f"--import: there is no folder '{path}'.")
    if (path / "app" / "studio.py").is_file() and (path / "webui.py").is_file():
        raise BadSettings(f"--import: '{path}' is a Darkroom.", "Its models can be used with --ckpt-dir.")
    if program := program_of(path):
        return path, program
    inside = [(folder, program) for folder in subfolders(path) if (program := program_of(folder))]
    if len(inside) > 1:
        listed = " and ".join(f"'{folder.name}' ({program})" for folder, program in inside)
        raise BadSettings(f"--import: there are several installations in '{path}': {listed}.", "Import them one by one.")
    if inside:
        return inside[0]
    for folder in list(path.parents)[:2]:
        if path.relative_to(folder).parts[0].lower() in ("models", "outputs", "output") and (program := program_of(folder)):
            return folder, program
    raise BadSettings(
        f"--import: '{path}' is no installation of {', '.join(sorted(SURVEYS))}.",
        "It should be the folder with webui.py, main.py or launch.py in it; for a folder of models alone there is --ckpt-dir.",
    )


def program_of(folder: Path) -> str:
    """The program of an installation that is exactly here; "" when there is none."""

    def has(*names: str) -> bool:
        return all((folder / name).exists() for name in names)

    if has("fooocus_version.py") or has("sdxl_styles", "models", "modules"):
        return "Fooocus"
    if has("invokeai.yaml") or has("databases/invokeai.db"):
        return "InvokeAI"
    if has("folder_paths.py", "nodes.py") or has("comfy", "main.py") or (has("models/checkpoints", "custom_nodes") and (has("output") or has("user"))):
        return "ComfyUI"
    if has("modules", "installer.py"):
        return "SD.Next"
    if has("modules_forge"):
        return _forge(folder)
    if has("modules", "webui.py") or has("modules", "launch.py"):
        return "AUTOMATIC1111"
    data = has("config.json") or has("ui-config.json") or has("styles.csv") or has("embeddings")
    return "AUTOMATIC1111" if data and has("models/Stable-diffusion") else ""


def _forge(folder: Path) -> str:
    """Forge, or which of its relatives: the first lines of its README say."""
    try:
        with (folder / "README.md").open("rb") as file:
            head = file.read(600).decode("utf-8", "replace").lower()
    except OSError:
        return "Forge"
    return "reForge" if "reforge" in head else "Forge Neo" if "neo" in head.split("automatic1111")[0] else "Forge"

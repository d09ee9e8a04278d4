"""The upscalers that can be picked: what resamples, then the files in models/upscalers, in the folders of the settings and in
models/embedded/upscalers.

Imports nothing heavy; `upscalers_load` reads the files, `upscalers_run` enlarges with them.
"""

from dataclasses import dataclass
from pathlib import Path

from app.errors import BadCheckpoint, UnknownName
from app.settings import Settings

RESAMPLING = ("None", "Lanczos", "Nearest")
"""Always there; "None" leaves everything to the resampling to the exact size, which is Lanczos'."""
SUFFIXES = (".safetensors", ".pth", ".pt")
LATENT = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
"""What enlarges latents between the passes of hires fix: name -> (mode of interpolation, whether it is antialiased). A1111's names."""


@dataclass(frozen=True)
class Upscaler:
    """One entry of the list. `path` is None for what resamples without a network; `pickles`: whether one of PyTorch's own files may be opened."""

    name: str
    path: Path | None = None
    pickles: bool = False

    def stamp(self) -> tuple[str, int, int]:
        """What tells this state of its file from any other. Raises BadCheckpoint when it is gone."""
        if self.path is None:
            return self.name, 0, 0
        try:
            stat = self.path.stat()
        except OSError:
            raise BadCheckpoint(f"'{self.path.name}' is not there any more.") from None
        return str(self.path), stat.st_size, stat.st_mtime_ns


def folders(settings: Settings) -> tuple[Path, ...]:
    """Where upscalers lie, the user's first."""
    models = settings.root / "models"
    return models / "upscalers", *settings.upscaler_dirs, models / "embedded" / "upscalers"


def upscalers(settings: Settings) -> list[Upscaler]:
    """All that can be picked, by the names of the files without their suffixes. Of two files of one name the first folder's counts,
    and the .safetensors file."""
    found: dict[str, Upscaler] = {name.lower(): Upscaler(name) for name in RESAMPLING}
    for folder in folders(settings):
        for suffix in SUFFIXES:
            for path in sorted(path for path in (*folder.glob("*"), *folder.glob("*/*")) if path.suffix.lower() == suffix and not path.name.startswith(".")):
                found.setdefault(path.stem.lower(), Upscaler(path.stem, path, settings.allow_pickles))
    return list(found.values())


def hires_upscalers(settings: Settings) -> list[str]:
    """All that can enlarge between the passes of hires fix, by name."""
    return [*LATENT, *(upscaler.name for upscaler in upscalers(settings))]


def find_latent(name: str) -> str:
    """The latent mode of that name, in any case; "" when there is none."""
    wanted = " ".join(name.lower().split())
    return next((mode for mode in LATENT if mode.lower() == wanted), "")


def find_hires_upscaler(settings: Settings, name: str) -> str:
    """The name of a latent mode or an upscaler, in any case. Raises UnknownName with the nearest names."""
    if found := find_latent(name):
        return found
    try:
        return find_upscaler(settings, name).name
    except UnknownName:
        raise UnknownName("upscaler", name, hires_upscalers(settings)) from None


def find_upscaler(settings: Settings, name: str) -> Upscaler:
    """The upscaler of that name, in any case, with or without suffix. Raises UnknownName with the nearest names."""
    known = upscalers(settings)
    wanted = name.strip().lower()
    for upscaler in known:
        if wanted in (upscaler.name.lower(), upscaler.path.name.lower() if upscaler.path else ""):
            return upscaler
    raise UnknownName("upscaler", name, [upscaler.name for upscaler in known])

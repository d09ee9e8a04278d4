"""Settings: what was said at start, by flags, environment and settings.toml. Nothing below reads them from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Settings:
    """One start of Darkroom. Folders are looked through in order; the first of each list is where new files belong.

    Attributes:
        host, port: where the server listens; `port_given` says that the port came from the user.
        share: open a public link after the start.
        logins: (user, password) pairs; empty: no login.
        vram: "normal", "medvram" (whole models move to the device in turn) or "lowvram" (layer by layer).
        attention: which attention is asked for; xformers is used only when it can be imported and the device is CUDA.
        precision: "autocast" and "half": float16 on CUDA; "full": float32 everywhere.
        cpu_parts: what is kept on the CPU: {"all"}, {"vae"} or nothing.
        theme: "auto" follows the browser.
        grid_limit: how many pictures one grid may have.
        upscaler_dirs: where upscalers lie beside models/upscalers; wildcard_dirs: where wildcards lie beside wildcards/.
        imported_styles, imported_outputs: of installations that are used in place; they are read and never written.
        defaults: task -> field -> what a form, and the command line, begins with instead of the field's own default.
        notices: what the person who started this should know, one sentence each.
        allow_pickles: whether .ckpt, .pt, .pth and .bin are opened (weights only, see app/engine/checkpoints/pickles.py).
        warm_ram: RAM in bytes that loaded checkpoints may take together; 0 keeps one; None: half of what is free at the start.
    """

    root: Path = ROOT
    host: str = "127.0.0.1"
    port: int = 7860
    port_given: bool = False
    server_name: str = ""
    share: bool = False
    logins: tuple[tuple[str, str], ...] = ()
    checkpoint_dirs: tuple[Path, ...] = (ROOT / "models",)
    lora_dirs: tuple[Path, ...] = (ROOT / "models",)
    embedding_dirs: tuple[Path, ...] = (ROOT / "models",)
    vae_dirs: tuple[Path, ...] = (ROOT / "models",)
    upscaler_dirs: tuple[Path, ...] = ()
    wildcard_dirs: tuple[Path, ...] = ()
    extension_dir: Path = ROOT / "extensions"
    styles_file: Path = ROOT / "styles.csv"
    imported_styles: tuple[Path, ...] = ()
    outputs_dir: Path = ROOT / "outputs"
    imported_outputs: tuple[Path, ...] = ()
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    notices: tuple[str, ...] = ()
    vram: Literal["normal", "medvram", "lowvram"] = "normal"
    attention: Literal["sdpa", "xformers"] = "sdpa"
    precision: Literal["autocast", "half", "full"] = "autocast"
    half: bool = True
    half_vae: bool = True
    cpu_parts: frozenset[str] = field(default_factory=frozenset)
    autolaunch: bool = False
    theme: Literal["auto", "light", "dark"] = "auto"
    grid_limit: int = 500
    allow_pickles: bool = False
    warm_ram: int | None = None

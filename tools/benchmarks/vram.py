"""What a card of so many GB holds, and when: the plan for full-size checkpoints, and with a card at hand the proof of it.

    python -m tools.benchmarks.vram [--limit 6] [--family sd1 sdxl] [--steps 20] [--folder DIR]

Without a card it prints the plan. With one, PyTorch's allocator gets no more than the limit, the app paints a picture, and seconds per
step are printed next to those of diffusers' pipeline (with its own model offload where it needs that).
"""

import argparse
import gc
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from app.engine.checkpoints import build
from app.engine.device import DevicePlan
from app.engine.placement import Placement
from app.engine.residency import Residency, plan
from tests.layouts import checkpoints
from tools.benchmarks.checkpoints import write_checkpoint, write_config

CONTEXT = 500_000_000
"""What the driver takes of the card before anything is computed."""
SIZES = {"sd1": 512, "sdxl": 1024}


def networks(family: str) -> dict[str, Any]:
    """The family's networks at their real size, in half precision and without numbers."""
    found: dict[str, Any] = {}
    for name, (config, _) in checkpoints.folder(family, small=False).items():
        if name == "unet":
            found[name] = build.unet(config, Path(family))
        elif name == "vae":
            found[name] = build.vae(config, Path(family))
        else:
            found[name] = build.text_encoder(config, Path(family), projects=name == "text_encoder_2")
    for network in found.values():
        torch.nn.Module.to(network, torch.float16)
    return found


def planned(family: str, limit: float) -> tuple[Residency, list[str]]:
    """The plan for one picture of the family's usual size on a card of `limit` GB, and it as lines to print."""
    side, half = SIZES[family], torch.float16
    card = torch.device("meta")
    placement = Placement(networks(family), DevicePlan(device=card, dtype=half, vae_device=card, vae_dtype=half))
    need = placement.need(side, side, 2)
    found = plan(need, int(limit * 1e9) - CONTEXT)
    head = f"{family} at {side}x{side} on {limit:g} GB: {found.describe()}; peak {(found.peak + CONTEXT) / 1e9:.2f} GB with the driver's part"
    words = ", ".join(f"{name} {getattr(need, name) / 1e9:.2f}" for name in ("unet", "texts", "vae", "step", "decode"))
    return found, [f"{head}: {'fits' if found.fits else 'DOES NOT FIT'}", f"  needs in GB: {words}"]


def proved(family: str, limit: float, steps: int, folder: Path) -> list[str]:
    """The same with a card whose allocator is capped: what was needed, and seconds per step, the app's and diffusers'."""
    side, total = SIZES[family], torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (limit * 1e9 - CONTEXT) / total))
    write_checkpoint(folder / "a.safetensors", family, 0)
    write_config(folder / "config", family)
    lines = []
    for name, run in (("app", _app), ("diffusers", _diffusers)):
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        seconds, how = run(folder, family, side, steps, limit)
        peak = (torch.cuda.max_memory_reserved() + CONTEXT) / 1e9
        lines.append(f"  {name}: {seconds / steps:.3f} s per step with everything, {peak:.2f} GB at most; {how}")
    return lines


def _app(folder: Path, family: str, side: int, steps: int, limit: float) -> tuple[float, str]:
    from app.engine import placement as placements
    from app.engine.checkpoints.find import Shelf
    from app.engine.engine import Engine
    from app.extensions import Extensions
    from app.request import Txt2Img
    from app.settings import Settings

    room = int(limit * 1e9) - CONTEXT
    placements.free_bytes = lambda device: room - torch.cuda.memory_allocated(device)  # the card itself has more
    settings = Settings(root=folder, checkpoint_dirs=(folder,), lora_dirs=(), vae_dirs=(), embedding_dirs=(), outputs_dir=folder / "out")
    engine = Engine(settings, Shelf(settings), Extensions())
    asked = Txt2Img(checkpoint="a", prompt="a red house", seed=1, steps=steps, width=side, height=side)
    seconds = 0.0
    for _ in range(2):  # the first one warms up
        start = perf_counter()
        list(engine.run(asked, {}, lambda progress: None))
        seconds = perf_counter() - start
    residency = engine.acquire("a").placement.residency
    return seconds, residency.describe() if residency else ""


def _diffusers(folder: Path, family: str, side: int, steps: int, limit: float) -> tuple[float, str]:
    import diffusers

    kind = diffusers.StableDiffusionXLPipeline if family == "sdxl" else diffusers.StableDiffusionPipeline
    path, config = str(folder / "a.safetensors"), str(folder / "config")
    pipeline: Any = kind.from_single_file(path, config=config, torch_dtype=torch.float16, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    offload = family == "sdxl" and limit < 12
    if offload:
        pipeline.enable_model_cpu_offload()
    else:
        pipeline.to("cuda")
    seconds = 0.0
    try:
        for _ in range(2):
            start = perf_counter()
            pipeline("a red house", width=side, height=side, num_inference_steps=steps)
            seconds = perf_counter() - start
    except torch.OutOfMemoryError:
        return float("nan"), "out of memory"
    return seconds, "model offload" if offload else "everything on the card"


def main() -> int:
    """Parse, plan or measure, print; 1 when something does not fit."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.vram", description="What a card of so many GB holds, and when.")
    parser.add_argument("--limit", type=float, default=6.0, help="GB of the card")
    parser.add_argument("--family", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=None, help="where the files go for the time being")
    options = parser.parse_args()
    lines, fits = [], True
    for family in options.family:
        found, said = planned(family, options.limit)
        lines += said
        fits = fits and found.fits
        if torch.cuda.is_available():
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                lines += proved(family, options.limit, options.steps, Path(folder))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())

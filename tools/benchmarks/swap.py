"""Seconds and memory of a swap between two full-size checkpoints: the app, diffusers and, where it is at hand, ComfyUI.

    python -m tools.benchmarks.swap [--family sd1] [--dtype float16 float32] [--rounds 3] [--swaps 20] [--comfyui PATH] [--folder DIR]
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import psutil
import torch
from torch import nn

from tools.benchmarks.checkpoints import write_checkpoint, write_config
from tools.benchmarks.picture import machine

MEGABYTE = 2**20
PAGE = 4096
Load = Callable[[str], Any]
"""Name ("a" or "b") -> the loaded checkpoint; what was loaded before has been let go of."""


# ---- the loaders


def ours(folder: Path, dtype: torch.dtype) -> tuple[Load, Any]:
    """(load, engine), without anything kept warm. Hashes are known, as they are once a checkpoint was listed for a while."""
    from app.engine.checkpoints.find import Shelf
    from app.engine.device import DevicePlan
    from app.engine.engine import Engine
    from app.extensions import Extensions
    from app.settings import Settings

    settings = Settings(root=folder, checkpoint_dirs=(folder,), lora_dirs=(), vae_dirs=(), embedding_dirs=(), outputs_dir=folder / "out", warm_ram=0)
    engine = Engine(settings, Shelf(settings), Extensions())
    engine.plan = DevicePlan(dtype=dtype, vae_dtype=dtype)
    for name in "ab":
        engine.shelf.checkpoint(name).short_hash()
    return engine.acquire, engine


def stock(folder: Path, family: str, dtype: torch.dtype) -> Load:
    """diffusers' `from_single_file`, offline, with its configs at hand."""
    import diffusers

    kind = diffusers.StableDiffusionXLPipeline if family == "sdxl" else diffusers.StableDiffusionPipeline
    more: dict[str, Any] = {} if family == "sdxl" else {"safety_checker": None}

    def load(name: str) -> Any:
        return kind.from_single_file(str(folder / f"{name}.safetensors"), config=str(folder / "config"), torch_dtype=dtype, local_files_only=True, **more)

    return load


def comfyui(folder: Path, path: str, dtype: torch.dtype) -> Load:
    """The loader of a ComfyUI that lies at `path`, in an environment with its requirements."""
    short = {torch.float16: "fp16", torch.float32: "fp32"}[dtype]
    sys.path.insert(0, path)
    sys.argv = ["comfyui", "--cpu", f"--{short}-unet", f"--{short}-vae", f"--{short}-text-enc"]
    import comfy.options  # type: ignore[import-not-found]

    comfy.options.enable_args_parsing()
    import comfy.sd  # type: ignore[import-not-found]

    def load(name: str) -> Any:
        return comfy.sd.load_checkpoint_guess_config(str(folder / f"{name}.safetensors"))

    return load


# ---- measuring


def memory() -> dict[str, int]:
    """Bytes: "all" that is resident, "own" without what the kernel could read from files again, "peak" of all so far."""
    words = {"VmRSS": "all", "RssAnon": "own", "VmHWM": "peak"}
    lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
    return {words[line[0][:-1]]: int(line[1]) * 1024 for line in lines if line[0][:-1] in words}


def weights_in(thing: Any, seen: set[int], depth: int = 9) -> Iterator[torch.Tensor]:
    """The weights in whatever a loader gives."""
    if id(thing) in seen or not depth:
        return
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        yield from thing.parameters()
    elif isinstance(thing, dict | list | tuple):
        for each in [*(thing.values() if isinstance(thing, dict) else thing)][:1000]:
            yield from weights_in(each, seen, depth - 1)
    elif hasattr(thing, "__dict__") and not isinstance(thing, type):
        yield from weights_in(vars(thing), seen, depth - 1)


def touched(thing: Any) -> int:
    """Reads a byte of each page of all weights, as the first picture would; returns their bytes."""
    weights = {weight.data_ptr(): weight for weight in weights_in(thing, set())}
    for weight in weights.values():
        weight.detach().reshape(-1).view(torch.uint8)[::PAGE].sum()
    return sum(weight.nbytes for weight in weights.values())


def measure(load: Load, rounds: int) -> dict[str, Any]:
    """Seconds of first swaps, and of the same until every page was read; memory at the most."""
    held = load("a")
    size = touched(held)
    found: dict[str, list[float]] = {"first swap": [], "processor seconds of it": [], "first swap, every weight read": []}
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    floor = 0
    for number in range(rounds):
        held = None
        gc.collect()
        floor = memory()["own"]
        start, worked = perf_counter(), process_time()
        held = load("ba"[number % 2])
        found["first swap"].append(perf_counter() - start)
        found["processor seconds of it"].append(process_time() - worked)
        touched(held)
        found["first swap, every weight read"].append(perf_counter() - start)
    peak = memory()["peak"]
    return {"bytes": size, "peak": peak - floor, "seconds": found}


def returns(load: Load, rounds: int) -> list[float]:
    """Seconds of going back to a checkpoint that is warm."""
    seconds = []
    for name in "ab" * (rounds + 1):
        start = perf_counter()
        load(name)
        seconds.append(perf_counter() - start)
    return seconds[2:]


def growth(load: Load, swaps: int) -> list[int]:
    """RSS after each swap."""
    seen, held = [], None
    for number in range(swaps):
        held = None
        held = load("ab"[number % 2])
        touched(held)
        seen.append(memory()["all"])
    return seen


def picture(engine: Any) -> dict[str, Any]:
    """A small picture of "a", of "b" and of "a" again: seconds of each, and whether the first and the last are the same."""
    import numpy as np

    from app.request import Txt2Img

    made, seconds = [], []
    for name in "aba":
        start = perf_counter()
        asked = Txt2Img(checkpoint=name, prompt="a red house", seed=1, steps=2, width=256, height=256)
        made += [np.asarray(each.image) for each in engine.run(asked, {}, lambda progress: None)]
        seconds.append(perf_counter() - start)
    return {"picture seconds": seconds, "there and back the same": bool(np.array_equal(made[0], made[2]) and not np.array_equal(made[0], made[1]))}


def child(options: argparse.Namespace) -> dict[str, Any]:
    """One loader, in a process of its own."""
    folder, dtype = options.folder, getattr(torch, options.dtype[0])
    torch.set_num_threads(options.threads)
    if options.child == "app":
        load, engine = ours(folder, dtype)
        found = measure(load, options.rounds)
        found["rss"] = growth(load, options.swaps)
        if dtype == torch.float32:
            found |= picture(engine)
        if 1.2 * found["bytes"] < psutil.virtual_memory().available:  # for the second one; the first is still there
            engine._models.budget = 10**12
            found["seconds"]["back to a warm one"] = returns(load, options.rounds)
        return found
    return measure(stock(folder, options.family, dtype) if options.child == "diffusers" else comfyui(folder, options.comfyui, dtype), options.rounds)


# ---- the whole


def report(dtype: str, found: dict[str, dict[str, Any]]) -> list[str]:
    """What was measured, as lines to print."""
    lines, best = [f"weights as {dtype}"], {}
    for name, each in found.items():
        seconds = {what: statistics.median(values) for what, values in each["seconds"].items()}
        for what, value in seconds.items():
            lines.append(f"  {name:10} {what}: {value:.3f} s")
            if name != "app":
                best[what] = min(best.get(what, value), value)
        lines.append(f"  {name:10} peak of a swap beside what was there: {each['peak'] / MEGABYTE:.0f} MB, {each['peak'] / each['bytes']:.2f} of the weights")
    app = found["app"]
    mine = {what: statistics.median(values) for what, values in app["seconds"].items()}
    lines += [f"  ratio to the better of the others, {what}: {mine[what] / value:.2f}" for what, value in best.items()]
    if "back to a warm one" in mine:
        lines.append(f"  ratio to it of going back to a warm one: {mine['back to a warm one'] / best['first swap']:.3f}")
    else:
        lines.append("  going back to a warm one was not measured: two of them do not fit the memory that is free")
    rss = app["rss"]
    lines.append(f"  RSS after 2 swaps {rss[1] / MEGABYTE:.0f} MB, after {len(rss)} {rss[-1] / MEGABYTE:.0f} MB: {rss[-1] / rss[1]:.3f}")
    if "picture seconds" in app:
        made = ", ".join(f"{value:.1f} s" for value in app["picture seconds"])
        lines.append(f"  pictures of a, b, a with loading: {made}; a is {'bit-equal' if app['there and back the same'] else 'NOT THE SAME'}")
    return lines


def run(options: argparse.Namespace) -> list[str]:
    """Writes the files, runs the loaders one after the other, and deletes the files."""
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="swap-", dir=options.folder))
    try:
        size = max(write_checkpoint(folder / f"{name}.safetensors", options.family, seed, small=options.small) for seed, name in enumerate("ab"))
        write_config(folder / "config", options.family)
        lines = [f"{options.family}, files of {size / 1e9:.2f} GB in float16, in the page cache; {options.rounds} rounds", *machine(load)]
        names = ["app", "diffusers", *(["comfyui"] if options.comfyui else [])]
        for dtype in options.dtype:
            found = {}
            for name in names:
                command = [sys.executable, "-W", "ignore", "-m", "tools.benchmarks.swap", "--child", name, "--folder", str(folder), "--dtype", dtype]
                command += ["--family", options.family, "--rounds", str(options.rounds), "--swaps", str(options.swaps), "--threads", str(options.threads)]
                command += ["--comfyui", options.comfyui] if options.comfyui else []
                ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})
                if ran.returncode:
                    raise RuntimeError(f"{name} failed:\n{ran.stderr[-3000:]}")
                found[name] = json.loads(ran.stdout.splitlines()[-1])
            lines += report(dtype, found)
        return lines
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.swap", description="Seconds and memory of a swap between two checkpoints.")
    parser.add_argument("--family", choices=["sd1", "sdxl"], default="sd1")
    parser.add_argument("--dtype", nargs="+", choices=["float16", "float32"], default=["float16", "float32"])
    for name, usual in (("rounds", 5), ("swaps", 20), ("threads", os.cpu_count() or 1)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--comfyui", default="", help="folder of a ComfyUI; its requirements must be installed")
    parser.add_argument("--folder", type=Path, default=None, help="where the files go for the time being")
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=["app", "diffusers", "comfyui"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    lines = [json.dumps(child(options))] if options.child else run(options)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

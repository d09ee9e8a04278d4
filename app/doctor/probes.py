"""What may crash is tried in a process of its own: PyTorch and its device, the other libraries, extensions."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.doctor.finding import Finding, note, ok, problem
from app.doctor.packages import ANEW

SECONDS = 180
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
LIBRARIES = (
    "numpy", "PIL", "pydantic", "safetensors", "transformers", "diffusers", "accelerate", "gradio", "fastapi", "starlette", "uvicorn", "huggingface_hub",
)  # fmt: skip
"""By the names that they are imported by."""
MARK = "\x1edarkroom:"
"""Stands in front of the answer, so that what a library prints does not matter."""

_ANSWER = f"import json, sys\ndef answer(told): sys.stdout.write('\\n' + {MARK!r} + json.dumps(told))\n"
TORCH = _ANSWER + """
import torch
told = {"version": torch.__version__, "cuda": torch.version.cuda, "hip": getattr(torch.version, "hip", None), "available": False, "error": "", "cards": []}
try:
    torch.ones(2) + 1
    if told["cuda"] or told["hip"]:
        torch.cuda.init()
        for index in range(torch.cuda.device_count()):
            free, whole = torch.cuda.mem_get_info(index)
            major, minor = torch.cuda.get_device_capability(index)
            told["cards"].append({"name": torch.cuda.get_device_name(index), "free": free, "memory": whole, "architecture": f"sm_{major}{minor}"})
        told["built for"] = torch.cuda.get_arch_list()
        told["available"] = torch.cuda.is_available()
except Exception as error:
    told["error"] = f"{error}".strip().splitlines()[0][:200] if f"{error}".strip() else type(error).__name__
answer(told)
"""
IMPORTS = _ANSWER + """
import importlib
failed = {}
for name in %s:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
answer(failed)
"""
EXTENSIONS = _ANSWER + """
sys.path.insert(0, %r)
from pathlib import Path
from app.extensions import Extensions
found = Extensions()
found.load(Path(%r))
answer({"loaded": sorted(found.loaded), "failed": found.failed})
"""
Run = Callable[[str], tuple[Any, str]]
"""Code -> (its answer, "") or (None, why there is none)."""


def run(code: str) -> tuple[Any, str]:
    """Run code with this Python, without network of the libraries' own accord."""
    try:
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **QUIET}, capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None, f"it did not answer within {SECONDS} seconds"
    except OSError as error:
        return None, (error.strerror or "it could not be started").lower()
    if MARK in done.stdout:
        return json.loads(done.stdout.rpartition(MARK)[2]), ""
    if done.returncode < 0:
        return None, f"it was stopped by signal {-done.returncode}" + (" (illegal instruction)" if done.returncode == -4 else "")
    return None, (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1][:200]


def torch(run: Run = run, cards: Callable[[], list[str]] | None = None) -> list[Finding]:
    """Does PyTorch start, and does it reach the card that is there?"""
    told, why = run(TORCH)
    present = (cards or nvidia_cards)()
    if told is None:
        cure = "This processor is too old for PyTorch's builds." if "illegal instruction" in why else ANEW
        return [problem("PyTorch", f"It does not start: {why}.", cure)]
    built = f"CUDA {told['cuda']}" if told["cuda"] else "ROCm" if told["hip"] else "the processor"
    version = f"{told['version']}, built for {built}"
    if told["error"] and not (told["cuda"] or told["hip"]):
        return [problem("PyTorch", f"{version}: it cannot add two numbers: {told['error']}.", ANEW)]
    return [ok("PyTorch", version), *device(told, present)]


def device(told: Mapping[str, Any], present: list[str]) -> list[Finding]:
    """What PyTorch said of its cards, against those that the driver names."""
    if not told["cuda"] and not told["hip"]:
        if present:
            cure = "Delete .venv and run ./launch.sh: it sees the card and installs the build for it."
            return [problem("card", f"{present[0]} is there, but PyTorch was installed for the processor.", cure)]
        return [ok("card", "none; pictures are made on the processor")]
    if not told["cards"]:
        if not present:
            return [note("card", f"There is none, or its driver is not installed{said(told)}; pictures are made on the processor.")]
        if os.environ.get("CUDA_VISIBLE_DEVICES", "x").strip() in ("", "-1"):
            return [note("card", f"{present[0]} is hidden by CUDA_VISIBLE_DEVICES.")]
        return [problem("card", f"{present[0]} cannot be reached{said(told)}.", driver_cure(told))]
    found = []
    built = {name.removeprefix("compute_").removeprefix("sm_") for name in told.get("built for", ())}
    for card in told["cards"]:
        words = f"{card['name']}, {card['free'] / 2**30:.1f} of {card['memory'] / 2**30:.1f} GB free"
        if told["cuda"] and built and not runs(card["architecture"], told["built for"]):
            cure = "Delete .venv and install a build that knows it: TORCH_INDEX_URL=... ./launch.sh (PyTorch's page lists builds for older CUDA versions)."
            found.append(problem("card", f"{words}: this PyTorch is not built for its architecture ({card['architecture']}).", cure))
        elif card["free"] < min(3 * 2**30, card["memory"] / 2):
            found.append(note("card", f"{words}: other programs hold much of it.", "Close them, or start with --medvram."))
        else:
            found.append(ok("card", words))
    return found


def runs(architecture: str, built: list[str]) -> bool:
    """Whether a build runs on a card: made for it, for a lesser one of the same generation, or with code that the driver translates (PTX)."""
    number = int("".join(filter(str.isdigit, architecture)))
    for name in built:
        known = int("".join(filter(str.isdigit, name)) or 0)
        if name.startswith("compute_") and known <= number:
            return True
        if known // 10 == number // 10 and known <= number:
            return True
    return False


def said(told: Mapping[str, Any]) -> str:
    return f": {told['error'].rstrip('.')}" if told["error"] else ""


def driver_cure(told: Mapping[str, Any]) -> str:
    """What to do when the driver is there and PyTorch does not reach the card: most often it is older than PyTorch's CUDA."""
    major = str(told["cuda"] or "").partition(".")[0]
    needed = {"11": "450", "12": "525", "13": "580"}.get(major, "")
    return f"Install a newer NVIDIA driver{f' ({needed} or newer for CUDA {major})' if needed else ''} and restart the machine."


def nvidia_cards() -> list[str]:
    """Name and driver of each NVIDIA card, by the driver's own program; [] without one."""
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    try:
        told = subprocess.run([program, "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return [" with driver ".join(part.strip() for part in line.split(",")) for line in told.stdout.splitlines() if line.strip()] if not told.returncode else []


def libraries(run: Run = run) -> Finding:
    """Can everything else be imported?"""
    failed, why = run(IMPORTS % repr(LIBRARIES))
    if failed is None:
        return problem("libraries", f"They cannot be imported: {why}.", ANEW)
    if failed:
        name, reason = next(iter(failed.items()))
        more = f"; nor {', '.join(list(failed)[1:])}" if len(failed) > 1 else ""
        return problem("libraries", f"{name} cannot be imported ({reason}){more}.", ANEW)
    return ok("libraries", f"all {len(LIBRARIES)} can be imported")


def extensions(root: Path, folder: Path, run: Run = run) -> list[Finding]:
    """Which extensions work, which fail, which are switched off."""
    off = sorted(init.parent.name for init in folder.glob("_*/__init__.py") if not init.parent.name.startswith("__"))
    told, why = run(EXTENSIONS % (str(root), str(folder)))
    if told is None:
        return [problem("extensions", f"They cannot be loaded: {why}.", "Put _ in front of the folder of the one you added last; that switches it off.")]
    found = [
        problem("extensions", f"'{name}' fails: {reason}", f"Mend or update it, or rename its folder to _{name}; that switches it off.")
        for name, reason in told["failed"].items()
    ]
    if off:
        found.append(note("extensions", f"{', '.join(off)} switched off by the _ in front of the name."))
    return found or [ok("extensions", f"{', '.join(told['loaded'])} work" if told["loaded"] else "none")]

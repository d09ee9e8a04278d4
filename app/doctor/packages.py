"""What is installed: the virtual environment, whether it is whole, and whether it is what was pinned."""

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path

from app.doctor.finding import Finding, note, ok, problem

REQUIREMENTS = ("requirements.txt", "requirements-nodeps.txt")
ANEW = "Run ./launch.sh with the network on; when that does not help, delete .venv and run it again."
MOST = 6
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s#;]+)")


def environment(root: Path, prefix: Path = Path(sys.prefix)) -> Finding:
    """Is this the Python of .venv, and was its installation finished?"""
    venv = root / ".venv"
    if not same(prefix, venv):
        if venv.exists():
            return note("environment", f"This Python is not that of .venv but of '{prefix}'; what follows is about that one.")
        return note("environment", f"There is no .venv; this Python is that of '{prefix}'.", "./launch.sh makes one.")
    if (venv / ".unfinished").exists():
        return problem("environment", "The last installation was interrupted.", "Run ./launch.sh with the network on; it goes on where it stopped.")
    return ok("environment", str(venv))


def same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError):
        return one == other


def pins(root: Path) -> dict[str, str]:
    """Package -> version, from the requirement files."""
    found: dict[str, str] = {}
    for name in REQUIREMENTS:
        try:
            text = (root / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        found |= {match[1]: match[2] for line in text.splitlines() if (match := _PIN.match(line))}
    return found


def installed(root: Path) -> list[Finding]:
    """Are the pinned packages there, in the pinned versions?"""
    wanted = pins(root)
    if not wanted:
        return [problem("packages", f"requirements.txt is not in '{root}', or cannot be read.", "Get Darkroom's files anew; models and outputs may stay.")]
    missing, other = [], []
    for name, pinned in wanted.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if found.partition("+")[0] != pinned:
            other.append(f"{name} {found} instead of {pinned}")
    told = []
    if missing:
        told.append(problem("packages", f"{len(missing)} of {len(wanted)} are not installed: {listed(missing)}.", ANEW))
    if other:
        told.append(problem("packages", f"Other versions than those that were tested: {listed(other)}.", ANEW))
    return told or [ok("packages", f"all {len(wanted)} in the pinned versions")]


def whole(found: Iterable[Distribution] | None = None) -> Finding:
    """Is every file of every installed package there, in its right size? (As launch.sh asks after an interrupted installation.)"""
    damaged = sorted({str(package.metadata["Name"]) for package in (distributions() if found is None else found) if not _is_whole(package)})
    if damaged:
        return problem("files", f"Files of {listed(damaged)} are missing or cut short.", "Delete .venv and run ./launch.sh with the network on.")
    return ok("files", "all packages are whole")


def _is_whole(package: Distribution) -> bool:
    for file in package.files or ():
        if file.suffix == ".pyc" or "__pycache__" in file.parts:
            continue
        try:
            size = Path(str(file.locate())).stat().st_size
        except OSError:
            return False
        if file.size not in (None, size):
            return False
    return True


def listed(names: list[str]) -> str:
    """Names in a sentence: the first few, and how many more."""
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")

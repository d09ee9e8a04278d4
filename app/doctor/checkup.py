"""All examinations in order, and the page that comes of them: `./launch.sh doctor`, `python -m app doctor`."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from app import __version__, flags
from app.doctor import files, machine, packages, probes
from app.doctor.finding import Finding, lines, ok, problem, summary
from app.errors import BadSettings
from app.settings import ROOT, Settings

BEFORE: tuple[Callable[[Path], Finding | list[Finding]], ...] = (
    lambda root: machine.python(),
    lambda root: packages.environment(root),
    packages.installed,
    lambda root: packages.whole(),
    lambda root: machine.environment(os.environ),
    lambda root: machine.processor(),
    lambda root: machine.memory(machine.free_memory()),
    lambda root: probes.torch(),
    lambda root: probes.libraries(),
    machine.house,
    files.imports,
)
"""Examinations that need nothing but the folder of this installation."""
AFTER: tuple[Callable[[Settings], Finding | list[Finding]], ...] = (
    machine.outputs,
    machine.port,
    files.models,
    files.embedded,
    files.styles,
    lambda settings: probes.extensions(settings.root, settings.extension_dir),
)
"""Examinations that need to know the settings."""


def doctor(argv: Sequence[str]) -> int:
    """Print the page. Returns 0, or 1 when something must be cured."""
    parser = flags.Parser(prog="./launch.sh doctor", description="What is wrong with this installation, and the cure. Nothing is changed or sent.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    flags.add_server_to(parser)
    flags.add_to(parser)
    given = parser.values(argv)
    as_json = given.pop("json", False)
    found: list[Finding] = []
    if not as_json:
        write([f"Darkroom {__version__} in {ROOT}", ""])
    for findings in examined(given):
        found += findings
        if not as_json:
            write(lines(findings))
    if as_json:
        write([json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=2)])
    else:
        write(["", summary(found)])
    return int(any(finding.state == "problem" for finding in found))


def examined(given: flags.Values, root: Path = ROOT) -> Iterator[list[Finding]]:
    """What each examination finds, one after the other: the slow ones do not hold back the quick ones' lines."""
    for examine in BEFORE:
        yield listed(examine(root))
    try:
        settings = flags.settings_of(given, None, root)
    except BadSettings as error:
        yield [problem("settings", error.message, error.hint or "./launch.sh --help lists the flags.")]
        return
    yield [ok("settings", "flags, COMMANDLINE_ARGS and settings.toml can be used")]
    for look in AFTER:
        yield listed(look(settings))


def listed(found: Finding | Iterable[Finding]) -> list[Finding]:
    return [found] if isinstance(found, Finding) else list(found)


def write(told: Iterable[str]) -> None:
    """Lines, at once."""
    sys.stdout.writelines(f"{line}\n" for line in told)
    sys.stdout.flush()

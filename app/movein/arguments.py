"""The start options of A1111 and its relatives: webui-user.sh and webui-user.bat, and what they are here."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.movein.survey import Survey

MAX_TEXT = 2**16
Arguments = Mapping[str, list[str]]
"""Flag without dashes -> its values, in the order in which they were given."""
_SET = re.compile(r"^[ \t]*(?:export[ \t]+|@?set[ \t]+)?\"?COMMANDLINE_ARGS=(.*)$", re.IGNORECASE | re.MULTILINE)

SAME: dict[str, tuple[str, Any]] = {
    "medvram": ("medvram", True), "lowvram": ("lowvram", True), "always-low-vram": ("lowvram", True), "always-no-vram": ("lowvram", True),
    "xformers": ("xformers", True), "force-enable-xformers": ("xformers", True), "no-half": ("no_half", True), "no-half-vae": ("no_half_vae", True),
    "vae-in-fp32": ("no_half_vae", True), "all-in-fp32": ("precision", "full"), "vae-in-cpu": ("use_cpu", ["vae"]), "always-cpu": ("use_cpu", ["all"]),
    "autolaunch": ("autolaunch", True),
}  # fmt: skip
"""A1111's and Forge's flags that say one thing -> what says it here."""
REACH = frozenset({
    "listen", "port", "share", "server-name", "gradio-auth", "gradio-auth-path", "ngrok", "api-auth", "tls-keyfile", "tls-certfile", "cors-allow-origins",
    "cors-allow-origins-regex", "subpath", "auth",
})  # fmt: skip
"""Flags that say who may reach the page."""
PLACES = frozenset({
    "ckpt-dir", "ckpt-dirs", "vae-dir", "embeddings-dir", "lora-dir", "lora-dirs", "lyco-dir", "lyco-dir-backcompat", "data-dir", "models-dir", "model-ref",
    "styles-file", "ui-config-file", "ui-settings-file", "ckpt", "vae-path", "text-encoder-dir", "text-encoder-dirs", "vae-dirs", "config",
})  # fmt: skip
"""Flags that name folders and files, which `a1111` reads; those of upscalers end in "-models-path"."""


def read(root: Path) -> dict[str, list[str]]:
    """The flags of the file that this system starts with; of the other one where that says nothing."""
    names = ("webui-user.bat", "webui-user.sh") if os.name == "nt" else ("webui-user.sh", "webui-user.bat")
    for name in names:
        if found := parse(root / name):
            return found
    return {}


def parse(path: Path) -> dict[str, list[str]]:
    """The flags in COMMANDLINE_ARGS of a script; {} when there are none. Nothing is run."""
    try:
        text = path.read_bytes()[:MAX_TEXT].decode("utf-8-sig", "replace").replace("\r\n", "\n")
    except OSError:
        return {}
    batch = path.suffix.lower() == ".bat"
    text = re.sub(r"\^\n" if batch else r"\\\n", " ", text)
    values = [match[1] for match in _SET.finditer(text)]
    found: dict[str, list[str]] = {}
    for value in values:
        said = flags_in(words(value, batch))
        found = {**found, **said} if "COMMANDLINE_ARGS%" in value or "$COMMANDLINE_ARGS" in value else said or found
    return found


def words(value: str, batch: bool) -> list[str]:
    """The words of a line. In a batch file backslashes are part of paths, and only double quotes quote."""
    if batch:
        return [part.replace('"', "") for part in re.findall(r'(?:"[^"]*"?|[^\s"])+', value)]
    try:
        outer = shlex.split(value, comments=True)
        return shlex.split(" ".join(outer)) if len(outer) == 1 else outer
    except ValueError:
        return value.replace('"', "").replace("'", "").split()


def flags_in(given: list[str]) -> dict[str, list[str]]:
    """Words -> flags with their values."""
    found: dict[str, list[str]] = {}
    name = ""
    for word in given:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found.setdefault(name, [])
            found[name] += [value] if value else []
        elif name:
            found[name].append(word)
    return found


def take(survey: Survey, given: Arguments) -> None:
    """The flags that have a counterpart here go into the survey, the others are named."""
    flags = dict(SAME[name] for name in given if name in SAME)
    if (precision := one(given, "precision")) in ("full", "half", "autocast"):
        flags["precision"] = precision
    if "use-cpu" in given:
        parts = [part.lower() for part in given["use-cpu"]]
        flags |= {"use_cpu": ["all"]} if "all" in parts else {"use_cpu": ["vae"]} if "vae" in parts else {}
    if (theme := one(given, "theme")) in ("dark", "light"):
        flags["theme"] = theme
    survey.flags |= settled(flags)
    if reach := sorted(f"--{name}" for name in given if name in REACH):
        survey.unused.append(f"{', '.join(reach)}: who may reach the page is for you to say; give it to ./launch.sh.")
    rest = sorted(f"--{name}" for name in given if name not in SAME and name not in REACH | PLACES | {"precision", "use-cpu", "theme"})
    rest = [name for name in rest if not name.endswith("-models-path")]
    if rest:
        survey.unused.append(f"{', '.join(rest)}: nothing here needs or knows {'it' if len(rest) == 1 else 'them'}.")


def one(given: Arguments, name: str) -> str:
    """The first value of a flag, "" without any."""
    return next(iter(given.get(name, ())), "")


def settled(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags that do not contradict each other, the one that A1111 lets win left."""
    if flags.get("use_cpu") == ["all"]:
        gone = {"medvram", "lowvram", "xformers"}
    elif flags.get("lowvram"):
        gone = {"medvram"}
    else:
        gone = set()
    if flags.get("no_half") and flags.get("precision") == "half":
        gone.add("precision")
    return {name: value for name, value in flags.items() if name not in gone}

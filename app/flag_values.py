"""The values of flags: what each may be, and one sentence for what it may not. Raises BadSettings throughout."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.errors import BadSettings

CPU_PARTS = ("all", "vae")


def one_of(name: str, value: str, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise BadSettings(f"--{name} is '{value[:80]}', but it must be one of {', '.join(allowed)}.")
    return value


def port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65535:
        raise BadSettings(f"--port is '{value[:80]}', but it must be a whole number from 1 to 65535.")
    return int(value)


def grid_limit(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 10_000:
        raise BadSettings(f"--grid-limit is '{value[:80]}', but it must be a whole number from 1 to 10000.")
    return int(value)


def warm_ram(value: str | None) -> int | None:
    """GB -> bytes."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,4}([.][0-9]{1,3})?", value):
        raise BadSettings(f"--warm-ram is '{value[:80]}', but it must be a number of GB such as 8 or 2.5, or 0.")
    return int(float(value) * 1e9)


def host(values: Mapping[str, Any]) -> tuple[str, str]:
    """(address to listen on, name by which the page may be asked for)"""
    name = values.get("server_name", "")
    if "server_name" in values and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*]?", name):
        raise BadSettings(f"--server-name is '{name[:80]}', but it must be a host name or an address such as 192.168.1.5.")
    name = name.strip("[]")
    return ("0.0.0.0" if values.get("listen") else name or "127.0.0.1"), name


def logins(text: str | None) -> tuple[tuple[str, str], ...]:
    """(user, password) pairs. The error does not repeat what was given: it holds passwords."""
    if text is None:
        return ()
    pairs = tuple((user.strip(), password) for user, _, password in (login.partition(":") for login in text.split(",")))
    if not all(user and password for user, password in pairs):
        raise BadSettings("--gradio-auth must be user:password, or several of them separated by commas.")
    if len({user for user, _ in pairs}) < len(pairs):
        raise BadSettings("--gradio-auth names one user twice.")
    return pairs


def cpu_parts(given: Sequence[str] | None) -> frozenset[str]:
    if given is None:
        return frozenset()
    for part in given:
        one_of("use-cpu", part, CPU_PARTS)
    return frozenset(given or ("all",))


def folders(flag: str, given: Iterable[str]) -> tuple[Path, ...]:
    folders = tuple(Path(folder).expanduser().absolute() for folder in given)
    for folder in folders:
        if not folder.is_dir():
            raise BadSettings(f"{flag}: there is no folder '{folder}'.")
    return folders


def outputs(given: str | Path) -> Path:
    """The folder for pictures; it is made when the first one is saved, so it may be missing, but not be a file."""
    folder = Path(given).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise BadSettings(f"--outputs-dir: '{folder}' is a file, not a folder.")
    return folder

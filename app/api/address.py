"""Where the server listens, and how that is said to the person who started it."""

import errno
import os
import socket

from app.api.door import is_loopback
from app.errors import BadSettings
from app.settings import Settings


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises BadSettings with a free port nearby when this one is taken; it never moves by itself."""
    if not 0 < port < 65536:
        raise BadSettings(f"Port {port} does not exist; choose one from 1 to 65535 with --port.")
    listener = new_socket(host)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise BadSettings(trouble(host, port, error)) from None
    return listener


def new_socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if os.name == "posix":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def trouble(host: str, port: int, error: OSError) -> str:
    """Why nobody can listen there, in one sentence with the way out."""
    if isinstance(error, PermissionError):
        return f"Port {port} may not be used by this account; choose one above 1023 with --port."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"Address '{host}' is not one of this machine; choose another with --server-name."
    if error.errno != errno.EADDRINUSE:
        return f"Nothing can listen on {host}, port {port}: {error.strerror}."
    free = next((other for other in range(port + 1, min(port + 100, 65536)) if is_free(host, other)), None)
    return f"Port {port} is used by another program; choose another with --port" + (f" {free}." if free else ".")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with new_socket(host) as probe:
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def local_address(settings: Settings) -> str:
    """The address for the person at this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def addresses(settings: Settings) -> list[str]:
    """The lines that say where the page is."""
    lines = [f"Darkroom is at {local_address(settings)}"]
    if settings.host in ("0.0.0.0", "::") and (own := own_address()):
        lines.append(f"In your network it is at http://{own}:{settings.port}")
    return lines


def own_address() -> str:
    """This machine's address in its network, "" when it has none. Connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        found = str(probe.getsockname()[0])
    return "" if is_loopback(found) else found

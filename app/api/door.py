"""Who may come in: the names that this server answers to, the logins, and the brake on guessing them."""

import base64
import binascii
import ipaddress
import math
import re
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable

from app.settings import Settings

SHARE_SECONDS = 72 * 3600.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?))(?::(?P<port>[0-9]{1,5}))?")


def split_host(header: str) -> tuple[str, str] | None:
    """Name and port ("" when not given) of a Host header in lower case, or None when it is not a plain host."""
    match = HOST.fullmatch(header.lower())
    return (match["six"] or match["name"], match["port"] or "") if match else None


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a text is, or None."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_loopback(address: str) -> bool:
    """Whether a peer's address belongs to this very machine."""
    found = read_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return found is not None and (mapped or found).is_loopback


class Door:
    """The door of one server. A share link adds and removes its host name while the server runs.

    Attributes:
        names: host names answered to, besides those of share links.
        any_address: any address literal is answered to as well. Set when the server listens beyond this machine, where
            its addresses cannot all be known; DNS rebinding needs a name, so this does not weaken the check.
        logins: (user, password) pairs; when there are any, every request needs one.
        shared: host name of an open share link -> its own (user, password) pairs; with none, `logins` decide alone.
        share_ends: the moment from which on the names of share links are refused.
        brake: counts wrong passwords.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.share_ends = math.inf
        self.any_address = not (settings.host in LOOPBACK or is_loopback(settings.host))
        self.names = set(LOOPBACK) | {name.lower() for name in (settings.host, settings.server_name) if name}
        if self.any_address:
            own = socket.gethostname().lower()
            self.names |= {own, f"{own}.local"}
        self.logins: list[tuple[str, str]] = list(settings.logins)
        self.shared: dict[str, list[tuple[str, str]]] = {}
        self.brake = Brake()

    def knows(self, name: str) -> bool:
        """Whether the server answers to a host name (lower case, without port and brackets)."""
        if name in self.shared:
            return self._clock() < self.share_ends
        return name in self.names or (self.any_address and read_address(name) is not None)

    def open_share(self, name: str, logins: list[tuple[str, str]]) -> None:
        """Answer to the name of a share link, for 72 hours."""
        self.shared[name] = logins
        self.share_ends = self._clock() + SHARE_SECONDS

    def close_share(self) -> None:
        """Forget the names of share links."""
        self.shared.clear()
        self.share_ends = math.inf

    def needs_login(self, name: str) -> bool:
        """Whether a visitor who came under this host name must say a password."""
        return bool(self.logins or self.shared.get(name))

    def user(self, name: str, authorization: str) -> str | None:
        """The user whose password an Authorization header (HTTP Basic) holds, or None. Every pair is compared in full."""
        given = read_basic(authorization)
        if given is None:
            return None
        found = None
        for user, password in [*self.logins, *self.shared.get(name, [])]:
            same_user = secrets.compare_digest(given[0], user.encode())
            if secrets.compare_digest(given[1], password.encode()) and same_user:
                found = user
        return found


def read_basic(authorization: str) -> tuple[bytes, bytes] | None:
    """User and password of a Basic Authorization header (RFC 7617), or None when it is not one."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


class Brake:
    """Slows the guessing of passwords: so many failures a minute for one address, and so many in all.

    While an address is braked its passwords are not looked at, right or wrong, except for browsers that were let in
    before (`trust`): strangers cannot lock out those who are already inside.
    """

    WINDOW = 60.0
    PER_ADDRESS = 5
    IN_ALL = 50
    REMEMBERED = 1000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque()
        self._trusted: dict[str, None] = {}

    def wait(self, address: str, browser: str = "") -> int:
        """Seconds until this address may try again; 0: now."""
        if browser and browser in self._trusted:
            return 0
        now = self._clock()
        while self._failures and self._failures[0][0] <= now - self.WINDOW:
            self._failures.popleft()
        own = [moment for moment, who in self._failures if who == address]
        full = [own[-self.PER_ADDRESS]] if len(own) >= self.PER_ADDRESS else []
        if len(self._failures) >= self.IN_ALL:
            full.append(self._failures[-self.IN_ALL][0])
        return max(1, round(max(full) + self.WINDOW - now)) if full else 0

    def failed(self, address: str, browser: str = "") -> None:
        """A wrong password came from this address."""
        self._trusted.pop(browser, None)
        self._failures.append((self._clock(), address))

    def trust(self, browser: str) -> None:
        """A right password came from this browser (its owner cookie)."""
        if browser:
            self._trusted.pop(browser, None)
            self._trusted[browser] = None
            while len(self._trusted) > self.REMEMBERED:
                del self._trusted[next(iter(self._trusted))]

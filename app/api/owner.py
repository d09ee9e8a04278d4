"""Who asks: from the headers that the guard leaves on a request to an `Owner`."""

import hashlib
import re
from collections.abc import Mapping
from typing import Protocol

from app.api.door import is_loopback
from app.studio import Owner

COOKIE = "darkroom_owner"
COOKIE_VALUE = re.compile(r"[0-9a-f]{32}")
ROLE = "x-darkroom-role"
USER = "x-darkroom-user"


class Peer(Protocol):
    @property
    def host(self) -> str: ...


class Visitor(Protocol):
    """What `owner_of` reads; starlette's and gradio's requests both have it."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def cookies(self) -> Mapping[str, str]: ...
    @property
    def client(self) -> Peer | None: ...


def owner_of(request: Visitor) -> Owner:
    """The owner behind a request of starlette or gradio.

    Browsers are told apart by their cookie, of which only the hash is kept; scripts without one by their user name and
    address. Whether somebody is a guest was decided by the guard, which alone can set the role header; without a guard
    in front everybody who is not on this machine is one.
    """
    address = request.client.host if request.client else ""
    role = request.headers.get(ROLE)
    guest = role == "guest" if role else not is_loopback(address)
    cookie = request.cookies.get(COOKIE, "")
    if COOKIE_VALUE.fullmatch(cookie):
        return Owner(hashlib.sha256(cookie.encode()).hexdigest()[:32], guest)
    user = request.headers.get(USER)
    return Owner(f"script:{user}@{address}" if user else f"script:{address}", guest)


def sight(owner: Owner) -> str | None:
    """Whose pictures an owner may see, as `Library` asks for it: guests their own, the people of the house all (None)."""
    return owner.id if owner.guest else None

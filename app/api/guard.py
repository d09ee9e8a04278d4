"""The guard in front of everything the server answers, ours and Gradio's: pure ASGI, so that event streams flow."""

import json
import logging
import re
import secrets

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitResponder
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.door import Door, is_loopback, split_host
from app.api.owner import COOKIE, COOKIE_VALUE, ROLE, USER

log = logging.getLogger("darkroom.http")

MB = 1 << 20
LIMIT_JSON = 1 * MB
LIMIT_PICTURE = 32 * MB
LIMIT_MULTIPART = 40 * MB
YEAR = 365 * 24 * 3600
READS = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE_CSP = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; object-src 'none'; form-action 'self'; frame-ancestors 'self'; base-uri 'self'"
)
FILE_CSP = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
GRADIO_FILE = re.compile(r"/gradio_api/(?:file|stream|download)\b")


class Refusal(Exception):
    """A request that goes no further: status, one sentence, further headers."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Guard:
    """Lets in what `door` allows, and writes the headers that every answer carries.

    Checks, in this order: Host (421), origin of writes (403), login (401, 429), size of the body (413). Every request
    passes on with a valid owner cookie where one could be set, and with the visitor's role in a header that nobody
    else can set.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app = app
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        headers = Headers(scope=scope)
        cookie, fresh = "", False
        try:
            name = self._check_host(scope, headers)
            check_origin(scope["method"], headers)
            cookie, fresh = self._cookie(scope, headers, name)
            user = self._check_login(scope, headers, name, cookie)
            limit = check_length(scope["path"], headers)
        except Refusal as refusal:
            return await answer(send, refusal, self._set_cookie(cookie, headers) if fresh and cookie else "")
        role = "guest" if self._is_guest(scope, headers, name) else "owner"
        inner = dict(scope, headers=inner_headers(scope, role, user, cookie if fresh else ""))
        await self._pass_on(inner, receive, Outgoing(send, scope["path"], self._set_cookie(cookie, headers) if fresh else ""), limit)

    async def _pass_on(self, scope: Scope, receive: Receive, send: "Outgoing", limit: int) -> None:
        """Call the application. This is the border where a bug becomes one sentence for the visitor and a traceback in the log."""
        try:
            await RequestBodyLimitResponder(self.app, limit)(scope, receive, send)
        except ClientDisconnect:
            log.debug("the client left")
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"][:200].encode("unicode_escape").decode())
            if not send.started:
                await answer(send, Refusal(500, "Something went wrong inside Darkroom; the log says what."))

    def _check_host(self, scope: Scope, headers: Headers) -> str:
        given = headers.getlist("host")
        found = split_host(given[0]) if len(given) == 1 else None
        if found is None or not self.door.knows(found[0]):
            shown = given[0][:80] if given else ""
            raise Refusal(421, f"Host '{shown}' is not served here; to allow a name, start Darkroom with --server-name NAME.")
        return found[0]

    def _check_login(self, scope: Scope, headers: Headers, name: str, cookie: str) -> str:
        """The user who logged in, "" where no login is needed."""
        if not self.door.needs_login(name):
            return ""
        given = headers.get("authorization", "")
        ask = {"www_authenticate": 'Basic realm="Darkroom", charset="UTF-8"'}
        if not given:
            raise Refusal(401, "Darkroom asks for a user name and a password.", **ask)
        address = address_of(scope, headers, shared=name in self.door.shared)
        if wait := self.door.brake.wait(address, cookie):
            raise Refusal(429, f"Too many wrong passwords; try again in {wait} seconds.", retry_after=str(wait))
        user = self.door.user(name, given)
        if user is None:
            self.door.brake.failed(address, cookie)
            raise Refusal(401, "User name or password is wrong.", **ask)
        self.door.brake.trust(cookie)
        return user

    def _is_guest(self, scope: Scope, headers: Headers, name: str) -> bool:
        """Guests come through a share link, or from another machine to a server without logins."""
        if name in self.door.shared or (self.door.shared and "x-forwarded-for" in headers):
            return True
        return not self.door.logins and not is_loopback(scope["client"][0] if scope.get("client") else "")

    def _cookie(self, scope: Scope, headers: Headers, name: str) -> tuple[str, bool]:
        """The owner cookie of this request and whether it is fresh: page loads and guests that lack one get one."""
        cookie = read_cookie(headers)
        if cookie:
            return cookie, False
        page = scope["method"] == "GET" and (scope["path"] == "/" or "text/html" in headers.get("accept", ""))
        return (secrets.token_hex(16), True) if page or self._is_guest(scope, headers, name) else ("", False)

    def _set_cookie(self, cookie: str, headers: Headers) -> str:
        found = split_host(headers.get("host", ""))
        secure = "; Secure" if found and found[0] in self.door.shared else ""
        return f"{COOKIE}={cookie}; HttpOnly; SameSite=Lax; Path=/; Max-Age={YEAR}{secure}"


class Outgoing:
    """The `send` of one answer: cross-origin permissions out, our own headers in."""

    def __init__(self, send: Send, path: str, set_cookie: str) -> None:
        self._send = send
        self._csp = FILE_CSP if GRADIO_FILE.search(path) else PAGE_CSP
        self._set_cookie = set_cookie
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            kept = [(name, value) for name, value in message.get("headers", []) if not name.lower().startswith(b"access-control-")]
            message = {**message, "headers": kept + self._missing({name.lower() for name, _ in kept})}
        await self._send(message)

    def _missing(self, present: set[bytes]) -> list[tuple[bytes, bytes]]:
        ours = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "content-security-policy": self._csp,
        }
        added = [(name.encode(), value.encode()) for name, value in ours.items() if name.encode() not in present]
        return added + ([(b"set-cookie", self._set_cookie.encode())] if self._set_cookie else [])


def check_origin(method: str, headers: Headers) -> None:
    """Only pages of this very server may write; scripts send neither header and pass."""
    if method in READS:
        return
    site = headers.get("sec-fetch-site", "none")
    if site not in ("same-origin", "none"):
        raise Refusal(403, "A page of another site may not send requests to Darkroom.")
    for origin in headers.getlist("origin"):
        scheme, _, place = origin.lower().partition("://")
        found = split_host(place)
        default = {"http": "80", "https": "443"}.get(scheme)
        host = split_host(headers["host"])
        if not found or not default or not host or (found[0], found[1] or default) != (host[0], host[1] or default):
            raise Refusal(403, "A page of another site may not send requests to Darkroom.")


def check_length(path: str, headers: Headers) -> int:
    """How many bytes the body may have. Refuses at once what declares more; the rest is counted as it comes."""
    if headers.get("content-type", "").lower().startswith("multipart/"):
        limit = LIMIT_MULTIPART
    else:
        limit = LIMIT_PICTURE if path.rstrip("/") in ("/v1/pictures", "/v1/jobs") else LIMIT_JSON
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise Refusal(400, "The Content-Length header is not a number.")
    if len(declared) > 18 or int(declared) > limit:
        raise Refusal(413, f"The request is larger than {limit // MB} MB.")
    return limit


def read_cookie(headers: Headers) -> str:
    """The owner cookie when it is one that we could have set, else ""."""
    found = cookie_parser("; ".join(headers.getlist("cookie"))).get(COOKIE, "")
    return found if COOKIE_VALUE.fullmatch(found) else ""


def address_of(scope: Scope, headers: Headers, shared: bool) -> str:
    """Where a password comes from: the peer, or behind a share link the last address that the tunnel noted down."""
    peer: str = scope["client"][0] if scope.get("client") else ""
    forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return f"share:{forwarded[:64]}" if shared and forwarded else peer


def inner_headers(scope: Scope, role: str, user: str, fresh_cookie: str) -> list[tuple[bytes, bytes]]:
    """The request's headers as the application sees them: with role and user, and with the cookie that is being set."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in (ROLE.encode(), USER.encode())]
    kept.append((ROLE.encode(), role.encode()))
    if user:
        kept.append((USER.encode(), user.encode("latin-1", "replace")))
    if fresh_cookie:
        pairs = [pair.strip() for name, value in kept if name.lower() == b"cookie" for pair in value.split(b";")]
        others = [pair for pair in pairs if pair and pair.partition(b"=")[0].strip() != COOKIE.encode()]
        kept = [(name, value) for name, value in kept if name.lower() != b"cookie"]
        kept.append((b"cookie", b"; ".join([*others, f"{COOKIE}={fresh_cookie}".encode()])))
    return kept


async def answer(send: Send, refusal: Refusal, set_cookie: str = "") -> None:
    """Send a refusal as JSON, with the headers of every answer."""
    body = json.dumps({"error": refusal.message, "hint": ""}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), "cache-control": "no-store", **refusal.headers}
    outgoing = send if isinstance(send, Outgoing) else Outgoing(send, "", set_cookie)
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await outgoing({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await outgoing({"type": "http.response.body", "body": body})

import asyncio
import base64
import json
import re
from dataclasses import dataclass, field

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse

from app.api.door import Door
from app.api.guard import LIMIT_JSON, LIMIT_MULTIPART, LIMIT_PICTURE, Guard
from app.api.owner import COOKIE, owner_of
from app.settings import Settings


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def error(self) -> str:
        return json.loads(b"".join(self.chunks))["error"]


class Inner:
    """An application that reads its body and remembers what reached it."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope, receive, send) -> None:
        request = Request(scope, receive)
        self.seen.append(request)
        if request.url.path == "/bug":
            raise RuntimeError("a secret detail")
        if request.url.path == "/gone":
            raise ClientDisconnect()
        self.bodies.append(await request.body())
        origin = request.headers.get("origin", "")
        headers = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin else {}
        await PlainTextResponse("ok", headers=headers)(scope, receive, send)


def ask(app, method="GET", path="/", host="127.0.0.1:7860", body=(b"",), peer="127.0.0.1", headers=()) -> Answer:
    """One request as a server hands it over: raw headers, the body in pieces."""
    raw = [] if host is None else [(b"host", host.encode())]
    raw += [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": raw,
             "client": (peer, 5), "server": ("127.0.0.1", 7860), "scheme": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}}  # fmt: skip
    pieces = list(body)
    answer = Answer()

    async def receive():
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        if message["type"] == "http.response.start":
            assert not answer.status, "the answer was started twice"
            answer.status = message["status"]
            answer.headers = [(name.decode().lower(), value.decode()) for name, value in message["headers"]]
        else:
            answer.chunks.append(message.get("body", b""))

    asyncio.run(app(scope, receive, send))
    return answer


def guarded(settings: Settings | None = None) -> tuple[Guard, Inner, Door]:
    inner, door = Inner(), Door(settings or Settings())
    return Guard(inner, door), inner, door


def basic(user: str, password: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "LOCALHOST:7860", "127.0.0.1:7860", "[::1]:7860"])
def test_own_names_are_served(host):
    guard, inner, _ = guarded()
    assert ask(guard, host=host).status == 200
    assert len(inner.seen) == 1


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example:7860", "evil.example@127.0.0.1",
        "127.0.0.1:7860@evil.example", "localhost.", "192.168.1.4:7860", "2130706433", "0.0.0.0:7860", "[::ffff:1.2.3.4]", "localhost:7860/x",
    ],
)  # fmt: skip
def test_other_names_are_refused(host):
    guard, inner, _ = guarded()
    answer = ask(guard, host=host)
    assert answer.status == 421
    assert "--server-name" in answer.error
    assert not inner.seen


def test_two_host_headers_are_refused():
    guard, inner, _ = guarded()
    assert ask(guard, headers=[("Host", "evil.example")]).status == 421
    assert not inner.seen


def test_a_listening_server_answers_to_addresses_and_its_name_but_to_no_other_name():
    guard, _, _ = guarded(Settings(host="0.0.0.0", server_name="sd.example.org", logins=(("u", "p"),)))
    codes = [ask(guard, host=host, headers=[basic("u", "p")]).status for host in ("192.168.1.4:7860", "[fe80::1]:7860", "SD.example.org", "evil.example")]
    assert codes == [200, 200, 200, 421]


CROSS_SITE = [
    [("Origin", "https://evil.example")],
    [("Origin", "null")],
    [("Origin", "http://127.0.0.1:3000")],
    [("Origin", "http://localhost:7860")],
    [("Origin", "https://127.0.0.1:7860@evil.example")],
    [("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "same-site")],
    [("Origin", "http://127.0.0.1:7860"), ("Origin", "https://evil.example")],
    [("Origin", "file://")],
]


@pytest.mark.parametrize("headers", CROSS_SITE)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_pages_of_other_sites_may_not_write(headers, method):
    guard, inner, _ = guarded()
    kinds = ("multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded")
    assert [ask(guard, method, "/v1/pictures", headers=[*headers, ("Content-Type", kind)]).status for kind in kinds] == [403] * 3
    assert not inner.seen


@pytest.mark.parametrize("headers", [[], [("Origin", "http://127.0.0.1:7860"), ("Sec-Fetch-Site", "same-origin")], [("Sec-Fetch-Site", "none")]])
def test_the_page_itself_and_scripts_may_write(headers):
    guard, inner, _ = guarded()
    assert ask(guard, "POST", headers=headers).status == 200
    assert len(inner.seen) == 1


def test_the_default_port_may_be_left_out():
    guard, _, _ = guarded()
    assert ask(guard, "POST", host="localhost", headers=[("Origin", "http://localhost:80")]).status == 200
    assert ask(guard, "POST", host="localhost:443", headers=[("Origin", "https://localhost")]).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:7860", "https://a.gradio.live", "x"])
def test_no_cross_origin_permission_ever_leaves(origin):
    guard, _, door = guarded()
    door.shared["a.gradio.live"] = []
    for method in ("GET", "OPTIONS"):
        for host in ("127.0.0.1:7860", "a.gradio.live"):
            answer = ask(guard, method, host=host, headers=[("Origin", origin), ("Access-Control-Request-Method", "POST")])
            assert answer.status == 200
            assert not [name for name, _ in answer.headers if name.startswith("access-control")]


def test_every_answer_carries_the_headers_refusals_too():
    guard, _, _ = guarded()
    for answer in (ask(guard), ask(guard, host="evil.example"), ask(guard, path="/bug")):
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "same-origin"
        assert "default-src 'self'" in answer.header("content-security-policy")
        assert "http" not in answer.header("content-security-policy")
    assert "sandbox" in ask(guard, path="/gradio_api/file=/x.svg").header("content-security-policy")


def test_bodies_are_limited_by_what_they_declare():
    guard, inner, _ = guarded()
    over = {"/v1/x": LIMIT_JSON + 1, "/v1/pictures": LIMIT_PICTURE + 1, "/v1/jobs/": LIMIT_PICTURE + 1}
    for path, size in over.items():
        answer = ask(guard, "POST", path, headers=[("Content-Length", str(size))])
        assert answer.status == 413
        assert f"{(size - 1) >> 20} MB" in answer.error
        assert ask(guard, "POST", path, headers=[("Content-Length", str(size - 1))]).status == 200
    multipart = ("Content-Type", "Multipart/form-data; boundary=x")
    assert ask(guard, "POST", "/gradio_api/upload", headers=[multipart, ("Content-Length", str(LIMIT_MULTIPART + 1))]).status == 413
    for odd in ("-1", "1e3", "9" * 400, "１"):
        assert ask(guard, "POST", headers=[("Content-Length", odd)]).status in (400, 413)
    assert len(inner.seen) == len(over)


def test_bodies_are_limited_by_counting():
    guard, inner, _ = guarded()
    pieces = [b"x" * 100_000] * 10
    assert ask(guard, "POST", body=pieces).status == 200
    assert ask(guard, "POST", body=[*pieces, b"x" * 60_000]).status == 413
    assert len(inner.bodies) == 1, "the second body never came through whole"


def test_a_bug_is_one_sentence_for_the_visitor_and_a_traceback_in_the_log(caplog):
    guard, _, _ = guarded()
    answer = ask(guard, path="/bug")
    assert answer.status == 500
    assert "secret" not in answer.error
    assert "a secret detail" in caplog.text
    caplog.clear()
    ask(guard, path="/gone")
    assert not caplog.text


def test_streams_are_not_buffered():
    order = []

    async def pieces():
        for number in range(3):
            order.append(f"made {number}")
            yield f"{number}\n"

    async def inner(scope, receive, send):
        await StreamingResponse(pieces())(scope, receive, send)

    class Noting(Guard):
        async def __call__(self, scope, receive, send):
            async def noting(message):
                if message.get("body"):
                    order.append(f"sent {message['body'].decode().strip()}")
                await send(message)

            await super().__call__(scope, receive, noting)

    ask(Noting(inner, Door(Settings())), body=(b"",))
    assert order == ["made 0", "sent 0", "made 1", "sent 1", "made 2", "sent 2"]


def test_a_page_load_gets_a_cookie_that_counts_at_once():
    guard, inner, _ = guarded()
    answer = ask(guard, headers=[("Accept", "text/html")])
    match = re.fullmatch(rf"{COOKIE}=([0-9a-f]{{32}}); HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000", answer.header("set-cookie"))
    assert match
    first = owner_of(inner.seen[0])
    again = ask(guard, "POST", headers=[("Cookie", f"other=1; {COOKIE}={match[1]}")])
    assert again.header("set-cookie") is None
    assert owner_of(inner.seen[1]) == first
    assert match[1] not in first.id
    assert not first.guest


def test_two_page_loads_are_two_owners_and_scripts_are_known_by_address():
    guard, inner, _ = guarded()
    ask(guard)
    ask(guard)
    script = ask(guard, "POST", "/v1/jobs")
    assert script.header("set-cookie") is None
    owners = [owner_of(request).id for request in inner.seen]
    assert len(set(owners)) == 3
    assert owners[2] == "script:127.0.0.1"


@pytest.mark.parametrize("value", ["", "x", "A" * 32, "0" * 33, "../../etc/passwd", '"', "0" * 31 + "é"])
def test_cookies_that_are_not_ours_are_replaced(value):
    guard, inner, _ = guarded()
    assert ask(guard, headers=[("Cookie", f"{COOKIE}={value}")]).header("set-cookie")
    assert re.fullmatch("[0-9a-f]{32}", inner.seen[0].cookies[COOKIE])


def test_nobody_can_say_what_he_is():
    guard, inner, door = guarded()
    door.shared["a.gradio.live"] = []
    ask(guard, host="a.gradio.live", headers=[("X-Darkroom-Role", "owner"), ("X-Darkroom-User", "root")])
    assert inner.seen[0].headers.getlist("x-darkroom-role") == ["guest"]
    assert "x-darkroom-user" not in inner.seen[0].headers


def test_who_is_a_guest():
    guard, inner, door = guarded()

    def role(**options):
        assert ask(guard, **options).status == 200
        return owner_of(inner.seen[-1]).guest

    forwarded = [("X-Forwarded-For", "9.9.9.9")]
    assert role() is False
    assert role(headers=forwarded) is False
    assert role(peer="192.168.1.9") is True
    door.shared["a.gradio.live"] = []
    assert role(host="a.gradio.live") is True
    assert role(headers=forwarded) is True
    assert role() is False
    door.shared.clear()
    assert ask(guard, host="a.gradio.live").status == 421
    door.logins.append(("u", "p"))
    assert role(peer="192.168.1.9", headers=[basic("u", "p")]) is False


def test_guests_without_a_cookie_are_not_the_local_script():
    guard, inner, door = guarded()
    door.shared["a.gradio.live"] = []
    answer = ask(guard, "POST", "/v1/jobs", host="a.gradio.live")
    assert "; Secure" in answer.header("set-cookie")
    assert not owner_of(inner.seen[0]).id.startswith("script:")


def test_with_logins_nothing_is_answered_without_one():
    guard, inner, _ = guarded(Settings(logins=(("ann", "pa:ss"), ("bob", "p2"))))
    paths = ("/", "/config", "/v1/jobs", "/healthz", "/openapi.json", "/gradio_api/heartbeat/x", "/gradio_api/upload")
    assert [ask(guard, path=path).status for path in paths] == [401] * len(paths)
    assert ask(guard).header("www-authenticate") == 'Basic realm="Darkroom", charset="UTF-8"'
    assert not inner.seen
    assert ask(guard, headers=[basic("ann", "pa:ss")]).status == 200
    assert ask(guard, headers=[basic("bob", "p2")]).status == 200
    assert owner_of(inner.seen[1]).id != owner_of(inner.seen[0]).id
    for bad in (basic("ann", "p2"), basic("ann", ""), ("Authorization", "Basic ???"), ("Authorization", "Bearer pa:ss")):
        assert ask(guard, peer=f"10.0.0.{hash(bad) % 200}", headers=[bad]).status == 401
    assert len(inner.seen) == 2


def test_logged_in_scripts_are_told_apart_by_their_user():
    guard, inner, _ = guarded(Settings(logins=(("ann", "1"), ("bob", "2"))))
    ask(guard, "POST", "/v1/jobs", headers=[basic("ann", "1")])
    ask(guard, "POST", "/v1/jobs", headers=[basic("bob", "2")])
    assert [owner_of(request).id for request in inner.seen] == ["script:ann@127.0.0.1", "script:bob@127.0.0.1"]


def test_a_share_password_counts_only_for_the_share_link():
    guard, _, door = guarded()
    door.shared["a.gradio.live"] = [("guest", "secret")]
    assert ask(guard).status == 200
    assert ask(guard, host="a.gradio.live").status == 401
    assert ask(guard, host="a.gradio.live", headers=[basic("guest", "secret")]).status == 200
    door.logins.append(("u", "p"))
    assert ask(guard, headers=[basic("guest", "secret")]).status == 401
    assert ask(guard, host="a.gradio.live", headers=[basic("u", "p")]).status == 200


def test_twelve_wrong_passwords_five_are_looked_at():
    guard, inner, _ = guarded(Settings(logins=(("u", "p"),)))
    answers = [ask(guard, headers=[basic("u", str(number))]) for number in range(12)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 7
    assert 0 < int(answers[-1].header("retry-after")) <= 60
    assert ask(guard, headers=[basic("u", "p")]).status == 429, "nor is the right one, while the brake is on"
    assert ask(guard, peer="10.0.0.2", headers=[basic("u", "p")]).status == 200
    assert ask(guard).status == 401
    assert len(inner.seen) == 1


def test_web_sockets_are_refused():
    guard, inner, _ = guarded()
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    asyncio.run(guard({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == ["websocket.close"]
    assert not inner.seen

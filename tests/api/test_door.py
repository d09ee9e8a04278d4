import base64

import pytest

from app.api.door import Brake, Door, is_loopback, read_basic, split_host
from app.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_brake_lets_go_after_a_minute():
    clock = Clock()
    brake = Brake(clock)
    for _ in range(5):
        assert brake.wait("a") == 0
        brake.failed("a")
        clock.now += 1
    assert brake.wait("a") == 55
    assert brake.wait("b") == 0
    clock.now += 54.5
    assert brake.wait("a") >= 1
    clock.now += 1
    assert brake.wait("a") == 0


def test_fifty_failures_in_all_brake_everybody_but_those_inside():
    clock = Clock()
    brake = Brake(clock)
    brake.trust("cookie")
    for number in range(50):
        assert brake.wait(f"10.0.0.{number}") == 0
        brake.failed(f"10.0.0.{number}")
    assert brake.wait("10.1.1.1") > 0
    assert brake.wait("10.1.1.1", "cookie") == 0
    brake.failed("10.1.1.1", "cookie")
    assert brake.wait("10.1.1.1", "cookie") > 0, "trust ends with the first wrong password"
    clock.now += 60
    assert brake.wait("10.1.1.1") == 0


def test_trust_is_bounded():
    brake = Brake()
    for number in range(Brake.REMEMBERED + 10):
        brake.trust(str(number))
    assert len(brake._trusted) == Brake.REMEMBERED


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("localhost", ("localhost", "")), ("[::1]:7860", ("::1", "7860")), ("A.b-c:1", ("a.b-c", "1")),
        ("a..", None), ("a:", None), ("a:b", None), ("", None), ("a b", None), ("-a", None), ("[::1", None), ("a\n", None),
    ],
)  # fmt: skip
def test_split_host(header, expected):
    assert split_host(header) == expected


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "localhost", "192.168.0.1", "::2", "::ffff:10.0.0.1", "testclient"])
def test_other_machines(address):
    assert not is_loopback(address)


def test_basic_keeps_colons_in_the_password_and_refuses_the_rest():
    assert read_basic("basic dTphOmI=") == (b"u", b"a:b")
    for odd in ("", "Basic", "Basic dTph OmI=", "Basic dQ==", "Digest dTphOmI="):
        assert read_basic(odd) is None


def test_passwords_with_umlauts_work():
    door = Door(Settings(logins=(("jürgen", "pässwort"),)))
    assert door.user("localhost", "Basic " + base64.b64encode("jürgen:pässwort".encode()).decode()) == "jürgen"


def test_a_share_link_is_answered_for_three_days():
    clock = Clock()
    door = Door(Settings(), clock)
    door.open_share("a.gradio.live", [("guest", "p")])
    assert door.knows("a.gradio.live")
    clock.now += 72 * 3600 - 1
    assert door.knows("a.gradio.live")
    clock.now += 1
    assert not door.knows("a.gradio.live")
    assert door.knows("localhost")
    door.close_share()
    door.open_share("b.gradio.live", [])
    assert door.knows("b.gradio.live")
    assert not door.knows("a.gradio.live")

import socket

import pytest

from app.api import address
from app.errors import BadSettings
from app.settings import Settings


def test_a_free_port_is_listened_on():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with address.listen("127.0.0.1", port) as listener, socket.create_connection(("127.0.0.1", port)):
        assert listener.getsockname() == ("127.0.0.1", port)


def test_a_port_in_use_is_one_sentence_with_a_free_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSettings) as caught:
            address.listen("127.0.0.1", port)
    words = str(caught.value)
    assert words.startswith(f"Port {port} is used by another program; choose another with --port ")
    assert address.is_free("127.0.0.1", int(words.rstrip(".").rsplit(" ", 1)[-1]))
    assert caught.value.exit_code == 2


def test_an_address_of_another_machine():
    with pytest.raises(BadSettings, match=r"not one of this machine.*--server-name"):
        address.listen("192.0.2.77", 8000)
    assert "not one of this machine" in address.trouble("no.such.name", 8000, socket.gaierror(-2, "Name or service not known"))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports_that_do_not_exist(port):
    with pytest.raises(BadSettings, match="from 1 to 65535"):
        address.listen("127.0.0.1", port)


def test_a_port_that_needs_rights():
    assert "above 1023" in address.trouble("127.0.0.1", 80, PermissionError(13, "Permission denied"))


def test_addresses_in_words(monkeypatch):
    monkeypatch.setattr(address, "own_address", lambda: "192.168.1.5")
    assert address.addresses(Settings(port=7)) == ["Darkroom is at http://127.0.0.1:7"]
    assert address.addresses(Settings(host="0.0.0.0", port=7)) == ["Darkroom is at http://127.0.0.1:7", "In your network it is at http://192.168.1.5:7"]
    assert address.local_address(Settings(host="::1", port=7)) == "http://[::1]:7"
    assert address.local_address(Settings(host="sd.example.org", port=7)) == "http://sd.example.org:7"

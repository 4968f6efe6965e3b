"""The address that this computer is let in by."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from spotcluster.aws import session as sessions
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError


class Page(BaseHTTPRequestHandler):
    """Answers every question, also one meant for somebody else, as a proxy does."""

    answer = b""
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[tuple[type[Page], str]]:
    kind = type("Own", (Page,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def caller(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sessions, "CHECKIP", url)
    return Session("us-east-1").caller_cidr()


@pytest.mark.parametrize(
    ("said", "cidr"),
    [
        (b"203.0.113.7\n", "203.0.113.7/32"),
        (b" 2001:DB8::7\n", "2001:db8::7/128"),
    ],
)
def test_an_address_is_a_block_of_one_of_its_kind(
    page: Any, monkeypatch: pytest.MonkeyPatch, said: bytes, cidr: str
) -> None:
    kind, url = page
    kind.answer = said
    assert caller(url, monkeypatch) == cidr


@pytest.mark.parametrize("said", [b"<html>Log in</html>", b"", b"0.0.0.0/0", b"10.0.0.0/8"])
def test_what_is_no_address_is_not_let_in(
    page: Any, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    kind, url = page
    kind.answer = said
    with pytest.raises(CloudError, match="answered with no address"):
        caller(url, monkeypatch)


def test_the_proxys_address_was_let_in(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, url = page
    kind.answer = b"192.0.2.99"
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, url)
        monkeypatch.setenv(name.upper(), url)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(CloudError, match="without a proxy"):
        caller("http://127.0.0.1:1/", monkeypatch)
    assert kind.asked == []


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("::1", 9))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this computer has no IPv6, not even for itself")
def test_own_ipv6_address_is_the_one_that_packets_go_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_ANYWHERE", "::1")
    assert Session("us-east-1").caller_cidr(ipv6=True) == "::1/128"


def test_computer_without_ipv6_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(sessions.socket, "socket", unreachable)
    with pytest.raises(CloudError, match="this computer has none: Network is unreachable") as error:
        Session("us-east-1").caller_cidr(ipv6=True)
    assert "PROXY_JUMP" in error.value.hint

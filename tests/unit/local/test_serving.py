"""The local cloud's HTTP server: connections that stay, and what is no request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.wrappers import Response

from spotcluster.local.web.serving import Server

LIMIT = 60.0


class Answers:
    """What a server answers: the path, and what was sent; a test holds what it wants."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.held = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, environ: dict[str, Any]) -> Response:
        path = environ["PATH_INFO"]
        self.asked.append(environ)
        if path == "/unread":
            return Response("refused", 403)
        if path == "/broken":
            raise ValueError(path)
        self.bodies.append(environ["wsgi.input"].readall())
        if path == "/held":
            self.held.set()
            assert self.let_go.wait(LIMIT)
        return Response(path, headers={"Content-Length": "7"} if path == "/object" else None)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def server(answers: Answers) -> Iterator[Server]:
    made = Server(answers)
    made.start()
    yield made
    answers.let_go.set()
    made.stop()


class Client:
    """One connection, and what is written to it as it is."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=LIMIT)
        self.read = self.socket.makefile("rb")

    def send(self, text: str) -> None:
        self.socket.sendall(text.replace("\n", "\r\n").encode("latin-1"))

    def ask(self, text: str, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        self.send(text)
        status = int(self.read.readline().split()[1])
        headers = {}
        while line := self.read.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        length = int(headers.get("content-length", 0)) if body else 0
        return status, headers, self.read.read(length)

    def is_closed(self) -> bool:
        return self.read.read(1) == b""


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    made = Client(server)
    yield made
    made.socket.close()


def test_connection_stays_for_the_next_request(client: Client, answers: Answers) -> None:
    assert client.ask("POST /a HTTP/1.1\nContent-Length: 5\n\nhello")[2] == b"/a"
    assert client.ask("GET /b%20c?d=e HTTP/1.1\nHost: x\n\n")[2] == b"/b c"
    assert answers.bodies == [b"hello", b""]
    last = answers.asked[-1]
    assert (last["QUERY_STRING"], last["HTTP_HOST"]) == ("d=e", "x")
    status, headers, _ = client.ask("GET /last HTTP/1.1\nConnection: close\n\n")
    assert (status, headers["connection"]) == (200, "close")
    assert client.is_closed()


def test_client_of_old_times_sees_the_end_of_its_answer(client: Client) -> None:
    assert client.ask("GET /a HTTP/1.0\n\n")[2] == b"/a"
    assert client.is_closed()


def test_answer_that_fails_is_an_error_and_the_connection_stays(client: Client) -> None:
    assert client.ask("GET /broken HTTP/1.1\n\n")[::2] == (500, b"")
    assert client.ask("GET /a HTTP/1.1\n\n")[2] == b"/a"


def test_head_says_how_long_it_would_be_and_sends_nothing(client: Client) -> None:
    status, headers, _ = client.ask("HEAD /object HTTP/1.1\n\n", body=False)
    assert (status, headers["content-length"]) == (200, "7")
    assert client.ask("GET /next HTTP/1.1\n\n")[2] == b"/next"


def test_body_that_nobody_read_is_not_taken_for_the_next_request(
    client: Client, answers: Answers
) -> None:
    smuggled = "GET /smuggled HTTP/1.1\n\n"
    text = f"POST /unread HTTP/1.1\nContent-Length: {len(smuggled) + 2}\n\n{smuggled}"
    assert client.ask(text)[::2] == (403, b"refused")
    assert client.is_closed()
    assert [one["PATH_INFO"] for one in answers.asked] == ["/unread"]


def test_request_that_is_cut_off_has_no_effect(client: Client, answers: Answers) -> None:
    client.send("POST /a HTTP/1.1\nContent-Length: 500\n\nhalf of it")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.is_closed()
    assert answers.bodies == []


def test_client_is_told_to_send_what_it_asks_about(client: Client, answers: Answers) -> None:
    text = "PUT /a HTTP/1.1\nContent-Length: 5\nExpect: 100-continue\n\n"
    assert client.ask(text, body=False)[0] == 100
    assert client.ask("hello")[0] == 200
    assert answers.bodies == [b"hello"]


NO_REQUESTS = {
    "not HTTP": ("hello\n\n", 400),
    "another protocol": ("GET / SPDY/3\n\n", 400),
    "a length that is none": ("POST / HTTP/1.1\nContent-Length: -5\n\n", 400),
    "two lengths": ("POST / HTTP/1.1\nContent-Length: 5\nContent-Length: 6\n\nhello", 400),
    "no header": ("GET / HTTP/1.1\nhello\n\n", 400),
    "chunks": ("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", 411),
    "too many headers": ("GET / HTTP/1.1\n" + "A: b\n" * 101 + "\n", 431),
    "a header without an end": ("GET / HTTP/1.1\nA: " + "b" * 70_000 + "\n\n", 400),
}


@pytest.mark.parametrize("kind", NO_REQUESTS)
def test_what_is_no_request_is_refused(kind: str, client: Client, answers: Answers) -> None:
    text, status = NO_REQUESTS[kind]
    assert client.ask(text)[0] == status
    assert answers.asked == []


def test_header_with_an_underscore_does_not_pass_for_another(
    client: Client, answers: Answers
) -> None:
    client.ask("GET / HTTP/1.1\nX_Amz_Target: a\nx-amz-meta-my_own: b\nx-amz-meta-my-own: c\n\n")
    client.ask("GET / HTTP/1.1\nx-amz-meta-my_own: b\n\n")
    both, alone = answers.asked
    assert "HTTP_X_AMZ_TARGET" not in both
    assert both["HTTP_X_AMZ_META_MY_OWN"] == "c"
    assert alone["HTTP_X_AMZ_META_MY_OWN"] == "b"
    assert list(alone["moto.preserved_header_names"].values()) == ["x-amz-meta-my_own"]


def test_stop_lets_what_is_asked_be_answered_and_nothing_more(
    server: Server, answers: Answers
) -> None:
    busy, idle = Client(server), Client(server)
    assert idle.ask("GET /a HTTP/1.1\n\n")[0] == 200
    busy.send("GET /held HTTP/1.1\n\n")
    assert answers.held.wait(LIMIT)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert idle.is_closed()
    assert stopping.is_alive()
    answers.let_go.set()
    assert busy.ask("")[::2] == (200, b"/held")
    assert busy.is_closed()
    stopping.join(LIMIT)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((server.host, server.port), timeout=LIMIT)
    for one in (busy, idle):
        one.socket.close()

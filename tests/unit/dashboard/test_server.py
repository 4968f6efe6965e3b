"""Who may see the page; no browser."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from spotcluster.dashboard.actions import Asked
from spotcluster.dashboard.snapshot import Snapshot
from spotcluster.errors import UsageError

if TYPE_CHECKING:
    from spotcluster.dashboard.server import Served


class Nothing:
    """A source of a cluster that is being asked."""

    snapshot = Snapshot("my</script>cluster", "us-east-1", time.time())

    def want(self, page: str, *, search: str | None, job: int | None) -> None: ...
    def leave(self, page: str) -> None: ...
    def printed(self, job: int) -> str | None: ...
    def carry_out(self, what: Asked) -> None: ...


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    from spotcluster.dashboard.server import Served  # with Bokeh: not where tests are collected

    found: list[Served] = []
    ready = threading.Event()

    def serve() -> None:
        found.append(Served(Nothing()))
        ready.set()
        found[0].run()
        found[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(60)
    yield found[0]
    found[0].stop()
    thread.join(60)


def ask(url: str, **headers: str) -> tuple[int, str, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def test_who_has_the_address_sees_the_page_and_may_ask_nobody_else(served: Served) -> None:
    status, page, headers = ask(served.url)
    assert status == 200
    assert "<h1>" in page
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "https://" not in re.sub(r"<script type=.application/json.*?</script>", "", page)


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/autoload.js", "/metadata"])
def test_who_has_no_token_sees_nothing(served: Served, path: str) -> None:
    status, page, _ = ask(f"http://127.0.0.1:{served.port}{path}")
    assert status == 403
    assert "cluster" not in page


def test_token_twice_is_none(served: Served) -> None:
    assert ask(f"{served.url}&token=wrong")[0] == 403


def test_name_of_another_that_leads_here_is_refused(served: Served) -> None:
    assert ask(served.url, Host="evil.example")[0] == 403
    assert ask(served.url, Host=f"localhost:{served.port}")[0] == 200


def test_nobody_else_on_the_network_reaches_it(served: Served) -> None:
    addresses = {one.getsockname()[0] for one in served._server._http._sockets.values()}
    assert addresses == {"127.0.0.1"}


def test_what_is_shown_closes_no_script(served: Served) -> None:
    page = ask(served.url)[1]
    first = page.partition('id="first">')[2].partition("</script>")[0]
    assert json.loads(first)["head"]["name"] == "my</script>cluster"


def connection(served: Served, token: str, origin: str | None) -> Any:
    headers = {"Sec-WebSocket-Protocol": f"bokeh, {token}"}
    headers |= {} if origin is None else {"Origin": origin}

    async def connect() -> Any:
        request = HTTPRequest(f"ws://127.0.0.1:{served.port}/ws", headers=headers)
        found = await websocket_connect(request)
        said = await found.read_message()
        found.close()
        return said

    return asyncio.run(connect())


def signed(served: Served) -> str:
    found = re.search(r'"token":"([^"]+)"', ask(served.url)[1])
    assert found
    return found[1]


def test_page_that_was_given_out_connects(served: Served) -> None:
    said = connection(served, signed(served), f"http://127.0.0.1:{served.port}")
    assert "ACK" in said


def test_connection_of_another_page_is_refused(served: Served) -> None:
    with pytest.raises(HTTPClientError, match="403"):
        connection(served, signed(served), "http://evil.example")


def test_connection_that_was_not_signed_here_gets_nothing(served: Served) -> None:
    token = signed(served)
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert connection(served, forged, f"http://127.0.0.1:{served.port}") is None


def test_port_that_is_taken_is_a_sentence(served: Served) -> None:
    with pytest.raises(UsageError, match=f"Port {served.port} of this computer cannot be used"):
        asyncio.run(_serve_at(type(served), served.port))


async def _serve_at(kind: type[Served], port: int) -> None:
    await asyncio.to_thread(kind, Nothing(), port)

"""The HTTP server of the local cloud: what comes over a connection, and answers on it.

moto's closes each connection, so that every call pays for one and for a thread, on both sides;
this one keeps them open, as EC2 does. The standard library's reads headers as those of an email,
which takes as long as some calls do.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import unquote

from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from werkzeug.exceptions import ClientDisconnected
from werkzeug.http import http_date
from werkzeug.wrappers import Response
from werkzeug.wsgi import LimitedStream

log = logging.getLogger(__name__)

_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 100
_SECONDS_TO_END = 5.0
"""How long `Server.stop` waits for requests that are being answered."""


class _Refused(Exception):
    """What was sent is no request that can be answered."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class _Handler(StreamRequestHandler):
    server: Server
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True
    timeout = 60.0  # seconds for which a connection may be silent

    def handle(self) -> None:
        # Whoever sent it has gone, is silent, or it is asked for.
        with suppress(ConnectionError, TimeoutError, ClientDisconnected):
            while line := self.rfile.readline(_LONGEST_LINE):
                with self.server.under_way():
                    if not self._answered(line):
                        return

    def _answered(self, line: bytes) -> bool:
        """Answer one request; return whether there may be another one."""
        try:
            environ, sent = self._request(line)
        except _Refused as refused:
            status = f"{refused.status.value} {refused.status.phrase}"
            self._write([f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close"])
            return False
        try:
            answer = self.server.answer(environ)
        except (ConnectionError, ClientDisconnected):
            raise
        except Exception:
            log.exception("a request failed")
            answer = Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        stays = "close" not in (environ.get("HTTP_CONNECTION"), answer.headers.get("Connection"))
        if environ["SERVER_PROTOCOL"] == "HTTP/1.0" or not sent.is_exhausted:
            stays = False  # the rest of it would be taken for the next one
        head_only = environ["REQUEST_METHOD"] == "HEAD"
        content = answer.get_data()
        if not head_only or "Content-Length" not in answer.headers:
            answer.headers["Content-Length"] = str(len(content))
        answer.headers["Date"] = http_date()
        if not stays:
            answer.headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status}", *(f"{one}: {told}" for one, told in answer.headers)]
        self._write(lines, b"" if head_only else content)
        return stays

    def _write(self, lines: list[str], content: bytes = b"") -> None:
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + content)
        self.wfile.flush()

    def _request(self, line: bytes) -> tuple[dict[str, Any], LimitedStream]:
        """Return a request as WSGI has it, and its body, of which nothing has been read yet."""
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1.") or not line.endswith(b"\n"):
            raise _Refused(HTTPStatus.BAD_REQUEST)
        method, target, protocol = words
        path, _, query = target.partition("?")
        headers = self._headers()
        if "HTTP_TRANSFER_ENCODING" in headers:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED)
        size = headers.get("CONTENT_LENGTH") or "0"
        if not (size.isascii() and size.isdigit()):
            raise _Refused(HTTPStatus.BAD_REQUEST)
        if headers.get("HTTP_EXPECT", "").lower() == "100-continue":
            self._write(["HTTP/1.1 100 Continue"])
        sent = LimitedStream(self.rfile, int(size))  # type: ignore[arg-type] # it can be read
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "RAW_URI": target,
            "REQUEST_URI": target,
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": protocol,
            "SERVER_NAME": self.server.host,
            "SERVER_PORT": str(self.server.port),
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.url_scheme": "http",
            "wsgi.input": sent,
            "wsgi.multithread": True,
            "werkzeug.socket": self.connection,
            **headers,
        }
        return environ, sent

    def _headers(self) -> dict[str, Any]:
        """Read the headers, under the names that WSGI has for them.

        One with an underscore could pass for one with a dash. Those of objects in S3 may have them,
        and moto is told how they were written.
        """
        found: dict[str, Any] = {}
        underscored: dict[str, tuple[str, str]] = {}
        for _ in range(_MOST_HEADERS + 1):
            line = self.rfile.readline(_LONGEST_LINE)
            if not line:
                raise ConnectionResetError
            if not line.strip():
                break
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not line.endswith(b"\n"):
                raise _Refused(HTTPStatus.BAD_REQUEST)
            key, value = environ_key_for_header(name), value.strip()
            if "_" not in name:
                found[key] = f"{found[key]},{value}" if key in found else value
            elif should_preserve_original_header_name(name):
                underscored[key] = (name, value)
        else:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        kept = {key: one for key, one in underscored.items() if key not in found}
        found.update({key: value for key, (_, value) in kept.items()})
        found[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {key: name for key, (name, _) in kept.items()}
        return found


class Server(ThreadingTCPServer):
    """Serves on a thread of its own, and one for each connection.

    Parameters
    ----------
    answer : callable
        Gives the answer to a request, by its WSGI environment.
    address : tuple of str and int
        Where it is to listen; port 0 is any that is free.
    listening : socket, optional
        Listen on this one instead, which is bound.

    Raises
    ------
    OSError
        If it cannot listen there.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], Response],
        address: tuple[str, int] = ("127.0.0.1", 0),
        *,
        listening: socket.socket | None = None,
    ) -> None:
        super().__init__(address, _Handler, bind_and_activate=listening is None)
        if listening is not None:
            self.socket.close()
            self.socket, self.server_address = listening, listening.getsockname()
            self.server_activate()
        self.answer = answer
        self.connected: set[tuple[str, int]] = set()
        """The clients' ends of all connections that were accepted and are not closed."""
        self.changed = threading.Condition()
        self.requests = 0
        """How many are being answered."""
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(3600,), name="http", daemon=True
        )

    @property
    def host(self) -> str:
        """Where it listens."""
        return str(self.server_address[0])

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """What it is asked by."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and answer no more than what is being answered."""
        ending = threading.Thread(target=self.shutdown)
        ending.start()
        while ending.is_alive():  # whether it is to end is looked at where somebody connects
            with suppress(OSError):
                socket.create_connection((self.host, self.port), timeout=1).close()
            ending.join(0.01)
        self._thread.join()
        self.server_close()
        with self.changed:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
            if not self.changed.wait_for(lambda: not self.requests, _SECONDS_TO_END):
                log.warning("%d requests are not answered yet", self.requests)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request while it is answered."""
        with self.changed:
            self.requests += 1
        try:
            yield
        finally:
            with self.changed:
                self.requests -= 1
                self.changed.notify_all()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Know who is connected."""
        with self.changed:
            self.connected.add(client_address)
            self._connections.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Forget who was."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.changed:
                self.connected.discard(client_address)
                self._connections.discard(request)
                self.changed.notify_all()

    def handle_error(self, *_: Any) -> None:
        """Log what went wrong in a thread."""
        log.exception("a connection failed")

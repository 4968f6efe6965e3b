"""The HTTP server of a world: it has what botocore's clients and those of `in_terminal` send.

moto's closes each connection, so that every call pays for one and for a thread, on both sides;
this one keeps them open, as EC2 does. The standard library's reads headers as those of an email,
which takes as long as some calls do.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import unquote

from werkzeug.http import http_date
from werkzeug.wrappers import Response


class _Handler(StreamRequestHandler):
    server: Server
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with suppress(ConnectionError):  # whoever sent it was killed, or it is asked for
            while line := self.rfile.readline():
                with self.server.under_way():
                    if not self._answered(line):
                        return

    def _answered(self, line: bytes) -> bool:
        """Answer one request; return whether there may be another one."""
        method, target, protocol = line.decode("latin-1").split()
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "RAW_URI": target,
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": protocol,
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.url_scheme": "http",
            "werkzeug.socket": self.connection,
            **self._headers(),
        }
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        size = int(environ.get("CONTENT_LENGTH") or 0)
        sent = self.rfile.read(size) if size else b""
        if len(sent) < size:  # whoever sent it was killed meanwhile
            return False
        environ["wsgi.input"] = io.BytesIO(sent)
        answer = self.server.answer(environ)
        content = answer.get_data()
        answer.headers["Content-Length"] = str(len(content))
        answer.headers["Date"] = http_date()
        lines = [f"HTTP/1.1 {answer.status}", *(f"{one}: {told}" for one, told in answer.headers)]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + content)
        self.wfile.flush()
        return "close" not in (environ.get("HTTP_CONNECTION"), answer.headers.get("Connection"))

    def _headers(self) -> dict[str, str]:
        """Read the headers, under the names that WSGI has for them."""
        found = {}
        while (line := self.rfile.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            key = name.upper().replace("-", "_")
            own = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            found[own] = value.strip()
        return found


class Server(ThreadingTCPServer):
    """Serves on a thread of its own, and knows who is connected.

    Parameters
    ----------
    answer : callable
        Gives the answer to a request, by its WSGI environment.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[dict[str, Any]], Response]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.connected: set[tuple[str, int]] = set()
        """The clients' ends of all connections that were accepted and are not closed."""
        self.changed = threading.Condition()
        self.requests = 0
        """How many are being answered."""
        self._thread = threading.Thread(target=self.serve_forever, args=(3600,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        ending = threading.Thread(target=self.shutdown)
        ending.start()
        while ending.is_alive():  # whether it is to end is looked at where somebody connects
            socket.create_connection(self.server_address).close()
            ending.join(0.01)
        self._thread.join()
        self.server_close()

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

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.changed:
            self.connected.add(client_address)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.changed:
                self.connected.discard(client_address)
                self.changed.notify_all()

"""The HTTP server of a world: as moto's, but that it keeps connections open, as EC2 does.

werkzeug's closes each, so that every call pays for a connection and a thread, on both sides.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Response


class _Handler(MotoRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        with self.server.under_way():
            self._run()

    def _run(self) -> None:
        environ = self.make_environ()
        size = int(environ.get("CONTENT_LENGTH") or 0)
        sent = self.rfile.read(size) if size else b""
        if len(sent) < size:  # whoever sent it was killed meanwhile
            self.close_connection = True
            return
        environ["wsgi.input"] = io.BytesIO(sent)
        try:
            answer = self.server.answer(environ)
        except ConnectionResetError:  # asked for: the connection is to break
            self.close_connection = True
            return
        content = answer.get_data()
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_request(self, *_: Any) -> None:
        pass


class Server(ThreadedWSGIServer):
    """Serves on a thread of its own, and knows who is connected.

    Parameters
    ----------
    answer : callable
        Gives the answer to a request, by its WSGI environment.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], Response]) -> None:
        super().__init__("127.0.0.1", 0, app=lambda *_: [], handler=_Handler)
        self.answer = answer
        self.connected: set[tuple[str, int]] = set()
        """The clients' ends of all connections that were accepted and are not closed."""
        self.changed = threading.Condition()
        self.requests = 0
        """How many are being answered."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self.shutdown()
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

"""Where the page is served: on loopback, to who has its address.

The address has a token in it that is made anew each time. The page is given to nobody without it;
what the page opens its connection with is signed with a key that is known here only, and a browser
that is on another page is refused, whatever it knows.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.auth_provider import AuthProvider
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import HTTPError

from spotcluster.dashboard.look import Source
from spotcluster.dashboard.page import open_page
from spotcluster.errors import UsageError

HOST = "127.0.0.1"
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self'"
    " 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' {ws};"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class Guard(AuthProvider):
    """Lets in who has the token.

    Parameters
    ----------
    hosts : set of str
        By which names this server is spoken to. A page of another name that leads here, as a name
        server of an attacker's may have it, is not shown.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self.hosts: set[str] = set()

    @property
    def endpoints(self) -> list[Any]:
        return []

    @property
    def get_user(self) -> Any:
        return self._user

    @property
    def get_user_async(self) -> None:
        return None

    @property
    def login_url(self) -> None:
        return None

    @property
    def get_login_url(self) -> Any:
        return None

    @property
    def login_handler(self) -> None:
        return None

    @property
    def logout_url(self) -> None:
        return None

    @property
    def logout_handler(self) -> None:
        return None

    def _user(self, handler: Any) -> str:
        request = handler.request
        if request.host not in self.hosts:
            raise HTTPError(403, reason="This is another address")
        if request.path == "/ws":
            return "owner"  # Bokeh holds what was signed for the page against our key
        handler.set_header("Content-Security-Policy", _POLICY.format(ws=f"ws://{request.host}"))
        handler.set_header("Referrer-Policy", "no-referrer")
        handler.set_header("X-Content-Type-Options", "nosniff")
        handler.set_header("Cache-Control", "no-store")
        given = request.arguments.get("token", [b""])
        if len(given) != 1 or not hmac.compare_digest(given[0], self._token.encode()):
            raise HTTPError(403, reason="The address has no token, or a wrong one")
        return "owner"


class Served:
    """A server that runs in the thread that calls `run`.

    Attributes
    ----------
    url : str
        The address; who has it may steer the cluster.
    """

    def __init__(self, source: Source, port: int = 0) -> None:
        _log_as_we_do()
        token = secrets.token_urlsafe(24)
        guard = Guard(token)
        self._loop = IOLoop()  # of this thread, where Bokeh and tornado look for it
        application = Application(FunctionHandler(partial(open_page, source=source)))
        try:
            sockets, self.port = bind_sockets(HOST, port)
        except OSError as error:
            raise UsageError(
                f"Port {port} of this computer cannot be used: {error.strerror}.",
                "Name another one, or leave out --port.",
            ) from error
        guard.hosts = {f"{HOST}:{self.port}", f"localhost:{self.port}"}
        serves = BokehTornado(
            {"/": application},
            extra_websocket_origins=sorted(guard.hosts),
            auth_provider=guard,
            secret_key=secrets.token_bytes(32),
            sign_sessions=True,
            generate_session_ids=True,
            check_unused_sessions_milliseconds=5000,
            unused_session_lifetime_milliseconds=15_000,
            keep_alive_milliseconds=15_000,
            ico_path="none",
        )
        # Not Bokeh's Server, which must be told the origins before it has a port.
        http = HTTPServer(serves)
        http.add_sockets(sockets)
        self._server = BaseServer(self._loop, serves, http)
        self.url = f"http://{HOST}:{self.port}/?token={token}"

    def run(self) -> None:
        """Serve until `stop` is called."""
        self._server.start()
        self._loop.start()

    def run_until_interrupted(self) -> None:
        """Serve until Ctrl-C; in the main thread."""
        with _interrupt(lambda: self._loop.add_callback_from_signal(self._loop.stop)):
            self.run()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._loop.add_callback(self._loop.stop)

    def close(self) -> None:
        """Let go of the port."""
        self._server.stop(wait=False)
        self._loop.close(all_fds=True)


def _log_as_we_do() -> None:
    """Have what serves write to the log of this run, and not to the terminal."""
    ours = logging.getLogger("spotcluster")
    for name in ("tornado", "bokeh"):
        theirs = logging.getLogger(name)
        theirs.handlers, theirs.propagate = list(ours.handlers), False


@contextmanager
def _interrupt(stop: Any) -> Iterator[None]:
    """Have Ctrl-C, and what else ends a program, stop the loop rather than break into it."""
    before = {
        number: signal.signal(number, lambda *_: stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A port of a controller that is reached late, as through a tunnel on a machine that is busy."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any, Self


class Notices:
    """What the controller tells of engines that come and go; nothing of it before it is opened.

    Attributes
    ----------
    info : dict
        The controller's connection file, where this is in the place of its port.
    asked_for : threading.Event
        Set when a client connects. It was told by then which engines there are.
    """

    def __init__(self, client_file: Path) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.info: dict[str, Any] = json.loads(client_file.read_text())
        self._port = self.info["notification"]
        self.info["notification"] = self._listener.getsockname()[1]
        self.asked_for = threading.Event()
        self._opened = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.open()

    def open(self) -> None:
        """Let through who has connected, and who will."""
        self._opened.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs = self._listener.accept()[0]
                self.asked_for.set()
                threading.Thread(target=self._lead, args=(theirs,), daemon=True).start()

    def _lead(self, theirs: socket.socket) -> None:
        self._opened.wait()
        with theirs, socket.create_connection(("127.0.0.1", self._port)) as ours:
            up = threading.Thread(target=_pass_on, args=(theirs, ours), daemon=True)
            up.start()
            _pass_on(ours, theirs)
            up.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_RDWR)

"""Hands a host's split files to other hosts, so that the client's line is not the limit.

An engine that has brought files to its host serves them, in a thread beside its evaluations, until
the searches that asked it to have ended. It listens at the address at which it reaches the
controller, which is the network that the cluster's hosts share, and speaks CurveZMQ with a key of
its own. That key is told, through the client, to those that may ask: without it nobody can begin a
conversation, because already the first message is encrypted for it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from typing import Any

from . import engine

IDLE = 900.0  # seconds without a question after which nobody is thought to be there any more
LOOK = 500  # milliseconds between two looks at whether to end
LARGEST = 1 << 24  # bytes that may be asked for at once

_NOTHING = [b"0", b"-1", b""]
_DIGEST = re.compile(r"[0-9a-f]{64}")
_server: Server | None = None


def offer(search: str, files: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Serve this host's split files for a search, until `withdraw`.

    Returns
    -------
    dict
        ``address`` and ``key`` of the server, and ``has``, the digests of those of `files` that
        this host's store has. None where it cannot be encrypted, or nobody could reach it.
    """
    global _server
    if _server is None or not _server.is_alive():
        try:
            _server = Server(search)
        except (OSError, AttributeError, ImportError):
            return None
        _server.start()
    _server.searches.add(search)
    has = [x["digest"] for x in files if os.path.exists(engine.stored(x["digest"]))]  # noqa: PTH110
    return {"address": _server.address, "key": _server.key, "has": has}


def withdraw(search: str) -> None:
    """Serve them no longer, unless another search wants it."""
    if _server is not None:
        _server.searches.discard(search)


class Server(threading.Thread):
    """Answers ``[digest, offset, length]`` with the offset, the length and these bytes."""

    def __init__(self, search: str) -> None:
        import zmq

        super().__init__(name="spotcluster files", daemon=True)
        if not zmq.has("curve"):
            raise OSError("this libzmq cannot encrypt")
        self.searches = {search}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        public, self._socket.curve_secretkey = zmq.curve_keypair()
        self._socket.curve_server = True
        self.key = public.decode()
        address = f"tcp://{_address()}"
        self.address = f"{address}:{self._socket.bind_to_random_port(address)}"

    def run(self) -> None:
        asked = time.monotonic()
        try:
            while self.searches and time.monotonic() - asked < IDLE:
                if self._socket.poll(LOOK):
                    asked = time.monotonic()
                    who, question = self._socket.recv_multipart()[:2]
                    self._socket.send_multipart([who, *_answer(question)], copy=False)
        finally:
            self._socket.close()
            self._context.term()


def _answer(question: bytes) -> list[bytes]:
    try:
        digest, offset, length = json.loads(question)
        data = _bytes_of(digest, offset, length) if _DIGEST.fullmatch(digest) else None
    except (OSError, ValueError, TypeError, OverflowError):
        data = None
    return _NOTHING if data is None else [b"%d" % offset, b"%d" % length, data]


def _bytes_of(digest: str, offset: int, length: int) -> bytes:
    handle = os.open(engine.stored(digest), os.O_RDONLY)
    try:
        return os.pread(handle, min(length, LARGEST), offset)
    finally:
        os.close(handle)


def _address() -> str:
    """Return the address of this host by which it reaches the controller."""
    import zmq

    streams = engine._shell().kernel.shell_streams
    endpoint = streams[0].socket.get_string(zmq.LAST_ENDPOINT)
    controller = endpoint.rpartition("/")[2].rpartition(":")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((controller, 9))  # sends nothing: the kernel chooses the way
        return str(probe.getsockname()[0])

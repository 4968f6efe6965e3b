"""Hands a host's split files to other hosts, so that the client's line is not the limit.

An engine that has brought files to its host serves them, in a thread beside its evaluations, until
the searches that asked it to have ended. It listens at the address at which it reaches the
controller, which is the network that the cluster's hosts share, and speaks CurveZMQ with a key of
its own. That key is told, through the client, to those that may ask: without it nobody can begin a
conversation, because already the first message is encrypted for it.

A client that was killed cannot say that its search has ended, and the controller does not notice
when one goes. What it leaves behind is that evaluations come no more, so a search is over too when
this engine has had none of it for a while, and nobody has asked for a file.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import here, place

IDLE = 120.0  # seconds without an evaluation or a question after which a search is over
LOOK = 500  # milliseconds between two looks at whether to end
LARGEST = 1 << 24  # bytes that may be asked for at once

_NOTHING = [b"0", b"-1", b""]
_DIGEST = re.compile(r"[0-9a-f]{64}")
_server: Server | None = None
_working: Counter[str] = Counter()  # how many messages of each bundle run now
_counting = threading.Lock()
_worked: dict[str, float] = {}  # when evaluations of a bundle ended last, on the monotonic clock


def offer(search: str, bundle: str, files: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Serve this host's split files for a search, until `withdraw`, or until it seems over.

    Returns
    -------
    dict
        ``address`` and ``key`` of the server, and ``has``, the digests of those of `files` that
        this host's store has. None where it cannot be encrypted, or nobody could reach it.
    """
    global _server
    if _server is None or not _server.is_alive():
        try:
            _server = Server(search, bundle)
        except (OSError, AttributeError, ImportError):
            return None
        _server.start()
    _server.take(search, bundle)
    has = [x["digest"] for x in files if os.path.exists(here.stored(x["digest"]))]  # noqa: PTH110
    return {"address": _server.address, "key": _server.key, "has": has}


def withdraw(search: str) -> None:
    """Serve them no longer, unless another search wants it."""
    if _server is not None:
        _server.searches.pop(search, None)


@contextmanager
def working(bundle: str) -> Iterator[None]:
    """Take note, for as long as this is open, that the searches with this bundle go on."""
    with _counting:
        _working[bundle] += 1
    try:
        yield
    finally:
        with _counting:
            _working[bundle] -= 1
        _worked[bundle] = time.monotonic()


class Server(threading.Thread):
    """Answers ``[digest, offset, length]`` with the offset, the length and these bytes."""

    def __init__(self, search: str, bundle: str) -> None:
        import zmq

        super().__init__(name="spotcluster files", daemon=True)
        if not zmq.has("curve"):
            raise OSError("this libzmq cannot encrypt")
        self.searches: dict[str, str] = {}  # their bundles
        self.take(search, bundle)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        public, self._socket.curve_secretkey = zmq.curve_keypair()
        self._socket.curve_server = True
        self.key = public.decode()
        address = f"tcp://{_address()}"
        self.address = f"{address}:{self._socket.bind_to_random_port(address)}"

    def take(self, search: str, bundle: str) -> None:
        """Serve files for a search."""
        self.searches[search] = bundle
        self._asked = time.monotonic()

    def wanted(self) -> bool:
        """Return whether any search goes on, as far as can be told."""
        now = time.monotonic()
        for search, bundle in list(self.searches.items()):
            last = max(self._asked, _worked.get(bundle, 0.0))
            if not _working[bundle] and now - last > IDLE:
                self.searches.pop(search, None)
        return bool(self.searches)

    def run(self) -> None:
        try:
            while self.wanted():
                if self._socket.poll(LOOK):
                    self._asked = time.monotonic()
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
    handle = os.open(here.stored(digest), os.O_RDONLY)
    try:
        return os.pread(handle, min(length, LARGEST), offset)
    finally:
        os.close(handle)


def _address() -> str:
    """Return the address of this host by which it reaches the controller, or is known there."""
    if (given := place.current()) is not None:
        if not given["address"]:
            raise OSError("nobody could reach it")
        return str(given["address"])
    import zmq

    streams = here._shell().kernel.shell_streams
    endpoint = streams[0].socket.get_string(zmq.LAST_ENDPOINT)
    controller = endpoint.rpartition("/")[2].rpartition(":")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((controller, 9))  # sends nothing: the kernel chooses the way
        return str(probe.getsockname()[0])

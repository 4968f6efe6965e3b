"""Brings split files to a host, piece by piece: from the client, another host or a web address.

Pieces are written into a file beside the place where the split file belongs, which takes that place
when all of it is there and its digest is right.
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import here

BLOCK = 1 << 20  # what a host is asked for at once
AHEAD = 4  # blocks that are asked for before the first has come
MEETING = 5_000  # milliseconds until another host's first answer
ANSWER = 30_000  # milliseconds until each further one: its evaluations may hold it up, but
ALIVE = 1_000  # milliseconds between two signs of life, which they cannot, and
GONE = 10_000  # milliseconds without one after which it is taken for gone


def wanted(digest: str, size: int) -> bool:
    """Return whether this host's store lacks a split file; hosts may share a store."""
    return here.verified(here.stored(digest), size, digest) is None


def receive(digest: str, upload: str, offset: int, chunk: bytes) -> int:
    """Write a piece that the client has sent; return how many bytes it has."""
    with _open(digest, upload) as handle:
        _write(handle, offset, chunk)
    return len(chunk)


def fetch(peer: dict[str, Any], digest: str, upload: str, offset: int, length: int) -> int:
    """Get a piece from another host, see `peer`; return how many bytes it has.

    Raises
    ------
    OSError
        If the host does not answer, has gone, or does not have the file any more.
    """
    starts = range(offset, offset + length, BLOCK)
    asked = answered = 0
    with _linked(peer) as (link, wait), _open(digest, upload) as to:
        while answered < len(starts):
            while asked < min(len(starts), answered + AHEAD):
                start = starts[asked]
                size = min(BLOCK, offset + length - start)
                link.send(json.dumps([digest, start, size]).encode())
                asked += 1
            wait(ANSWER if answered else MEETING)
            start, size, data = int(link.recv()), int(link.recv()), link.recv()
            if len(data) != size:
                raise OSError(f"the host at {peer['address']} does not have the file")
            _write(to, start, data)
            answered += 1
    return length


@contextlib.contextmanager
def _linked(peer: dict[str, Any]) -> Iterator[tuple[Any, Callable[[int], None]]]:
    """Give a connection to another host, and what waits for its next answer.

    That raises an OSError when there is none within so many milliseconds, and when the host, or the
    engine that serves there, has gone, which need not be waited for.
    """
    import zmq

    with zmq.Context() as context, context.socket(zmq.DEALER) as link:
        link.linger = 0
        link.heartbeat_ivl, link.heartbeat_timeout = ALIVE, GONE
        link.curve_publickey, link.curve_secretkey = zmq.curve_keypair()
        link.curve_serverkey = peer["key"].encode()
        gone = link.get_monitor_socket(zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_DISCONNECTED)
        poller = zmq.Poller()
        poller.register(link, zmq.POLLIN)
        poller.register(gone, zmq.POLLIN)
        link.connect(peer["address"])

        def wait(limit: int) -> None:
            events = dict(poller.poll(limit))
            if link not in events:
                what = "has gone" if events else "does not answer"
                raise OSError(f"the host at {peer['address']} {what}")

        try:
            yield link, wait
        finally:
            link.disable_monitor()


def download(url: str, digest: str, upload: str, offset: int, length: int) -> int:
    """Get a piece from a web address; return how many bytes it has.

    Raises
    ------
    OSError
        If it cannot be had.
    """
    span = f"bytes={offset}-{offset + length - 1}"
    request = urllib.request.Request(url, headers={"Range": span})  # noqa: S310 - the client's
    with urllib.request.urlopen(request, timeout=ANSWER / 1000) as answer:  # noqa: S310
        if answer.status != 206 and (offset or length != int(answer.headers["Content-Length"])):
            raise OSError(f"the store answered {answer.status} to a request for a part of a file")
        done = 0
        with _open(digest, upload) as handle:
            while done < length and (data := answer.read(min(BLOCK, length - done))):
                _write(handle, offset + done, data)
                done += len(data)
    return done


def complete(digest: str, upload: str, size: int) -> None:
    """Put a split file that has come whole into its place.

    Raises
    ------
    ValueError
        If what came is not what was sent; nothing is left of it then.
    """
    path = _partial(digest, upload)
    try:
        # The digest speaks of the content and not of who is asking: another search may have
        # brought the same file in the meantime, and engines may have it mapped already.
        if wanted(digest, size):
            entry = here.verified(str(path), size, digest)
            if entry is None:
                found = path.stat().st_size if path.exists() else 0
                raise ValueError(f"{found} of {size} bytes came, or other ones than were sent")
            path.replace(here.stored(digest))
            here.has_arrived(digest, entry)
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def discard(upload: str) -> None:
    """Remove what is left of an upload that was given up."""
    for path in here.store_dir().glob(f".*.{upload}.part"):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _partial(digest: str, upload: str) -> Path:
    return here.store_dir() / f".{digest}.{upload}.part"


def _open(digest: str, upload: str) -> Any:
    path = _partial(digest, upload)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb", buffering=0)


def _write(handle: Any, offset: int, data: bytes) -> None:
    handle.seek(offset)
    rest = memoryview(data)
    while rest:  # what a full disk has no room for is left out, and only the next write says why
        rest = rest[handle.write(rest) :]

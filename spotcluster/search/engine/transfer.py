"""Brings split files to a host, piece by piece: from the client, another host or a web address.

Pieces are written into a file beside the place where the split file belongs, which takes that place
when all of it is there and its digest is right.
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from . import here

BLOCK = 1 << 20  # what a host is asked for at once
AHEAD = 4  # blocks that are asked for before the first has come
MEETING = 5_000  # milliseconds until another host's first answer
ANSWER = 30_000  # milliseconds until each further one


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
        If the host does not answer, or does not have the file any more.
    """
    import zmq

    starts = range(offset, offset + length, BLOCK)
    asked = answered = 0
    with zmq.Context() as context, context.socket(zmq.DEALER) as link, _open(digest, upload) as to:
        link.linger = 0
        link.curve_publickey, link.curve_secretkey = zmq.curve_keypair()
        link.curve_serverkey = peer["key"].encode()
        link.connect(peer["address"])
        while answered < len(starts):
            while asked < min(len(starts), answered + AHEAD):
                start = starts[asked]
                size = min(BLOCK, offset + length - start)
                link.send(json.dumps([digest, start, size]).encode())
                asked += 1
            if not link.poll(ANSWER if answered else MEETING):
                raise OSError(f"the host at {peer['address']} does not answer")
            start, size, data = int(link.recv()), int(link.recv()), link.recv()
            if len(data) != size:
                raise OSError(f"the host at {peer['address']} does not have the file")
            _write(to, start, data)
            answered += 1
    return length


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
            if here.verified(str(path), size, digest) is None:
                found = path.stat().st_size if path.exists() else 0
                raise ValueError(f"{found} of {size} bytes came, or other ones than were sent")
            path.replace(here.stored(digest))
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

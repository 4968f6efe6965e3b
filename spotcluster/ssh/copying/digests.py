"""Digests of files, and what S3 makes of them."""

from __future__ import annotations

import hashlib
import re

from .wire import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def etag(file: Any, size: int, wanted: str, beat: Callable[[], Any]) -> str:
    """Return S3's ETag of a file: its MD5, or of an object in parts the MD5 of the parts' MD5s.

    `wanted` is an ETag that says which, with the size of a part after a colon: ``md5-3:8388608``.
    """
    part = int(wanted.partition(":")[2] or 0)
    if not part:
        return str(_fed(hashlib.md5(), file, size, beat).hexdigest())
    digests = [
        _fed(hashlib.md5(), file, min(part, size - at), beat).digest()
        for at in range(0, size, part)
    ]
    return hashlib.md5(b"".join(digests)).hexdigest() + "-" + str(len(digests))


def is_etag(text: str) -> bool:
    """Return whether this is an ETag that is a digest, as `etag` wants it."""
    return re.match(r"[0-9a-f]{32}(-\d{1,5}:\d{1,12})?\Z", text) is not None


def sha256(file: Any, size: int, beat: Callable[[], Any]) -> Any:
    """Return the SHA-256 of the next `size` bytes of a file, as hashlib has it."""
    return _fed(hashlib.sha256(), file, size, beat)


def _fed(found: Any, file: Any, size: int, beat: Callable[[], Any]) -> Any:
    for data in pieces(file, size):
        found.update(data)
        beat()
    return found


def pieces(file: Any, size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file, a bearable piece at a time."""
    while size > 0:
        data = file.read(min(CHUNK, size))
        if not data:
            return
        size -= len(data)
        yield data

"""Frames on a stream of bytes, names on the wire, and the error that ends a copy."""

from __future__ import annotations

import json
import struct
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CHUNK = 256 * 1024
"""Bytes of a file that are in memory at a time."""
BEAT = 2.0
"""Seconds after which an end that is busy says that it is there."""
SILENCE = 30.0
"""Seconds of silence after which a node's end gives the other one up."""
HELD = SILENCE + 15.0
"""Seconds to wait for a file that an end without its other end may still hold."""

_HEAD = struct.Struct(">cI")
_LONGEST = 16 * 1024 * 1024

REQUEST, MANIFEST, PLAN, END = b"Q", b"M", b"P", b"E"
FILE, DATA, DIGEST, SAME, CHANGED = b"F", b"D", b"Z", b"S", b"C"
JOB, RESULT, BEATS, FATAL = b"J", b"R", b"H", b"X"


class RefusedError(Exception):
    """The copy cannot be made, in words that name what the user gave.

    `code` is "missing", "denied", "full", "folder", "exists", "names", "aside", "hostile" or
    "failed".
    """

    def __init__(self, code: str, text: str) -> None:
        Exception.__init__(self, text)
        self.code = code
        self.text = text


class ToldError(RefusedError):
    """A `RefusedError` that the other end has met."""


def nonsense() -> RefusedError:
    """Return the error for an other end that does not keep to what was agreed."""
    return RefusedError("hostile", "what it sent makes no sense")


class Watch:
    """Is told how a copy goes; this one does not care."""

    def total(self, files: int, size: int) -> None:
        """So much there is to do."""

    def moved(self, size: int) -> None:
        """So many bytes are done, sent or found to be there."""


class Pipe:
    """Frames over two functions: `read` returns some bytes, none at the end; `write` takes all.

    Attributes
    ----------
    turns : int
        How often this end has waited for an answer to what it had said.
    last : float
        When something came or went (monotonic).
    """

    def __init__(self, read: Callable[[int], bytes], write: Callable[[bytes], None]) -> None:
        self._read = read
        self._write = write
        self._in = bytearray()
        self._out = bytearray()
        self._lock = threading.RLock()
        self._said = True
        self.turns = 0
        self.last = time.monotonic()
        self._beaten = self.last

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send a frame, some time before the next one is awaited."""
        with self._lock:
            self._out += _HEAD.pack(kind, len(payload))
            self._out += payload
            if len(self._out) >= CHUNK:
                self.flush()

    def tell(self, kind: bytes, value: Any) -> None:
        """Send a frame of JSON."""
        self.send(kind, json.dumps(value).encode())

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            if self._out:
                out, self._out = bytes(self._out), bytearray()
                self._write(out)
                self._said = True
                self.last = self._beaten = time.monotonic()

    def forget(self) -> None:
        """Drop what waits: nobody takes it any more."""
        with self._lock:
            self._out.clear()

    def beat(self, done: int = 0) -> None:
        """Say that this end is there, unless it has just said something."""
        with self._lock:
            if done or time.monotonic() - self._beaten > BEAT:
                self.tell(BEATS, done)
                self.flush()

    def receive(self) -> tuple[bytes, bytes]:
        """Return the next frame, beats too.

        Raises
        ------
        EOFError
            The other end has gone.
        ToldError
            The other end says that the copy cannot be made.
        RefusedError
            What it says makes no sense.
        """
        self.flush()
        kind, length = _HEAD.unpack(self._exactly(_HEAD.size))
        if length > _LONGEST:
            raise nonsense()
        payload = self._exactly(length)
        if kind == FATAL:
            said = parsed(payload)
            raise ToldError(str(said[0]), str(said[1]))
        return kind, payload

    def expect(self) -> tuple[bytes, bytes]:
        """Return the next frame that is no beat."""
        while True:
            kind, payload = self.receive()
            if kind != BEATS:
                return kind, payload

    def _exactly(self, number: int) -> bytes:
        while len(self._in) < number:
            if self._said:
                self._said = False
                self.turns += 1
            data = self._read(CHUNK)
            if not data:
                raise EOFError
            self.last = time.monotonic()
            self._in += data
        found = bytes(self._in[:number])
        del self._in[:number]
        return found


def parsed(payload: bytes) -> Any:
    """Return what a frame of JSON holds."""
    try:
        return json.loads(payload.decode())
    except ValueError:
        raise nonsense() from None


def to_wire(name: bytes) -> str:
    """Return a name as it is sent and shown."""
    return name.decode("utf-8", "surrogateescape")


def from_wire(name: str) -> bytes:
    """Return a name as the system has it."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RefusedError("hostile", "it sent a name that no file can have") from None


def shown(name: str | bytes) -> str:
    """Return a name in quotes for a sentence: what is no print is escaped."""
    text = to_wire(name) if isinstance(name, bytes) else name
    if text.isprintable():
        return "'" + text + "'"
    quoted = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return "'" + quoted + "'"


def reason(error: OSError) -> str:
    """Return why the system refused, in its own words."""
    return error.strerror or str(error) or type(error).__name__


def stays_inside(names: list[bytes], target: bytes) -> bool:
    """Return whether a link at `names` (below the copied folder) leads to a place in that folder.

    Its folder is a real one, so leading ``..`` lead where they say. Later ones might not: what
    comes before them may be a link itself.
    """
    parts = target.split(b"/")
    up = 0
    while up < len(parts) and parts[up] == b"..":
        up += 1
    down = [part for part in parts[up:] if part not in (b"", b".")]
    return bool(target) and parts[0] != b"" and b".." not in down and up <= len(names) - 1

"""Trees of files to a machine and from it, in one stream; see `spotcluster.ssh.copying`."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spotcluster import assembly, node_layout
from spotcluster.errors import ConnectionFailed, NodeError, SpotclusterError, UsageError
from spotcluster.ssh.apart import apart
from spotcluster.ssh.connection import Connection
from spotcluster.ssh.copying import wire
from spotcluster.ssh.copying.receiver import Receiver
from spotcluster.ssh.copying.sender import Sender, root_name
from spotcluster.ssh.copying.wire import Pipe, RefusedError, Watch, from_wire, shown, to_wire
from spotcluster.wording import masked

__all__ = [
    "Moved",
    "Report",
    "Watch",
    "far_end",
    "get",
    "opened",
    "patterns",
    "put",
    "report_of",
]

ANSWER = 120.0
"""Seconds without a word after which a machine is given up."""
AGAIN = "The same command again goes on where this one stopped."

_NO_PYTHON = 86
_PYTHONS = f"python3 /usr/libexec/platform-python {node_layout.PYTHON}"
# The modules come on standard input, before the frames, so that they are in no command line.
_LOAD = "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
_START = (
    f"for python in {_PYTHONS}"
    '; do command -v "$python" >/dev/null 2>&1 && exec "$python" -I -c "$1"; done'
    f"; exit {_NO_PYTHON}"
)
_WORDS = ("env", "sh", "-c", _START, "sh", _LOAD)
_LOADER = """
import sys, types
package = types.ModuleType("copying")
package.__path__ = []
sys.modules["copying"] = package
for name, text in {sources!r}:
    module = types.ModuleType("copying." + name)
    module.__package__ = "copying"
    sys.modules["copying." + name] = module
    setattr(package, name, module)
    exec(compile(text, "copying/" + name + ".py", "exec"), module.__dict__)
sys.modules["copying.node"].main({mark!r})
"""
_PACKET = 1 << 15
_STATUS = 5.0  # seconds for the exit status of a program that has closed its output
_NOISE = 1 << 20  # the most that a login may print before us

_HINTS = {
    "missing": "Check the path; on a machine, relative paths and ~/ start at the user's home.",
    "denied": "Check the path, and who may use it; -u takes another user of the machine.",
    "full": "Make room there, then repeat the command: what has arrived is not sent again.",
    "folder": "Name a folder that is there, or end the path with / to have it made.",
    "names": "Copy them into folders of their own.",
    "aside": "If no copy is writing it, give it another name.",
    "hostile": "Nothing was written outside the destination; do not trust that machine.",
}


@dataclass(frozen=True)
class Moved:
    """A file that is where it should be.

    Attributes
    ----------
    name : str
        Its path below the destination, with the name it had.
    size : int
        Bytes.
    sent : int
        Bytes of it that went over; 0 if it was there already.
    digest : str
        What it was proved by: ``sha256:...``, or ``etag:...`` for what S3 has.
    """

    name: str
    size: int
    sent: int
    digest: str


@dataclass(frozen=True)
class Report:
    """What came of a copy.

    Attributes
    ----------
    files : tuple of Moved
        The files that are there now, each proved by size and digest.
    left_out : tuple of (str, str)
        What was not copied by rule, and why: sockets, links that lead out of what is copied.
    failed : tuple of (str, str)
        What could not be copied, and why.
    there : tuple of str
        The names of all that is there now, of folders and links too.
    """

    files: tuple[Moved, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    there: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)

    @property
    def sent(self) -> int:
        """Bytes that went over."""
        return sum(one.sent for one in self.files)

    def check(self, alias: str) -> None:
        """Raise a NodeError if anything could not be copied."""
        if self.failed:
            name, why = self.failed[0]
            more = len(self.failed) - 1
            text = f"{shown(name)} could not be copied: {why}"
            raise NodeError(alias, text + (f" (and {more} more)." if more else "."), AGAIN)


@apart
def put(
    connection: Connection,
    sources: Sequence[str | os.PathLike[str]],
    dest: str,
    *,
    progress: Watch | None = None,
    user: str | None = None,
    follow: bool = False,
) -> Report:
    """Copy files and folders of this computer to a machine.

    Parameters
    ----------
    sources : sequence of path
        Paths, or patterns where there is no such path.
    dest : str
        Where to, as `cp -r` takes it: into a folder that is there or whose path ends with ``/``,
        else under this name. Relative paths and ``~/`` start at the user's home.
    progress : Watch, optional
        Is told how it goes.
    user : str, optional
        Who writes there, by sudo; the login unless given.
    follow : bool
        Whether what links lead to is copied in their place.

    Returns
    -------
    Report
        Its `failed` says what could not be copied; the rest was.

    Raises
    ------
    UsageError
        A source is not there, or two would have the same name.
    NodeError
        The destination cannot be written, or has no room.
    ConnectionFailed
        The connection was lost; the same copy again sends what is missing.
    """
    names = [_raw(one) for one in sources]
    with opened(connection, {"what": "take", "dest": dest}, user) as pipe:
        sender = Sender(pipe, names, progress or Watch(), follow=follow)
        failed = sender.run()
    return report_of(
        [
            (index, one.name, one.kind, one.size, one.target)
            for index, one in enumerate(sender.items)
        ],
        sender,
        [(str(name), str(why)) for name, why in failed],
    )


@apart
def get(
    connection: Connection,
    sources: Sequence[str],
    dest: str | os.PathLike[str],
    *,
    progress: Watch | None = None,
    user: str | None = None,
    follow: bool = False,
) -> Report:
    """Copy files and folders of a machine to this computer; the mirror image of `put`.

    The machine is not believed: nothing is written but below `dest`, and under no other names than
    were asked for.
    """
    asked = {"what": "give", "sources": list(sources), "follow": follow}
    with opened(connection, asked, user) as pipe:
        receiver = Receiver(pipe, _raw(dest), progress or Watch(), patterns(sources))
        receiver.run()
        pipe.tell(wire.RESULT, [])
        pipe.flush()
    listed = [
        (index, from_wire(one.name), one.kind, one.size, one.target)
        for index, one in enumerate(receiver.entries)
    ]
    return report_of(listed, receiver, receiver.failed)


def report_of(
    listed: Sequence[tuple[int, bytes, str, int, bytes]],
    end: Sender | Receiver,
    failed: Sequence[tuple[str, str]],
) -> Report:
    """Return the report of a copy from what one end knows of it."""
    bad = {name for name, _ in failed}
    files = [
        Moved(to_wire(name), size, end.sent.get(index, 0), f"sha256:{end.digests.get(index, '')}")
        for index, name, kind, size, _ in listed
        if kind == "f" and to_wire(name) not in bad
    ]
    left_out = [(to_wire(name), to_wire(why)) for _, name, kind, _, why in listed if kind == "-"]
    there = [
        to_wire(name)
        for _, name, kind, _, _ in listed
        if kind in ("f", "d", "l") and to_wire(name) not in bad
    ]
    return Report(tuple(files), tuple(left_out), tuple(failed), tuple(there))


def patterns(sources: Sequence[str]) -> list[str]:
    """Return what the names of things asked for look like."""
    return ["." if one.rstrip("/") == "~" else to_wire(root_name(_raw(one))) for one in sources]


@contextlib.contextmanager
def opened(connection: Connection, asked: dict[str, Any], user: str | None) -> Iterator[Pipe]:
    """Start the machine's end of a copy; its errors and ours become those of this program."""
    alias = connection.target.alias
    mark = secrets.token_hex(12)
    words = list(_WORDS)
    if user and user != connection.target.user:
        words = ["sudo", "-n", "-H", "-u", user, "--", *words]
    with connection.program(f"exec {shlex.join(words)}", "the copy") as channel:
        channel.settimeout(ANSWER)
        stream = _Stream(channel)
        pipe = Pipe(stream.read, stream.write)
        try:
            try:
                _start(stream, pipe, mark, asked)
                yield pipe
            except (_StreamError, EOFError):
                _last_words(pipe)
                raise
        except RefusedError as error:
            raise _explained(alias, error) from error
        except _StreamError as error:
            if isinstance(error.__cause__, TimeoutError):
                text = f"its end of the copy said nothing for {ANSWER:.0f} s."
                raise NodeError(alias, text, AGAIN) from error
            raise _broken(connection, channel, user, started=stream.started) from error
        except EOFError as error:
            raise _broken(connection, channel, user, started=stream.started) from error
        except OSError as error:
            text = f"This computer cannot go on with the copy: {wire.reason(error)}."
            raise SpotclusterError(text, AGAIN) from error


class _StreamError(Exception):
    """The channel takes or gives no more."""


class _Stream:
    """A channel as a `Pipe` wants it."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._first = b""
        self.started = False

    def skip_to(self, mark: bytes) -> None:
        """Leave out what a login prints before the program."""
        noise = bytearray()
        while mark not in noise:
            data = self.read(wire.CHUNK)
            if not data or len(noise) > _NOISE:
                raise EOFError
            noise += data
        self.started = True
        self._first = bytes(noise[noise.index(mark) + len(mark) :])

    def read(self, size: int) -> bytes:
        """Return what has come, nothing at the end."""
        if self._first:
            data, self._first = self._first, b""
            return data
        try:
            return bytes(self._channel.recv(size))
        except OSError as error:
            raise _StreamError from error

    def write(self, data: bytes) -> None:
        """Send all of it; paramiko's own sendall never ends when the channel takes no more."""
        rest = memoryview(data)
        try:
            while rest:
                sent = self._channel.send(bytes(rest[:_PACKET]))
                if not sent:
                    raise _StreamError
                rest = rest[sent:]
        except OSError as error:
            raise _StreamError from error


def _start(stream: _Stream, pipe: Pipe, mark: str, asked: dict[str, Any]) -> None:
    program = _program(mark).encode()
    stream.write(b"%d\n" % len(program) + program)
    pipe.tell(wire.REQUEST, asked)
    pipe.flush()
    stream.skip_to(mark.encode() + b"\n")


def _program(mark: str) -> str:
    return _LOADER.format(sources=assembly.sources("spotcluster.ssh.copying"), mark=mark)


def far_end(mark: str) -> tuple[str, str]:
    """Return the line that starts a machine's end of a copy, and the program that it reads."""
    return f"exec {shlex.join(_WORDS)}", _program(mark)


def _last_words(pipe: Pipe) -> None:
    """Raise what the machine said before its end of the copy ended, if it said why."""
    with contextlib.suppress(_StreamError, EOFError):
        pipe.forget()
        while True:
            pipe.receive()


def _explained(alias: str, error: RefusedError) -> SpotclusterError:
    hint = _HINTS.get(error.code, "")
    if isinstance(error, wire.ToldError) or error.code == "hostile":
        return NodeError(alias, f"{masked(error.text)}.", hint)
    text = f"On this computer, {error.text}."
    if error.code in ("missing", "names", "folder"):
        return UsageError(text, hint)
    return SpotclusterError(text, hint)


def _broken(
    connection: Connection, channel: Any, user: str | None, *, started: bool
) -> SpotclusterError:
    alias = connection.target.alias
    if not connection.alive:
        where = connection.target.where
        return ConnectionFailed(
            alias, f"the SSH connection to {where} was lost during the copy.", AGAIN
        )
    channel.status_event.wait(_STATUS)
    status = channel.exit_status if channel.status_event.is_set() else -1
    if status == _NO_PYTHON:
        return NodeError(
            alias, "it has no Python 3, which copying needs.", "Install the package python3 there."
        )
    said = b""
    with contextlib.suppress(OSError):
        said = channel.recv_stderr(wire.CHUNK)
    lines = masked(said.decode(errors="replace").strip()).splitlines()
    refused = [line for line in lines if line.startswith("sudo: ")]
    why = f": {(refused or lines[-1:])[0]}" if lines else "."
    if user and not started:
        hint = "Where a user may not log in itself, the login must be let become it by sudo."
        return NodeError(alias, f"nothing could be started as {user}{why}", hint)
    return NodeError(alias, f"its end of the copy ended with status {status}{why}", AGAIN)


def _raw(name: str | os.PathLike[str]) -> bytes:
    return from_wire(os.fspath(name))

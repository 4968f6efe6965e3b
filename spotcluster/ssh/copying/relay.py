"""Passes on to other machines what this one was sent, each by the ssh that this one has."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading

from . import wire
from .sender import Item, Sender, item_at
from .wire import Pipe, RefusedError, Watch, from_wire, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SSH = [
    "ssh",
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=20",
    "-o",
    "ServerAliveInterval=10",
]
_NOISE = 1 << 20  # the most that a login may print before its end of the copy
_STEP = 0.5
_PATIENCE = 5.0


class Relay:
    """One place of this machine's that is to be the same on others.

    Parameters
    ----------
    pipe : Pipe
        To who asks. It is told how many bytes have gone, and what came of each machine.
    asked : dict
        ``base`` and ``names``: the folder, and what of it; ``to``: the machines, as our ssh knows
        them; ``side``: to how many at a time; ``line``, ``program``, ``mark``: how their end of a
        copy is started, and what it says first.
    """

    def __init__(self, pipe: Pipe, asked: Any, base: bytes) -> None:
        self._pipe = pipe
        self._asked = asked
        self._base = base
        self._todo = list(asked["to"])
        self._lock = threading.Lock()

    def run(self) -> None:
        """Send to all of them; one that fails holds up no other."""
        number = min(int(self._asked["side"]), len(self._todo))
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(number)]
        for one in threads:
            one.start()
        for one in threads:
            while one.is_alive():
                one.join(_STEP)
                self._pipe.beat()
        self._pipe.send(wire.END)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._todo:
                    return
                alias = self._todo.pop(0)
            try:
                (sent, failed), problem = self._send(alias), ""
            except RefusedError as error:
                sent, failed, problem = 0, [], error.text
            except OSError as error:
                sent, failed, problem = 0, [], reason(error)
            self._pipe.tell(wire.RESULT, [alias, sent, failed, problem])
            self._pipe.flush()

    def _send(self, alias: str) -> tuple[int, list[Any]]:
        with tempfile.TemporaryFile() as said:
            far = subprocess.Popen(
                [*_SSH, "--", alias, self._asked["line"]],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
            try:
                return self._copy(far)
            except (EOFError, BrokenPipeError):
                _wait(far)
                said.seek(0)
                lines = said.read(_NOISE).decode(errors="replace").strip().splitlines()
                raise RefusedError("failed", lines[-1] if lines else "it was lost") from None
            finally:
                _wait(far)

    def _copy(self, far: Any) -> tuple[int, list[Any]]:
        mark, program = self._asked["mark"].encode() + b"\n", self._asked["program"].encode()
        stream = _Stream(far.stdin.fileno(), far.stdout.fileno())
        pipe = Pipe(stream.read, stream.write)
        stream.write(b"%d\n" % len(program) + program)
        pipe.tell(wire.REQUEST, {"what": "take", "dest": self._asked["base"] + "/"})
        pipe.flush()
        stream.skip_to(mark)
        sender = _Again(pipe, self._base, self._asked["names"], _Passed(self._pipe))
        failed = sender.run()
        return sum(sender.sent.values()), failed


def _wait(far: Any) -> None:
    """Let a program end, which has nobody to speak to any more."""
    far.stdin.close()
    far.stdout.close()
    try:
        far.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        far.kill()
        far.wait()


class _Again(Sender):
    """Sends what is at certain places, by the names that it has there."""

    def __init__(self, pipe: Pipe, base: bytes, names: list[str], watch: Watch) -> None:
        Sender.__init__(self, pipe, [], watch)
        self._base = base
        self._names = names

    def _find(self) -> Iterator[Item]:
        for one in self._names:
            self._pipe.beat()
            name = from_wire(one)
            yield item_at(self._base + b"/" + name, name)


class _Passed(Watch):
    """Tells who asks how many bytes have gone."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def moved(self, size: int) -> None:
        self._pipe.beat(size)


class _Stream:
    """The two ends of a program's pipes."""

    def __init__(self, into: int, out: int) -> None:
        self._into = into
        self._out = out
        self._first = b""

    def skip_to(self, mark: bytes) -> None:
        """Leave out what a login prints before the program."""
        noise = bytearray()
        while mark not in noise:
            data = self.read(wire.CHUNK)
            if not data or len(noise) > _NOISE:
                raise EOFError
            noise += data
        self._first = bytes(noise[noise.index(mark) + len(mark) :])

    def read(self, size: int) -> bytes:
        """Return what has come, nothing at the end."""
        if self._first:
            data, self._first = self._first, b""
            return data
        return os.read(self._out, size)

    def write(self, data: bytes) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._into, rest) :]

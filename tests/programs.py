"""Programs of ours in processes of their own, which need no time to import; see `forked`."""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

_FILE = Path(__file__).with_name("forked.py")


class Maker:
    """The process that makes them; it ends with this object.

    Parameters
    ----------
    kind : {"program", "terminal", "engine"}
        What it has imported.
    env : mapping of str to str, optional
        Its environment while it imports; this one's by default.
    """

    def __init__(
        self,
        kind: str = "program",
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._asking = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, str(_FILE), str(theirs.fileno()), kind],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a Ctrl-C is not for it
            )
        self.close = weakref.finalize(self, _end, self._requests, process)

    def ask(self, request: bytes, descriptors: Sequence[int]) -> None:
        """Ask for a process; the last of the descriptors is where it is told of."""
        with self._asking:
            socket.send_fds(self._requests, [request], descriptors)


def _end(requests: socket.socket, process: subprocess.Popen[bytes]) -> None:
    requests.close()
    process.wait()


def runs(pid: int) -> bool:
    """Return whether a process runs: one that has ended may wait for its new parent to notice."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@functools.cache
def _ours() -> Maker:
    return Maker()


class Program:
    """A program that runs, as `subprocess.Popen` has it.

    Parameters
    ----------
    command : sequence of str
        ``[sys.executable, "-m", MODULE, ...]`` or ``[sys.executable, FILE, ...]``.
    stdin, stdout, stderr : file or int
        Its standard streams.
    env : mapping of str to str, optional
        Its environment; this one's by default.
    cwd : Path, optional
        Its folder; this process's by default.
    start_new_session : bool
        Whether it leaves its session, so that signals to the group do not reach it.
    maker : Maker, optional
        What makes it; one of this process's by default.
    within : int, optional
        A process: it is in that one's namespaces of mounts, network and processes.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: IO[Any] | int,
        stdout: IO[Any] | int,
        stderr: IO[Any] | int,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        start_new_session: bool = False,
        maker: Maker | None = None,
        within: int | None = None,
    ) -> None:
        python, *words = command
        assert python == sys.executable, f"{python} is not what runs here"
        self.args = list(command)
        self.returncode: int | None = None
        self._told, telling = socket.socketpair()
        request = {
            "words": words,
            "environment": dict(os.environ if env is None else env),
            "folder": str(cwd or Path.cwd()),
            "new_session": start_new_session,
            "within": within,
        }
        streams = [one if isinstance(one, int) else one.fileno() for one in (stdin, stdout, stderr)]
        with telling:
            (maker or _ours()).ask(json.dumps(request).encode(), [*streams, telling.fileno()])
        self._lines = self._told.makefile("r")
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        """Return its exit status, or minus the signal that ended it; None while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._told.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; return what `poll` returns then."""
        if self.returncode is None and not select.select([self._told], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


@contextmanager
def spoken(command: Sequence[str], **options: Any) -> Iterator[tuple[Program, Iterator[str]]]:
    """Run a program beside a test; give it, and what it says on standard error, line by line."""
    reading, writing = os.pipe()
    with open(reading) as lines, open(os.devnull, "r+b") as nowhere:  # noqa: PTH123
        try:
            streams = {"stdin": nowhere, "stdout": nowhere, **options}
            program = Program(command, stderr=writing, **streams)
        finally:
            os.close(writing)
        try:
            yield program, lines
        finally:
            program.kill()


def run(
    command: Sequence[str], *, given: str | None = None, timeout: float = 600, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as `subprocess.run` does; `given` is its standard input."""
    with ExitStack() as stack:
        out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        if given is None:
            source: IO[bytes] = stack.enter_context(Path(os.devnull).open("rb"))
        else:
            source = stack.enter_context(tempfile.TemporaryFile())
            source.write(given.encode())
            source.seek(0)
        program = Program(command, stdin=source, stdout=out, stderr=err, **options)
        try:
            program.wait(timeout)
        except BaseException:
            program.kill()
            raise
        for file in (out, err):
            file.seek(0)
        said = [file.read().decode() for file in (out, err)]
        return subprocess.CompletedProcess(program.args, program.wait(), *said)

"""Terminals: processes that run the program's own entry point, with stubs for SSH.

A terminal is a forked process, so that it can be killed or interrupted from outside. Its SSH asks
the world over the HTTP server that EC2 is served by, so that calls and remote steps are one
sequence.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NoReturn

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, RemoteCommandFailed
from spotcluster.steps import Step

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past the proxies that the environment names."""


class Asking:
    """Asks the world what comes of remote steps; who ask at once have a connection each."""

    def __init__(self, url: str) -> None:
        self._netloc = url.removeprefix("http://")
        self._idle: list[HTTPConnection] = []

    def __call__(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            own = self._idle.pop()
        except IndexError:
            own = HTTPConnection(self._netloc, timeout=240)
        own.request("POST", "/remote", json.dumps(asked).encode())
        with own.getresponse() as got:
            answer: dict[str, Any] = json.load(got)
        self._idle.append(own)
        return answer


class StubConnection:
    """Stands for `spotcluster.ssh.Connection` in a terminal."""

    alive = True

    def __init__(self, target: ssh.Target, asking: Asking) -> None:
        self._target = target
        self._asking = asking

    def _ask(self, kind: str, what: str, **more: Any) -> dict[str, Any]:
        asked = {
            "kind": kind,
            "what": what,
            "alias": self._target.alias,
            "id": self._target.host_key_alias,
            **more,
        }
        answer = self._asking(asked)
        if "lost" in answer:
            self.alive = False
            raise ConnectionFailed(self._target.alias, answer["lost"])
        if answer.get("status"):
            raise RemoteCommandFailed(
                self._target.alias,
                answer.get("what", what),
                answer.get("command", "sh"),
                answer["status"],
                answer.get("out", ""),
            )
        return answer

    def run(
        self,
        script: str,
        *,
        timeout: float = 600.0,
        what: str = "",
        user: str | None = None,
        input: bytes | None = None,  # noqa: A002 - as in what it stands for
    ) -> Any:
        from spotcluster.ssh.connection import Result

        given = None if input is None else input.decode()
        answer = self._ask("run", what, script=script, timeout=timeout, user=user, input=given)
        return Result(0, answer.get("out", ""), "")

    def run_each(self, steps: Sequence[Step], *, timeout: float) -> list[str]:
        given = [
            {**asdict(one), "kind": "run", "timeout": min(timeout, one.timeout)} for one in steps
        ]
        # Of several in one round trip the names are one.
        what = ", ".join(one.what for one in steps)
        return list(self._ask("series", what, steps=given)["outs"])

    def put(self, data: bytes | Path, target: str, *, mode: int = 0o600) -> None:
        raw = data.read_bytes() if isinstance(data, Path) else data
        self._ask("put", f"writing {target}", path=target, data=raw.decode())

    def get(self, source: str) -> bytes:
        return base64.b64decode(self._ask("get", f"reading {source}")["out"])

    def close(self) -> None:
        pass


@dataclass
class Done:
    """How a terminal ended."""

    status: int
    out: str
    err: str
    killed: bool


class Terminal:
    """A running terminal."""

    def __init__(self, pid: int, folder: Path, alive: int) -> None:
        self.pid = pid
        self._folder = folder
        self._alive = alive
        self.done: Done | None = None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> Done:
        """Kill it as `kill -9` does, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def works(self) -> bool:
        """Return whether any of its threads does something but wait, where that can be seen."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return any(_state_of(one) not in ("S", "") for one in tasks)

    def ended(self) -> bool:
        """Return whether it has ended."""
        if self.done is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self._alive)
                code = os.waitstatus_to_exitcode(status)
                said = [(self._folder / name).read_text() for name in ("out", "err")]
                self.done = Done(code, *said, killed=code == -signal.SIGKILL)
        return self.done is not None

    def wait(self, timeout: float = 240.0) -> Done:
        """Wait for the end."""
        if not self.ended():
            if not select.select([self._alive], [], [], timeout)[0]:
                os.kill(self.pid, signal.SIGKILL)
                self.wait()
                said = (self._folder / "err").read_text()
                raise AssertionError(f"a terminal took more than {timeout} s; it said:\n{said}")
            while not self.ended():  # it has let go of everything, and is all but gone
                time.sleep(0.0005)
        assert self.done
        return self.done


def _state_of(task: Path) -> str:
    try:
        return task.read_text().rpartition(") ")[2][:1]
    except OSError:  # it has ended
        return ""


def open_terminal(folder: Path, url: str, *words: str) -> Terminal:
    """Run the program with `words` in a process of its own; EC2 and the machines are at `url`."""
    own = Path(tempfile.mkdtemp(dir=folder, prefix="terminal-"))
    alive, held = os.pipe()  # what it holds is closed when it ends, however it does
    pid = os.fork()
    if pid == 0:
        _be_terminal(own, url, list(words))
    os.close(held)
    return Terminal(pid, own, alive)


def _be_terminal(folder: Path, url: str, words: list[str]) -> NoReturn:
    """Become a terminal, in a process that was just forked."""
    status = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name, number in (("out", 1), ("err", 2)):
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(handle, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))

        asking = Asking(url)

        def connect(target: ssh.Target, **_: Any) -> Any:
            connection = StubConnection(target, asking)
            connection._ask("ssh", "connecting")
            return connection

        ssh.connect = ssh.wait_for = connect  # type: ignore[assignment]
        from spotcluster.cli import main

        status = main.run(words)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, the child must not become a second test
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)

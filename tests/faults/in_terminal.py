"""The program in a terminal's process, with stubs for SSH that ask the world.

::

    python in_terminal.py URL CHANGES WORD ...

CHANGES are the functions that `World.change` was given; they are called first.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import pickle
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from spotcluster import ssh
from spotcluster.cli import main
from spotcluster.errors import ConnectionFailed, RemoteCommandFailed
from spotcluster.steps import Step

SHOW = signal.SIGUSR1
"""Makes a terminal write the stacks of its threads to its standard error."""


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
        looks: bool = False,
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


def run(url: str, changes: str, words: list[str]) -> int:
    """Run the program with `words`; EC2 and the machines are at `url`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(SHOW)
    for change, given in pickle.loads(base64.b64decode(changes)):
        change(*given)
    asking = Asking(url)

    def connect(target: ssh.Target, **_: Any) -> Any:
        connection = StubConnection(target, asking)
        connection._ask("ssh", "connecting")
        return connection

    ssh.connect = ssh.wait_for = connect
    return main.run(words)


if __name__ == "__main__":
    status = run(*sys.argv[1:3], sys.argv[3:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # nothing here is worth the time of an orderly end

"""Terminals: processes that run the program's own entry point, with stubs for SSH.

A terminal is a process of its own, so that it can be killed or interrupted from outside. Its SSH
asks the world over the HTTP server that EC2 is served by, so that calls and remote steps are one
sequence. It is forked where no other thread runs: one that is forked beside a thread inherits what
that has locked, and may wait for it for ever.
"""

from __future__ import annotations

import base64
import functools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import programs

from .in_terminal import SHOW

_FILE = Path(__file__).with_name("in_terminal.py")
Change = tuple[Callable[..., None], tuple[Any, ...]]


@dataclass
class Done:
    """How a terminal ended."""

    status: int
    out: str
    err: str
    killed: bool


class Terminal:
    """A running terminal.

    Parameters
    ----------
    folder : Path
        Where what it says is kept.
    url : str
        Where EC2 and the machines are.
    changes : sequence
        Functions that are called in it first, each with what it is given.
    words : sequence of str
        What the program is run with.
    """

    def __init__(
        self, folder: Path, url: str, changes: Sequence[Change], words: Sequence[str]
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder, prefix="terminal-"))
        pickled = base64.b64encode(pickle.dumps(list(changes))).decode()
        with (
            Path(os.devnull).open("rb") as nothing,
            (self._folder / "out").open("wb") as out,
            (self._folder / "err").open("wb") as err,
        ):
            self._program = programs.Program(
                [sys.executable, str(_FILE), url, pickled, *words],
                stdin=nothing,
                stdout=out,
                stderr=err,
                maker=_maker(),
            )
        self.pid = self._program.pid
        self.done: Done | None = None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._program.send_signal(signal.SIGINT)

    def kill(self) -> Done:
        """Kill it as `kill -9` does, and wait until it is gone."""
        self._program.kill()
        return self.wait()

    def said(self) -> str:
        """Return what it has said by now."""
        return "".join((self._folder / name).read_text() for name in ("out", "err"))

    def works(self) -> bool:
        """Return whether any of its threads does something but wait, where that can be seen."""
        try:
            tasks = os.listdir(f"/proc/{self.pid}/task")  # noqa: PTH208 - asked for many times
        except OSError:  # it has ended
            return False
        return any(_state_of(self.pid, task) not in ("S", "") for task in tasks)

    def ended(self) -> bool:
        """Return whether it has ended."""
        if self.done is None:
            code = self._program.poll()
            if code is not None:
                said = [(self._folder / name).read_text() for name in ("out", "err")]
                self.done = Done(code, *said, killed=code == -signal.SIGKILL)
        return self.done is not None

    def wait(self, timeout: float = 240.0) -> Done:
        """Wait for the end."""
        try:
            self._program.wait(timeout)
        except subprocess.TimeoutExpired:
            self._program.send_signal(SHOW)
            time.sleep(1)  # as long as it may take to write
            said = self.kill().err
            late = f"a terminal took more than {timeout} s; it said:\n{said}"
            raise AssertionError(late) from None
        assert self.ended()
        assert self.done
        return self.done


def _state_of(pid: int, task: str) -> str:
    try:
        stat = os.open(f"/proc/{pid}/task/{task}/stat", os.O_RDONLY)
    except OSError:  # it has ended
        return ""
    try:
        return os.read(stat, 256).decode(errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return ""
    finally:
        os.close(stat)


@functools.cache
def _maker() -> programs.Maker:
    return programs.Maker("terminal")

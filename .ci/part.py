"""One part of the gate: a script in .ci/parts, started, ended and measured."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FOLDER = Path(__file__).resolve().parent / "parts"
TO_CLEAN_UP = 60  # seconds: tests end clusters and machines when they are interrupted
PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h


@dataclass
class Part:
    """A part that has been started, and what became of it."""

    name: str
    output: IO[str] | None
    process: subprocess.Popen[Any]
    started: float
    wall: float = 0.0
    cpu: float = 0.0
    result: str = "interrupted"

    @classmethod
    def start(cls, name: str, environment: dict[str, str], *, alone: bool) -> Part:
        """Start it in a session of its own, so that it can be ended with all that it started."""
        # It is read when the part has ended, and so outlives this: no `with`.
        output = None if alone else tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        # A shell that stays, as it waits for the daemons that are left to it, whose time is counted
        # only then: a part's own shell may become a pytest, which does not.
        process = subprocess.Popen(
            ["bash", "-c", 'bash "$0"; exit $?', str(FOLDER / name)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=_adopt,
        )
        print(f"{name}: started", flush=True)
        return cls(name, output, process, time.monotonic())

    def ended(self, status: int, cpu: float) -> None:
        """Keep what it took, and show what it printed."""
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.wall, self.cpu = time.monotonic() - self.started, cpu
        self.result = "failed" if self.process.returncode else "passed"
        self.show()

    def show(self) -> None:
        """Print what it printed and what became of it."""
        if self.output:
            print(f"\n{'-' * 30} {self.name} {'-' * 30}\n{self.printed()}")
        print(f"{self.name}: {self.result}", flush=True)

    def printed(self) -> str:
        """Return what it has printed, which nobody kept if it ran alone."""
        if not self.output:
            return ""
        self.output.seek(0)
        return self.output.read()

    def signal(self, number: int) -> None:
        """Tell it, and all in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _adopt() -> None:
    """Be the parent of daemons that the part starts, so that their time is counted as its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def about(name: str) -> str:
    """Return what a part is for: the second line of its file."""
    return (FOLDER / name).read_text().splitlines()[1].removeprefix("# ")


def end(running: list[Part]) -> None:
    """End what runs as Ctrl-C would, and what then stays by force."""
    for part in running:
        part.signal(signal.SIGINT)
    limit = time.monotonic() + TO_CLEAN_UP
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        for part in running:
            part.process.wait(max(0, limit - time.monotonic()))
    for part in running:
        part.signal(signal.SIGKILL)
        part.show()

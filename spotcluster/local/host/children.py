"""The host's processes: starting them, waiting for them, and burying those that nobody waits for.

A host is the parent of all that runs on it, and on Linux also of what its processes leave behind
(PR_SET_CHILD_SUBREAPER), as the first process of a machine is. So that no dead process stays, one
place reaps them all; subprocess's own waiting is not used, because two cannot wait for one child.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Become the parent of descendants whose own parent ends; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def forget_signals() -> None:
    """Undo what whoever started the local cloud did to signals.

    Ignored and blocked signals are inherited by every program that a process starts: under
    ``nohup``, or as a shell's background job, no session here could be hung up or interrupted.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


class Children:
    """All child processes of this process; make it once, inside the running event loop."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def spawn(
        self,
        command: Sequence[str],
        *,
        program: str,
        environment: Mapping[str, str],
        folder: Path,
        streams: tuple[int, int, int],
        prepare: Callable[[], None] | None = None,
    ) -> tuple[int, asyncio.Future[int]]:
        """Start `program` in a session of its own; return its id and its future wait status.

        `prepare` runs in the child after fork, where it must do next to nothing: another thread
        may have held a lock.
        """
        child = subprocess.Popen(
            command,
            executable=program,
            env=dict(environment),
            cwd=folder,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            start_new_session=True,
            preexec_fn=prepare,
        )
        future: asyncio.Future[int] = self._loop.create_future()
        self._waiting[child.pid] = future
        child.returncode = 0  # keep Popen from waiting for it: `_reap` does
        return child.pid, future

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            future = self._waiting.pop(pid, None)
            if future is not None and not future.done():
                future.set_result(status)


def signal_session(pid: int, name: str) -> None:
    """Send the signal that SSH calls `name` (``"INT"``) to the process group of a session."""
    number = getattr(signal, f"SIG{name}", None)
    if isinstance(number, signal.Signals):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)

"""Finding and ending every process of a host, and only those.

A host's processes are the descendants of its server (on Linux orphans stay below it, as it is their
subreaper) and every process that carries the host's mark in its environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from spotcluster import starts
from spotcluster.errors import LocalCloudError

from .host.layout import MARK, Running

_SCAN_AGAIN = 0.02
_MARKED = f"\0{MARK}=".encode()
_HAS_PROC = Path("/proc/self/environ").exists()


def server_of(running: Running | None) -> psutil.Process | None:
    """Return the server process that `running` tells of, None when it is no more."""
    if running is None:
        return None
    with contextlib.suppress(psutil.Error, ValueError):
        process = psutil.Process(running.pid)
        if starts.is_of(process, running.created) and is_alive(process):
            return process
    return None


def is_alive(process: psutil.Process) -> bool:
    """Return whether the process still runs; a dead one that nobody has reaped does not."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def marks() -> dict[str, list[psutil.Process]]:
    """Return the processes of this user that carry a host's mark, by the host's instance id."""
    found: dict[str, list[psutil.Process]] = {}
    for pid in psutil.pids():
        if not _mark_of(pid):
            continue
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            host = _mark_of(pid)  # again, as the number may be another one's by now
            if host and is_alive(process):
                found.setdefault(host, []).append(process)
    return found


def _mark_of(pid: int) -> str:
    # psutil parses all of it, and asks first who it is; on Linux a look at the bytes is many times
    # quicker, and most processes are nobody's here.
    try:
        if not _HAS_PROC:
            return str(psutil.Process(pid).environ().get(MARK, ""))
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            raw = b"\0" + file.read()
        start = raw.find(_MARKED)
        if start < 0:
            return ""
        return raw[start + len(_MARKED) :].split(b"\0", 1)[0].decode()
    except (OSError, psutil.Error, UnicodeDecodeError):
        return ""


def processes_of(
    host: str,
    server: psutil.Process | None,
    marked: list[psutil.Process] | None = None,
) -> list[psutil.Process]:
    """Return the living processes of a host, its server last; `marked` saves a look for them."""
    if marked is None:
        marked = marks().get(host, [])
    found = {process.pid: process for process in marked}
    if server is not None:
        with contextlib.suppress(psutil.Error):
            for process in server.children(recursive=True):
                if is_alive(process):
                    found[process.pid] = process
        found.pop(server.pid, None)
    found.pop(os.getpid(), None)
    rest = list(found.values())
    return [*rest, server] if server is not None and is_alive(server) else rest


def end_all(
    host: str,
    server: psutil.Process | None,
    *,
    grace: float,
    limit: float,
    orphans: Callable[[], Iterable[psutil.Process]] = tuple,
) -> None:
    """End every process of a host.

    Parameters
    ----------
    host : str
        The host's instance id.
    server : psutil.Process, optional
        Its SSH server, None when that is gone already.
    grace : float
        Seconds between the polite signal, as at a machine's shutdown, and the other one; 0 cuts the
        power.
    limit : float
        Seconds after which it has failed.
    orphans : callable
        Gives the processes that the server's end left to us.

    Raises
    ------
    LocalCloudError
        If a process is still there after `limit` seconds.
    """
    deadline = time.monotonic() + limit
    if server is not None:
        # A stopped server lets nobody in any more, and still keeps its orphans below it.
        _send(server, signal.SIGSTOP)
    if grace:
        _end_politely(host, server, grace)
    empty = 0
    while True:
        rest = processes_of(host, server)
        if server is not None and rest and rest[-1] == server and len(rest) > 1:
            rest.pop()  # it goes last, so that what is left of the tree stays in sight
        rest += [process for process in orphans() if is_alive(process)]
        # A process that had just forked and ended may hide its child from one look, not from two.
        empty = 0 if rest else empty + 1
        if empty == 2:
            return
        for process in rest:
            _send(process, signal.SIGKILL)
        if rest:
            psutil.wait_procs(rest, timeout=_SCAN_AGAIN)
        if time.monotonic() > deadline:
            left = ", ".join(str(process.pid) for process in rest)
            raise LocalCloudError(
                f"The processes {left} of the local host {host} did not end within {limit:.0f} s.",
                "End them by hand, then run `spotcluster local stop` again.",
            )


def _end_politely(host: str, server: psutil.Process | None, grace: float) -> None:
    rest = [process for process in processes_of(host, server) if process != server]
    for process in rest:
        _send(process, signal.SIGTERM)
        _send(process, signal.SIGCONT)
    deadline = time.monotonic() + grace
    while any(is_alive(process) for process in rest) and time.monotonic() < deadline:
        time.sleep(_SCAN_AGAIN)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)

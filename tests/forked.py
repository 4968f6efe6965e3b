"""A process that has imported what programs need, and makes one that runs them of each request.

What Python and its libraries need to be imported is most of what a short command of ours needs, and
of what an engine needs until it can fit. Here that is done once. What runs is a process of its own,
with its own environment, folder, files and end, as if started by ``python -m MODULE`` or ``python
FILE``; `programs` asks for them. But that it ends as a fork of `multiprocessing` does: to free all
that it shares with its maker, it would first copy it, which took longer than a command of ours.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn

import botocores

LARGEST = 1 << 20
"""Bytes of a request: words and environment."""

_LEFT_OUT = (
    "spotcluster.dashboard.",
    "spotcluster.local.",
    "spotcluster.search",
    "spotcluster.templates",
    "spotcluster.testing",
)
"""What few commands import, and what would take long: moto, scikit-learn, bokeh."""


def import_commands() -> None:
    """Import spotcluster with what it imports only when a command needs it."""
    import boto3

    import spotcluster
    from spotcluster.aws.session import known_regions

    _import_below(spotcluster.__path__, "spotcluster.")
    botocores.share()
    session = boto3.Session("none", "none", region_name="us-east-1")  # no call is made
    for service in ("ec2", "ssm", "s3"):
        session.client(service)
    known_regions()


def _import_below(folders: Iterable[str], prefix: str) -> None:
    """Import what is there; unlike `pkgutil.walk_packages`, nothing of what is left out."""
    for found in pkgutil.iter_modules(folders, prefix):
        if found.name.startswith(_LEFT_OUT) or found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        if found.ispkg:
            _import_below(module.__path__, f"{found.name}.")


def import_program() -> None:
    """Import what commands of users run, who look at the results of searches too."""
    import spotcluster.search  # noqa: F401

    import_commands()


def import_terminal() -> None:
    """Import what terminals run, and work out what each would work out for its first calls."""
    import boto3
    import faults  # noqa: F401 - what they are to change is found in it

    from spotcluster.aws import policy

    import_commands()
    session = boto3.Session("none", "none", region_name="us-east-1")
    for statement in policy.document()["Statement"]:
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            if service in ("ec2", "ssm", "pricing"):
                botocores.warm(session.client(service), name)


def import_engine() -> None:
    """Import what an engine runs on and what it fits with; nothing of ours, as nodes have none."""
    for name in ("ipyparallel.engine.app", "joblib", "sklearn.metrics", "sklearn.svm"):
        importlib.import_module(name)


IMPORTS = {"program": import_program, "terminal": import_terminal, "engine": import_engine}


def serve(requests: socket.socket) -> dict[str, Any]:
    """Make processes until nobody can ask for one any more; return in each that was made."""
    hearing, telling = _pipe_of_ends()
    told: dict[int, socket.socket] = {}  # who is to hear of each that runs
    while True:
        ready, _, _ = select.select([requests, hearing], [], [])
        if hearing in ready:
            os.read(hearing, 1 << 16)
            _tell_of_ended(told)
        if requests not in ready:
            continue
        text, descriptors, *_ = socket.recv_fds(requests, LARGEST, 4)
        if not text:
            sys.exit()
        given: dict[str, Any] = json.loads(text)
        *streams, own = descriptors
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (requests, *told.values()):
                other.close()
            _close(hearing, telling)
            _take(given, streams, own)
            return given
        _close(*streams)
        if given["within"] is None:
            told[pid] = socket.socket(fileno=own)
            _tell(told[pid], pid)
        else:
            os.close(own)  # it tells by itself


def _pipe_of_ends() -> tuple[int, int]:
    """Return the two ends of a pipe in which there is something when a process has ended."""
    hearing, telling = os.pipe()
    os.set_blocking(telling, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    return hearing, telling


def _take(given: dict[str, Any], streams: list[int], told: int) -> None:
    """Take what the program is to have: its namespaces and its standard streams."""
    if given["within"] is not None:
        _go_within(given["within"], told)
    os.close(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)


def _close(*descriptors: int) -> None:
    for one in descriptors:
        os.close(one)


def _tell_of_ended(told: dict[int, socket.socket]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid in told:
                with told.pop(pid) as own:
                    _tell(own, os.waitstatus_to_exitcode(status))


def _tell(own: socket.socket, number: int) -> None:
    with suppress(OSError):  # who asked for it may not listen any more
        own.sendall(f"{number}\n".encode())


def _go_within(process: int, told: int) -> None:
    """Be in another process's namespaces; this one stays outside, to tell how that ended."""
    _enter(process)
    pid = os.fork()
    if pid == 0:
        return
    with socket.socket(fileno=told) as own:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _tell(own, pid)
        _, status = os.waitpid(pid, 0)
        _tell(own, os.waitstatus_to_exitcode(status))
    os._exit(0)


def _enter(process: int) -> None:
    """Be in another process's namespaces; of processes, what is forked from now on is."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    # All are opened first: what is in /proc is another thing once the mounts are others.
    with ExitStack() as stack:
        spaces = [
            stack.enter_context(Path("/proc", str(process), "ns", kind).open())
            for kind in ("pid", "net", "mnt")
        ]
        for space in spaces:
            if setns(space.fileno(), 0):
                raise OSError(ctypes.get_errno(), f"{space.name} cannot be entered")


def become(given: dict[str, Any]) -> None:
    """Be the program that was asked for."""
    if given["new_session"]:
        os.setsid()
    os.chdir(given["folder"])
    os.environ.clear()
    os.environ.update(given["environment"])
    time.tzset()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - they stay open
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    first, *words = given["words"]
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # each its own, as if it had just imported it
    if first == "-m":
        module, *words = words
        sys.argv = [module, *words]
        sys.path[0] = given["folder"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *words]
        sys.path[0] = str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


_INTERRUPTED = -signal.SIGINT
_UNSAID = 120  # what Python ends with where not all that it was to write could be written


def run(given: dict[str, Any]) -> NoReturn:
    """Be the program that was asked for, and end as Python does, but for what it would free."""
    status = 0
    try:
        become(given)
    except SystemExit as end:
        status = _status(end.code)
    except BaseException as error:  # noqa: BLE001 - whatever a program ends with
        sys.excepthook(type(error), error, error.__traceback__)
        status = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    with suppress(KeyboardInterrupt):
        threading._shutdown()  # type: ignore[attr-defined] # it waits for them
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError as error:  # nobody reads it any more
            status = status or _UNSAID
            with suppress(OSError):
                traceback.print_exception(error)
    if status == _INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


def _status(code: object) -> int:
    """Return what a process ends with that calls ``sys.exit(code)``."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


if __name__ == "__main__":
    gc.disable()  # a third of the time would go to looking through what stays
    IMPORTS[sys.argv[2]]()
    gc.enable()
    gc.collect()
    gc.freeze()  # or every process would look through all of it, and so copy it
    run(serve(socket.socket(fileno=int(sys.argv[1]))))

"""The imports of a new engine, seconds of them, done while split files come to its host.

They are done in a thread, for the engine that brings the files is at that. Whatever fails there
fails again, and is told, when evaluations begin.

Where a host has more engines than cores, as many import at a time as there are cores: all at once
they would all be done when the last one is, and so the first ones work by then.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LIMIT = 120.0  # seconds that evaluations wait for them before they import for themselves
TURN = 30.0  # seconds that an engine waits for others of its host to have imported
LOOK = 0.02  # seconds between two looks at whether they have
_ALWAYS = ("joblib", "sklearn.metrics", "sklearn.utils")  # what fits need

_under_way: threading.Thread | None = None


def begin(names: Iterable[str], turns: Path) -> None:
    """Import what fits need, and these modules, beside what this engine does.

    `turns` is a file that all engines of a host know.
    """
    global _under_way
    wanted = [name for name in (*_ALWAYS, *names) if name not in sys.modules]
    if wanted and (_under_way is None or not _under_way.is_alive()):
        _under_way = threading.Thread(
            target=_import, args=(wanted, turns), name="spotcluster imports", daemon=True
        )
        _under_way.start()


def finish() -> None:
    """Wait for what is under way, and import what fits need and is still missing.

    Raises
    ------
    ImportError
        If it is not there; or whatever else a module raises.
    """
    # Two threads that import modules which need each other may find them half made.
    if _under_way is not None:
        _under_way.join(LIMIT)
    for name in _ALWAYS:
        importlib.import_module(name)


def _import(names: Iterable[str], turns: Path) -> None:
    with _in_turn(turns), _uncollected():
        for name in names:
            with contextlib.suppress(BaseException):  # a module may do anything when it is imported
                importlib.import_module(name)


@contextlib.contextmanager
def _in_turn(turns: Path) -> Iterator[None]:
    """Wait until fewer engines of this host are in here than it has cores."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):  # without such locks all are at once
            import fcntl

            turns.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = stack.enter_context(turns.open("ab"))
            cores, end = _cores(), time.monotonic() + TURN
            while not any(_is_free(fcntl, file, n) for n in range(cores)):
                if time.monotonic() > end:
                    break
                time.sleep(LOOK)
        yield


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_free(fcntl: Any, file: Any, number: int) -> bool:
    """Take one of the places that a file stands for, if nobody has it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage where all is new, which imports would wait for."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()

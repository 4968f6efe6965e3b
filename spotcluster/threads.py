"""Threads beside the one that waits for them; this belongs to no room.

They are daemons, which die with the process, and whoever waits hears Ctrl-C while they go on.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

_STEP = 0.2  # seconds: a thread is waited for in short steps, so that Ctrl-C is heard between them


def begin(do: Callable[[], object], name: str | None = None) -> threading.Thread:
    """Do something in a thread, in a copy of our context: what limits us limits it too."""
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(do,), name=name, daemon=True
    )
    thread.start()
    return thread


def wait(threads: Sequence[threading.Thread], until: Callable[[], bool] = lambda: False) -> bool:
    """Wait for threads to end, or for a condition; return whether all have ended."""
    for thread in threads:
        while thread.is_alive() and not until():
            thread.join(_STEP)
    return not any(thread.is_alive() for thread in threads)


def wait_for(thread: threading.Thread, seconds: float) -> bool:
    """Wait for a thread to end, for some seconds at most; return whether it has."""
    end = time.monotonic() + seconds
    return wait([thread], lambda: time.monotonic() >= end)


def on_each(
    things: Iterable[T],
    do: Callable[[T], object],
    name: Callable[[T], str] = str,
    until: Callable[[], bool] = lambda: False,
) -> bool:
    """Do something with each of some things, all at the same time; return whether all is done.

    Parameters
    ----------
    name : callable
        Returns what the thread of a thing is called, in the log.
    until : callable
        Tells whether to leave before that.
    """

    def one(thing: T) -> threading.Thread:
        return begin(lambda: do(thing), name(thing))

    return wait([one(thing) for thing in things], until)

"""One limit for all that is done in a thread, however many steps that takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from spotcluster.errors import NodeError

_end: ContextVar[tuple[float, float, str] | None] = ContextVar("end", default=None)


@contextlib.contextmanager
def limit(seconds: float, setting: str = "SETUP_TIMEOUT") -> Iterator[None]:
    """Let what this thread does on nodes take `seconds` in all, as the template's `setting` says.

    A thread that is to be under the same limit runs in a copy of this one's context.
    """
    token = _end.set((time.monotonic() + seconds, seconds, setting))
    try:
        yield
    finally:
        _end.reset(token)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Leave the time of the block out of this thread's limit: it waits for somebody else."""
    begin = time.monotonic()
    try:
        yield
    finally:
        if given := _end.get():
            end, whole, setting = given
            _end.set((end + time.monotonic() - begin, whole, setting))


def within(timeout: float, alias: str, what: str) -> float:
    """Return how long a step may take: its own limit, or what is left of the thread's.

    Raises
    ------
    NodeError
        Nothing is left.
    """
    given = _end.get()
    if given is None:
        return timeout
    end, whole, setting = given
    left = end - time.monotonic()
    if left <= 0:
        raise NodeError(
            alias, f"{what or 'its set-up'} had not ended after {whole:.0f} s ({setting})."
        )
    return min(timeout, left)

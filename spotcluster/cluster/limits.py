"""One limit for all that is done in a thread, however many steps that takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from spotcluster.errors import NodeError

_end: ContextVar[tuple[float, float] | None] = ContextVar("end", default=None)


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Let what this thread does on nodes take `seconds` in all."""
    token = _end.set((time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _end.reset(token)


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
    end, whole = given
    left = end - time.monotonic()
    if left <= 0:
        raise NodeError(
            alias, f"{what or 'its set-up'} had not ended after {whole:.0f} s (SETUP_TIMEOUT)."
        )
    return min(timeout, left)

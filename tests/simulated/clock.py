"""The clock of a simulation: it goes on when somebody waits, to what comes next."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BEGIN = 1_000_000.0  # when the simulation begins


class Clock:
    """A time, and what happens at which.

    Parameters
    ----------
    charged : bool
        Whether it goes on while the client works, by what it takes of the processor.
    """

    def __init__(self, *, charged: bool = False) -> None:
        self.now = BEGIN
        self.own = 0.0  # seconds of the processor that the simulation has used itself
        self._charged = charged
        self._client_since = time.thread_time()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, seconds: float, happens: Callable[[], None]) -> None:
        """Have something happen so many seconds after the beginning."""
        heapq.heappush(self._events, (BEGIN + seconds, next(self._numbers), happens))

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        """Have something happen so many seconds from now."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), happens))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Count what is done here as the simulation's, not the client's."""
        begin = time.thread_time()
        try:
            yield
        finally:
            self.own += time.thread_time() - begin

    def pass_until(self, end: float, reached: Callable[[], bool]) -> None:
        """Let happen what does, until a time, or until something is so."""
        begin = time.thread_time()
        now = self.now
        if self._charged:  # what the client has done since it waited last took its time
            now += max(0.0, begin - self._client_since)
        while self._events and (self._events[0][0] <= now or not reached()):
            if self._events[0][0] > max(end, now):
                break
            at, _, happens = heapq.heappop(self._events)
            self.now = max(self.now, at)
            happens()
        self.now = max(self.now, now)
        if not reached():
            if end == float("inf"):
                raise AssertionError("The dispatcher waits for what will never come.")
            self.now = max(self.now, end)
        self._client_since = time.thread_time()
        self.own += self._client_since - begin


class Wake:
    """In place of an Event: to wait for it is to let the clock go on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set = False

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        end = float("inf") if timeout is None else self._clock.now + timeout
        self._clock.pass_until(end, self.is_set)
        return self._set

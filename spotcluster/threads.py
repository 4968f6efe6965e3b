"""Threads beside the one that waits for them; this belongs to no room.

They are daemons, which die with the process, and whoever waits hears Ctrl-C while they go on.
"""

from __future__ import annotations

import contextvars
import copy
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

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


@dataclass
class _Asked(Generic[T, R]):
    thing: T
    done: threading.Event = field(default_factory=threading.Event)
    answer: R | None = None
    error: Exception | None = None


class Gathered(Generic[T, R]):
    """Does in one go what several threads ask for at about the same time; one of them does it.

    Parameters
    ----------
    do : callable
        Gets all that was asked for, and returns what comes of each, in the same order: an answer,
        or an exception for the one who asked. What it raises is for all.

    Attributes
    ----------
    expected : int
        As soon as so many have asked, nobody else is waited for.
    pause : float
        Seconds for which others are waited for otherwise.
    """

    def __init__(
        self,
        do: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        expected: int = 1,
        pause: float = 0.0,
    ) -> None:
        self.expected = expected
        self.pause = pause
        self._do = do
        self._waiting: list[_Asked[T, R]] = []
        self._changed = threading.Condition()
        self._led = False

    def ask(self, thing: T) -> R:
        """Return what comes of it, or raise it."""
        asked: _Asked[T, R] = _Asked(thing)
        with self._changed:
            self._waiting.append(asked)
            self._changed.notify_all()
            leads, self._led = not self._led, True
        if leads:
            self._lead()
        asked.done.wait()
        if asked.error is not None:
            raise copy.copy(asked.error) from asked.error
        return asked.answer  # type: ignore[return-value]

    def _lead(self) -> None:
        """Do all that is asked for, until nobody waits."""
        while True:
            with self._changed:
                if not self._waiting:
                    self._led = False
                    return
                self._changed.wait_for(lambda: len(self._waiting) >= self.expected, self.pause)
                together, self._waiting = self._waiting, []
            try:
                answers = self._do([one.thing for one in together])
            except Exception as error:  # noqa: BLE001 - raised in the threads of those who asked
                answers = [error] * len(together)
            for one, answer in zip(together, answers, strict=True):
                if isinstance(answer, Exception):
                    one.error = answer
                else:
                    one.answer = answer
                one.done.set()

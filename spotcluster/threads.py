"""Threads beside the one that waits for them; this belongs to no room.

They are daemons, which die with the process, and whoever waits hears Ctrl-C while they go on.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_STEP = 0.2  # seconds: a thread is waited for in short steps, so that Ctrl-C is heard between them
_SHARE, _LEAST = 0.08, 0.1
"""How long the first of a round waits for others: a share of all the time so far; in seconds."""


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
class _Round:
    things: list[Any] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: Exception | None = None


class Rounds:
    """Lets threads that want the same thing done at about the same time have it done at once.

    Who comes first waits for the others: until all are there that are still `coming`, but only for
    a small share of the time that has passed since this was made. So nobody is held up for long by
    one that is slow, and there are few rounds however many come: each is later than the one before
    by that share.

    Parameters
    ----------
    coming : callable
        Returns who may still come; nobody is waited for unless given.
    least : float
        Seconds for which others are waited for where the share is less.
    """

    def __init__(
        self, coming: Callable[[], AbstractSet[str]] = frozenset, *, least: float = _LEAST
    ) -> None:
        self._coming = coming
        self._least = least
        self._begin = time.monotonic()
        self._open: dict[object, _Round] = {}
        self._been: dict[object, set[str]] = {}
        self._changed = threading.Condition()

    def join(self, what: object, who: str, thing: T, do: Callable[[Sequence[T]], R]) -> R:
        """Have something done for a thing, together with others of which `what` is the same.

        One of those who are in a round does it for all: `do` is given their things in the order in
        which they came, and each gets what it returns, or a copy of the exception that it raises.
        """
        with self._changed:
            own = self._open.get(what)
            leads = own is None
            if own is None:
                own = self._open[what] = _Round()
            own.things.append(thing)
            self._been.setdefault(what, set()).add(who)
            self._changed.notify_all()
            if leads:
                self._await_others(what)
                del self._open[what]
        if leads:
            try:
                own.answer = do(own.things)
            except Exception as error:
                own.error = error
                raise
            finally:
                own.done.set()
        else:
            own.done.wait()  # what is done on a node has its limit
            if own.error is not None:
                raise _copy(own.error) from own.error
        answer: R = own.answer
        return answer

    def _await_others(self, what: object) -> None:
        now = time.monotonic()
        end = now + max(self._least, _SHARE * (now - self._begin))
        while (left := end - time.monotonic()) > 0 and self._coming() - self._been[what]:
            self._changed.wait(min(left, _STEP))


def _copy(error: Exception) -> Exception:
    """Return an exception like this one: who catches it may add to what it says."""
    made = type(error).__new__(type(error))
    made.__dict__.update(error.__dict__)
    made.args = error.args
    return made


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
            raise _copy(asked.error) from asked.error
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

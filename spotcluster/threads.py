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
from typing import Any, TypeVar

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
    """

    def __init__(self, coming: Callable[[], AbstractSet[str]] = frozenset) -> None:
        self._coming = coming
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
        end = now + max(_LEAST, _SHARE * (now - self._begin))
        while (left := end - time.monotonic()) > 0 and self._coming() - self._been[what]:
            self._changed.wait(min(left, _STEP))


def _copy(error: Exception) -> Exception:
    """Return an exception like this one: who catches it may add to what it says."""
    made = type(error).__new__(type(error))
    made.__dict__.update(error.__dict__)
    made.args = error.args
    return made

"""What goes over a connection goes in a thread of its own, where no Ctrl-C comes in between.

Python raises what a signal brings between any two steps of the main thread. paramiko takes its
locks in a line before the `try` that gives them back, so an interrupt may leave one taken for ever;
to close the connection takes the same locks, also where the last of a channel is forgotten. So the
main thread only waits, and ends the connection in a way that takes none.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from spotcluster import threads

P = ParamSpec("P")
R = TypeVar("R")

_UNWINDING = 2.0
"""Seconds that an interrupt waits for what it has ended to leave things in order."""
_AHEAD = 16
"""Pieces of a stream that may wait for who reads it."""


class _Connection(Protocol):
    def abandon(self) -> None: ...


C = TypeVar("C", bound=_Connection)


def apart(do: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """Decorate what the main thread waits for; its first argument is what it goes over.

    An interrupt ends the connection, and waits a moment until what was done over it has noticed.
    """

    @functools.wraps(do)
    def waited_for(connection: C, /, *args: P.args, **settings: P.kwargs) -> R:
        if not _interruptible():
            return do(connection, *args, **settings)
        came: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def work() -> None:
            try:
                came.put((do(connection, *args, **settings), None))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                came.put((None, error))

        try:
            threads.begin(work, threading.current_thread().name)
            answer, error = came.get()
        except KeyboardInterrupt:
            connection.abandon()
            with contextlib.suppress(queue.Empty):
                came.get(timeout=_UNWINDING)
            raise
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]

    return waited_for


def apart_each(
    give: Callable[Concatenate[C, P], Generator[bytes, None, None]],
) -> Callable[Concatenate[C, P], Generator[bytes, None, None]]:
    """Decorate what gives pieces as they come, and empty ones now and then, which are left out."""

    @functools.wraps(give)
    def passed_on(
        connection: C, /, *args: P.args, **settings: P.kwargs
    ) -> Generator[bytes, None, None]:
        pieces = give(connection, *args, **settings)
        if not _interruptible():
            yield from filter(None, pieces)
            return
        reading = _Reading(pieces)
        try:
            threads.begin(reading.read, threading.current_thread().name)
            while (piece := reading.next()) is not None:
                yield piece
        except KeyboardInterrupt:
            connection.abandon()
            raise
        finally:
            reading.leave()

    return passed_on


class _Reading:
    """A stream that is read in another thread, a few pieces ahead of who wants them."""

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces = pieces
        self._came: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_AHEAD):
            self._room.put(None)
        self._left = self._ended = False

    def read(self) -> None:
        """Read it to the end, or until nobody wants more; this is the other thread."""
        end: BaseException | None = None
        try:
            with contextlib.closing(self._pieces):
                for piece in self._pieces:
                    if piece:
                        self._room.get()
                        self._came.put(piece)
                    if self._left:
                        break
        except BaseException as error:  # noqa: BLE001 - raised where it is wanted
            end = error
        self._came.put(end)

    def next(self, timeout: float | None = None) -> bytes | None:
        """Return the next piece, None at the end, or raise what ended it."""
        came = self._came.get(timeout=timeout)
        if isinstance(came, bytes):
            self._room.put(None)
            return came
        self._ended = True
        if came is not None:
            raise came
        return None

    def leave(self) -> None:
        """Wait a moment until it is read no more."""
        self._left = True
        with contextlib.suppress(Exception):  # of what nobody wants any more
            while not self._ended:
                self.next(_UNWINDING)


def _interruptible() -> bool:
    return threading.current_thread() is threading.main_thread()

"""What the dispatcher of a search asks of engines, whoever has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from enum import Enum, auto
from typing import Any, Protocol

from spotcluster.search.parcels import Parcel

Pending = Future[Any]
"""What was sent, and its answer when there is one."""
Closed = tuple[str, str]
"""Why no engine can be asked any more, and what to do next: sentences."""


class Fate(Enum):
    """What has become of a message that brings no results."""

    DIED = auto()  # with its engine
    DROPPED = auto()  # by its engine, which was told to
    INTERRUPTED = auto()  # on its engine, which is still there
    REFUSED = auto()  # by all that it could have gone to
    EXPIRED = auto()  # it has waited for its time, or in vain, and nobody has begun it
    BROKEN = auto()  # something around the evaluations was raised, not by one of them


class Gone(Exception):
    """The engine that something was to be sent to is not there any more."""


class Backend(Protocol):
    """Engines, as the dispatcher sees them.

    They are numbered; a number means the same engine for as long as there is one. An engine has one
    message at a time. What waits for one is kept where messages can be taken back from.

    Attributes
    ----------
    client
        What the user has, by which depots and hooks are known.
    in_turn : bool
        Whether an engine does calls and messages one after the other, so that the answer to a call
        tells that what it had begun before is over.
    interrupts_count : bool
        Whether an interrupt is taken for a death: it was for that engine alone.
    """

    client: Any
    in_turn: bool
    interrupts_count: bool

    def controller(self) -> str:
        """Return the name by which others know where the search runs; empty if nobody does."""

    def check(self, *, timeout: float | None) -> None:
        """See, before anything is sent, whether a search with this time limit can be done.

        Raises
        ------
        SearchError
            If not; it says why.
        """

    def closed(self) -> Closed | None:
        """Return why nothing can be sent any more, when all has come that will; else None."""

    def engines(self) -> list[int]:
        """Return the engines that are there, of those that the search may use."""

    def pack(self, thing: Any) -> Parcel:
        """Pickle a thing for `engine.batch.perform`.

        Raises
        ------
        Exception
            Of any kind, if something in it cannot be pickled.
        """

    def send(
        self,
        targets: Sequence[int],
        limit: float,
        label: Callable[[], str] | None,
        function: Callable[..., Any],
        *args: Any,
        apart: bool = False,
    ) -> Pending:
        """Have whichever of some engines is free first run a function of `engine`.

        Parameters
        ----------
        targets : sequence of int
            At least one.
        limit : float
            Seconds that it may wait for one.
        label : callable, optional
            Gives what others may be told of the message.
        function, *args
        apart : bool
            Whether nothing should run beside it that would die with it.

        Raises
        ------
        Gone
            If one of the targets is not there any more.
        """

    def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Pending:
        """Have an engine, or its host if that is enough, run a function of `engine`.

        Raises
        ------
        Gone
            If it is not there any more.
        """

    def listen(self, pending: Pending, told: Callable[[], None]) -> None:
        """Have `told` called, by any thread, when there is a new note about a message."""

    def notes(self, pending: Pending) -> Mapping[str, Any]:
        """Return what is known of a message before its answer, by what it is about.

        ``started`` (``who`` and ``clock``), ``taken``, ``results N`` and ``refused UUID``, see
        `engine.batch`. Notes may be lost: everything works without, only later.
        """

    def engine_of(self, pending: Pending) -> str | None:
        """Return the uuid of the engine that a message was on, where that is known."""

    def fate(self, error: BaseException) -> Fate:
        """Return what has become of something that was answered with this error."""

    def close(self) -> None:
        """Let go of what it takes to hear of messages; the search has ended."""

    def withdraw(self, pendings: Collection[Pending]) -> None:
        """Drop messages that no engine has begun."""

    def forget(self, pending: Pending) -> None:
        """Keep nothing here of a message that was answered."""

    def erase(self, pendings: Sequence[Pending]) -> bool:
        """Have nobody else keep calls that were answered, with what was in them.

        Returns
        -------
        bool
            False where that is not possible yet.
        """


def said(error: BaseException) -> str:
    """Return what was raised, here or on an engine, in one line."""
    kind = getattr(error, "ename", type(error).__name__)
    return f"{kind}: {getattr(error, 'evalue', error)}".splitlines()[0]

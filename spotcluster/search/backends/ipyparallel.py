"""Engines of an ipyparallel client.

What ipyparallel's scheduler does with a message (its ``controller/task_scheduler.py``):

- It waits in the scheduler until an engine is free, at most for the time that we give it: then it
  comes back as ``TaskTimeout``.
- It goes to one of the engines that were ready when it was sent. One that refuses it
  (``UnmetDependency``) is not asked again for this message; when all have refused it, or have gone,
  it comes back as ``ImpossibleDependency``.
- When its engine dies it comes back as ``EngineError``, 5 s after the controller has noticed.

Engines publish notes, which may be lost.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import ipyparallel
from ipyparallel.serialize import PrePickled

from spotcluster.clients import Client
from spotcluster.ipyparallel_private import is_closed, session_key
from spotcluster.published import controller_of
from spotcluster.search import shipping
from spotcluster.search.backends.ipyparallel_private import send_call, send_task
from spotcluster.search.backends.protocol import Closed, Fate, Gone, Pending
from spotcluster.search.parcels import Parcel, parcel

_CLOSED = (
    "The ipyparallel client of the search was closed.",
    "Make a new client and resume the search from its ledger.",
)
_FATES = {
    "EngineError": Fate.DIED,
    "TaskAborted": Fate.DROPPED,
    "KeyboardInterrupt": Fate.INTERRUPTED,
    "TaskTimeout": Fate.EXPIRED,
    "DependencyTimeout": Fate.REFUSED,
    "ImpossibleDependency": Fate.REFUSED,
    "UnmetDependency": Fate.REFUSED,
}


class IPyParallel:
    """A `protocol.Backend`.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView
        Its targets are kept to.
    """

    in_turn = True
    interrupts_count = True

    def __init__(self, view: Any) -> None:
        self.client = view.client
        self._given = view

    def controller(self) -> str:
        return controller_of(session_key(self.client))

    def check(self, *, timeout: float | None) -> None:
        """Engines can do all that there is."""

    def closed(self) -> Closed | None:
        if is_closed(self.client):
            return _CLOSED
        return self.client.ended() if isinstance(self.client, Client) else None

    def engines(self) -> list[int]:
        ids: list[int] = list(self.client.ids)
        targets = self._given.targets
        if targets is None or isinstance(targets, str):
            return ids
        wanted = [targets] if isinstance(targets, int) else targets
        return [engine for engine in ids if engine in wanted]

    def pack(self, thing: Any) -> Parcel:
        return parcel(thing)

    def send(
        self,
        targets: Sequence[int],
        limit: float,
        label: Callable[[], str] | None,
        function: Callable[..., Any],
        *args: Any,
        apart: bool = False,  # noqa: ARG002 - an engine dies alone
    ) -> Pending:
        given = label and label()
        try:
            with shipping.one_at_a_time:
                return send_task(self.client, targets, limit, given, *_call(function, args))
        except (ipyparallel.error.IPythonError, KeyError) as error:
            raise Gone from error

    def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Pending:
        try:
            with shipping.one_at_a_time:
                return send_call(self.client, engine, *_call(function, args))
        except (ipyparallel.error.IPythonError, KeyError) as error:
            raise Gone from error

    def listen(self, pending: Any, told: Callable[[], None]) -> None:
        pending.listen(told)

    def notes(self, pending: Any) -> Mapping[str, Any]:
        notes: Mapping[str, Any] = pending.notes
        return notes

    def engine_of(self, pending: Any) -> str | None:
        uuid: str | None = pending.engine
        return uuid

    def fate(self, error: BaseException) -> Fate:
        if isinstance(error, Gone):
            return Fate.DIED
        return _FATES.get(getattr(error, "ename", type(error).__name__), Fate.BROKEN)

    def close(self) -> None:
        """The client is the user's."""

    def withdraw(self, pendings: Collection[Any]) -> None:
        ids = [pending.id for pending in pendings if not pending.done()]
        if ids:
            with contextlib.suppress(ipyparallel.error.IPythonError, OSError, RuntimeError):
                self.client.abort(ids, block=False)

    def forget(self, pending: Any) -> None:
        pending.let_go()

    def erase(self, pendings: Sequence[Any]) -> bool:
        # A controller keeps each of these, with its content, for clients that come back. It may
        # not have seen the end of the last one yet, and says so.
        try:
            self.client.purge_hub_results([pending.id for pending in pendings])
        except (ipyparallel.error.IPythonError, OSError, IndexError):
            return False
        return True


LARGE = 1024  # bytes that go beside a message as they are, and not in it


class _Plain(PrePickled):  # type: ignore[misc] # it has no types
    """An argument in which ipyparallel does not look for functions and arrays: it has none."""

    def __init__(self, thing: Any) -> None:
        self.buffers = [pickle.dumps(thing)]


_known = functools.cache(PrePickled)
"""What goes with every message is pickled once: the function takes longer than all the rest."""


def _call(function: Callable[..., Any], args: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return what calls a function of `engine` there: a function, and its arguments."""
    call, *first = shipping.called(function)
    rest = [one if isinstance(one, bytes) and len(one) > LARGE else _Plain(one) for one in args]
    return _known(call), [*map(_known, first), *rest]

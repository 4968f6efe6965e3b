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
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import ipyparallel

from spotcluster.ipyparallel_private import is_closed, let_go, on_publication, session_key
from spotcluster.published import controller_of
from spotcluster.search import shipping
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

    @functools.cached_property
    def _view(self) -> Any:
        view = self.client.load_balanced_view()
        view.set_flags(block=False, track=False, retries=0)
        return view

    def controller(self) -> str:
        return controller_of(session_key(self.client))

    def check(self, *, timeout: float | None) -> None:
        """Engines can do all that there is."""

    def closed(self) -> Closed | None:
        return _CLOSED if is_closed(self.client) else None

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
        try:
            self._view.set_flags(timeout=limit, targets=targets, label=label and label())
            pending: Pending = shipping.send(self._view, function, *args)
        except (ipyparallel.error.IPythonError, KeyError, IndexError) as error:
            raise Gone from error
        return pending

    def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Pending:
        try:
            pending: Pending = shipping.send(self.client[engine], function, *args)
        except (ipyparallel.error.IPythonError, KeyError, IndexError) as error:
            raise Gone from error
        return pending

    def listen(self, pending: Pending, told: Callable[[], None]) -> None:
        on_publication(pending, told)

    def notes(self, pending: Any) -> Mapping[str, Any]:
        known = self.client.metadata.get(pending.msg_ids[0]) or {}
        notes: Mapping[str, Any] = known.get("data") or {}
        return notes

    def engine_of(self, pending: Any) -> str | None:
        uuid: str | None = pending.metadata.get("engine_uuid")
        return uuid

    def fate(self, error: BaseException) -> Fate:
        if isinstance(error, Gone):
            return Fate.DIED
        return _FATES.get(getattr(error, "ename", type(error).__name__), Fate.BROKEN)

    def close(self) -> None:
        """The client is the user's."""

    def withdraw(self, pendings: Collection[Any]) -> None:
        ids = [pending.msg_ids[0] for pending in pendings if not pending.done()]
        if ids:
            with contextlib.suppress(ipyparallel.error.IPythonError, OSError, RuntimeError):
                self.client.abort(ids, block=False)

    def forget(self, pending: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the client would keep it for ever
            self.client.purge_local_results(pending.msg_ids)
            let_go(pending)

    def erase(self, pendings: Sequence[Any]) -> bool:
        # The controller keeps every message, with its content, for clients that come back. It may
        # not have seen the end of the last one yet, and says so.
        ids = [id for pending in pendings for id in pending.msg_ids]  # noqa: A001 - of messages
        try:
            self.client.purge_hub_results(ids)
        except (ipyparallel.error.IPythonError, OSError, IndexError):
            return False
        return True

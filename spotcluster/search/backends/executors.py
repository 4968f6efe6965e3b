"""Executors of concurrent.futures: processes or threads of this computer, without a controller."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import partial
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.backends.futures_private import workers_of
from spotcluster.search.backends.notes import Notes
from spotcluster.search.backends.protocol import Fate, Gone, Pending
from spotcluster.search.backends.references import References
from spotcluster.search.backends.slots import Failed, Posted, Slot, Slots
from spotcluster.search.engine import here, place
from spotcluster.search.parcels import Parcel

_AGAIN = "Make a new executor and resume the search with it, from its ledger."


class Processes(Slots):
    """The worker processes of an executor; they see this computer's files where they are."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor)
        number = workers_of(executor)
        self._notes: Notes | None = None
        self._threads: int | None = max(1, (os.cpu_count() or 1) // number)
        name = uuid.uuid4().hex
        self._slots = {n: Slot(n, f"{name}-{n}", here.node_name()) for n in range(number)}

    def _begin(self, slot: Slot, posted: Posted) -> Future[Any]:
        function, *args = posted.what
        where = {**self._place(slot), "tell": self._listener(posted)}
        try:
            running: Future[Any] = self.client.submit(*shipping.placed(where, function, *args))
        except BrokenExecutor as error:
            self._close("A worker of the executor died, and the executor with it.", _AGAIN)
            raise Gone from error
        except RuntimeError as error:
            self._close("The executor of the search was shut down.", _AGAIN)
            raise Gone from error
        return running

    def close(self) -> None:
        if self._notes is not None:
            self._notes.close()

    def _came(self, posted: Posted, slot: Slot, running: Future[Any]) -> None:
        # First, as an executor that breaks may hold its lock until all have been told.
        if not running.cancelled() and isinstance(running.exception(), BrokenExecutor):
            self._close("A worker of the executor died, and the executor with it.", _AGAIN)
        super()._came(posted, slot, running)

    def check(self, *, timeout: float | None) -> None:
        """Processes can do all that there is."""

    def _place(self, slot: Slot) -> dict[str, Any]:
        return {
            "engine": slot.id,
            "uuid": slot.uuid,
            "apart": True,
            "threads": self._threads,
            "address": None,
            "tell": None,
        }

    def _listener(self, posted: Posted) -> Any:
        """Return whom a worker tells of a message."""
        if self._notes is None:
            self._notes = Notes(self._heard)
            self._notes.start()
        return self._notes.address, posted.number

    def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Pending:
        # Its host is this computer, so that nobody needs to be asked.
        answer: Pending = Future()
        try:
            kind, value = place.call(
                self._place(self._slots[engine]), shipping.name_of(function), *args
            )
        except Exception as error:  # noqa: BLE001 - of an engine, as far as anybody can tell
            answer.set_exception(error)
        else:
            answer.set_result(value if kind == "answer" else None)
        return answer

    def fate(self, error: BaseException) -> Fate:
        if isinstance(error, Failed):
            return error.fate
        if isinstance(error, BrokenExecutor):
            return Fate.DIED
        if isinstance(error, CancelledError):
            return Fate.DROPPED
        return Fate.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Fate.BROKEN


class Threads(Processes):
    """The worker threads of an executor, in this process."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor)
        self._threads = None
        self._references = References()

    def check(self, *, timeout: float | None) -> None:
        if timeout is not None:
            raise SearchError(
                "Threads cannot be interrupted, so that a search on them has no timeout.",
                "Give it an executor of processes, or no timeout.",
            )

    def pack(self, thing: Any) -> Parcel:
        return self._references.pack(thing)

    def _place(self, slot: Slot) -> dict[str, Any]:
        return {**super()._place(slot), "apart": False}

    def _listener(self, posted: Posted) -> Any:
        return partial(self._heard, posted.number)

"""Workers of dask: each of their threads is an engine.

dask runs again what a lost worker had, and what it had done too. So each message is for one worker
and no other, where it waits in vain when that has gone; then it is taken back, and counts as lost.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from functools import partial
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.backends.protocol import Closed, Fate, Gone, Pending
from spotcluster.search.backends.slots import Failed, Posted, Slot, Slots

LOOK = 0.5  # seconds between two looks at which workers there are
PATIENCE = 300.0  # seconds that an answer may take to come from where it is
CALLS_FIRST = 10  # the priority of calls, which are short, before messages

_CLOSED = (
    "The dask client of the search was closed.",
    "Make a new client and resume the search with it, from its ledger.",
)
_FATES = {"KilledWorker": Fate.DIED, "CancelledError": Fate.DROPPED}


@dataclass
class Seat(Slot):
    """A thread of a worker; `of` is how many that has."""

    address: str = ""
    of: int = 1


class Dask(Slots):
    """A `protocol.Backend`.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._seats: dict[str, list[Seat]] = {}  # by their workers' addresses
        self._ids = itertools.count()
        self._natives: dict[Pending, tuple[Seat, Any]] = {}  # dask forgets what nobody holds
        self._looked = 0.0
        self._look_under_way: threading.Thread | None = None

    def check(self, *, timeout: float | None) -> None:
        if self.client.asynchronous:
            raise SearchError(
                "A search cannot run on a dask client that is asynchronous.",
                "Give it one that was made without asynchronous=True.",
            )
        if timeout is not None:
            raise SearchError(
                "dask's workers are threads, which cannot be interrupted, so that a search on them"
                " has no timeout.",
                "Give it an ipyparallel client or an executor of processes, or no timeout.",
            )

    def closed(self) -> Closed | None:
        return _CLOSED if self.client.status in ("closed", "closing") else None

    def close(self) -> None:
        with self._lock:
            self._natives.clear()

    def fate(self, error: BaseException) -> Fate:
        if isinstance(error, Failed):
            return error.fate
        if isinstance(error, Gone):
            return Fate.DIED
        names = (kind.__name__ for kind in type(error).__mro__)
        return next((_FATES[name] for name in names if name in _FATES), Fate.BROKEN)

    # --- who is there -----------------------------------------------------------------------------

    def engines(self) -> list[int]:
        if not self._looked:
            self._look()
        under_way = self._look_under_way
        if time.monotonic() - self._looked > LOOK and not (under_way and under_way.is_alive()):
            # The scheduler may take its time to answer.
            self._look_under_way = threading.Thread(
                target=self._look, name="spotcluster look", daemon=True
            )
            self._look_under_way.start()
        return super().engines()

    def _look(self) -> None:
        """See which workers have come and gone."""
        try:
            threads = dict(self.client.nthreads())
        except Exception:  # noqa: BLE001 - closed, or between two schedulers
            return
        finally:
            self._looked = time.monotonic()
        lost: list[Pending] = []
        with self._lock:
            for address in self._seats.keys() - threads.keys():
                for seat in self._seats.pop(address):
                    del self._slots[seat.id]
                    if seat.posted is not None:
                        lost.append(seat.posted)
            natives = {
                pending: native
                for pending, (seat, native) in self._natives.items()
                if seat.id not in self._slots
            }
            for pending in natives:
                del self._natives[pending]
            for address in sorted(threads.keys() - self._seats.keys()):
                self._welcome(address, threads[address])
        for pending in (*lost, *natives):
            with contextlib.suppress(InvalidStateError):
                pending.set_exception(Failed(Fate.DIED, "the worker has gone"))
        for native in natives.values():
            with contextlib.suppress(Exception):  # it may not be known any more
                native.cancel()

    def _welcome(self, address: str, threads: int) -> None:
        name = uuid.uuid4().hex
        self._seats[address] = [
            Seat(next(self._ids), f"{name}-{n}", address=address, of=threads)
            for n in range(threads)
        ]
        self._slots.update({seat.id: seat for seat in self._seats[address]})

    # --- what they are given ----------------------------------------------------------------------

    def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Pending:
        with self._lock:
            seat = self._slots.get(engine)
        if seat is None:
            raise Gone
        return self._submit(seat, partial(_value_of, seat), CALLS_FIRST, function, *args)

    def _begin(self, slot: Slot, posted: Posted) -> Future[Any]:
        return self._submit(slot, _same, 0, *posted.what)

    def _submit(
        self,
        seat: Any,
        taken: Callable[[Any], Any],
        priority: int,
        function: Callable[..., Any],
        *args: Any,
    ) -> Pending:
        """Have a worker run a function of `engine`; the answer is what `taken` makes of it."""
        host = seat.address.rpartition("/")[2].rpartition(":")[0].strip("[]")
        where = {
            "engine": seat.id,
            "uuid": seat.uuid,
            "apart": seat.of == 1,
            "threads": None,  # its nanny has seen to it
            "address": host,
            "tell": None,  # the scheduler would keep all of it
        }
        answer: Pending = Future()
        try:
            native = self.client.submit(
                *shipping.placed(where, function, *args),
                key=f"spotcluster-{shipping.name_of(function)}-{uuid.uuid4().hex}",
                workers=[seat.address],
                priority=priority,
                pure=False,
            )
        except Exception as error:
            raise Gone from error
        with self._lock:
            self._natives[answer] = seat, native
        native.add_done_callback(partial(self._done, answer, taken))
        return answer

    def _done(self, answer: Pending, taken: Callable[[Any], Any], native: Any) -> None:
        """Fetch what has come of something."""
        # Where its worker has just gone that waits, and dask has one thread for all callbacks.
        threading.Thread(
            target=self._pass_on,
            args=(answer, taken, native),
            name="spotcluster answer",
            daemon=True,
        ).start()

    def _pass_on(self, answer: Pending, taken: Callable[[Any], Any], native: Any) -> None:
        with contextlib.suppress(InvalidStateError):  # its worker has gone, and it counts as lost
            try:
                value = taken(native.result(PATIENCE))
            except BaseException as error:  # noqa: BLE001 - it is told whoever asks
                answer.set_exception(error)
            else:
                answer.set_result(value)
        with self._lock:
            self._natives.pop(answer, None)


def _same(value: Any) -> Any:
    return value


def _value_of(seat: Slot, answer: tuple[str, Any]) -> Any:
    kind, value = answer
    if isinstance(value, dict) and "node" in value:  # each is asked who it is before anything else
        seat.node = value["node"]
    return value if kind == "answer" else None

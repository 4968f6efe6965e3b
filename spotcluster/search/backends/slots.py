"""A scheduler for engines whose owner has none that we could use.

An engine is a place where one thing runs at a time. Messages wait here until one of those is free
that they may go to, in the order in which they came; so what waits can be taken back, and which
engine has which message is known here, not said by it.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from functools import partial
from typing import Any

from spotcluster.search.backends.protocol import Closed, Fate, Gone, Pending
from spotcluster.search.parcels import Parcel, parcel


class Failed(Exception):
    """A message brings no results; `fate` says why."""

    def __init__(self, fate: Fate, why: str = "") -> None:
        super().__init__(why)
        self.fate = fate


_numbers = itertools.count()


class Posted(Future[Any]):
    """A message, and its answer."""

    def __init__(
        self, targets: Sequence[int], until: float, what: tuple[Any, ...], *, apart: bool
    ) -> None:
        super().__init__()
        self.targets = frozenset(targets)
        self.until = until
        self.number = next(_numbers)
        self.what = what
        self.apart = apart
        self.refused: set[int] = set()
        self.engine: int | None = None
        self.uuid: str | None = None
        self.notes: dict[str, Any] = {}
        self.told: Callable[[], None] = _nothing


def _nothing() -> None:
    pass


@dataclass
class Slot:
    """A place where one thing runs at a time."""

    id: int
    uuid: str
    node: str = ""
    posted: Posted | None = None


class Slots(ABC):
    """A `protocol.Backend` on places of which `_begin` knows how something is run there."""

    in_turn = False
    interrupts_count = False

    def __init__(self, client: Any) -> None:
        self.client = client
        self._lock = threading.RLock()
        self._slots: dict[int, Slot] = {}
        self._waiting: dict[Posted, None] = {}
        self._why: Closed | None = None

    # --- for kinds of them ------------------------------------------------------------------------

    @abstractmethod
    def _begin(self, slot: Slot, posted: Posted) -> Future[Any]:
        """Have what a message says run in a place; give what `engine.place.call` does.

        Raises
        ------
        Gone
            If the place is not there any more; or nothing can be run any more, and `_close` says
            why.
        """

    def _close(self, why: str, cure: str) -> None:
        """Begin nothing any more."""
        self._why = self._why or (why, cure)

    def _heard(self, number: int, note: dict[str, Any]) -> None:
        """Take a note about the message with this number."""
        with self._lock:
            for slot in self._slots.values():
                if (posted := slot.posted) is not None and posted.number == number:
                    posted.notes.update(note)
                    break
            else:
                return
        posted.told()

    @abstractmethod
    def check(self, *, timeout: float | None) -> None: ...

    @abstractmethod
    def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Pending: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def fate(self, error: BaseException) -> Fate: ...

    # --- what the dispatcher asks -----------------------------------------------------------------

    def controller(self) -> str:
        return ""

    def closed(self) -> Closed | None:
        with self._lock:
            runs = any(slot.posted for slot in self._slots.values())
        return None if runs else self._why

    def engines(self) -> list[int]:
        now = time.monotonic()
        with self._lock:
            # Or those that it could go to have left since.
            vain = [one for one in self._waiting if now > one.until or not self._may_go(one)]
        self._give_back(vain, Fate.EXPIRED)
        self._hand_out()
        return list(self._slots)

    def pack(self, thing: Any) -> Parcel:
        return parcel(thing)

    def send(
        self,
        targets: Sequence[int],
        limit: float,
        label: Callable[[], str] | None,  # noqa: ARG002 - nobody reads it
        function: Callable[..., Any],
        *args: Any,
        apart: bool = False,
    ) -> Pending:
        posted = Posted(targets, time.monotonic() + limit, (function, *args), apart=apart)
        with self._lock:
            if self._why or not posted.targets <= self._slots.keys():
                raise Gone
            self._waiting[posted] = None
        self._hand_out()
        return posted

    def listen(self, pending: Any, told: Callable[[], None]) -> None:
        pending.told = told

    def notes(self, pending: Any) -> Mapping[str, Any]:
        with self._lock:
            return dict(pending.notes)

    def engine_of(self, pending: Any) -> str | None:
        uuid: str | None = pending.uuid
        return uuid

    def withdraw(self, pendings: Collection[Any]) -> None:
        self._give_back(pendings, Fate.DROPPED)

    def forget(self, pending: Any) -> None:
        pending.what = ()

    def erase(self, pendings: Sequence[Pending]) -> bool:  # noqa: ARG002 - nobody keeps any
        return True

    # --- who gets what ----------------------------------------------------------------------------

    def _may_go(self, posted: Posted) -> bool:
        return any(one in self._slots for one in posted.targets - posted.refused)

    def _give_back(self, pendings: Collection[Posted], fate: Fate) -> None:
        """Answer those messages that still wait."""
        with self._lock:
            found = [one for one in pendings if one in self._waiting]
            for one in found:
                del self._waiting[one]
        for one in reversed(found):  # each goes before what waits, and so the first one first
            one.set_exception(Failed(fate))

    def _hand_out(self) -> None:
        """Have what waits begin where there is room."""
        while True:
            with self._lock:
                chosen = None if self._why else self._choice()
                if chosen is None:
                    return
                posted, slot = chosen
                del self._waiting[posted]
                slot.posted = posted
                posted.engine, posted.uuid = slot.id, slot.uuid
                who = {"node": slot.node, "pid": None, "engine": slot.id, "uuid": slot.uuid}
                posted.notes["started"] = {"who": who, "clock": time.monotonic()}
            try:
                running = self._begin(slot, posted)
            except Gone:
                self._put_back(posted, slot)
                return  # `closed` tells, or the next look at who is there tries again
            posted.told()
            running.add_done_callback(partial(self._came, posted, slot))

    def _choice(self) -> tuple[Posted, Slot] | None:
        """Return the next message that can begin, and where."""
        under_way = [slot.posted for slot in self._slots.values() if slot.posted]
        if any(posted.apart for posted in under_way):
            return None
        idle = [slot for slot in self._slots.values() if slot.posted is None]
        for posted in self._waiting:
            if posted.apart and under_way:  # and nothing overtakes it for ever
                return None
            for slot in idle:
                if slot.id in posted.targets and slot.id not in posted.refused:
                    return posted, slot
        return None

    def _put_back(self, posted: Posted, slot: Slot) -> None:
        """Have a message wait again, before all others."""
        with self._lock:
            slot.posted = None
            posted.engine = posted.uuid = None
            posted.notes.pop("started", None)
            self._waiting = {posted: None, **self._waiting}

    def _came(self, posted: Posted, slot: Slot, running: Future[Any]) -> None:
        """Take what has come of a message."""
        try:
            kind, value = running.result()
        except BaseException as error:  # noqa: BLE001 - a worker's KeyboardInterrupt too
            self._leave(posted, slot)
            self._hand_out()
            self._answer(posted, error)
            return
        if kind == "refused":
            if posted.done():  # its engine has gone
                return
            with self._lock:
                posted.refused.add(slot.id)
                posted.notes[f"refused {slot.uuid}"] = value
                self._put_back(posted, slot)
                if not self._may_go(posted):
                    del self._waiting[posted]
                    value = Failed(Fate.REFUSED)
            posted.told()
            self._hand_out()
            if isinstance(value, Failed):
                self._answer(posted, value)
            return
        self._leave(posted, slot)
        self._hand_out()  # first, as the engine is idle
        self._answer(posted, value)

    def _leave(self, posted: Posted, slot: Slot) -> None:
        with self._lock:
            if slot.posted is posted:
                slot.posted = None

    def _answer(self, posted: Posted, value: Any) -> None:
        with contextlib.suppress(InvalidStateError):  # its engine has gone, and it counts as lost
            if isinstance(value, BaseException):
                posted.set_exception(value)
            else:
                posted.set_result(value)

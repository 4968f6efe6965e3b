"""Tells that a message is lost, earlier than the engines' owner does, and where it never would."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from weakref import ReferenceType, ref

from spotcluster.search.backends.protocol import Backend, Gone
from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch import sender
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.roster import Roster
from spotcluster.search.engine import here

GRACE = 1.0  # seconds for the result of an engine that has gone, which may still be on its way
SILENCE = 15.0  # seconds after which a running evaluation is asked after
SETTLE = 5.0  # seconds for a result after its engine has turned to something else
AGAIN = 1.0  # seconds between two looks at a message, at least, if nothing has happened
SPARED = 3  # engines that may die without blame for an evaluation that was not seen to begin


@dataclass(frozen=True)
class Loss:
    """Why a message will bring nothing more.

    Attributes
    ----------
    why : str
        For the user, a sentence without its full stop.
    death : bool
        Whether its engine died.
    passing : bool
        Whether that says nothing of the evaluation once this run is over.
    """

    why: str
    death: bool = False
    passing: bool = False


class LossDetector:
    """Looks after the messages that are under way: each when its engine has gone, or it is time."""

    def __init__(self, backend: Backend, roster: Roster, durations: Durations) -> None:
        self._backend = backend
        self._roster = roster
        self._durations = durations
        self._blamed: set[str] = set()  # engines for whose death a message has been blamed
        self._spared: Counter[Key] = Counter()
        self._times: list[tuple[float, int, ReferenceType[Message]]] = []  # when to look at which
        self._numbers = itertools.count()
        self._on: dict[int, dict[Message, None]] = {}  # what has begun, by engine
        self._vanished: dict[Message, None] = {}  # whose engines are not there
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()  # to calls after them

    def sent(self, message: Message) -> None:
        """Take note of a message that may be lost from now on."""
        self._look_at(message, self._next_look(message))

    def begins(self, message: Message) -> None:
        """Take note that a message is known to run."""
        assert message.engine is not None
        if message.engine in self._roster.engines:
            self._on.setdefault(message.engine, {})[message] = None
            self._look_at(message, self._next_look(message))
        else:
            self._vanished[message] = None

    def ended(self, message: Message) -> None:
        """Take note that nothing more is expected of a message."""
        self._vanished.pop(message, None)
        if message.engine is not None:
            self._on.get(message.engine, {}).pop(message, None)

    def losses(
        self, gone: Collection[int], expected: Callable[[Message], bool], *, hints_arrive: bool
    ) -> Iterator[tuple[Message, Loss]]:
        """Yield the messages that are lost.

        Parameters
        ----------
        gone : collection of int
            The engines that are there no more.
        expected : callable
            Tells whether a message should still bring something.
        hints_arrive : bool
            Whether engines' hints have been heard: without, it may run and nobody says so.
        """
        now = time.monotonic()
        for engine in gone:
            self._vanished.update(self._on.pop(engine, {}))
        looked = list(self._vanished)
        with contextlib.suppress(queue.Empty):
            while True:
                looked.append(self._answers.get_nowait())
        while self._times and self._times[0][0] <= now:
            message = heapq.heappop(self._times)[2]()
            if message is not None:
                looked.append(message)
        for message in dict.fromkeys(looked):
            if not expected(message):
                self.ended(message)
                continue
            loss = self.look_after(message, hints_arrive=hints_arrive)
            if loss:
                yield message, loss
            elif message.vanished:
                self._vanished[message] = None
            else:
                self._vanished.pop(message, None)
                self._look_at(message, max(self._next_look(message), now + AGAIN))

    def _look_at(self, message: Message, when: float) -> None:
        heapq.heappush(self._times, (when, next(self._numbers), ref(message)))

    def _next_look(self, message: Message) -> float:
        if message.engine is None:
            return message.sent + 3 * message.limit + sender.QUEUE_LIMIT
        if message.answered:
            return message.answered + SETTLE
        return message.begun + self._patience(message)

    def _patience(self, message: Message) -> float:
        """Return the seconds after which a message that runs is asked after."""
        longest = max(self._durations.longest, message.work)
        return max(SILENCE, 3 * longest, 2 * message.call_at)

    def look_after(self, message: Message, *, hints_arrive: bool) -> Loss | None:
        """Return why a message is lost; None while it may still come back.

        Parameters
        ----------
        hints_arrive : bool
            Whether engines' hints have been heard: without, it may run and nobody says so.
        """
        now = time.monotonic()
        if message.engine is None:
            # What waits too long comes back, unless the message is lost, with the controller for
            # example. Without hints it could be running, and nothing can be said.
            if hints_arrive and now - message.sent > 3 * message.limit + sender.QUEUE_LIMIT:
                return Loss("its message was lost")
        elif message.engine not in self._roster.engines:
            message.vanished = message.vanished or now
            if now - message.vanished > GRACE:
                return Loss(f"{self._roster.name(message.uuid)} died", death=True)
        else:
            message.vanished = 0.0
            return self._ask_after(message, now) if self._backend.in_turn else None
        return None

    def _ask_after(self, message: Message, now: float) -> Loss | None:
        """Notice a result that was lost on its way.

        An engine does one thing after the other: when it answers a call that was sent after the
        evaluation had begun, the evaluation is over.
        """
        if message.answered:
            if now - message.answered > SETTLE:
                return Loss("its result did not arrive")
        elif message.call is not None and message.call.done():
            message.answered = now if message.call.exception() is None else 0.0
            message.call = None
        elif now - message.begun >= self._patience(message):
            assert message.engine is not None
            message.call_at = now - message.begun
            with contextlib.suppress(Gone):
                message.call = self._backend.call(message.engine, here.identity)
                message.call.add_done_callback(lambda _: self._answers.put(message))
        return None

    def blame(self, message: Message, loss: Loss, live: Iterable[Message]) -> Loss:
        """Return the loss; as no death where another message is what the engine died of.

        An engine does one message after the other. Of those that began on it the last one is to
        blame: the others had ended, and their results were lost with it. One that nobody saw
        begin had waited, if another is to blame; and if none is, the first to come back is, since
        the scheduler returns them in the order in which the engine got them.
        """
        if not loss.death:
            return loss
        uuid = message.uuid or self._backend.engine_of(message.pending)
        if message.engine is not None:
            spared = any(one.uuid == uuid and one.clock > message.clock for one in live)
        else:  # not for ever: hints may be lost each time
            spared = uuid in self._blamed and all(
                self._spared[key] < SPARED for key in message.keys
            )
            self._spared.update(message.keys if spared else ())
        if spared:
            return replace(loss, death=False)
        if uuid:
            self._blamed.add(uuid)
        return loss

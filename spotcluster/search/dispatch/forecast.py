"""When messages that are under way will end, by what their evaluations may be expected to take."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left, bisect_right, insort

from spotcluster.search.dispatch.messages import Message


class Forecast:
    """The messages that wait in the controller, and those that run, by their expected ends.

    What was not heard to begin counts as waiting. Nothing here looks at every message.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._queued: dict[Message, None] = {}
        self._queued_work = 0.0
        self._entries: dict[Message, tuple[float, int]] = {}
        self._ends: list[tuple[float, int]] = []  # of those that run, in order
        self._sum = 0.0  # of `_ends`

    def waits(self, message: Message) -> None:
        """Take note of a message that waits from now on."""
        self.ended(message)
        self._queued[message] = None
        self._queued_work += message.work

    def begins(self, message: Message) -> None:
        """Take note that a message runs."""
        self.ended(message)
        entry = message.begun + message.work, next(self._numbers)
        self._entries[message] = entry
        insort(self._ends, entry)
        self._sum += entry[0]

    def ended(self, message: Message) -> None:
        """Take note that a message runs no more, and waits no more."""
        if message in self._queued:
            del self._queued[message]
            self._queued_work = self._queued_work - message.work if self._queued else 0.0
        entry = self._entries.pop(message, None)
        if entry is not None:
            del self._ends[bisect_left(self._ends, entry)]
            self._sum = self._sum - entry[0] if self._ends else 0.0

    @property
    def running(self) -> int:
        """How many messages are known to run."""
        return len(self._ends)

    def due(self, seconds: float) -> int:
        """Return how many of those that run may be expected to have ended in so many seconds."""
        return bisect_right(self._ends, (time.monotonic() + seconds, -1))

    def work(self) -> float:
        """Return the seconds of work in all messages that is still to be done."""
        now = time.monotonic()
        over = bisect_right(self._ends, (now, -1))  # late ones may end at any time
        past = sum(end for end, _ in self._ends[:over])
        return self._queued_work + self._sum - past - now * (len(self._ends) - over)

    def start(self, engines: int) -> float:
        """Return in how many seconds a message that is sent now will begin on one of the engines.

        Those that wait go before it: one to each engine that is idle, or when what runs there has
        ended, and then one more to each. Of what waits behind these only the average counts.
        """
        now = time.monotonic()
        idle = max(0, engines - len(self._ends))
        free = [0.0] * idle + [max(0.0, end - now) for end, _ in self._ends]
        rounds, nth = divmod(len(self._queued), len(free) or 1)
        if not rounds:
            return free[nth] if free else 0.0
        ends = sorted(own + one.work for own, one in zip(free, self._queued, strict=False))
        return ends[nth] + (rounds - 1) * self._queued_work / len(self._queued)

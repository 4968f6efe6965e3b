"""When messages that are under way will end, by what their evaluations may be expected to take."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left, bisect_right, insort

from spotcluster.search.dispatch.messages import Message


class Forecast:
    """The messages that wait in the controller, and those that run, by their expected ends.

    What was not heard to begin counts as waiting. Nothing here looks at every message, but `start`
    does where more wait than there are engines, once after each that has begun or ended, and
    `waiting` at those that wait.
    """

    heard = False  # whether a message was ever heard to begin

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._queued: dict[Message, None] = {}
        self._queued_work = 0.0
        self._entries: dict[Message, tuple[float, int]] = {}
        self._ends: list[tuple[float, int]] = []  # of those that run, in order
        self._sum = 0.0  # of `_ends`
        # Of the first message that waits for each engine, when it will have ended: those that begin
        # at once, by their work, and the others by when that is.
        self._soon: list[float] = []
        self._later: list[tuple[float, float, float]] = []
        self._paired: tuple[int, int] | None = None  # for how many that begin at once

    def waits(self, message: Message) -> None:
        """Take note of a message that waits from now on."""
        self.ended(message)
        self._queued[message] = None
        self._queued_work += message.work

    def begins(self, message: Message) -> None:
        """Take note that a message runs."""
        self.heard = True
        self.ended(message)
        entry = message.begun + message.work, next(self._numbers)
        self._entries[message] = entry
        insort(self._ends, entry)
        self._paired = None
        self._sum += entry[0]

    def ended(self, message: Message) -> None:
        """Take note that a message runs no more, and waits no more."""
        if message in self._queued:
            del self._queued[message]
            self._paired = None
            self._queued_work = self._queued_work - message.work if self._queued else 0.0
        entry = self._entries.pop(message, None)
        if entry is not None:
            del self._ends[bisect_left(self._ends, entry)]
            self._paired = None
            self._sum = self._sum - entry[0] if self._ends else 0.0

    def is_known(self, message: Message, work: float) -> None:
        """Take note of what a message takes, where it was sent for something else."""
        before, message.work, message.guessed = message.work, work, False
        if message in self._queued:  # it keeps its place
            self._queued_work += work - before
            self._paired = None
        elif message in self._entries:
            self.begins(message)

    @property
    def running(self) -> int:
        """How many messages are known to run."""
        return len(self._ends)

    def waiting(self, seconds: float) -> int:
        """Return how many wait that take longer than that."""
        return sum(message.work > seconds for message in self._queued)

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
        free = idle + len(self._ends)
        if not free:
            return 0.0
        rounds, nth = divmod(len(self._queued), free)
        if not rounds:
            return 0.0 if nth < idle else max(0.0, self._ends[nth - idle][0] - now)
        self._pair(idle, bisect_right(self._ends, (now, -1)))
        return self._nth(nth, now) + (rounds - 1) * self._queued_work / len(self._queued)

    def _pair(self, idle: int, over: int) -> None:
        """Give each engine the first message that waits for it; later ones change nothing."""
        if self._paired == (idle, over):
            return
        self._paired = idle, over
        queued = iter(self._queued)
        self._soon = sorted(one.work for one in itertools.islice(queued, idle + over))
        self._later = sorted(
            (end + one.work, end, one.work)
            for (end, _), one in zip(self._ends[over:], queued, strict=False)
        )

    def _nth(self, nth: int, now: float) -> float:
        """Return in how many seconds the nth of those messages, counted from 0, will have ended."""
        soon, later = self._soon, self._later
        low, high = max(0, nth - len(later)), min(nth, len(soon))
        while low < high:  # how many of `soon` end before it
            middle = (low + high) // 2
            if soon[middle] < later[nth - middle - 1][0] - now:
                low = middle + 1
            else:
                high = middle
        found = soon[low : low + 1]
        found += [end - now + work for _, end, work in later[nth - low : nth - low + 1]]
        return min(found)

"""What evaluations take, as measured, and what others may be expected to take."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence

from spotcluster.search.data.evaluations import Key

WORK = 1.0  # seconds of work in a message: a message costs some milliseconds
LEAST = 0.02  # seconds of work in a message near the end
ROUNDS = 3  # messages for each engine over which what is left is spread
MOST = 1000  # evaluations in a message
PATIENCE = 2.0  # seconds, and
LATE = 2.0  # times what was expected, after which a message is late


class Durations:
    """The seconds that evaluations took.

    Splits of one candidate take about as long as each other, so they tell the most; the recent ones
    of all candidates tell something.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._of: dict[int, tuple[float, int]] = {}  # sum and count by candidate
        self._recent: deque[float] = deque(maxlen=64)
        self._typical: float | None = None

    def add(self, key: Key, seconds: float) -> None:
        """Take note of what an evaluation took."""
        total, count = self._of.get(key[0], (0.0, 0))
        self._of[key[0]] = total + seconds, count + 1
        self._recent.append(seconds)
        self._typical = None
        self.longest = max(self.longest, seconds)

    def expected(self, key: Key) -> float | None:
        """Return what an evaluation may be expected to take; None while nothing is known."""
        if key[0] in self._of:
            total, count = self._of[key[0]]
            return total / count
        return self._median()

    def _median(self) -> float | None:
        if self._typical is None and self._recent:
            self._typical = statistics.median(self._recent)
        return self._typical

    def batch(self, waiting: Sequence[Key], engines: int) -> int:
        """Return how many of the evaluations that wait the next message should hold.

        Little work when little is left, so that all engines end at about the same time. One while
        nothing is known.
        """
        first = self.expected(waiting[0])
        if first is None:
            return 1
        left = (self._median() or first) * len(waiting) / (ROUNDS * max(engines, 1))
        wanted = min(WORK, max(LEAST, left))
        count, work = 1, first
        while count < min(len(waiting), MOST):
            more = self.expected(waiting[count])
            assert more is not None
            if work + more > wanted:
                break
            count, work = count + 1, work + more
        return count

    def work(self, keys: Sequence[Key]) -> float:
        """Return what evaluations may be expected to take together."""
        return sum(self.expected(key) or 0.0 for key in keys)

    def late(self, keys: Sequence[Key], seconds: float) -> bool:
        """Return whether evaluations take so long that another engine may well be quicker."""
        known = sum(
            self.expected(key) or 0.0 if key[0] in self._of else self.longest for key in keys
        )
        return bool(self._recent) and seconds > max(PATIENCE, LATE * known)

"""What evaluations take, as measured, and what others may be expected to take."""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch.likeness import Likeness, Params

MOST = 1000  # evaluations in a message
PATIENCE = 2.0  # seconds, and
LATE = 2.0  # times what was expected, after which a message is late
RECENT = 64  # evaluations of which the typical one is taken
_WEIGHT = 0.05  # of the newest, in what is averaged over the last ones


class Durations:
    """The seconds that evaluations took.

    Splits of one candidate take about as long as each other, so they tell the most; candidates that
    are like it tell much, and the recent ones of all something.

    Parameters
    ----------
    params : callable
        What is known of a candidate beforehand, by its number, see `likeness`.

    Attributes
    ----------
    measured : int
        How many evaluations were.
    longest : float
        The longest that one took.
    mean : float
        Of the last ones; 0 while nothing is known.
    error : float
        By what share the last ones differed from what was expected of them, on average.
    spread : float
        By what share of the mean the last ones differed from it, on average.
    """

    def __init__(self, params: Callable[[int], Params] = lambda _: {}) -> None:
        self._likeness = Likeness(params)
        self.measured = 0
        self.longest = 0.0
        self.mean = 0.0
        self.error = 0.0
        self.spread = 0.0
        self._of: dict[int, tuple[float, int]] = {}  # sum and count by candidate
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._typical: float | None = None

    def recall(self, candidates: Any, seconds: Any) -> None:
        """Take note of what evaluations took before, which may be very many; the last count most.

        The first of what is left can then be sent in messages of the right length.

        Parameters
        ----------
        candidates, seconds : array
            Of each evaluation.
        """
        early = max(0, len(seconds) - RECENT)
        if early:
            known, of = np.unique(candidates[:early], return_inverse=True)
            sums, counts = np.bincount(of, seconds[:early]).tolist(), np.bincount(of).tolist()
            self._of = dict(zip(known.tolist(), zip(sums, counts, strict=True), strict=True))
            self.longest, self.measured = float(seconds[:early].max()), early
            self.mean = float(seconds[:early].mean())
        for candidate, took in zip(candidates[early:], seconds[early:], strict=True):
            self.add((int(candidate), 0), float(took))

    def add(self, key: Key, seconds: float) -> None:
        """Take note of what an evaluation took."""
        before = self.expected(key)
        if not self.measured:
            self.mean = seconds
        else:
            weight = max(_WEIGHT, 1 / self.measured)  # the first ones count for what they are
            self.spread += weight * (abs(seconds - self.mean) / (self.mean or 1.0) - self.spread)
            self.mean += _WEIGHT * (seconds - self.mean)
            if before is not None:
                error = abs(seconds - before) / max(seconds, before, 1e-9)
                self.error += _WEIGHT * (error - self.error)
        total, count = self._of.get(key[0], (0.0, 0))
        self._of[key[0]] = total + seconds, count + 1
        self._likeness.add(key[0], (total + seconds) / (count + 1))
        self._recent.append(seconds)
        self._typical = None
        self.measured += 1
        self.longest = max(self.longest, seconds)

    def expected(self, key: Key) -> float | None:
        """Return what an evaluation may be expected to take; None while nothing is known."""
        known = self._of.get(key[0])
        if known is not None:
            return known[0] / known[1]
        alike = self._likeness.expected(key[0])
        return self._median() if alike is None else alike

    @property
    def longest_left(self) -> float:
        """What the longest of those that are left may be expected to take."""
        return max(self.longest, self._likeness.longest)

    def knows(self, key: Key) -> bool:
        """Return whether a split of its candidate was measured, or others that are like it."""
        return key[0] in self._of or self._likeness.expected(key[0]) is not None

    def _median(self) -> float | None:
        if self._typical is None and self._recent:
            self._typical = statistics.median(self._recent)
        return self._typical

    def batch(self, waiting: Sequence[Key], wanted: float, untried: int = 1) -> int:
        """Return how many of the evaluations that wait make so many seconds of work.

        At least one; while nothing is known, as many as `untried` says.
        """
        first = self.expected(waiting[0])
        if first is None:
            return min(untried, len(waiting))
        count, work = 1, first
        for key in itertools.islice(waiting, 1, MOST):
            more = self.expected(key)
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

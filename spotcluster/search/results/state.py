"""What is known of a search at a moment, for whoever shows it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from spotcluster.search.results.results import Best
from spotcluster.wording import time_left

WINDOW = 30.0  # seconds over which the rate is measured


@dataclass(frozen=True)
class State:
    """What is shown of a search.

    Attributes
    ----------
    title : str
        What kind of search it is.
    done, total : int
        Evaluations.
    engines : dict
        How many engines there are now, by the name of their host.
    bests : sequence of Best
    remarks : sequence of str
    running : bool
    about : str
        What it is of, and where it runs, behind the title.
    score : str
        What it is scored by.
    per_node : dict
        How many evaluations each host did, by its name.
    rate : float or None
        Evaluations a second.
    left : float or None
        Seconds until the end, at this rate.
    """

    title: str
    done: int
    total: int
    engines: dict[str, int] = field(default_factory=dict)
    bests: Sequence[Best] = ()
    remarks: Sequence[str] = ()
    running: bool = True
    about: str = ""
    score: str = "score"
    per_node: dict[str, int] = field(default_factory=dict)
    rate: float | None = None
    left: float | None = None

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 0

    @property
    def ending(self) -> str:
        """That it ended before it was done, where that is so."""
        return "" if self.running or self.done >= self.total else "stopped"

    @property
    def figures(self) -> list[str]:
        """The rate, the time left and the engines, in words."""
        figures = []
        if self.rate:
            figures.append(_rate(self.rate))
        if self.running:
            figures.append("" if self.left is None else f"{time_left(self.left)} left")
            figures.append(_engines(self.engines))
        return [figure for figure in figures if figure]


class Meter:
    """How fast it goes, over the last seconds; what was finished before a resume does not count.

    Examples
    --------
    >>> meter = Meter(window=30)
    >>> meter.rate(0.0, 10)
    >>> meter.rate(2.0, 14)
    2.0
    """

    def __init__(self, window: float = WINDOW) -> None:
        self.window = window
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, now: float, done: int) -> float | None:
        """Take note of how many are done; return how many a second, None when it is not known."""
        if self._seen and done < self._seen[-1][1]:  # another search now
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self.window:
            self._seen.popleft()
        then, before = self._seen[0]
        return (done - before) / (now - then) if done > before and now > then else None


def with_rate(state: State, rate: float | None) -> State:
    """Return the state with a rate, and the time left that follows from it."""
    left = (state.total - state.done) / rate if rate else None
    return replace(state, rate=rate, left=left)


def _rate(rate: float) -> str:
    if rate >= 10:
        return f"{rate:.0f}/s"
    return f"{rate:.1f}/s" if rate >= 0.5 else f"{60 * rate:.1f}/min"


def _engines(engines: dict[str, int]) -> str:
    count, nodes = sum(engines.values()), len(engines)
    if not count:
        return "no engines"
    return f"{count} engine{'s' * (count > 1)} on {nodes} node{'s' * (nodes > 1)}"


def score_in_words(mean: float, error: float) -> str:
    """Return a mean score and its standard error; they may be nan."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.5f}" if math.isnan(error) else f"{mean:.5f} ± {error:.5f}"

"""What a search's ledger says, as the numbers that are plotted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spotcluster.search.data.candidates import in_words, plain

if TYPE_CHECKING:
    from spotcluster.search.results.record import Record

_FAILURES = 500  # that are shown
_DOTS = 4000  # in a picture
_BARS = 4000
_UNREADABLE = "Its parameters can be read on the computer that it runs on only."


@dataclass(frozen=True)
class Failure:
    """An evaluation that raised, or was given up."""

    at: float
    params: str
    split: int
    node: str
    engine: int | None
    error: str

    @property
    def reason(self) -> str:
        """The last line of the traceback, without where the error's class is from."""
        lines = self.error.strip().splitlines()
        return re.sub(r"^(?:\w+\.)+(?=\w+:)", "", lines[-1]) if lines else "no reason is known"


@dataclass(frozen=True)
class Spread:
    """The validation scores of all candidates with one value of a parameter."""

    value: Any
    text: str
    count: int
    mean: float
    deviation: float
    best: float
    quartiles: tuple[float, float, float, float, float]  # least, 1, median, 3, greatest


@dataclass(frozen=True)
class Bar:
    """A finished evaluation, as its engine did it."""

    node: str
    uuid: str
    start: float
    end: float
    failed: bool


@dataclass(frozen=True, eq=False)  # arrays have no one answer to whether they are equal
class Scores:
    """What is plotted of a search.

    Attributes
    ----------
    times, scores, candidates : array
        When each candidate was finished, in seconds since 1970, its mean validation score, and
        its parameters in words.
    spreads : mapping
        By parameter: a `Spread` for each of its values.
    problem : str
        Why there is less than there could be; empty otherwise.
    """

    times: np.ndarray
    scores: np.ndarray
    candidates: tuple[str, ...]
    spreads: Mapping[str, tuple[Spread, ...]]
    failures: tuple[Failure, ...]
    failed: int
    bars: tuple[Bar, ...]
    problem: str = ""


def nothing(problem: str) -> Scores:
    """Return what there is where nothing can be read."""
    empty = np.array([])
    return Scores(empty, empty, (), {}, (), 0, (), problem)


def of(record: Record, since: float) -> Scores:
    """Return what is plotted of a search; of single evaluations those that ended after `since`."""
    finished = record.evaluations
    candidate = finished.column("candidate")
    score, ended = finished.column("test_score"), finished.column("ended")
    given = [one.params for one in record.candidates] if record.candidates else []
    problem = "" if record.candidates is not None else _UNREADABLE
    times, means, which = _over_time(candidate, score, ended, len(record.header.splits))
    failures = [
        Failure(
            one.ended,
            _words(given, one.candidate),
            one.split,
            one.node,
            one.engine,
            one.error,
        )
        for one in finished.having("error")[-_FAILURES:]
    ]
    rows = np.flatnonzero(ended > since)[-_BARS:]
    bars: tuple[Bar, ...] = ()
    if len(rows):
        recent = finished.since(int(rows[0]))
        bars = tuple(
            Bar(one.node, one.uuid or "", one.started, one.ended, bool(one.error))
            for one in recent
            if one.ended > since
        )
    return Scores(
        times,
        means,
        tuple(_words(given, int(one)) for one in which),
        _spreads(given, candidate, score),
        tuple(failures[::-1]),
        len(finished.seldom("error")),
        bars[-_BARS:],
        problem,
    )


def _over_time(
    candidate: np.ndarray, score: np.ndarray, ended: np.ndarray, splits: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return when each candidate had all its splits, its mean score, and which it was."""
    if not len(candidate) or not splits:
        empty = np.array([])
        return empty, empty, empty
    number = int(candidate.max()) + 1
    count = np.bincount(candidate, minlength=number)
    total = np.bincount(candidate, weights=score, minlength=number)
    last = np.zeros(number)
    np.maximum.at(last, candidate, ended)
    mean = total / np.maximum(count, 1)
    whole = np.flatnonzero((count == splits) & np.isfinite(mean))
    order = whole[np.argsort(last[whole], kind="stable")]
    if len(order) > _DOTS:  # the best ones and some of the others say as much
        best = np.maximum.accumulate(mean[order])
        rises = np.flatnonzero(np.diff(best, prepend=-math.inf) > 0)
        some = np.linspace(0, len(order) - 1, _DOTS).astype(int)
        order = order[np.union1d(rises, some)]
    return last[order], mean[order], order


def _words(given: list[dict[str, Any]], number: int) -> str:
    if not 0 <= number < len(given):
        return ""
    pairs = plain(given[number]).items()
    return ", ".join(f"{name}={in_words(value)}" for name, value in sorted(pairs))


def _spreads(
    given: list[dict[str, Any]], candidate: np.ndarray, score: np.ndarray
) -> dict[str, tuple[Spread, ...]]:
    """Return the scores by parameter and value: numbers by size, others in the grid's order."""
    found = {}
    known = candidate < len(given)
    candidate, score = candidate[known], score[known]
    for name in sorted({name for one in given for name in one}):
        values: dict[str, Any] = {}
        number_of: dict[str, int] = {}
        group = np.full(len(given), -1)
        for at, one in enumerate(given):
            if name in one:
                value = plain(one[name])
                text = in_words(value, 24)
                values.setdefault(text, value)
                group[at] = number_of.setdefault(text, len(number_of))
        mine = group[candidate]
        spreads = []
        for text, value in values.items():
            rows = (mine == number_of[text]) & np.isfinite(score)
            if rows.any():
                spreads.append(_spread(value, text, candidate[rows], score[rows]))
        if spreads and all(_is_number(one.value) for one in spreads):
            spreads.sort(key=lambda one: one.value)
        if spreads:
            found[name] = tuple(spreads)
    return found


def _spread(value: Any, text: str, candidate: np.ndarray, score: np.ndarray) -> Spread:
    low = int(candidate.min())
    count = np.bincount(candidate - low)
    means = np.bincount(candidate - low, weights=score)[count > 0] / count[count > 0]
    five = np.quantile(score, [0, 0.25, 0.5, 0.75, 1])
    return Spread(
        value,
        text,
        len(score),
        float(score.mean()),
        float(score.std()),
        float(means.max()),
        (float(five[0]), float(five[1]), float(five[2]), float(five[3]), float(five[4])),
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)

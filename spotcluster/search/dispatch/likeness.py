"""What candidates may be expected to take, by what others that are like them took.

The logarithm of the seconds is taken for a sum: of what each value of a parameter adds where there
are few, and of what each doubling of a number adds. That is ridge regression, made anew now and
then; where it says no more than the average does (by what it would have said of each candidate
without having seen it), nothing is expected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np

FEWEST = 8  # candidates from which something is learned, and
MOST = 500  # from the last of them, and again
GROWTH = 1.5  # when there are so many times as many
VALUES = 20  # of a parameter of which each has its own share
_RIDGE = 0.3  # of a candidate: so much it takes that somebody believes a value
_SHORTEST = 1e-6  # seconds
_MOST = 20.0  # the logarithm of more seconds than anybody waits for

Params = Mapping[str, Any]


class Likeness:
    """Learns from the candidates that were measured.

    Parameters
    ----------
    params : callable
        Gives what is known of a candidate beforehand, by its number: values by names.

    Attributes
    ----------
    longest : float
        Seconds that no evaluation is expected to exceed; 0 while nothing is.
    """

    def __init__(self, params: Callable[[int], Params]) -> None:
        self._params = params
        self._seconds: dict[int, float] = {}  # of the candidates, the last measured last
        self.longest = 0.0
        self._learned = 0  # from how many
        self._constant: float | None = None
        self._of_value: dict[tuple[str, Any], float] = {}
        self._of_number: dict[str, tuple[float, float]] = {}  # what a unit adds, from where on
        self._told = (-1, 0.0)  # the candidate that was asked for last, and its seconds

    def add(self, candidate: int, seconds: float) -> None:
        """Take note of what an evaluation of a candidate takes."""
        self._seconds.pop(candidate, None)
        self._seconds[candidate] = seconds
        if len(self._seconds) > MOST:
            del self._seconds[next(iter(self._seconds))]
            self._learned -= 1
        if len(self._seconds) >= max(FEWEST, GROWTH * self._learned):
            self._learn()

    def expected(self, candidate: int) -> float | None:
        """Return the seconds that an evaluation of a candidate may be expected to take."""
        if self._constant is None:
            return None
        if candidate != self._told[0]:  # its splits come one after the other
            self._told = candidate, self._sum(candidate, self._constant)
        return self._told[1]

    def _sum(self, candidate: int, total: float) -> float:
        for name, value in self._params(candidate).items():
            if name in self._of_number and (number := _number(value)) is not None:
                slope, origin = self._of_number[name]
                total += slope * (number - origin)
            total += self._of_value.get((name, _told_apart(value)), 0.0)
        return _seconds(total)

    def _learn(self) -> None:
        self._learned = len(self._seconds)
        self._told = (-1, 0.0)
        self._constant, self._of_value, self._of_number, self.longest = None, {}, {}, 0.0
        columns, origins = _columns([self._params(candidate) for candidate in self._seconds])
        took = np.log([max(one, _SHORTEST) for one in self._seconds.values()])
        if not columns or (line := _ridge(np.column_stack(list(columns.values())), took)) is None:
            return
        constant, shares = line
        parts: dict[str, Any] = {}
        for (what, column), share in zip(columns.items(), shares, strict=True):
            if isinstance(what, str):
                self._of_number[what] = share, origins[what]
                name = what
            else:
                self._of_value[what] = share
                name = what[0]
            parts[name] = parts.get(name, 0.0) + share * column
        self._constant = constant
        self.longest = _seconds(constant + sum(part.max() for part in parts.values()))


def _columns(known: list[Params]) -> tuple[dict[tuple[str, Any] | str, Any], dict[str, float]]:
    """Return what there is to learn from, a row a candidate, and where numbers begin.

    A column is of a parameter with one of its values, or of a parameter that is a number.
    """
    columns: dict[tuple[str, Any] | str, Any] = {}
    origins: dict[str, float] = {}
    for name in dict.fromkeys(name for one in known for name in one):
        values = [_told_apart(one.get(name)) for one in known]
        different = list(islice(dict.fromkeys(values), VALUES + 1))
        if 1 < len(different) <= VALUES:
            for value in different:
                columns[name, value] = np.array([x == value for x in values], dtype=float)
        numbers = [_number(one.get(name)) for one in known]
        if len(different) > 2 and None not in numbers:
            column = np.array(numbers, dtype=float)
            origins[name] = float(column.mean())
            columns[name] = column - origins[name]
    return columns, origins


def _ridge(matrix: Any, target: Any) -> tuple[float, list[float]] | None:
    """Return a constant and what a unit of each column adds, or None where they tell nothing."""
    scales = np.sqrt((matrix**2).mean(axis=0))
    scales[scales == 0] = 1.0
    scaled = matrix / scales
    means, mean, number = scaled.mean(axis=0), target.mean(), len(target)
    centered = scaled - means
    inverse = np.linalg.inv(centered.T @ centered + _RIDGE * np.eye(len(scales)))
    shares = inverse @ centered.T @ (target - mean)
    # What would be wrong of each if it had been left out, without learning anew for each.
    own = np.einsum("ij,jk,ik->i", centered, inverse, centered) + 1 / number
    wrong = (target - mean - centered @ shares) / np.maximum(1 - own, 1e-3)
    if wrong.std() >= target.std() * number / (number - 1):
        return None
    return float(mean - means @ shares), (shares / scales).tolist()


def _seconds(logarithm: float) -> float:
    return math.exp(min(logarithm, _MOST))


def _number(value: Any) -> float | None:
    """Return where a number is on a logarithmic scale."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    return math.log2(value) if 0 < value < math.inf else None


def _told_apart(value: Any) -> Any:
    """Return something by which values are told apart, cheaply: of what is large, its kind."""
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, np.generic):
        return value.item()
    return type(value).__name__

"""Finished evaluations: a column for each of their attributes, for there may be millions."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

from spotcluster.search.data.evaluations import UNWRITTEN, Evaluation, Key, restored, state_of

_KEY = ("candidate", "split")
_NUMBERS = ("test_score", "train_score", "fit_time", "score_time", "started", "ended")
_WHO = ("node", "engine", "uuid", "pid")
_DENSE = (*_KEY, *_NUMBERS, *_WHO)
_OTHERWISE = state_of(Evaluation(0, 0, 0.0))
_SELDOM = [name for name in _OTHERWISE if name not in _DENSE]
_REQUIRED = {*_KEY, "test_score"}
_WRITTEN = _OTHERWISE.keys() - UNWRITTEN
_MAY_LACK = {name: value for name, value in _OTHERWISE.items() if name not in _REQUIRED}
_ATTRIBUTES = [(name, attrgetter(name)) for name in _OTHERWISE]

Columns = dict[str, Sequence[Any]]


class Finished(Mapping[Key, Evaluation]):
    """The finished evaluations of a search by their keys, in the order in which they came.

    Numbers are in arrays, and who did an evaluation is written once for all that it did. What most
    do not have is in dictionaries, by the rows of those that do; so is a number that an array of
    floats would not give back as it was. An `Evaluation` is made of these when it is asked for.
    """

    def __init__(self) -> None:
        self._rows: dict[Key, int] = {}
        self._columns: dict[str, array[Any]] = {
            **{name: array("q") for name in (*_KEY, "who")},
            **{name: array("d") for name in _NUMBERS},
            "trained": array("b"),  # whether there is a training score
        }
        self._seldom: dict[str, dict[int, Any]] = {}
        self._number_of: dict[tuple[Any, ...], int] = {}
        self._everybody: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __getitem__(self, key: Key) -> Evaluation:
        return next(self._made([self._rows[key]]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    def since(self, row: int) -> list[Evaluation]:
        """Return the evaluations from a row on."""
        return list(self._made(range(row, len(self))))

    def of(self, keys: Iterable[Key]) -> list[Evaluation]:
        """Return the evaluations of those of the keys that are there."""
        return list(self._made(self._rows[key] for key in keys if key in self._rows))

    def having(self, name: str) -> list[Evaluation]:
        """Return the evaluations that have something that most do not, such as an `error`."""
        return list(self._made(self.seldom(name)))

    def seldom(self, name: str) -> Mapping[int, Any]:
        """Return what the evaluations have of something that most do not, by their rows."""
        return self._seldom.get(name, {})

    def column(self, name: str) -> Any:
        """Return the numbers of all evaluations by a name, as an array."""
        return np.array(self._columns[name])

    def places(self, candidates: int, splits: int) -> Any:
        """Return the row of each split (second axis) of each candidate, -1 where there is none."""
        rows = np.full((candidates, splits), -1)
        mine, split = self.column("candidate"), self.column("split")
        known = (mine >= 0) & (mine < candidates) & (split >= 0) & (split < splits)
        rows[mine[known], split[known]] = np.flatnonzero(known)
        return rows

    def per_node(self) -> dict[str, int]:
        """Return how many evaluations each host did."""
        found: Counter[str] = Counter()
        counts = np.bincount(self.column("who"), minlength=len(self._everybody))
        for (node, *_), count in zip(self._everybody, counts.tolist(), strict=True):
            found[node] += count
        return {node: count for node, count in sorted(found.items()) if node and count}

    # --- taking -----------------------------------------------------------------------------------

    def add(self, *evaluations: Evaluation) -> int:
        """Take evaluations; return how many of them are the first of their keys, which stay."""
        if not evaluations:
            return 0
        return self._take({name: list(map(of, evaluations)) for name, of in _ATTRIBUTES})

    def read(self, plain: Sequence[Mapping[str, Any]]) -> None:
        """Take what `Evaluation.as_plain` has given; that of a former version may have less in it.

        Raises
        ------
        TypeError, KeyError or OverflowError
            If one is no evaluation; none is taken then.
        """
        names = set[str]().union(*plain)
        if not _REQUIRED <= names <= _WRITTEN:
            raise TypeError(f"no evaluation has just {', '.join(sorted(names))}")
        wanted = itemgetter(*names)
        rows: Iterable[Any]
        try:
            rows = list(map(wanted, plain))
        except KeyError:  # some have less in them than others
            rows = [wanted({**_MAY_LACK, **one}) for one in plain]
        given: Columns = {name: [value] * len(plain) for name, value in _MAY_LACK.items()}
        given.update(zip(names, zip(*rows, strict=True), strict=True))
        self._take(given)

    def _take(self, given: Columns) -> int:
        keys = list(zip(*(given[name] for name in _KEY), strict=True))
        known = self._number_of
        who = zip(*(given[name] for name in _WHO), strict=True)
        given["who"] = [known.setdefault(one, len(known)) for one in who]
        if len(set(keys)) < len(keys) or not self._rows.keys().isdisjoint(keys):
            first: dict[Key, int] = {}
            for place, key in enumerate(keys):
                if key not in self._rows:
                    first.setdefault(key, place)
            given = {name: [of[at] for at in first.values()] for name, of in given.items()}
            keys = list(first)
        row, train = len(self), given["train_score"]
        columns: dict[str, array[Any]] = {name: array("q", given[name]) for name in (*_KEY, "who")}
        columns["trained"] = array("b", [score is not None for score in train])
        given["train_score"] = [math.nan if score is None else score for score in train]
        seldom: dict[str, dict[int, Any]] = {}
        for name in _NUMBERS:
            columns[name], seldom[name] = _floats(given[name], row)
        for name in _SELDOM:
            if any(given[name]):
                seldom[name] = {at: value for at, value in enumerate(given[name], row) if value}
        # Nothing can go wrong from here on.
        if len(known) > len(self._everybody):
            self._everybody = list(known)
        for name, column in columns.items():
            self._columns[name].extend(column)
        for name, values in seldom.items():
            self._seldom.setdefault(name, {}).update(values)
        self._rows.update(zip(keys, range(row, row + len(keys)), strict=True))
        return len(keys)

    def _made(self, rows: Iterable[int]) -> Iterator[Evaluation]:
        names = (*_KEY, *_NUMBERS)
        columns = [self._columns[name] for name in names]
        who, trained = self._columns["who"], self._columns["trained"]
        seldom = {name: values for name, values in self._seldom.items() if values}
        for row in rows:
            state: dict[str, Any] = dict(
                zip(names, [column[row] for column in columns], strict=True)
            )
            state.update(zip(_WHO, self._everybody[who[row]], strict=True))
            if not trained[row]:
                state["train_score"] = None
            for name, values in seldom.items():
                if row in values:
                    state[name] = values[row]
            yield restored(state)


def _floats(values: Sequence[Any], row: int) -> tuple[array[float], dict[int, Any]]:
    """Return a column of numbers, and by their rows those that it does not hold as they are."""
    if set(map(type, values)) <= {float}:
        return array("d", values), {}
    known = [float(value) if isinstance(value, Real) else math.nan for value in values]
    odd = {at: value for at, value in enumerate(values, row) if type(value) is not float}
    return array("d", known), odd

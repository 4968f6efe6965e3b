"""Successive halving as arithmetic: how much each round gets, and who goes on to the next.

A *resource* is what an evaluation may use: rows of the training data, or the value of a parameter
such as ``n_estimators``. A *rung* is one amount of it.

References
----------
Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, 2016
(`Schedule`, as scikit-learn has it); Li et al., A system for massively parallel hyperparameter
tuning, 2020 (`Ladder`, their algorithm 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spotcluster.search.data.parameters import BadParameter


@dataclass(frozen=True)
class Schedule:
    """The rounds of successive halving.

    Attributes
    ----------
    n_candidates : int
        In the first round.
    factor : float
        One of so many goes on to the next round, and gets so many times the resources there.
    min_resources, max_resources : int
        Of a candidate in the first round, and at most.
    aggressive_elimination : bool
        Whether the first round is repeated until the last one has less than `factor` candidates.
    """

    n_candidates: int
    factor: float
    min_resources: int
    max_resources: int
    aggressive_elimination: bool = False

    @classmethod
    def exhausting(
        cls,
        n_candidates: int,
        factor: float,
        min_resources: int,
        max_resources: int,
        *,
        aggressive_elimination: bool = False,
    ) -> Schedule:
        """Make one that starts as high as it can, so that the last round uses all there is."""
        last = _required(n_candidates, factor) - 1
        most = int(max_resources // factor**last)
        return cls(
            n_candidates, factor, max(min_resources, most), max_resources, aggressive_elimination
        )

    @property
    def n_required_iterations(self) -> int:
        """How many rounds it takes until less than `factor` candidates are left."""
        return _required(self.n_candidates, self.factor)

    @property
    def n_possible_iterations(self) -> int:
        """How many rounds fit between the least and the most resources."""
        return 1 + math.floor(math.log(self.max_resources // self.min_resources, self.factor))

    @property
    def n_iterations(self) -> int:
        """How many rounds there are."""
        if self.aggressive_elimination:
            return self.n_required_iterations
        return min(self.n_possible_iterations, self.n_required_iterations)

    def resources(self, iteration: int) -> int:
        """Return what each candidate of a round gets."""
        power = iteration
        if self.aggressive_elimination:
            power = max(0, iteration - self.n_required_iterations + self.n_possible_iterations)
        return min(int(self.factor**power * self.min_resources), self.max_resources)

    def keep(self, n_candidates: int) -> int:
        """Return how many of a round's candidates go on."""
        return math.ceil(n_candidates / self.factor)

    def sizes(self) -> list[int]:
        """Return how many candidates each round has."""
        sizes = [self.n_candidates]
        while len(sizes) < self.n_iterations:
            sizes.append(self.keep(sizes[-1]))
        return sizes


def _required(n_candidates: int, factor: float) -> int:
    return 1 + math.floor(math.log(n_candidates, factor))


def smallest_samples(n_splits: int, n_classes: int | None) -> int:
    """Return scikit-learn's least number of samples: two for each split (and class)."""
    return 2 * n_splits * (1 if n_classes is None else n_classes)


def top_k(scores: Any, k: int) -> list[int]:
    """Return the positions of the `k` best scores, the best last; nan is the worst.

    Equal scores come in the order of scikit-learn's halving, which is numpy's: that of a sort that
    is not stable. Its results can only be met by doing the same.
    """
    scores = np.asarray(scores, dtype=np.float64)
    order = np.roll(np.argsort(scores), np.count_nonzero(np.isnan(scores)))
    return [int(position) for position in order[-k:]]


class Ladder:
    """Who is promoted in asynchronous successive halving: no rung is ever waited for.

    A candidate may go one rung up when it is among the best ``floor(n / factor)`` of the `n` that
    are finished on its rung now. Candidates that come later do not take that back.

    Parameters
    ----------
    n_rungs : int
    factor : float

    Attributes
    ----------
    finished : list of dict
        The scores by candidate, for each rung.
    promoted : list of set
        The candidates that have left each rung upwards.

    Examples
    --------
    >>> ladder = Ladder(n_rungs=2, factor=3)
    >>> for candidate, score in enumerate([0.7, 0.9, 0.8]):
    ...     ladder.finish(candidate, 0, score)
    >>> ladder.promotions()
    [(1, 1)]
    """

    def __init__(self, n_rungs: int, factor: float) -> None:
        if n_rungs < 1 or factor <= 1:
            raise BadParameter(
                f"There is no ladder of {n_rungs} rungs with factor {factor}.",
                "Give at least one rung, and a factor above 1.",
            )
        self.factor = factor
        self.finished: list[dict[int, float]] = [{} for _ in range(n_rungs)]
        self.promoted: list[set[int]] = [set() for _ in range(n_rungs)]

    def finish(self, candidate: int, rung: int, score: float) -> None:
        """Take the score of a candidate on a rung; nan is never promoted."""
        self.finished[rung].setdefault(candidate, score)

    def promotions(self) -> list[tuple[int, int]]:
        """Promote who may be promoted; return candidates and their new rungs, the highest first."""
        found = []
        for rung in reversed(range(len(self.finished) - 1)):
            for candidate in self.best(rung, math.floor(len(self.finished[rung]) / self.factor)):
                if candidate not in self.promoted[rung]:
                    self.promoted[rung].add(candidate)
                    found.append((candidate, rung + 1))
        return found

    def best(self, rung: int, k: int) -> Sequence[int]:
        """Return the `k` best candidates of a rung, best first; equals in their own order."""
        scores = self.finished[rung]
        known = [candidate for candidate, score in scores.items() if not math.isnan(score)]
        return sorted(known, key=lambda candidate: (-scores[candidate], candidate))[:k]

    def top(self) -> int:
        """Return the highest rung on which anything is finished; the lowest when nothing is."""
        return max((rung for rung, scores in enumerate(self.finished) if scores), default=0)

"""Asynchronous successive halving: a candidate goes on as soon as it is good enough."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from spotcluster.search.data.candidates import Candidate, Part, Space, random_candidates
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.data.splits import Bundle
from spotcluster.search.kinds.halving import ResourceSearch
from spotcluster.search.kinds.rungs import Ladder
from spotcluster.search.sklearn_private import Interval


@dataclass(eq=False, repr=False)
class ASHASearch(ResourceSearch):
    """Settings drawn at random, by asynchronous successive halving.

    A candidate is promoted to the next rung (`factor` times the resources) at the moment when it is
    among the best ``1/factor`` of those finished on its rung; no rung is waited for, so that a slow
    or lost evaluation holds nobody up. What is promoted is evaluated before what has not begun yet.
    The scores do not depend on the order in which engines finish; who is promoted does.

    Parameters
    ----------
    view
        As in `ResourceSearch` and `Search`, as are all others.
    estimator : estimator, optional
    distributions : dict or list of dict, optional
        Lists, or distributions as in `scipy.stats`, by parameter name.
    n_iter : int, optional
        How many candidates to draw; all of a grid, in a random order, when it is not given.

    Examples
    --------
    >>> search = ASHASearch(view, n_iter=50, resource="n_estimators", max_resources=270)
    >>> search.launch_for_splits(model, {"max_depth": [2, 4, 8, None]}, files).wait()
    True
    >>> search.rungs_
    [10, 30, 90, 270]

    References
    ----------
    Li et al., A system for massively parallel hyperparameter tuning, MLSys 2020.
    """

    distributions: Space = None
    _: KW_ONLY
    n_iter: int | None = None

    _space_name = "distributions"
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **ResourceSearch._parameter_constraints,
        "distributions": [dict, list],
        "n_iter": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:  # noqa: ARG002 - all there are
        return random_candidates(space, self.n_iter, self.random_state)

    def _drawn(self, part: Part, bundle: Bundle) -> Part:  # noqa: ARG002 - one seed for all splits
        # And for all rungs: candidates come to them one by one, and are compared on the same rows.
        known = next((item.part for item in self._results.candidates), None)
        if known is not None:
            return replace(part, seed=known.seed)
        drawn = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        return replace(part, seed=int(drawn))

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "n_iter": self.n_iter}

    @property
    def rungs_(self) -> list[int]:
        """The resources of each rung."""
        return [self.schedule.resources(rung) for rung in range(self.schedule.n_iterations)]

    @property
    def promoted_(self) -> list[int]:
        """How many candidates have come to each rung so far."""
        rungs = [item.more["iter"] for item in self._results.candidates]
        return [int(n) for n in np.bincount(rungs, minlength=self.schedule.n_iterations)]

    def _begin(self) -> None:
        super()._begin()
        self._ladder = Ladder(self.schedule.n_iterations, self.factor)
        self._scores: dict[int, dict[int, float]] = {}
        self._first: dict[int, Candidate] = {}
        for item in self._results.candidates:
            if rung := item.more["iter"]:  # of a resumed search
                self._ladder.promoted[rung - 1].add(item.order)
            else:
                self._first[item.order] = item
        for evaluation in self._results.evaluations:
            self._take(evaluation)
        self._go_on()

    def _told(self, evaluation: Evaluation) -> None:
        if self._take(evaluation):
            self._go_on()

    def _take(self, evaluation: Evaluation) -> bool:
        """Take note of an evaluation; return whether its candidate is finished with it."""
        scores = self._scores.setdefault(evaluation.candidate, {})
        scores[evaluation.split] = evaluation.test_score
        if len(scores) < self._results.n_splits:
            return False
        candidate = self._results.candidates[evaluation.candidate]
        mean = float(np.mean([scores[split] for split in sorted(scores)]))
        self._ladder.finish(candidate.order, candidate.more["iter"], mean)
        del self._scores[evaluation.candidate]
        return True

    def _go_on(self) -> None:
        """Promote who may be promoted; end when nothing is left to do."""
        promoted = []
        for order, rung in self._ladder.promotions():
            promoted += self._round([self._first[order]], rung, self.rungs_[rung], self._run.bundle)
        self._add(promoted, first=True)
        if len(self._results) == self._results.total:
            self._close()

"""Successive halving: many candidates on few resources first, the best of them on more and more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import (
    Candidate,
    Part,
    Space,
    grid_candidates,
    random_candidates,
)
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.data.folds import Extent, rows_of
from spotcluster.search.data.parameters import BadParameter
from spotcluster.search.data.splits import Bundle
from spotcluster.search.engine.part import generator
from spotcluster.search.kinds.draws import skip, snapshot, snapshots, twister
from spotcluster.search.kinds.rungs import Schedule, smallest_samples, top_k
from spotcluster.search.outcome import Round
from spotcluster.search.results.results import ranks
from spotcluster.search.runs import Run
from spotcluster.search.searches import Search
from spotcluster.search.sklearn_private import HALVING_CONSTRAINTS, Interval, StrOptions

SAMPLES = "n_samples"
"""The resource that is rows of the data; any other is a parameter of the model."""


@dataclass(eq=False, repr=False)
class ResourceSearch(Search):
    """What searches have in common that give candidates more and more of a resource.

    Parameters
    ----------
    view
        As in `Search`, as are all that are not named here.
    factor : float
        One of so many candidates goes on, with so many times the resources.
    resource : str
        ``"n_samples"``, or a parameter of the model that is a whole number.
    min_resources : int, "smallest" or "exhaust"
        What a candidate has at first: scikit-learn's least that makes sense, or as much as lets the
        last round use all there is.
    max_resources : int or "auto"
        What a candidate has at most; "auto" is the number of samples.
    random_state : int, RandomState or None
        For the drawing of samples (and of candidates), as in scikit-learn.
    """

    _: KW_ONLY
    factor: float = 3
    resource: str = SAMPLES
    max_resources: Any = "auto"
    min_resources: Any = "exhaust"
    random_state: Any = None

    _schedule: Schedule | None = field(default=None, init=False)
    _n_samples: int = field(default=0, init=False)

    _adds_candidates = True
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **HALVING_CONSTRAINTS,
        **Search._parameter_constraints,
        "scoring": HALVING_CONSTRAINTS["scoring"],
        "factor": [Interval(Real, 1, None, closed="neither")],
    }

    # --- the resources ----------------------------------------------------------------------------

    def _propose(self, model: Any, space: Space, extent: Extent) -> list[Candidate]:
        """Draw the candidates of the first round, and make the schedule of all rounds."""
        if self.resource != SAMPLES and self.resource not in model.get_params():
            raise BadParameter(
                f"Cannot use resource={self.resource} which is not supported by estimator"
                f" {type(model).__name__}"
            )
        if self.max_resources == "auto" and self.resource != SAMPLES:
            raise BadParameter(
                "resource can only be 'n_samples' when max_resources='auto'",
                f"Say how much there is of {self.resource!r}: max_resources=100.",
            )
        least, most = self._limits(model, extent)
        drawn = self._configurations(space, most, least)
        if not drawn:
            raise BadParameter("The search has no candidates.", "Give each parameter some values.")
        if any(self.resource in candidate.params for candidate in drawn):
            raise BadParameter(
                f"Cannot use parameter {self.resource} as the resource since it is part of the"
                " searched parameters."
            )
        self._schedule = self._make(len(drawn), least, most)
        return drawn

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:
        """Return the candidates of the first round, without their resources."""
        raise NotImplementedError

    def _limits(self, model: Any, extent: Extent) -> tuple[int, int]:
        """Return the least and the most resources of a candidate."""
        if self.resource == SAMPLES:
            self._n_samples = extent.n_samples
        least, most = self.min_resources, self.max_resources
        hint = "Give a smaller min_resources, or a greater max_resources."
        if isinstance(most, str):
            most = self._n_samples
            hint = f"Give a smaller min_resources, or more data than n_samples={most}."
        if isinstance(least, str):
            least = 1
            if self.resource == SAMPLES:
                classes = None
                if is_classifier(model):
                    y = validate_data(model, X="no_validation", y=extent.y)
                    check_classification_targets(y)
                    classes = len(np.unique(y))
                least = smallest_samples(extent.n_splits, classes)
        if least > most:
            raise BadParameter(
                f"min_resources_={least} is greater than max_resources_={most}.", hint
            )
        if least == 0:
            raise BadParameter("min_resources_=0: you might have passed an empty dataset X.")
        return int(least), int(most)

    def _make(self, n_candidates: int, least: int, most: int) -> Schedule:
        make = Schedule.exhausting if self.min_resources == "exhaust" else Schedule
        return make(n_candidates, self.factor, least, most)

    def _allot(self, candidates: list[Candidate], bundle: Bundle) -> list[Candidate]:
        return self._round(candidates, 0, self.schedule.resources(0), bundle)

    def _round(
        self, configurations: Iterable[Candidate], iteration: int, resources: int, bundle: Bundle
    ) -> list[Candidate]:
        """Return candidates with what they get in a round."""
        part = self._part(resources, bundle)
        more = {"iter": iteration, "n_resources": resources}
        given = {} if self.resource == SAMPLES else {self.resource: resources}
        return [
            Candidate({**item.params, **given}, item.order, part=part, more=more)
            for item in configurations
        ]

    def _part(self, resources: int, bundle: Bundle) -> Part | None:
        """Return the rows of a round, the same for all its candidates."""
        if self.resource != SAMPLES:
            return None
        fraction = resources / self._n_samples
        part = Part(train_fraction=fraction, test_fraction=fraction, seed=self._seed())
        return part if part.seed is not None else self._drawn(part, bundle)

    def _drawn(self, part: Part, bundle: Bundle) -> Part:
        """Return a part with what its rows are drawn by, when `random_state` is no number."""
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        # As they have come out: a resumed search does not see the data before it needs them.
        schedule = self._schedule
        return {
            **super()._settings(),
            "factor": self.factor,
            "resource": self.resource,
            "min_resources": schedule.min_resources if schedule else self.min_resources,
            "max_resources": schedule.max_resources if schedule else self.max_resources,
            "random_state": self._seed(),
        }

    def _draw(self) -> Any:
        return self._seed()

    def _seed(self) -> int | None:
        fixed = isinstance(self.random_state, int | np.integer)
        return int(self.random_state) if fixed else None

    def _begin(self) -> None:
        if self._schedule is None:  # resumed: all that was found out is in the settings
            first = [item for item in self._results.candidates if item.more["iter"] == 0]
            self._schedule = self._make(len(first), self.min_resources, self.max_resources)
            if first[0].part is not None and first[0].part.train_fraction is not None:
                self._n_samples = round(first[0].more["n_resources"] / first[0].part.train_fraction)

    # --- results ----------------------------------------------------------------------------------

    @property
    def schedule(self) -> Schedule:
        """How many candidates and resources each round has."""
        if self._schedule is None:
            raise SearchError("The search has not been launched.")
        return self._schedule

    @property
    def min_resources_(self) -> int:
        """What each candidate of the first round has at least."""
        return self.schedule.min_resources

    @property
    def max_resources_(self) -> int:
        """What a candidate has at most."""
        return self.schedule.max_resources

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: Any, results: dict[str, Any]) -> int:  # noqa: ARG004 - as in scikit-learn, which does not ask them either
        return best_of_last_round(results)

    @property
    def best_score_(self) -> float:
        """The mean validation score of the best candidate, whatever `refit` is."""
        outcome = self._best("best_score_")
        score: float = outcome.table["mean_test_score"][outcome.best_index]
        return score


@dataclass(eq=False, repr=False)
class HalvingSearch(ResourceSearch):
    """Successive halving in rounds, as in scikit-learn.

    Attributes
    ----------
    n_resources_, n_candidates_ : list of int
        Of the rounds so far.
    n_iterations_, n_required_iterations_, n_possible_iterations_, n_remaining_candidates_ : int
    """

    _: KW_ONLY
    cv: Any = 5
    return_train_score: bool | None = True
    aggressive_elimination: bool = False

    _generator: np.random.RandomState | None = field(default=None, init=False)

    def _propose(self, model: Any, space: Space, extent: Extent) -> list[Candidate]:
        self._generator = None
        return super()._propose(model, space, extent)

    def _drawn(self, part: Part, bundle: Bundle) -> Part:
        if self._generator is None:
            self._generator = twister(check_random_state(self.random_state))
        return replace(part, states=snapshots(self._generator, rows_of(bundle)))

    def _make(self, n_candidates: int, least: int, most: int) -> Schedule:
        make = Schedule.exhausting if self.min_resources == "exhaust" else Schedule
        aggressive = self.aggressive_elimination
        return make(n_candidates, self.factor, least, most, aggressive_elimination=aggressive)

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "aggressive_elimination": self.aggressive_elimination}

    def _begin(self) -> None:
        super()._begin()
        self._go_on_drawing()
        self._advance()

    def _go_on_drawing(self) -> None:
        """Draw after what was drawn for the last round that there is, in a resumed search too."""
        part = self._results.candidates[-1].part
        if part is None or part.states is None:
            return
        known = generator(part.states[-1])
        skip(known, *rows_of(self._run.bundle)[-1])
        if self._generator is None or snapshot(known) != snapshot(self._generator):
            self._generator = known

    def _count_rounds(self) -> int:
        return self.schedule.n_iterations

    def _told(self, evaluation: Evaluation) -> None:  # noqa: ARG002 - whichever it is
        self._advance()

    def _rounds(self, run: Run) -> list[Round]:
        table = run.results.table()
        iterations = np.array([item.more["iter"] for item in run.results.candidates])
        evaluations = run.evaluations()
        return [
            (
                [item for item in evaluations if iterations[item.candidate] == number],
                {
                    name: column[iterations <= number]
                    for name, column in table.items()
                    if name.startswith("mean_")
                },
            )
            for number in range(iterations.max() + 1)
        ]

    def _advance(self) -> None:
        """Start the next round when this one is finished."""
        if len(self._results) < self._results.total:
            return
        candidates = self._results.candidates
        iteration = candidates[-1].more["iter"]
        if iteration + 1 >= self.schedule.n_iterations:
            self._close()
            return
        mine = [row for row, item in enumerate(candidates) if item.more["iter"] == iteration]
        scores = self._results.table()["mean_test_score"][mine]  # of all, for all are finished
        best = top_k(scores, self.schedule.keep(len(mine)))
        resources = self.schedule.resources(iteration + 1)
        going_on = [candidates[mine[place]] for place in best]
        self._add(self._round(going_on, iteration + 1, resources, self._run.bundle))

    @property
    def n_iterations_(self) -> int:
        """How many rounds there are."""
        return self.schedule.n_iterations

    @property
    def n_required_iterations_(self) -> int:
        """How many rounds it takes until less than `factor` candidates are left."""
        return self.schedule.n_required_iterations

    @property
    def n_possible_iterations_(self) -> int:
        """How many rounds the resources are enough for."""
        return self.schedule.n_possible_iterations

    @property
    def n_candidates_(self) -> list[int]:
        """How many candidates each round has, of those that have begun."""
        rounds = [item.more["iter"] for item in self._results.candidates]
        return [int(count) for count in np.bincount(rounds)]

    @property
    def n_resources_(self) -> list[int]:
        """What each candidate of a round has, of those that have begun."""
        return [self.schedule.resources(number) for number in range(len(self.n_candidates_))]

    @property
    def n_remaining_candidates_(self) -> int:
        """How many would go on after the last round."""
        return self.schedule.keep(self.n_candidates_[-1])


@dataclass(eq=False, repr=False)
class HalvingGridSearch(HalvingSearch):
    """Every setting of a grid, by successive halving; equal to `HalvingGridSearchCV`.

    Parameters
    ----------
    view
        As in `ResourceSearch` and `Search`, as are all others.
    estimator : estimator, optional
    grid : dict or list of dict, optional
        Lists of values by parameter name.
    aggressive_elimination : bool
        Whether the first round is repeated, on the same resources, until the rest is few enough.

    Examples
    --------
    >>> search = HalvingGridSearch(view, SVC(), {"C": [0.1, 1, 10]}, random_state=0).fit(X, y)
    >>> search.n_candidates_
    [3, 1]
    """

    grid: Space = None

    _space_name = "grid"
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **HalvingSearch._parameter_constraints,
        "grid": [dict, list],
    }

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:  # noqa: ARG002 - a grid has its own number
        return grid_candidates(space)


@dataclass(eq=False, repr=False)
class HalvingRandomSearch(HalvingSearch):
    """Settings drawn at random, by successive halving; equal to `HalvingRandomSearchCV`.

    Parameters
    ----------
    view
        As in `ResourceSearch` and `Search`, as are all others.
    estimator : estimator, optional
    distributions : dict or list of dict, optional
        Lists, or distributions as in `scipy.stats`, by parameter name.
    n_candidates : int or "exhaust"
        How many to draw; "exhaust": so many that the last round uses all resources.

    Examples
    --------
    >>> search = HalvingRandomSearch(view, n_candidates=20, random_state=0)
    >>> search.launch_for_splits(SVC(), {"C": loguniform(0.1, 100)}, files).wait()
    True
    """

    distributions: Space = None
    _: KW_ONLY
    min_resources: Any = "smallest"
    n_candidates: Any = "exhaust"

    _space_name = "distributions"
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **HalvingSearch._parameter_constraints,
        "distributions": [dict, list],
        "n_candidates": [Interval(Integral, 0, None, closed="neither"), StrOptions({"exhaust"})],
    }

    def _propose(self, model: Any, space: Space, extent: Extent) -> list[Candidate]:
        if self.n_candidates == self.min_resources == "exhaust":
            raise BadParameter(
                "n_candidates and min_resources cannot be both set to 'exhaust'.",
                "One of them must be known.",
            )
        return super()._propose(model, space, extent)

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:
        count = most // least if self.n_candidates == "exhaust" else int(self.n_candidates)
        if self.resource != SAMPLES and self._seed() is None:
            # scikit-learn looks at all that it draws before it draws them: a generator goes on.
            random_candidates(space, count, self.random_state)
        return random_candidates(space, count, self.random_state)

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "n_candidates": self.n_candidates}


def best_of_last_round(table: dict[str, Any]) -> int:
    """Return the row of the best candidate of the last round; the first one when all are nan."""
    if not len(table["params"]):
        raise SearchError(
            "No candidate has all its splits finished yet.", "Call wait() on the search."
        )
    rows = np.flatnonzero(table["iter"] == np.max(table["iter"]))
    best: int = rows[ranks(table["mean_test_score"][rows]).argmin()]
    return best

"""Successive halving: many candidates on few resources first, the best of them on more and more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import joblib
import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples

from spotcluster.errors import SearchError
from spotcluster.search.candidates import (
    Candidate,
    Part,
    Space,
    grid_candidates,
    random_candidates,
)
from spotcluster.search.evaluations import Evaluation
from spotcluster.search.folds import Dataset
from spotcluster.search.rungs import Schedule, smallest_samples, top_k
from spotcluster.search.searches import AnyPath, OnResult, Search
from spotcluster.search.splits import Bundle

SAMPLES = "n_samples"
"""The resource that is rows of the data; any other is a parameter of the model."""


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
        For the drawing of samples (and of candidates).
    """

    _adds_candidates = True
    _needs_splits = True

    factor: float
    resource: str
    min_resources: Any
    max_resources: Any
    random_state: Any

    _schedule: Schedule | None = None
    _drawn: Sequence[Candidate] = ()
    _n_samples = 0

    def _launch(self, model: Any, grid: Space, bundle: Bundle, **more: Any) -> Self:
        self.reset()
        self._check()
        self._plan(model, grid, bundle, more.get("data"))
        return super()._launch(model, grid, bundle, **more)

    def _propose(self, space: Space) -> list[Candidate]:  # noqa: ARG002 - see `_plan`
        assert self._schedule is not None
        resources = self._schedule.resources(0)
        return self._round(self._drawn, 0, resources)

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:
        """Return the candidates of the first round, without their resources."""
        raise NotImplementedError

    # --- the resources ----------------------------------------------------------------------------

    def _check(self) -> None:
        super()._check()
        if isinstance(self.scoring, list | tuple | set | dict):
            raise SearchError(
                f"A {type(self).__name__} compares candidates by one score.",
                "Give the name of one scorer.",
            )
        if not isinstance(self.factor, int | float) or not self.factor > 1:
            raise SearchError(f"factor is {self.factor!r}.", "Give a number above 1, such as 3.")
        if not _natural(self.max_resources) and self.max_resources != "auto":
            raise SearchError(
                f"max_resources is {self.max_resources!r}.", 'Give a whole number, or "auto".'
            )
        if not _natural(self.min_resources) and self.min_resources not in ("exhaust", "smallest"):
            raise SearchError(
                f"min_resources is {self.min_resources!r}.",
                'Give a whole number, "exhaust" or "smallest".',
            )
        if self.max_resources == "auto" and self.resource != SAMPLES:
            raise SearchError(
                f'max_resources is "auto", and the resource is {self.resource!r}.',
                f"Say how much there is of it: max_resources=100. Only {SAMPLES} are counted.",
            )

    def _plan(self, model: Any, space: Space, bundle: Bundle, data: Dataset | None) -> None:
        """Draw the candidates of the first round, and make the schedule of all rounds."""
        if self.resource != SAMPLES and self.resource not in model.get_params():
            raise SearchError(
                f"The resource {self.resource!r} is not a parameter of {type(model).__name__}."
            )
        classes = None
        least, most = self.min_resources, self.max_resources
        if self.resource == SAMPLES:
            if data is None:
                y, self._n_samples = _facts_of(bundle.splits[0].path)
            else:  # not all splitters use all rows
                y, self._n_samples = data.y, _num_samples(data.X)
            classes = len(np.unique(y)) if is_classifier(model) and y is not None else None
            most = self._n_samples if most == "auto" else most
        if not _natural(least):
            samples = self.resource == SAMPLES
            least = smallest_samples(len(bundle.splits), classes) if samples else 1
        if least > most:
            raise SearchError(
                f"The least resources are {least}, and the most are {most}.",
                "Give a smaller min_resources, or more data.",
            )
        self._drawn = self._configurations(space, int(most), int(least))
        if not self._drawn:
            raise SearchError("The search has no candidates.", "Give each parameter some values.")
        if any(self.resource in candidate.params for candidate in self._drawn):
            raise SearchError(
                f"The resource {self.resource!r} is among the parameters that are searched.",
                "Leave it out there; the search sets it.",
            )
        self._schedule = self._make(len(self._drawn), int(least), int(most))

    def _make(self, n_candidates: int, least: int, most: int) -> Schedule:
        make = Schedule.exhausting if self.min_resources == "exhaust" else Schedule
        return make(n_candidates, self.factor, least, most)

    def _round(
        self, configurations: Iterable[Candidate], iteration: int, resources: int
    ) -> list[Candidate]:
        """Return candidates with what they get in a round."""
        part = self._part(resources)
        more = {"iter": iteration, "n_resources": resources}
        given = {} if self.resource == SAMPLES else {self.resource: resources}
        return [
            Candidate({**item.params, **given}, item.order, part=part, more=more)
            for item in configurations
        ]

    def _part(self, resources: int) -> Part | None:
        """Return the rows of a round, drawn as scikit-learn does; the same for all candidates."""
        if self.resource != SAMPLES:
            return None
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        fraction = resources / self._n_samples
        return Part(train_fraction=fraction, test_fraction=fraction, seed=int(seed))

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
        first = [item for item in self._results.candidates if item.more["iter"] == 0]
        if self._schedule is None:  # resumed: all that was found out is in the settings
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


class HalvingSearch(ResourceSearch):
    """Successive halving in rounds, as in scikit-learn.

    Attributes
    ----------
    n_resources_, n_candidates_ : list of int
        Of the rounds so far.
    n_iterations_, n_required_iterations_, n_possible_iterations_, n_remaining_candidates_ : int
    """

    aggressive_elimination: bool

    def _make(self, n_candidates: int, least: int, most: int) -> Schedule:
        make = Schedule.exhausting if self.min_resources == "exhaust" else Schedule
        aggressive = self.aggressive_elimination
        return make(n_candidates, self.factor, least, most, aggressive_elimination=aggressive)

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "aggressive_elimination": self.aggressive_elimination}

    def _begin(self) -> None:
        super()._begin()
        self._advance()

    def _told(self, evaluation: Evaluation) -> None:  # noqa: ARG002 - whichever it is
        self._advance()

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
        self._add(self._round(going_on, iteration + 1, resources))

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

    def __init__(
        self,
        view: Any = None,
        estimator: Any = None,
        grid: Space = None,
        *,
        factor: float = 3,
        resource: str = SAMPLES,
        max_resources: Any = "auto",
        min_resources: Any = "exhaust",
        aggressive_elimination: bool = False,
        random_state: Any = None,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool | None = True,
        timeout: float | None = None,
        ledger: AnyPath | None = None,
        on_result: OnResult | None = None,
    ) -> None:
        super().__init__(
            view,
            estimator,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            timeout=timeout,
            ledger=ledger,
            on_result=on_result,
        )
        self.grid = grid
        self.factor = factor
        self.resource = resource
        self.max_resources = max_resources
        self.min_resources = min_resources
        self.aggressive_elimination = aggressive_elimination
        self.random_state = random_state

    def _tried(self) -> Space:
        return self.grid

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:  # noqa: ARG002 - a grid has its own number
        return grid_candidates(space)


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

    def __init__(
        self,
        view: Any = None,
        estimator: Any = None,
        distributions: Space = None,
        *,
        n_candidates: Any = "exhaust",
        factor: float = 3,
        resource: str = SAMPLES,
        max_resources: Any = "auto",
        min_resources: Any = "smallest",
        aggressive_elimination: bool = False,
        random_state: Any = None,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool | None = True,
        timeout: float | None = None,
        ledger: AnyPath | None = None,
        on_result: OnResult | None = None,
    ) -> None:
        super().__init__(
            view,
            estimator,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            timeout=timeout,
            ledger=ledger,
            on_result=on_result,
        )
        self.distributions = distributions
        self.factor = factor
        self.resource = resource
        self.max_resources = max_resources
        self.min_resources = min_resources
        self.aggressive_elimination = aggressive_elimination
        self.random_state = random_state
        self.n_candidates = n_candidates

    def _tried(self) -> Space:
        return self.distributions

    def _check(self) -> None:
        super()._check()
        if not _natural(self.n_candidates) and self.n_candidates != "exhaust":
            raise SearchError(
                f"n_candidates is {self.n_candidates!r}.", 'Give a whole number, or "exhaust".'
            )
        if self.n_candidates == self.min_resources == "exhaust":
            raise SearchError(
                "n_candidates and min_resources cannot both be set to 'exhaust'.",
                "One of them must be known.",
            )

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:
        count = most // least if self.n_candidates == "exhaust" else int(self.n_candidates)
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
    scores = table["mean_test_score"][rows]
    return int(rows[0 if np.isnan(scores).all() else np.nanargmax(scores)])


def _facts_of(path: str) -> tuple[Any, int]:
    """Return the targets of a split file, each value once, and its number of rows."""
    X_train, y_train, X_test, y_test, *_ = joblib.load(path, mmap_mode="r")  # noqa: N806
    y = None
    if y_train is not None:
        y = np.concatenate([np.unique(y_train), np.unique(y_test)])
    return y, _num_samples(X_train) + _num_samples(X_test)


def _natural(value: Any) -> bool:
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return number and bool(value > 0)

"""Successive halving: many candidates on few resources first, the best of them on more and more."""

from __future__ import annotations

from collections.abc import Iterable
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
from spotcluster.search.rungs import Schedule, smallest_samples, top_k
from spotcluster.search.searches import Search
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

    def __init__(
        self,
        view: Any,
        *,
        factor: float = 3,
        resource: str = SAMPLES,
        min_resources: Any = "exhaust",
        max_resources: Any = "auto",
        random_state: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(view, **settings)
        self.factor = factor
        self.resource = resource
        self.min_resources = min_resources
        self.max_resources = max_resources
        self.random_state = random_state
        self._schedule: Schedule | None = None
        self._n_samples = 0
        self._facts: tuple[Any, int] | None = None
        self._check_resources()

    def launch_for_arrays(
        self,
        model: Any,
        grid: Space,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: Any = None,
        *args: Any,
        **settings: Any,
    ) -> Self:
        """Do what `Search.launch_for_arrays` does; the resources are counted in all the data."""
        self._facts = (y, _num_samples(X))  # not all splitters use all rows
        try:
            return super().launch_for_arrays(model, grid, X, y, *args, **settings)
        finally:
            self._facts = None

    def _launch(self, model: Any, grid: Space, bundle: Bundle, **more: Any) -> Self:
        self._plan(model, grid, bundle)
        return super()._launch(model, grid, bundle, **more)

    def _propose(self, space: Space) -> list[Candidate]:  # noqa: ARG002 - see `_plan`
        assert self._schedule is not None
        resources = self._schedule.resources(0)
        return self._round(self._drawn, 0, resources)

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:
        """Return the candidates of the first round, without their resources."""
        raise NotImplementedError

    # --- the resources ----------------------------------------------------------------------------

    def _check_resources(self) -> None:
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

    def _plan(self, model: Any, space: Space, bundle: Bundle) -> None:
        """Draw the candidates of the first round, and make the schedule of all rounds."""
        if self.resource != SAMPLES and self.resource not in model.get_params():
            raise SearchError(
                f"The resource {self.resource!r} is not a parameter of {type(model).__name__}."
            )
        classes = None
        least, most = self.min_resources, self.max_resources
        if self.resource == SAMPLES:
            y, self._n_samples = self._facts or _facts_of(bundle.splits[0].path)
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

    def __init__(self, view: Any, *, aggressive_elimination: bool = False, **settings: Any) -> None:
        super().__init__(view, **settings)
        self.aggressive_elimination = aggressive_elimination

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
    aggressive_elimination : bool
        Whether the first round is repeated, on the same resources, until the rest is few enough.

    Examples
    --------
    >>> search = HalvingGridSearch(view, random_state=0)
    >>> search.launch_for_splits(SVC(), {"C": [0.1, 1, 10]}, files).wait()
    True
    >>> search.n_candidates_
    [3, 1]
    """

    def _configurations(self, space: Space, most: int, least: int) -> list[Candidate]:  # noqa: ARG002 - a grid has its own number
        return grid_candidates(space)


class HalvingRandomSearch(HalvingSearch):
    """Settings drawn at random, by successive halving; equal to `HalvingRandomSearchCV`.

    Parameters
    ----------
    view
        As in `ResourceSearch` and `Search`, as are all others.
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
        view: Any,
        *,
        n_candidates: Any = "exhaust",
        min_resources: Any = "smallest",
        **settings: Any,
    ) -> None:
        if not _natural(n_candidates) and n_candidates != "exhaust":
            raise SearchError(
                f"n_candidates is {n_candidates!r}.", 'Give a whole number, or "exhaust".'
            )
        if n_candidates == min_resources == "exhaust":
            raise SearchError(
                "n_candidates and min_resources cannot both be set to 'exhaust'.",
                "One of them must be known.",
            )
        super().__init__(view, min_resources=min_resources, **settings)
        self.n_candidates = n_candidates

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

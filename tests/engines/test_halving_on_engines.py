"""Successive halving on real engines, against scikit-learn's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the import possible
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import (
    GroupKFold,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search.kinds.halving import HalvingGridSearch, HalvingRandomSearch

from .conftest import LIMIT, Machines
from .test_search_on_engines import assert_same_results

X, Y = load_iris(return_X_y=True)
FACTS = (
    *("n_resources_", "n_candidates_", "n_remaining_candidates_", "n_iterations_"),
    *("n_possible_iterations_", "n_required_iterations_", "min_resources_", "max_resources_"),
    *("best_index_", "best_params_", "best_score_"),
)
GRID = {"C": [0.01, 0.1, 1.0, 10.0, 100.0], "gamma": [0.01, 0.1, 1.0]}


def assert_equal(ours: Any, theirs: Any) -> None:
    for fact in FACTS:
        assert getattr(ours, fact) == getattr(theirs, fact), fact
    assert_same_results(ours.cv_results_, theirs.cv_results_)


@pytest.mark.parametrize(
    "settings",
    [
        {"random_state": 0},
        {"random_state": 1, "min_resources": "smallest", "factor": 2},
        {"random_state": 2, "min_resources": 40, "max_resources": 100},
        {"random_state": 3, "min_resources": 60, "aggressive_elimination": True, "factor": 2},
    ],
)
def test_grid_on_more_and_more_samples_equals_scikit_learn(
    pair: Machines, settings: dict[str, Any]
) -> None:
    cv = KFold(3, shuffle=True, random_state=0)
    search = HalvingGridSearch(pair.client, **settings)
    search.launch_for_arrays(SVC(), GRID, X, Y, cv=cv)
    assert search.wait(LIMIT)
    assert_equal(search, HalvingGridSearchCV(SVC(), GRID, cv=cv, **settings).fit(X, Y))


def test_fit_equals_scikit_learn(pair: Machines) -> None:
    settings: dict[str, Any] = {"cv": 3, "random_state": 0, "factor": 2}
    search = clone(HalvingGridSearch(pair.client, SVC(), GRID, **settings)).fit(X, Y)
    peer = HalvingGridSearchCV(SVC(), GRID, **settings).fit(X, Y)
    assert_equal(search, peer)
    assert (search.predict(X) == peer.predict(X)).all()
    settings |= {"n_candidates": 6}
    drawn = HalvingRandomSearch(pair.client, SVC(), GRID, **settings).fit(X, Y)
    assert_equal(drawn, HalvingRandomSearchCV(SVC(), GRID, **settings).fit(X, Y))


WEIGHTS = np.random.default_rng(0).uniform(size=len(Y))
GROUPS = np.arange(len(Y)) % 5


@pytest.mark.parametrize("given", ["a generator", "numpy's own", "another kind of generator"])
def test_any_generator_draws_as_in_scikit_learn(pair: Machines, given: str) -> None:
    def state() -> Any:
        if given == "numpy's own":
            np.random.seed(7)
            return None
        if given == "a generator":
            return np.random.RandomState(7)
        return np.random.RandomState(np.random.PCG64(7))

    resource = {"resource": "leaf_size", "min_resources": 10, "max_resources": 100}
    cases: list[tuple[Any, Any, dict[str, Any]]] = [
        (HalvingGridSearch, HalvingGridSearchCV, {}),
        (HalvingRandomSearch, HalvingRandomSearchCV, {"n_candidates": 8}),
        (HalvingRandomSearch, HalvingRandomSearchCV, {"n_candidates": 8, **resource}),
    ]
    model, space = KNeighborsClassifier(), {"n_neighbors": [1, 2, 3, 4, 5], "p": [1, 2]}
    for kind, theirs, more in cases:  # with a model that draws nothing itself
        settings = {"cv": 3, "factor": 2, **more}
        search = kind(pair.client, model, space, random_state=state(), **settings).fit(X, Y)
        after = np.random.randint(1000)
        peer = theirs(model, space, random_state=state(), **settings).fit(X, Y)
        if given == "another kind of generator":
            assert search.n_resources_ == peer.n_resources_
            assert np.isfinite(search.best_score_)
            continue
        assert_equal(search, peer)
        assert given != "numpy's own" or after == np.random.randint(1000)


def test_groups_and_params_equal_scikit_learn(pair: Machines) -> None:
    settings: dict[str, Any] = {"cv": GroupKFold(3), "random_state": 0, "factor": 2}
    grid = {"C": [0.01, 0.1, 1.0, 10.0]}
    model = LogisticRegression(max_iter=1000)
    params = {"groups": GROUPS, "sample_weight": WEIGHTS}
    search = HalvingGridSearch(pair.client, model, grid, **settings).fit(X, Y, **params)
    assert_equal(search, HalvingGridSearchCV(model, grid, **settings).fit(X, Y, **params))
    settings |= {"refit": lambda table: 0}
    search = HalvingGridSearch(pair.client, model, grid, **settings).fit(X, Y, **params)
    assert_equal(search, HalvingGridSearchCV(model, grid, **settings).fit(X, Y, **params))


def test_a_kernel_is_cut_on_both_sides(pair: Machines) -> None:
    kernel = rbf_kernel(X)
    settings: dict[str, Any] = {"cv": 3, "random_state": 0, "factor": 2, "error_score": "raise"}
    for model, grid in (
        (SVC(kernel="precomputed"), {"C": [0.01, 0.1, 1.0, 10.0]}),
        (SVC(), {"kernel": ["precomputed", "rbf"], "C": [0.1, 1.0]}),
    ):
        search = HalvingGridSearch(pair.client, model, grid, **settings).fit(kernel, Y)
        assert_equal(search, HalvingGridSearchCV(model, grid, **settings).fit(kernel, Y))


def test_rounds_fail_as_scikit_learns(pair: Machines) -> None:
    """Each round warns by itself, and one in which all fits fail is an error."""

    def said(search: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)  # of what other tests have left
            search.fit(X, Y)
        return [str(item.message).split("Below are")[0] for item in caught]

    grid = {"kernel": ["no", "linear"], "C": [0.1, 1.0, 10.0]}
    settings: dict[str, Any] = {"cv": 3, "random_state": 0, "factor": 1.5}
    ours = said(HalvingGridSearch(pair.client, SVC(), grid, **settings))
    assert ours == said(HalvingGridSearchCV(SVC(), grid, **settings))
    assert len(ours) > 3
    grid = {"kernel": ["no"], "C": [1, 2, 3]}
    with pytest.raises(ValueError, match="All the 9 fits failed"):
        HalvingGridSearch(pair.client, SVC(), grid, **settings).fit(X, Y)


def test_a_generator_draws_on_when_a_search_is_resumed(pair: Machines, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"cv": 3, "factor": 2, "min_resources": 20}
    peer = HalvingGridSearchCV(SVC(), GRID, random_state=np.random.RandomState(3), **settings)
    peer.fit(X, Y)
    for aborted_after in (1, 46):  # in the first round, and in the second
        ledger = tmp_path / str(aborted_after)
        state = np.random.RandomState(3)
        search = HalvingGridSearch(
            pair.client, SVC(), GRID, random_state=state, ledger=ledger, **settings
        )
        search.launch(X, Y)
        for _, _ in zip(range(aborted_after), search.as_completed(LIMIT), strict=False):
            pass
        search.abort()
        again = HalvingGridSearch.resume(ledger, pair.client)
        assert again.wait(LIMIT)
        assert_same_results(again.cv_results_, peer.cv_results_)


def test_random_candidates_equal_scikit_learn(pair: Machines) -> None:
    X, Y = load_digits(return_X_y=True)
    space = {"C": stats.loguniform(0.1, 100), "gamma": [0.0001, 0.001, 0.01]}
    cv = ShuffleSplit(2, test_size=0.25, random_state=0)
    settings: dict[str, Any] = {"random_state": 5, "max_resources": 400}
    for more in ({"n_candidates": 7}, {"min_resources": 60}):
        search = HalvingRandomSearch(pair.client, **settings, **more)
        search.launch_for_arrays(SVC(), space, X, Y, cv=cv)
        assert search.wait(LIMIT)
        peer = HalvingRandomSearchCV(SVC(), space, cv=cv, **settings, **more).fit(X, Y)
        assert_equal(search, peer)


def test_a_parameter_as_resource_equals_scikit_learn(pair: Machines) -> None:
    grid = {"max_depth": [1, 2, 3, None], "min_samples_leaf": [1, 5]}
    settings: dict[str, Any] = {"resource": "n_estimators", "max_resources": 9, "factor": 2}
    cv = KFold(2, shuffle=True, random_state=0)
    model = RandomForestClassifier(random_state=0)
    search = HalvingGridSearch(pair.client, **settings).launch_for_arrays(model, grid, X, Y, cv=cv)
    assert search.wait(LIMIT)
    peer = HalvingGridSearchCV(model, grid, cv=cv, **settings).fit(X, Y)
    assert_equal(search, peer)
    assert search.cv_results_["param_n_estimators"].tolist()[0] == search.n_resources_[0]


def test_splits_that_do_not_use_all_rows_equal_scikit_learn(pair: Machines) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = X @ [1.0, 2.0, 0.0, -1.0] + rng.normal(size=300)
    grid = {"alpha": [0.01, 0.1, 1.0, 10.0]}
    cv = TimeSeriesSplit(3)
    search = HalvingGridSearch(pair.client, random_state=0, factor=2)
    search.launch_for_arrays(Ridge(), grid, X, y, cv=cv)
    assert search.wait(LIMIT)
    peer = HalvingGridSearchCV(Ridge(), grid, cv=cv, random_state=0, factor=2).fit(X, y)
    assert_equal(search, peer)


def test_rounds_that_all_fail_equal_scikit_learn(pair: Machines, iris: list[str]) -> None:
    """The numbers of candidates are kept although nobody is better than anybody."""
    search = HalvingGridSearch(pair.client, random_state=0)
    search.launch_for_splits(SVC(), {"kernel": ["no"], "C": [1, 2, 3]}, iris)
    assert search.wait(LIMIT)
    assert search.n_candidates_ == [3, 1]
    with pytest.raises(SearchError, match="There is no best candidate: all 12 evaluations failed"):
        _ = search.best_score_


def test_what_cannot_be_a_resource_is_said_before_anything_runs(
    pair: Machines, iris: list[str]
) -> None:
    def launch(grid: Any = GRID, **settings: Any) -> None:
        HalvingGridSearch(pair.client, **settings).launch_for_splits(SVC(), grid, iris)

    with pytest.raises(ValueError, match="resource=trees which is not supported by estimator SVC"):
        launch(resource="trees", max_resources=10)
    with pytest.raises(ValueError, match="Cannot use parameter C as the resource"):
        launch(resource="C", max_resources=10)
    with pytest.raises(SearchError, match="Say how much there is"):
        launch(resource="C")
    with pytest.raises(ValueError, match="min_resources_=500 is greater than max_resources_=150"):
        launch(min_resources=500)

"""Asynchronous successive halving on real engines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from spotcluster.errors import SearchError
from spotcluster.search.kinds.asha import ASHASearch

from .conftest import LIMIT, Machines

X, Y = load_iris(return_X_y=True)
GRID = {"C": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0], "gamma": [0.001, 0.1, 10.0]}


def assert_rule(search: ASHASearch) -> None:
    """Hold what was promoted to be what the rule says, when everything is finished."""
    table = search.cv_results_
    for rung in range(len(search.rungs_) - 1):
        here = table["iter"] == rung
        share = math.floor(here.sum() / search.factor)
        assert search.promoted_[rung + 1] >= min(
            share, int(np.isfinite(table["mean_test_score"][here]).sum())
        )
        assert set(table["n_resources"][here]) == {search.rungs_[rung]}
    assert len(table["params"]) == sum(search.promoted_)


def test_candidates_climb_on_more_and_more_samples(pair: Machines, iris: list[str]) -> None:
    search = ASHASearch(pair.client, min_resources=16, random_state=0)
    search.launch_for_splits(SVC(), GRID, iris)
    assert search.wait(LIMIT)
    assert search.rungs_ == [16, 48, 144]
    assert search.promoted_[0] == 18
    assert search.promoted_[-1] >= 2
    assert_rule(search)
    assert search.best_index_ in np.flatnonzero(search.cv_results_["iter"] == 2)
    assert search.best_score_ > 0.9


def test_a_parameter_as_resource_and_scores_as_scikit_learns(pair: Machines) -> None:
    model = DecisionTreeClassifier(random_state=0)
    grid = {"min_samples_leaf": [1, 2, 4, 8, 16, 32, 48, 64, 70]}
    search = ASHASearch(pair.client, resource="max_depth", max_resources=9, random_state=1)
    search.launch_for_arrays(model, grid, X, Y, cv=3)
    assert search.wait(LIMIT)
    assert search.rungs_ == [1, 3, 9]
    assert_rule(search)
    table = search.cv_results_
    for params, score in zip(table["params"], table["mean_test_score"], strict=True):
        assert score == cross_val_score(model.set_params(**params), X, Y, cv=3).mean()


def test_no_rung_is_waited_for(pair: Machines, iris: list[str]) -> None:
    """The first promotion runs while candidates of the first rung have not begun."""
    search = ASHASearch(pair.client, factor=2, random_state=0)
    search.launch_for_splits(SVC(), GRID, iris, pace=0.02)
    assert search.wait(LIMIT)
    rungs = search.cv_results_["iter"]
    order = [rungs[item.candidate] for item in search.evaluations()]
    assert order.index(1) < len(order) - 1 - order[::-1].index(0)


def test_failed_candidates_are_not_promoted(pair: Machines, iris: list[str]) -> None:
    search = ASHASearch(pair.client, factor=2, random_state=0)
    search.launch_for_splits(SVC(), {"kernel": ["no", "rbf", "linear", "none"]}, iris)
    assert search.wait(LIMIT)
    kernels = search.cv_results_["param_kernel"][search.cv_results_["iter"] > 0]
    assert set(kernels) <= {"rbf", "linear"}


def test_numbers_that_cannot_be(pair: Machines, iris: list[str]) -> None:
    for settings, message in (({"factor": 1}, "'factor'"), ({"n_iter": 0}, "'n_iter'")):
        with pytest.raises(SearchError, match=message):
            ASHASearch(pair.client, **settings).launch_for_splits(SVC(), GRID, iris)


def test_fit_as_an_estimator(pair: Machines) -> None:
    search = ASHASearch(
        pair.client, SVC(), {"C": [0.1, 1.0, 10.0, 100.0]}, cv=3, factor=2, random_state=0
    )
    copy = clone(search)
    assert copy.get_params()["factor"] == 2
    assert copy.fit(X, Y).predict(X[:3]).tolist() == [0, 0, 0]
    assert copy.best_params_["C"] == copy.best_estimator_.C

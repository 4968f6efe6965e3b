"""Curves, halving, ASHA and Optuna while engines die, and with new clients."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the import possible
from sklearn.model_selection import HalvingGridSearchCV, ShuffleSplit
from sklearn.model_selection import learning_curve as scikit_learns_curve
from sklearn.svm import SVC

from spotcluster.search import ASHASearch, HalvingGridSearch, LearningCurve, OptunaSearch

from .conftest import LIMIT, Machines, until
from .test_search_on_engines import assert_same_results

X, Y = load_iris(return_X_y=True)
GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.01, 0.1]}
CV = ShuffleSplit(3, test_size=0.25, random_state=0)  # as in the fixture iris


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr("spotcluster.search.dispatch.roster.RETRY", 0.3)


def kill_an_engine(search: Any) -> None:
    """Kill the engine that has just finished something."""
    os.kill(search.evaluations()[-1].pid, signal.SIGKILL)


def test_a_learning_curve(machines: Machines, iris: list[str]) -> None:
    machines.start("node001", 2)
    curve = LearningCurve(machines.client)
    curve.launch_for_splits(SVC(), iris, train_sizes=[20, 40, 60, 80], pace=0.1)
    until(lambda: curve.completed() >= 3, "3 evaluations")
    kill_an_engine(curve)
    until(lambda: curve.completed() >= 6, "3 more")
    curve.abort()
    assert curve.ledger is not None
    done = curve.completed()
    resumed = LearningCurve.resume(curve.ledger, machines.client)
    assert resumed.completed() >= done
    assert resumed.wait(LIMIT)
    expected = scikit_learns_curve(SVC(), X, Y, cv=CV, train_sizes=[20, 40, 60, 80])
    np.testing.assert_array_equal(resumed.train_scores_, expected[1])
    np.testing.assert_array_equal(resumed.test_scores_, expected[2])


def test_halving(machines: Machines, iris: list[str]) -> None:
    """An engine dies in one round, the client in another: the table is scikit-learn's."""
    machines.start("node001", 2)
    search = HalvingGridSearch(machines.client, random_state=0, factor=2, min_resources=20)
    search.launch_for_splits(SVC(), GRID, iris, pace=0.05)
    until(lambda: search.completed() >= 4, "4 evaluations")
    kill_an_engine(search)
    until(lambda: len(search.n_candidates_) >= 2, "the second round")
    until(lambda: search.completed() >= 27, "some of the second round")
    search.abort()
    assert search.ledger is not None
    before = {item.key: item for item in search.evaluations()}
    resumed = HalvingGridSearch.resume(search.ledger, machines.client)
    assert resumed.wait(LIMIT)
    peer = HalvingGridSearchCV(SVC(), GRID, cv=CV, random_state=0, factor=2, min_resources=20)
    peer.fit(X, Y)
    assert_same_results(resumed.cv_results_, peer.cv_results_)
    assert resumed.n_resources_ == peer.n_resources_
    assert resumed.best_index_ == peer.best_index_
    again = {item.key: item for item in resumed.evaluations()}
    assert all(again[key] == item for key, item in before.items())  # nothing ran twice


def test_asha(machines: Machines, iris: list[str]) -> None:
    machines.start("node001", 2)
    search = ASHASearch(machines.client, random_state=0, factor=2, min_resources=20)
    search.launch_for_splits(SVC(), GRID, iris, pace=0.05)
    until(lambda: search.completed() >= 10, "10 evaluations")
    kill_an_engine(search)
    until(lambda: search.completed() >= 16, "6 more")
    search.abort()
    assert search.ledger is not None
    before = {item.key: item for item in search.evaluations()}
    resumed = ASHASearch.resume(search.ledger, machines.client)
    assert resumed.wait(LIMIT)
    again = {item.key: item for item in resumed.evaluations()}
    assert all(again[key] == item for key, item in before.items())
    rungs = resumed.cv_results_["iter"]
    for rung in range(len(resumed.rungs_) - 1):
        assert (rungs == rung + 1).sum() >= (rungs == rung).sum() // 2
    assert len(rungs) == sum(resumed.promoted_)


@pytest.mark.parametrize("prunes", [False, True])
def test_optuna(machines: Machines, iris: list[str], prunes: bool) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    machines.start("node001", 2)
    space = {"C": optuna.distributions.FloatDistribution(0.01, 100, log=True)}
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2) if prunes else None
    search = OptunaSearch(machines.client, n_trials=12, pruner=pruner)
    search.launch_for_splits(SVC(), space, iris, pace=0.05)
    until(lambda: search.completed() >= 6, "6 evaluations")
    kill_an_engine(search)
    until(lambda: search.completed() >= 12, "6 more")
    search.abort()
    assert search.ledger is not None
    before = {item.key: item for item in search.evaluations()}
    resumed = OptunaSearch.resume(search.ledger, machines.client)
    assert resumed.wait(LIMIT)
    again = {item.key: item for item in resumed.evaluations()}
    assert all(again[key] == item or again[key].failed_in for key, item in before.items())
    assert len(resumed.study_.trials) == 12
    states = optuna.trial.TrialState
    assert {trial.state for trial in resumed.study_.trials} <= {states.COMPLETE, states.PRUNED}
    for params, mean, number in zip(
        *(resumed.cv_results_[name] for name in ("params", "mean_test_score", "trial")), strict=True
    ):
        trial = resumed.study_.trials[number]
        assert trial.params == params
        assert trial.value == mean or trial.state == states.PRUNED
    assert resumed.progress() == 1.0

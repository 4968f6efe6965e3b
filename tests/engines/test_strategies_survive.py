"""Curves, halving, ASHA and Optuna while engines die, and with new clients."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import ShuffleSplit
from sklearn.model_selection import learning_curve as scikit_learns_curve
from sklearn.svm import SVC

from spotcluster.search.curves import LearningCurve

from .conftest import Machines, until

X, Y = load_iris(return_X_y=True)
CV = ShuffleSplit(3, test_size=0.25, random_state=0)  # as in the fixture iris


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr("spotcluster.search.roster.RETRY", 0.3)


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
    assert resumed.wait(30)
    expected = scikit_learns_curve(SVC(), X, Y, cv=CV, train_sizes=[20, 40, 60, 80])
    np.testing.assert_array_equal(resumed.train_scores_, expected[1])
    np.testing.assert_array_equal(resumed.test_scores_, expected[2])

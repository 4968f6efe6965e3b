"""Learning curves on real engines, against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.model_selection import learning_curve as scikit_learns
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from spotcluster.search.curves import LearningCurve, learning_curve

from .conftest import Machines

X, Y = load_iris(return_X_y=True)
CV = ShuffleSplit(3, test_size=0.25, random_state=0)  # as in the fixture iris


def assert_equal(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    "settings",
    [
        {"cv": CV},
        {"train_sizes": [20, 70, 70, 50], "shuffle": True, "random_state": 3},
        {"cv": KFold(4, shuffle=True, random_state=1), "shuffle": True, "scoring": "f1_macro"},
        {"train_sizes": [0.3, 1.0], "return_times": True},
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_equals_scikit_learn(pair: Machines, settings: dict[str, Any]) -> None:
    settings = {"random_state": 0, **settings}
    ours = learning_curve(pair.client, GaussianNB(), X, Y, timeout=60, **settings)
    assert_equal(ours, scikit_learns(GaussianNB(), X, Y, **settings))


def test_on_split_files_while_it_runs(pair: Machines, iris: list[str]) -> None:
    curve = LearningCurve(pair.client)
    curve.launch_for_splits(SVC(), iris, train_sizes=[0.2, 1.0], pace=0.2)
    next(iter(curve.as_completed(timeout=30)))
    assert 1 <= np.isfinite(curve.test_scores_).sum() < 6
    assert curve.train_sizes_.tolist() == [22, 112]
    assert curve.wait(30)
    expected = scikit_learns(SVC(), X, Y, cv=CV, train_sizes=[0.2, 1.0])
    assert_equal((curve.train_sizes_, curve.train_scores_, curve.test_scores_), expected)
    assert curve.cv_results_["train_size"].tolist() == [22, 112]
    pytest.importorskip("matplotlib").use("agg")
    assert len(curve.plot().axes[0].lines) == 2


def test_shuffled_split_files(pair: Machines, iris: list[str]) -> None:
    curve = LearningCurve(pair.client)
    curve.launch_for_splits(SVC(), iris, train_sizes=[40], shuffle=True, random_state=5)
    assert curve.wait(30)
    expected = scikit_learns(SVC(), X, Y, cv=CV, train_sizes=[40], shuffle=True, random_state=5)
    assert_equal((curve.train_sizes_, curve.train_scores_, curve.test_scores_), expected)


def test_all_fits_failing_is_an_error(pair: Machines) -> None:
    with pytest.raises(ValueError, match=r"(?s)All the 25 fits failed.*no such kernel"):
        learning_curve(pair.client, SVC(kernel="no such kernel"), X, Y, timeout=30)

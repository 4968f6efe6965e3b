"""Learning curves on real engines, against scikit-learn's."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_iris
from sklearn.linear_model import Perceptron, SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from sklearn.model_selection import learning_curve as scikit_learns
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from spotcluster.search.kinds.curves import LearningCurve, learning_curve

from .conftest import LIMIT, Gated, Machines

X, Y = load_iris(return_X_y=True)
WEIGHTS = np.random.default_rng(0).uniform(size=len(Y))
GROUPS = np.arange(len(Y)) % 5
CV = ShuffleSplit(3, test_size=0.25, random_state=0)  # as in the fixture iris


def theirs_in_steps(*args: Any, **settings: Any) -> tuple[Any, ...]:
    """Return scikit-learn's curve; 1.7 does not cut sample weights for `partial_fit`."""
    try:
        return tuple(scikit_learns(*args, **settings))
    except ValueError as error:
        if "sample_weight.shape" in str(error) and sklearn.__version__.startswith("1.7"):
            pytest.skip("this scikit-learn has no curve in steps with sample weights")
        raise


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
    ours = learning_curve(pair.client, GaussianNB(), X, Y, timeout=LIMIT, **settings)
    assert_equal(ours, scikit_learns(GaussianNB(), X, Y, **settings))


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (GaussianNB(), {"shuffle": True, "return_times": True}),
        (GaussianNB(), {"train_sizes": [70, 80, 100], "params": {"sample_weight": WEIGHTS}}),
        (SGDClassifier(random_state=0), {"shuffle": True, "cv": CV, "train_sizes": [10, 50, 90]}),
        (SGDRegressor(random_state=0), {"shuffle": True, "scoring": "r2"}),
        (MiniBatchKMeans(2, random_state=0, n_init=1), {"train_sizes": [20, 40], "shuffle": True}),
    ],
)
def test_goes_on_from_size_to_size_as_scikit_learn(
    pair: Machines, model: Any, settings: dict[str, Any]
) -> None:
    settings = {"random_state": 0, "exploit_incremental_learning": True, **settings}
    ours = learning_curve(pair.client, model, X, Y, timeout=LIMIT, **settings)
    with threadpool_limits(1):  # as engines have; sums come out another way with more
        theirs = theirs_in_steps(model, X, Y, **settings)
    assert_equal(ours, theirs)
    for mine, other in zip(ours[3:], theirs[3:], strict=True):
        assert mine.shape == other.shape
        assert (mine > 0).all()


def test_a_step_that_fails_is_an_error_as_in_scikit_learn(pair: Machines) -> None:
    settings: dict[str, Any] = {"exploit_incremental_learning": True, "train_sizes": [20]}
    for curve in (scikit_learns, partial(learning_curve, pair.client)):
        with pytest.raises(ValueError, match=r"'alpha' parameter of \w+ must be"):
            curve(SGDClassifier(alpha="no"), X, Y, **settings)
        with pytest.raises(ValueError, match="support the partial_fit interface"):
            curve(SVC(), X, Y, **settings)


def test_takes_what_scikit_learns_takes(pair: Machines) -> None:
    sizes = {"train_sizes": [60, 80], "shuffle": True, "random_state": 1}
    for model, data, settings in (
        (SVC(), X, {"groups": GROUPS, "cv": GroupKFold(3)}),
        (SVC(), X, {"params": {"sample_weight": WEIGHTS}}),
        (SVC(kernel="precomputed"), rbf_kernel(X), {"error_score": "raise"}),
        (Perceptron(), X, {"scoring": make_scorer(accuracy_score)}),
    ):
        more: dict[str, Any] = {**sizes, **settings}
        ours = learning_curve(pair.client, model, data, Y, timeout=LIMIT, **more)
        assert_equal(ours, scikit_learns(model, data, Y, **more))
    with sklearn.config_context(enable_metadata_routing=True):
        model = GaussianNB().set_fit_request(sample_weight=True)
        model.set_partial_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        for steps in (False, True):
            more = {
                "exploit_incremental_learning": steps,
                "params": {"sample_weight": WEIGHTS, "groups": GROUPS},
                "cv": GroupKFold(3),
                **sizes,
            }
            ours = learning_curve(pair.client, model, X, Y, timeout=LIMIT, **more)
            assert_equal(ours, theirs_in_steps(model, X, Y, **more))
        with pytest.raises(ValueError, match="groups"):
            learning_curve(pair.client, GaussianNB(), X, Y, groups=GROUPS)


def test_fit_as_an_estimator(pair: Machines) -> None:
    settings: dict[str, Any] = {"cv": 3, "train_sizes": [0.5, 1.0], "shuffle": True}
    curve = LearningCurve(pair.client, SVC(), random_state=4, **settings)
    fitted = clone(curve).fit(X, Y)
    theirs = scikit_learns(SVC(), X, Y, random_state=4, **settings)
    assert_equal((fitted.train_sizes_, fitted.train_scores_, fitted.test_scores_), theirs)
    assert not hasattr(fitted, "predict")
    assert fitted.get_params()["train_sizes"] == [0.5, 1.0]
    fitted.set_params(train_sizes=[30])
    again = LearningCurve.resume(fitted.fit(X, Y, sample_weight=WEIGHTS).ledger, pair.client)
    assert again.wait(LIMIT)
    settings |= {"train_sizes": [30], "params": {"sample_weight": WEIGHTS}}
    theirs = scikit_learns(SVC(), X, Y, random_state=4, **settings)
    assert_equal((again.train_sizes_, again.train_scores_, again.test_scores_), theirs)


def test_on_split_files_while_it_runs(pair: Machines, iris: list[str], gated: Gated) -> None:
    curve = LearningCurve(pair.client)
    curve.launch_for_splits(gated, iris, train_sizes=[0.2, 1.0])
    next(iter(curve.as_completed(timeout=LIMIT)))
    assert 1 <= np.isfinite(curve.test_scores_).sum() < 6
    assert curve.train_sizes_.tolist() == [22, 112]
    gated.open()
    assert curve.wait(LIMIT)
    expected = scikit_learns(SVC(), X, Y, cv=CV, train_sizes=[0.2, 1.0])
    assert_equal((curve.train_sizes_, curve.train_scores_, curve.test_scores_), expected)
    assert curve.cv_results_["train_size"].tolist() == [22, 112]
    assert [best.params for best in curve.find_bests()] == [
        {"train_size": 112},
        {"train_size": 22},
    ]
    pytest.importorskip("matplotlib").use("agg")
    assert len(curve.plot().axes[0].lines) == 2


def test_shuffled_split_files(pair: Machines, iris: list[str]) -> None:
    curve = LearningCurve(pair.client)
    curve.launch_for_splits(SVC(), iris, train_sizes=[40], shuffle=True, random_state=5)
    assert curve.wait(LIMIT)
    expected = scikit_learns(SVC(), X, Y, cv=CV, train_sizes=[40], shuffle=True, random_state=5)
    assert_equal((curve.train_sizes_, curve.train_scores_, curve.test_scores_), expected)


def test_all_fits_failing_is_an_error(pair: Machines) -> None:
    with pytest.raises(ValueError, match=r"(?s)All the 25 fits failed.*no such kernel"):
        learning_curve(pair.client, SVC(kernel="no such kernel"), X, Y, timeout=LIMIT)

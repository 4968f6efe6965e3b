"""What scorers may give, and raise."""

from __future__ import annotations

import math
import pickle
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring
from sklearn.svm import SVR

from spotcluster.search.engine import fit as fitting

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2


def scored(scoring: Any, model: Any = None, **more: Any) -> dict[str, Any]:
    return fitting.fit_and_score(
        (X, Y, X, Y), model=model or LogisticRegression(), params={}, scoring=scoring, **more
    )


def giving(score: Any) -> Any:
    return lambda *_: score


@pytest.mark.parametrize(
    ("score", "number"),
    [(np.array([0.5]), 0.5), (Decimal("0.5"), 0.5), (True, 1.0), (-np.inf, -np.inf)],
)
def test_what_scikit_learn_takes_for_a_number(score: Any, number: float) -> None:
    assert scored(giving(score))["test"] == number


@pytest.mark.parametrize("score", [1 + 2j, np.complex128(1 + 2j), {"a": 1 + 2j}])
def test_a_complex_score_failed_the_fit(score: Any) -> None:
    with pytest.warns(np.exceptions.ComplexWarning, match="discards the imaginary part"):
        result = scored(giving(score))
    assert (result["test"], result["train"], result["error"]) == (1.0, 1.0, "")


@pytest.mark.parametrize("score", [{}, None, "text", {"a": {}}, {"a": 1, "b": None}, 10**400])
def test_what_is_no_number_ends_the_search(score: Any) -> None:
    result = scored(giving(score))
    assert result["failed_in"] == "number"
    assert isinstance(pickle.loads(result["exception"]), ValueError | OverflowError)


def test_a_scorer_of_several_that_raised_gave_nan_for_each() -> None:
    several = check_scoring(SVR(), ["roc_auc", "neg_log_loss"], raise_exc=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = scored(several, SVR())
    assert result["failed_in"] == "scorer"
    assert result["error"]
    assert isinstance(pickle.loads(result["exception"]), Exception)


def test_one_of_several_that_fails_is_one_score() -> None:
    def no(*_: Any) -> float:
        raise ValueError("not this one")

    several = check_scoring(
        LogisticRegression(), {"no": no, "accuracy": "accuracy"}, raise_exc=False
    )
    result = scored(several, metric="accuracy")
    assert result["failed_in"] == "score"
    assert math.isnan(result["test_scores"]["no"])
    assert result["test"] == result["test_scores"]["accuracy"] > 0


def test_an_evaluation_that_changes_the_configuration_changes_it_for_itself() -> None:
    class Configuring(LogisticRegression):
        def fit(self, X: Any, y: Any) -> Configuring:
            assert not sklearn.get_config()["assume_finite"]
            sklearn.set_config(assume_finite=True)
            return super().fit(X, y)  # type: ignore[no-any-return]

    before = sklearn.get_config()
    for config in (before, {**before, "working_memory": 7}, {**before, "unknown": 1}):
        result = scored(None, Configuring(), config=config)
        assert result["error"] == ""
        assert sklearn.get_config() == before


def test_values_of_parameters_are_the_evaluation_s_own() -> None:
    class Writing(LogisticRegression):
        def __init__(self, given: Any = None, C: float = 1.0) -> None:
            super().__init__(C=C)
            self.given = given

        def fit(self, X: Any, y: Any) -> Writing:
            self.given.append(self.C)
            return super().fit(X, y)  # type: ignore[no-any-return]

    params = {"given": [], "C": 2.0}
    result = fitting.fit_and_score((X, Y, X, Y), model=Writing(), params=params)
    assert result["error"] == ""
    assert params == {"given": [], "C": 2.0}

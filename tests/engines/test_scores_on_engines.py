"""What scorers give and raise, against scikit-learn's search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVR

from spotcluster.errors import SearchError
from spotcluster.search import GridSearch

from .conftest import LIMIT, Machines

X, Y = np.random.default_rng(0).random((30, 3)), np.arange(30) % 2
GRID = {"C": [0.5, 1.0, 2.0]}


def both(pair: Machines, model: Any, **settings: Any) -> tuple[Any, Any]:
    return (
        GridSearchCV(model, GRID, cv=2, **settings),
        GridSearch(pair.client, model, GRID, cv=2, **settings),
    )


def complex_score(model: Any, X: Any, y: Any) -> Any:
    return np.complex128(model.score(X, y) + 2j)


def infinite(model: Any, X: Any, y: Any) -> float:
    return {0.5: np.nan, 1.0: -np.inf, 2.0: -np.inf}[model.C]


complex_score.__module__ = infinite.__module__ = "__main__"  # which engines cannot import


def test_a_scorer_of_several_that_raises_ends_the_search(pair: Machines) -> None:
    theirs, ours = both(pair, SVR(), scoring=["roc_auc", "neg_log_loss"], refit="roc_auc")
    with pytest.raises(AttributeError) as expected:
        theirs.fit(X, Y)
    with pytest.raises(AttributeError) as raised:
        ours.fit(X, Y)
    assert str(raised.value) == str(expected.value)
    lines = Path(ours.ledger).read_text().splitlines()
    assert {json.loads(line)["kind"] for line in lines} <= {"search", "candidates", "retry"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scoring", [complex_score, infinite])
def test_scores_that_are_odd(pair: Machines, scoring: Any) -> None:
    theirs, ours = (one.fit(X, Y) for one in both(pair, LogisticRegression(), scoring=scoring))
    for name in ("split0_test_score", "mean_test_score", "rank_test_score"):
        np.testing.assert_array_equal(ours.cv_results_[name], theirs.cv_results_[name])
    assert ours.best_index_ == theirs.best_index_
    assert ours.find_bests(1)[0].candidate == ours.best_index_


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("error_score", [np.nan, 0.0])
def test_a_search_of_which_all_had_failed_returned_a_best(
    pair: Machines, error_score: float
) -> None:
    def no(*_: Any) -> float:
        raise ValueError("not this one")

    search = GridSearch(
        pair.client, LogisticRegression(), GRID, cv=2, scoring=no, error_score=error_score
    )
    with pytest.warns(UserWarning, match="Scoring failed"):  # and no more, as in scikit-learn
        search.fit(X, Y)
    with pytest.raises(ValueError, match=r"no best candidate: all 6 evaluations failed.*not this"):
        search.predict(X)
    assert search.find_bests() == []
    for name in ("best_index_", "best_params_", "best_score_", "best_estimator_"):
        with pytest.raises(SearchError, match="no best candidate"):
            getattr(search, name)
        assert not hasattr(search, name)
    assert len(search.cv_results_["params"]) == 3
    search.set_params(refit=False).fit(X, Y)  # which asks for none
    launched = GridSearch(pair.client).launch_for_arrays(LogisticRegression(C=-1.0), {}, X, Y)
    assert launched.wait(LIMIT)
    with pytest.raises(SearchError, match="no best candidate"):
        _ = launched.best_params_

"""What can be wrong before anything is sent, and what is public."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC, SVR
from sklearn.utils.validation import check_is_fitted

from spotcluster import search
from spotcluster.errors import SearchError
from spotcluster.search import GridSearch, RandomizedGridSeach, RandomizedSearch
from spotcluster.search.candidates import Candidate
from spotcluster.search.evaluations import Evaluation, compute_evaluation
from spotcluster.search.plots import boxplot_parameters, scores_by_value


class View:
    """What looks like a view, and is never asked for anything."""

    client = None
    retries = 0


@pytest.fixture
def iris(tmp_path: Path) -> list[str]:
    path = tmp_path / "split.pkl"
    joblib.dump(([[0.0], [1.0]], [0, 1], [[0.0], [1.0]], [0, 1]), path)
    return [str(path)]


def test_exported_members() -> None:
    assert sorted(search.__all__) == search.__all__
    assert all(hasattr(search, name) for name in search.__all__)
    assert RandomizedGridSeach is RandomizedSearch


def test_a_view_is_needed(iris: list[str]) -> None:
    search = GridSearch(None, SVC(), {"C": [1.0]})
    with pytest.raises(SearchError, match=r"given a NoneType.*load_balanced_view"):
        search.fit([[0.0], [1.0]] * 5, [0, 1] * 5)
    with pytest.raises(SearchError, match=r"given a NoneType.*load_balanced_view"):
        search.launch_for_splits(SVC(), {"C": [1.0]}, iris)


@pytest.mark.parametrize("error_score", ["nonsense", None, True])
def test_error_score_is_a_number_or_raise(error_score: Any, iris: list[str]) -> None:
    with pytest.raises(SearchError, match="error_score"):
        GridSearch(View(), error_score=error_score).launch_for_splits(SVC(), {"C": [1.0]}, iris)


def test_what_cannot_be_launched_is_said_before_anything_is_sent(iris: list[str]) -> None:
    X, y = [[0.0], [1.0]] * 5, [0, 1] * 5
    with pytest.raises(SearchError, match="timeout is -1"):
        GridSearch(View(), timeout=-1).launch_for_splits(SVC(), {"C": [1.0]}, iris)
    with pytest.raises(SearchError, match="n_iter is 0"):
        RandomizedSearch(View(), SVC(), {"C": [1.0]}, n_iter=0).fit(X, y)
    with pytest.raises(SearchError, match="are a NoneType"):
        GridSearch(View(), SVC()).fit(X, y)
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense' for estimator SVC"):
        GridSearch(View(), SVC(), {"nonsense": [1]}).fit(X, y)
    with pytest.raises(ValueError, match="refit must be set to a scorer key"):
        GridSearch(View(), SVC(), {"C": [1.0]}, scoring=["accuracy", "f1"]).fit(X, y)
    with pytest.raises(ValueError, match="'estimator' parameter of GridSearch must be an object"):
        GridSearch(View(), None, {"C": [1.0]}).fit(X, y)
    mixed = GridSearch(View(), SVC(), {"kernel": ["precomputed", "rbf"]})
    with pytest.raises(SearchError, match="Search them separately"):
        mixed.fit(np.eye(10), y)


def test_a_search_is_an_estimator_before_it_is_fitted() -> None:
    view = View()
    search = RandomizedSearch(view, SVC(C=3.0), {"C": [1.0, 2.0]}, n_iter=2, random_state=0)
    for copied in (clone(search), copy.deepcopy(search)):
        assert copied.view is view  # a connection
        assert copied.estimator is not search.estimator
        assert repr(copied) == repr(search)
    assert search.get_params()["estimator__C"] == 3.0
    assert clone(search.set_params(estimator__C=4.0, ledger="a")).ledger == "a"
    assert search.estimator.C == 4.0
    assert pickle.loads(pickle.dumps(search)).view is None
    assert pickle.loads(pickle.dumps(search)).set_params(view=view).view is view
    assert is_classifier(search)
    assert is_regressor(GridSearch(view, SVR()))
    assert hasattr(search, "predict")
    assert not hasattr(search, "predict_proba")  # which SVC does not have like this
    assert not hasattr(GridSearch(view, SVC(), refit=False), "predict")
    for name in ("best_estimator_", "cv_results_", "classes_", "n_features_in_", "n_splits_"):
        assert not hasattr(search, name)
    with pytest.raises(NotFittedError, match="This RandomizedSearch instance is not fitted yet"):
        search.predict([[0.0]])
    with pytest.raises(NotFittedError):
        check_is_fitted(GridSearch())


def test_before_it_is_launched_a_search_has_nothing() -> None:
    search = GridSearch(None)
    assert (search.completed(), search.total(), search.progress()) == (0, 0, 0.0)
    assert search.wait()
    assert (search.find_bests(), search.evaluations(), search.retried) == ([], [], [])
    assert list(search.as_completed()) == []
    assert search.ledger is None
    assert search.abort().reset() is search
    assert "GridSearch" in search._repr_html_()
    with pytest.raises(SearchError, match="nothing to plot"):
        search.boxplot_parameters()


def test_data_frames_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SearchError, match="pip install pandas"):
        GridSearch(None).to_frame()


def test_compute_evaluation_travels_as_code() -> None:
    assert compute_evaluation.__module__ == "__main__"
    assert not compute_evaluation.__code__.co_freevars
    assert set(compute_evaluation.__globals__) & set(compute_evaluation.__code__.co_names) == set()


def test_scores_are_grouped_by_value_in_the_grids_order() -> None:
    candidates = [Candidate({"C": 10.0}, 1), Candidate({"C": 0.5}, 0), Candidate({"C": 99.0}, 2)]
    evaluations = [Evaluation(0, 0, 0.7, 0.8), Evaluation(1, 0, 0.5), Evaluation(0, 1, 0.9, 1.0)]
    groups = scores_by_value(candidates, evaluations)
    assert list(groups["C"]) == ["0.5", "10"]
    assert groups["C"]["10"] == {"validation": [0.7, 0.9], "train": [0.8, 1.0]}


def test_plots_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(SearchError, match="pip install matplotlib"):
        boxplot_parameters([], [], display_train=False)


def test_boxplot() -> None:
    pytest.importorskip("matplotlib").use("agg")
    candidates = [Candidate({"C": 10.0, "kernel": "rbf"}, 0)]
    figure = boxplot_parameters(candidates, [Evaluation(0, 0, 0.5, 0.6)], display_train=True)
    assert len(figure.axes) == 4

"""What can be wrong before anything is sent, and what is public."""

from __future__ import annotations

import copy
import inspect
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
from spotcluster.search import (
    ASHASearch,
    GridSearch,
    HalvingGridSearch,
    HalvingRandomSearch,
    LearningCurve,
    OptunaSearch,
    RandomizedGridSeach,
    RandomizedSearch,
    Search,
)
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.evaluations import Evaluation, compute_evaluation
from spotcluster.search.results.plots import boxplot_parameters, scores_by_value

RESOURCES = ("factor", "resource", "max_resources", "min_resources", "random_state")


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
    with pytest.raises(SearchError, match=r"has no view.*load_balanced_view"):
        search.fit([[0.0], [1.0]] * 5, [0, 1] * 5)
    with pytest.raises(SearchError, match=r"has no view.*load_balanced_view"):
        search.launch_for_splits(SVC(), {"C": [1.0]}, iris)


@pytest.mark.parametrize("error_score", ["nonsense", None])
def test_error_score_is_a_number_or_raise(error_score: Any, iris: list[str]) -> None:
    with pytest.raises(SearchError, match="error_score"):
        GridSearch(View(), error_score=error_score).launch_for_splits(SVC(), {"C": [1.0]}, iris)


def test_what_cannot_be_launched_is_said_before_anything_is_sent(iris: list[str]) -> None:
    X, y = [[0.0], [1.0]] * 5, [0, 1] * 5
    with pytest.raises(SearchError, match="'timeout' parameter of GridSearch must be a float"):
        GridSearch(View(), timeout=-1).launch_for_splits(SVC(), {"C": [1.0]}, iris)
    with pytest.raises(SearchError, match="'n_iter' parameter of RandomizedSearch must be an int"):
        RandomizedSearch(View(), SVC(), {"C": [1.0]}, n_iter=0).fit(X, y)
    with pytest.raises(SearchError, match="'grid' parameter of GridSearch must be an instance of"):
        GridSearch(View(), SVC()).fit(X, y)
    with pytest.raises(SearchError, match="Invalid parameter 'nonsense' for estimator SVC"):
        GridSearch(View()).launch_for_splits(SVC(), {"nonsense": [1]}, iris)
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense' for estimator SVC"):
        GridSearch(View(), SVC(), {"nonsense": [1]}).fit(X, y)
    with pytest.raises(ValueError, match="refit must be set to a scorer key"):
        GridSearch(View(), SVC(), {"C": [1.0]}, scoring=["accuracy", "f1"]).fit(X, y)
    with pytest.raises(ValueError, match="'estimator' parameter of GridSearch must be an object"):
        GridSearch(View(), None, {"C": [1.0]}).fit(X, y)
    mixed = GridSearch(View(), SVC(), {"kernel": ["precomputed", "rbf"]})
    with pytest.raises(ValueError, match="X should be a square kernel matrix"):
        mixed.fit(np.array(X), y)


@pytest.mark.parametrize("cv", [[], iter(())])
@pytest.mark.parametrize("kind", [GridSearch, HalvingGridSearch])
def test_a_cv_without_splits_was_told_to_write_split_files(kind: Any, cv: Any) -> None:
    X, y = [[0.0], [1.0]] * 5, [0, 1] * 5
    with pytest.raises(ValueError, match="Was the CV iterator empty"):
        kind(View(), SVC(), {"C": [1]}, cv=cv).fit(X, y)
    with pytest.raises(ValueError, match="Was the CV iterator empty"):
        kind(View()).launch_for_arrays(SVC(), {"C": [1]}, X, y, cv=cv)


def test_parameters_are_declared_once_and_seen_by_everybody() -> None:
    own = {
        GridSearch: {"grid"},
        RandomizedSearch: {"distributions", "n_iter", "random_state"},
        ASHASearch: {"distributions", "n_iter", *RESOURCES},
        HalvingGridSearch: {"grid", "aggressive_elimination", *RESOURCES},
        HalvingRandomSearch: {
            *("distributions", "n_candidates", "aggressive_elimination"),
            *RESOURCES,
        },
        OptunaSearch: {"space", "study", "sampler", "pruner", "n_trials", "n_concurrent"},
        LearningCurve: {"train_sizes", "shuffle", "random_state", "exploit_incremental_learning"},
    }
    shared = set(Search().get_params())
    assert shared == {
        *("estimator", "cv", "scoring", "refit", "error_score", "return_train_score"),
        *("timeout", "ledger", "accept_changes", "on_result"),
    }
    for kind, names in own.items():
        assert set(kind().get_params()) == shared | names, kind
        positional = [
            parameter.name
            for parameter in inspect.signature(kind).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        assert positional[:2] == ["view", "estimator"]
        assert len(positional) == (2 if kind is LearningCurve else 3), kind
    assert inspect.signature(HalvingRandomSearch).parameters["min_resources"].default == "smallest"
    assert inspect.signature(HalvingGridSearch).parameters["cv"].default == 5
    with pytest.raises(TypeError, match="nonsense"):
        GridSearch(nonsense=1)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (lambda **k: RandomizedSearch(distributions={"C": [1]}, n_iter=1.5, **k), "'n_iter' par"),
        (lambda **k: RandomizedSearch(distributions={"C": [1]}, random_state="x", **k), "random_"),
        (lambda **k: GridSearch(grid={"C": 3}, **k), "'C' needs to be a list or a numpy array"),
        (lambda **k: GridSearch(grid={"C": []}, **k), "'C' need to be a non-empty sequence"),
        (lambda **k: GridSearch(grid=7, **k), "'grid' parameter of GridSearch must be"),
        (lambda **k: GridSearch(grid={"C": [1]}, scoring="x", **k), "'scoring' parameter"),
        (lambda **k: HalvingGridSearch(grid={"C": [1]}, factor=1, **k), "'factor' parameter"),
        (lambda **k: HalvingGridSearch(grid={"C": [1]}, scoring=["f1"], **k), "'scoring' param"),
        (lambda **k: HalvingGridSearch(grid={"C": [1]}, min_resources=0, **k), "'min_resources'"),
        (lambda **k: HalvingGridSearch(grid={"C": [1]}, max_resources="x", **k), "'max_resources"),
        (lambda **k: HalvingGridSearch(grid={"C": [1]}, resource=3, **k), "'resource' parameter"),
        (
            lambda **k: HalvingGridSearch(grid={"C": [1]}, aggressive_elimination=3, **k),
            "'aggressive_elimination' parameter",
        ),
        (
            lambda **k: HalvingGridSearch(grid={"C": [1]}, resource="x", max_resources=9, **k),
            "Cannot use resource=x which is not supported by estimator SVC",
        ),
        (
            lambda **k: HalvingGridSearch(grid={"C": [1]}, resource="C", max_resources=9, **k),
            "Cannot use parameter C as the resource since it is part of the searched parameters",
        ),
        (
            lambda **k: HalvingGridSearch(grid={"C": [1]}, resource="degree", **k),
            "resource can only be 'n_samples' when max_resources='auto'",
        ),
        (
            lambda **k: HalvingGridSearch(grid={"C": [1]}, min_resources=500, **k),
            "min_resources_=500 is greater than max_resources_=40",
        ),
        (
            lambda **k: HalvingRandomSearch(
                distributions={"C": [1]}, n_candidates="exhaust", min_resources="exhaust", **k
            ),
            "n_candidates and min_resources cannot be both set to 'exhaust'",
        ),
        (lambda **k: ASHASearch(distributions={"C": [1]}, n_iter=0, **k), "'n_iter' parameter"),
        (lambda **k: ASHASearch(distributions={"no": [1]}, **k), "Invalid parameter 'no'"),
        (lambda **k: OptunaSearch(space={"C": [1.0]}, n_trials=0, **k), "'n_trials' parameter"),
        (lambda **k: OptunaSearch(space={"C": 3}, **k), "The space of 'C' is 3"),
        (lambda **k: OptunaSearch(space={"no": [1.0]}, **k), "Invalid parameter 'no'"),
        (lambda **k: LearningCurve(train_sizes=[0, 0.5], **k), "must be within"),
        (lambda **k: LearningCurve(exploit_incremental_learning=True, **k), "partial_fit"),
        (lambda **k: LearningCurve(refit=True, **k), "'refit' parameter of LearningCurve"),
    ],
)
def test_bad_parameters_are_value_errors_in_scikit_learns_words(search: Any, message: str) -> None:
    X, y = np.arange(40.0).reshape(40, 1), [0, 1] * 20
    made = search(view=View(), estimator=SVC(), cv=2)
    with pytest.raises(ValueError, match=message) as caught:
        made.fit(X, y)
    assert isinstance(caught.value, SearchError)


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
    assert list(groups["C"]) == [0.5, 10]
    assert groups["C"][10].validation == [0.7, 0.9]
    assert groups["C"][10].train == [0.8, 1.0]


def test_plots_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    candidates, done = [Candidate({"C": 10.0}, 0)], [Evaluation(0, 0, 0.5, 0.6)]
    with pytest.raises(SearchError, match="pip install matplotlib"):
        boxplot_parameters(candidates, done, display_train=False)


def test_boxplot() -> None:
    pytest.importorskip("matplotlib").use("agg")
    candidates = [Candidate({"C": 10.0, "kernel": "rbf"}, 0)]
    figure = boxplot_parameters(candidates, [Evaluation(0, 0, 0.5, 0.6)], display_train=True)
    assert len(figure.axes) == 4

"""A search with scikit-learn's contract, held against scikit-learn's own searches."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import sklearn
from scipy import sparse, stats
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer, pairwise
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from spotcluster.errors import SearchError
from spotcluster.search import (
    ASHASearch,
    GridSearch,
    HalvingGridSearch,
    HalvingRandomSearch,
    OptunaSearch,
    RandomizedSearch,
)
from spotcluster.search.kinds.halving import ResourceSearch

from .conftest import LIMIT, Machines
from .test_search_on_engines import assert_same_results

X, y = load_iris(return_X_y=True)
WEIGHTS = np.random.default_rng(0).uniform(size=len(y))
GROUPS = np.arange(len(y)) % 4


@pytest.fixture(autouse=True)
def what_is_here_travels_by_value() -> Iterator[None]:
    """Engines cannot import the tests."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


class Fragile(ClassifierMixin, BaseEstimator):
    """Fails for one value of its parameter, on some data or on all."""

    def __init__(self, n: int = 0) -> None:
        self.n = n

    def fit(self, X: Any, y: Any) -> Fragile:
        if self.n == 2 or (self.n == 1 and X[0, 0] > 5.0):
            raise ZeroDivisionError("not today")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.n)


class InPlace(StandardScaler):
    """Writes into what it is given."""

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        X -= self.mean_
        return X


def two_scores(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    right = accuracy_score(y, estimator.predict(X))
    return {"right": right, "wrong": 1 - right}


def no_score(estimator: Any, X: Any, y: Any) -> float:
    if estimator.C == 1.0:
        raise RuntimeError("no score today")
    return 0.5


def second(results: dict[str, Any]) -> int:
    return int(np.argsort(results["rank_test_score"])[1])


C = {"C": [0.1, 1.0, 10.0]}
MIXED = [{"kernel": ["rbf"], "gamma": [0.1, 1]}, {"kernel": ["poly"], "degree": [1, 2]}]
STEPS = Pipeline([("scale", StandardScaler()), ("model", SVC())])
CASES: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
    "defaults": (SVC(), C, {}, {}),
    "training scores": (SVC(), C, {"return_train_score": True}, {}),
    "masked parameters": (SVC(), MIXED, {"cv": 3}, {}),
    "several scores by name": (
        SVC(),
        C,
        {"scoring": ["accuracy", "f1_macro"], "refit": "f1_macro", "return_train_score": True},
        {},
    ),
    "several scores by scorer": (
        SVC(),
        C,
        {"scoring": {"a": "accuracy", "b": make_scorer(accuracy_score)}, "refit": False},
        {},
    ),
    "a function of two scores": (SVC(), C, {"scoring": two_scores, "refit": "right"}, {}),
    "refit by a function": (SVC(), C, {"refit": second}, {}),
    "groups": (SVC(), C, {"cv": GroupKFold(3)}, {"groups": GROUPS}),
    "a group left out": (SVC(), C, {"cv": LeaveOneGroupOut()}, {"groups": GROUPS}),
    "sample weights": (LogisticRegression(), C, {}, {"sample_weight": WEIGHTS}),
    "repeated splits": (SVC(), C, {"cv": RepeatedStratifiedKFold(random_state=1, n_splits=3)}, {}),
    "splits of time": (SVC(), C, {"cv": TimeSeriesSplit(3), "error_score": 0.0}, {}),
    "splits as indices": (SVC(), C, {"cv": list(StratifiedKFold(3).split(X, y))}, {}),
    "a pipeline": (
        STEPS,
        {"scale": [StandardScaler(), MinMaxScaler(), "passthrough"], "model__C": [1, 10]},
        {},
        {},
    ),
    "estimators as parameters": (
        STEPS,
        [{"model": [SVC(), LogisticRegression()], "model__C": [0.1, 1.0]}],
        {},
        {"model__sample_weight": WEIGHTS},
    ),
    "arrays as parameters": (SVC(), {"class_weight": [None, {0: 2.0}], "C": [1, 2.5]}, {}, {}),
    "in place": (make_pipeline(InPlace(), SVC()), {"svc__C": [1, 2]}, {}, {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_results_equal_scikit_learns(pair: Machines, case: str) -> None:
    model, grid, settings, params = CASES[case]
    ours = GridSearch(pair.client, model, grid, **settings).fit(X.copy(), y, **params)
    theirs = GridSearchCV(model, grid, **settings).fit(X.copy(), y, **params)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    for name in ("best_index_", "best_score_", "n_splits_", "multimetric_", "n_features_in_"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
        if hasattr(theirs, name):
            assert getattr(ours, name) == getattr(theirs, name), name
    assert hasattr(ours, "predict") == hasattr(theirs, "predict")
    assert hasattr(ours, "best_params_") == hasattr(theirs, "best_params_")
    if hasattr(theirs, "predict"):
        assert repr(ours.best_params_) == repr(theirs.best_params_)
        assert (ours.predict(X.copy()) == theirs.predict(X.copy())).all()
        if not callable(settings.get("scoring")):
            assert ours.score(X.copy(), y) == theirs.score(X.copy(), y)
        assert ours.classes_.tolist() == theirs.classes_.tolist()
        assert ours.refit_time_ > 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["frame", "sparse", "list", "fortran", "float32"])
def test_forms_of_data(pair: Machines, form: str) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"], index=rng.permutation(len(y)))
    data = {
        "frame": (frame, pandas.Series(y, index=frame.index).map({0: "x", 1: "y", 2: "z"})),
        "sparse": (sparse.csc_matrix(X), y),
        "list": (X.tolist(), y.tolist()),
        "fortran": (np.asfortranarray(X), y),
        "float32": (X.astype(np.float32), y),
    }[form]
    ours = GridSearch(pair.client, LogisticRegression(), C).fit(*data)
    theirs = GridSearchCV(LogisticRegression(), C).fit(*data)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert (ours.predict_proba(data[0]) == theirs.predict_proba(data[0])).all()
    assert hasattr(ours, "feature_names_in_") == (form == "frame")


@pytest.mark.filterwarnings("ignore")
def test_other_kinds_of_estimators(pair: Machines) -> None:
    regression = load_diabetes(return_X_y=True)
    kernel = pairwise.rbf_kernel(X)
    for model, grid, data in (
        (Ridge(), {"alpha": [0.1, 1.0]}, regression),
        (KMeans(random_state=0, n_init=2), {"n_clusters": [2, 3]}, (X,)),
        (SVC(kernel="precomputed"), C, (kernel, y)),
        (SVC(), {"kernel": ["precomputed"], **C}, (kernel, y)),
    ):
        ours = GridSearch(pair.client, model, grid, cv=3).fit(*data)
        with threadpool_limits(1):  # as engines have; sums come out another way with more
            theirs = GridSearchCV(model, grid, cv=3).fit(*data)
        assert_same_results(ours.cv_results_, theirs.cv_results_)
        assert (ours.predict(data[0]) == theirs.predict(data[0])).all()
        assert hasattr(ours, "transform") == hasattr(theirs, "transform")


def test_randomized_search_equals_scikit_learns(pair: Machines) -> None:
    space = [{"C": stats.loguniform(0.1, 10), "kernel": ["rbf", "linear"]}, {"gamma": [0.1, 1]}]
    settings = {"n_iter": 5, "random_state": 3, "cv": 3}
    ours = RandomizedSearch(pair.client, SVC(), space, **settings).fit(X, y)
    theirs = RandomizedSearchCV(SVC(), space, **settings).fit(X, y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    with pytest.warns(UserWarning, match="smaller than n_iter=9"):
        RandomizedSearch(pair.client, SVC(), C, n_iter=9, cv=2).fit(X, y)


def said(search: Any) -> list[tuple[type[Any], str]]:
    """Return what a fit warned of and raised: kinds, and the beginnings of the messages."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests have left
        try:
            search.fit(X, y)
        except Exception as error:  # noqa: BLE001 - whatever it is
            text = str(error).split("Below are")[0].split(" (scorer")[0]
            return [(type(error), text.replace("GridSearchCV", "GridSearch"))]
    texts = [str(item.message).split("Below are")[0].split("Traceback")[0] for item in caught]
    return [(item.category, text) for item, text in zip(caught, texts, strict=True)]


def test_warnings_and_errors_are_scikit_learns(pair: Machines) -> None:
    for model, grid, settings in (
        (Fragile(), {"n": [0, 1, 2]}, {}),
        (Fragile(), {"n": [0, 2]}, {"error_score": -1}),
        (Fragile(), {"n": [2]}, {}),
        (Fragile(), {"n": [0, 1, 2]}, {"error_score": "raise"}),
        (SVC(), C, {"scoring": no_score}),
        (SVC(), C, {"scoring": lambda *_: "a word"}),
        (SVC(), C, {"error_score": "nonsense"}),
        (SVC(), {"nonsense": [1]}, {}),
        (SVC(), C, {"scoring": ["accuracy", "r2"]}),
    ):
        ours = said(GridSearch(pair.client, model, grid, cv=3, **settings))
        theirs = said(GridSearchCV(model, grid, cv=3, **settings))
        assert [text for _, text in ours] == [text for _, text in theirs]
        for (mine, _), (other, _) in zip(ours, theirs, strict=True):
            assert issubclass(mine, other)


def test_a_raised_error_ends_the_search_and_is_tried_again(pair: Machines, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    # One engine does them in their order: of two, the first to be ready may fail first.
    view = pair.client.load_balanced_view(pair.client.ids[:1])
    search = GridSearch(view, Fragile(), {"n": [0, 1]}, error_score="raise", ledger=ledger, cv=3)
    with pytest.raises(ZeroDivisionError, match="not today") as caught:
        search.fit(X, y)
    assert "raised on node001" in caught.value.__notes__[0]
    assert not search.running()
    assert '"error": ""' in ledger.read_text()
    assert "not today" not in ledger.read_text()
    with pytest.raises(ZeroDivisionError):
        search.fit(X, y)


def test_launched_without_waiting(pair: Machines) -> None:
    results: list[Any] = []
    search = GridSearch(pair.client, SVC(), C, cv=3, on_result=results.append)
    assert search.launch(X, y) is search
    assert search.total() == 9
    assert search.wait(LIMIT)
    assert sorted(item.key for item in results) == [(c, s) for c in range(3) for s in range(3)]
    theirs = GridSearchCV(SVC(), C, cv=3).fit(X, y)
    assert_same_results(search.cv_results_, theirs.cv_results_)
    assert (search.predict(X) == theirs.predict(X)).all()
    assert search.score(X, y) == theirs.score(X, y)
    assert "9/9" in search._repr_html_()
    assert "GridSearch" in str(search._repr_mimebundle_())
    kept = pickle.loads(pickle.dumps(search))
    assert kept.best_score_ == theirs.best_score_
    assert (copy.deepcopy(search).predict(X) == theirs.predict(X)).all()
    search.on_result = lambda evaluation: 1 / 0
    assert search.launch(X, y).wait(LIMIT)
    assert "on_result has raised ZeroDivisionError" in search.report()


def test_data_frames_of_results(pair: Machines) -> None:
    pytest.importorskip("pandas")
    search = GridSearch(pair.client, SVC(), {"C": [1e-3, 1.0]}, cv=3)
    search.launch(X, y)
    assert search.wait(LIMIT)
    frame = search.to_frame()
    assert frame.index.tolist() == [1, 0]
    assert frame["param_C"].tolist() == [1.0, 1e-3]
    assert frame["mean_test_score"].iloc[0] == search.best_score_
    assert frame["finished"].tolist() == [3, 3]
    each = search.to_frame(by="evaluation")
    assert sorted(each.index) == [(c, s) for c in range(2) for s in range(3)]
    assert set(each["node"]) == {"node001"}
    assert (each["ended"] >= each["started"]).all()
    with pytest.raises(SearchError, match="candidate"):
        search.to_frame(by="week")


def test_inside_other_tools(pair: Machines) -> None:
    search = GridSearch(pair.client, SVC(), C, cv=2)
    peer = GridSearchCV(SVC(), C, cv=2)
    assert (cross_val_score(search, X, y, cv=2) == cross_val_score(peer, X, y, cv=2)).all()
    steps = make_pipeline(StandardScaler(), search).fit(X, y)
    assert (steps.predict(X) == make_pipeline(StandardScaler(), peer).fit(X, y).predict(X)).all()
    assert clone(steps)[-1].view is pair.client


def test_metadata_routing(pair: Machines) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        scoring = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        given = {"sample_weight": WEIGHTS, "groups": GROUPS}
        settings = {"scoring": scoring, "cv": GroupKFold(3)}
        ours = GridSearch(pair.client, model, C, **settings).fit(X, y, **given)
        theirs = GridSearchCV(model, C, **settings).fit(X, y, **given)
        assert_same_results(ours.cv_results_, theirs.cv_results_)
        assert ours.score(X, y, sample_weight=WEIGHTS) == theirs.score(X, y, sample_weight=WEIGHTS)


def test_weights_are_in_the_split_files_and_not_in_messages(pair: Machines) -> None:
    search = GridSearch(pair.client, LogisticRegression(), C, cv=3)
    search.fit(X, y, sample_weight=WEIGHTS)
    assert search._run is not None
    assert search._run.plan.task["fit_params"] == {}


@pytest.mark.parametrize("kind", [GridSearch, RandomizedSearch])
def test_fit_is_resumed(pair: Machines, kind: type[Any], tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    settings: dict[str, Any] = {"cv": 3, "scoring": ["accuracy", "f1_macro"], "refit": "accuracy"}
    search = kind(pair.client, LogisticRegression(), C, ledger=ledger, **settings)
    search.launch(X, y, sample_weight=WEIGHTS)
    for _ in search.as_completed(LIMIT):
        break
    search.abort()
    done = search.completed()
    assert done >= 1
    again = kind.resume(ledger, pair.client)
    assert again.completed() >= done
    assert again.wait(LIMIT)
    undisturbed = kind(pair.client, LogisticRegression(), C, **settings)
    if kind is RandomizedSearch:  # drawn anew it would be another order
        undisturbed.set_params(distributions=[{"C": [p["C"]]} for p in again.cv_results_["params"]])
        undisturbed = GridSearch(
            pair.client, LogisticRegression(), undisturbed.distributions, **settings
        )
    undisturbed.fit(X, y, sample_weight=WEIGHTS)
    assert_same_results(again.cv_results_, undisturbed.cv_results_)
    assert (again.predict_proba(X) == undisturbed.predict_proba(X)).all()
    assert again.get_params()["scoring"] == settings["scoring"]
    lines = ledger.read_text().count('"kind": "evaluation"')
    assert lines == 9
    same = kind(pair.client, LogisticRegression(), C, ledger=ledger, **settings)
    same.fit(X, y, sample_weight=WEIGHTS)  # or by the same fit with the same ledger
    assert (same.predict_proba(X) == undisturbed.predict_proba(X)).all()
    assert ledger.read_text().count('"kind": "evaluation"') == 9


@pytest.mark.parametrize("kind", [HalvingGridSearch, HalvingRandomSearch, ASHASearch])
def test_growing_fits_are_resumed(pair: Machines, kind: type[Any], tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    settings: dict[str, Any] = {"random_state": 0, "cv": 3, "min_resources": 30, "factor": 2}
    undisturbed = kind(pair.client, SVC(), C, **settings).fit(X, y)
    search = kind(pair.client, SVC(), C, ledger=ledger, **settings).launch(X, y)
    for _ in search.as_completed(LIMIT):
        break
    search.abort()
    again = kind.resume(ledger, pair.client)
    assert again.wait(LIMIT)
    keys = [evaluation.key for evaluation in again.evaluations()]
    assert len(keys) == len(set(keys)) == ledger.read_text().count('"kind": "evaluation"')
    if kind is not ASHASearch:  # whose promotions depend on what was finished first
        assert_same_results(again.cv_results_, undisturbed.cv_results_)
        assert (again.predict(X) == undisturbed.predict(X)).all()
    assert again.completed() == again.total()


def checked(kind: type[Any], view: Any) -> Any:
    """Return a small search of a kind, whose fits are the same each time."""
    settings: dict[str, Any] = {"cv": 2}
    if kind is OptunaSearch:
        sampler = pytest.importorskip("optuna").samplers.RandomSampler(seed=0)
        settings |= {"sampler": sampler, "n_trials": 2, "n_concurrent": 1}
    elif kind is not GridSearch:
        settings["random_state"] = 0
    if issubclass(kind, ResourceSearch):
        settings["min_resources"] = "smallest"  # there are few samples
    return kind(view, LogisticRegression(), {"C": [0.1, 1.0]}, **settings)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind",
    [
        *(GridSearch, RandomizedSearch, HalvingGridSearch, HalvingRandomSearch, ASHASearch),
        OptunaSearch,
    ],
)
def test_scikit_learns_own_checks(pair: Machines, kind: type[Any]) -> None:
    """Of which none is expected to fail."""
    results = check_estimator(checked(kind, pair.client), on_skip=None)
    assert len([result for result in results if result["status"] == "passed"]) > 45


KERNEL = pairwise.rbf_kernel(X)


@pytest.mark.parametrize(
    ("model", "grid"),
    [
        (SVC(), [{"kernel": ["precomputed", "rbf"]}, {"C": [2.0]}]),
        (SVC(kernel="precomputed"), {"kernel": ["linear", "precomputed"], "C": [0.1, 1.0]}),
        (Pipeline([("model", SVC())]), {"model": [SVC(kernel="precomputed"), SVC()]}),
    ],
)
def test_kernels_that_only_some_candidates_take(pair: Machines, model: Any, grid: Any) -> None:
    ours = GridSearch(pair.client, model, grid, cv=3, return_train_score=True).fit(KERNEL, y)
    theirs = GridSearchCV(model, grid, cv=3, return_train_score=True).fit(KERNEL, y)
    for name in [*(f"split{n}_test_score" for n in range(3)), "mean_train_score"]:
        assert ours.cv_results_[name].tolist() == theirs.cv_results_[name].tolist()
        assert np.isfinite(ours.cv_results_[name]).all()
    assert (ours.predict(KERNEL) == theirs.predict(KERNEL)).all()
    for search in (
        GridSearch(pair.client, model, grid, cv=3),
        GridSearchCV(model, grid, cv=3),
    ):
        with pytest.raises(ValueError, match="X should be a square kernel matrix"):
            search.fit(X, y)


def test_optuna_may_choose_a_kernel(pair: Machines) -> None:
    pytest.importorskip("optuna")
    space = {"kernel": ["precomputed", "rbf"]}
    search = OptunaSearch(pair.client, SVC(), space, n_trials=6, cv=3).fit(KERNEL, y)
    known = {
        kernel: cross_val_score(SVC(kernel=kernel), KERNEL, y, cv=3).mean()
        for kernel in space["kernel"]
    }
    table = search.cv_results_
    for params, mean in zip(table["params"], table["mean_test_score"], strict=True):
        assert mean == known[params["kernel"]]


class Warns(Fragile):
    """Warns, as often as it is told."""

    def fit(self, X: Any, y: Any) -> Warns:
        self.classes_ = np.unique(y)
        for _ in range(self.n):
            warnings.warn("it is late", ConvergenceWarning, stacklevel=2)
        if self.n == 3:
            warnings.warn("never heard of", DeprecationWarning, stacklevel=2)
        return self


def test_what_engines_warn_of_is_warned_of_here(pair: Machines) -> None:
    search = GridSearch(pair.client, Warns(), {"n": [0, 1, 3]}, cv=2, refit=False)

    def heard(how: str, *filters: tuple[Any, ...]) -> list[warnings.WarningMessage]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.resetwarnings()
            warnings.simplefilter("ignore", ResourceWarning)  # of what other tests have left
            for item in filters:
                warnings.filterwarnings(*item)
            if how == "fit":
                search.fit(X, y)
            else:
                search.launch(X, y)
                assert search.wait(LIMIT)
                assert search.wait(LIMIT)
        return caught

    for how in ("fit", "wait"):
        first, second = heard(how)
        assert first.category is ConvergenceWarning
        assert str(first.message) == (
            "it is late\n(Warned of 8 times on engines, in 4 of 6 evaluations.)"
        )
        assert second.category is DeprecationWarning
        assert {first.filename, second.filename} == {__file__}  # where it was asked for
        (only,) = heard(how, ("ignore", "", DeprecationWarning))
        assert only.category is ConvergenceWarning
        assert heard(how, ("ignore", "it is"))[0].category is DeprecationWarning
    assert search.cv_results_["mean_test_score"].tolist()[1:] != [np.nan] * 2
    failed = heard("fit", ("error", "", ConvergenceWarning))
    assert [item.category for item in failed] == [FitFailedWarning, UserWarning]
    assert "4 fits failed out of a total of 6" in str(failed[0].message)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True, True]


def test_warnings_are_in_the_ledger(pair: Machines, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with pytest.warns(ConvergenceWarning, match="2 times on engines, in 2 of 2 evaluations"):
        GridSearch(pair.client, Warns(), {"n": [1]}, cv=2, ledger=ledger).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="2 times on engines, in 2 of 2 evaluations"):
        GridSearch.resume(ledger, pair.client).wait(LIMIT)

"""Searches on real engines, undisturbed."""

from __future__ import annotations

import json
import signal
import sys
import threading
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    PredefinedSplit,
    RandomizedSearchCV,
    ShuffleSplit,
)
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search import (
    Evaluation,
    GridSearch,
    RandomizedGridSeach,
    RandomizedSearch,
    compute_evaluation,
    get_engines_memory,
    get_host_free_memory,
    one_engine_per_host,
    warm_mmap_on_cv_splits,
)
from spotcluster.search.dispatch.dispatcher import Dispatcher

from .conftest import GRID, LIMIT, Gated, Machines, undelayed, until

TABLE = [
    ("0.99022", {"C": 1.0, "gamma": 0.001}),
    ("0.98889", {"C": 10.0, "gamma": 0.001}),
    ("0.98889", {"C": 100.0, "gamma": 0.001}),
    ("0.98756", {"C": 10.0, "gamma": 0.0001}),
    ("0.98711", {"C": 100.0, "gamma": 0.0001}),
]
SMALL = {"C": [0.1, 1.0, 10.0], "kernel": ["linear", "rbf"]}


def assert_same_results(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Hold two tables equal, but for the times that fits took."""
    assert list(ours) == list(theirs)
    for name, column in theirs.items():
        if not name.endswith("_time"):
            assert np.asarray(ours[name]).dtype == np.asarray(column).dtype, name
            assert np.ma.asarray(ours[name]).tolist() == np.ma.asarray(column).tolist(), name


def test_digits_table_of_the_seed(pair: Machines, digits: list[str]) -> None:
    view = pair.client.load_balanced_view()
    search = RandomizedGridSeach(view, random_state=0)
    assert search.launch_for_splits(SVC(), GRID, digits) is search
    assert search.total() == 40
    assert search.wait(2 * LIMIT)
    assert search.completed() == 40
    assert search.progress() == 1.0
    assert [(f"{score:.5f}", params) for score, params in search.find_bests()] == TABLE
    lines = search.report().splitlines()
    assert lines[0] == "Progress: 100% (040/040)"
    assert lines[2] == ("Rank 1: validation: 0.99022 (+/-0.00151) train: 0.99896 (+/-0.00038):")
    assert lines[3] == " {'C': 1.0, 'gamma': 0.001}"
    assert str(search) == search.report()
    assert search.evaluations_per_node() == {"node001": 40}
    assert undelayed(search) == []


def test_grid_search_equals_scikit_learn(pair: Machines) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    grid = [{"C": [1, 10], "gamma": [0.001, 0.01]}, {"kernel": ["linear"], "C": [1.0]}]
    cv = ShuffleSplit(3, test_size=0.25, random_state=42)
    search = GridSearch(pair.client).launch_for_arrays(SVC(), grid, X, y, cv=cv)
    assert search.wait(LIMIT)
    peer = GridSearchCV(SVC(), grid, cv=cv, return_train_score=True).fit(X, y)
    assert_same_results(search.cv_results_, peer.cv_results_)
    assert search.best_index_ == peer.best_index_
    assert search.best_params_ == peer.best_params_
    assert search.best_score_ == peer.best_score_
    assert (search.best_estimator_.predict(X) == peer.predict(X)).all()


def test_default_splits_of_arrays_are_those_of_the_seed(pair: Machines, iris: list[str]) -> None:
    X, y = load_iris(return_X_y=True)
    first = GridSearch(pair.client).launch_for_splits(SVC(), SMALL, iris)
    second = GridSearch(pair.client).launch_for_arrays(
        SVC(), SMALL, X, y, n_splits=3, random_state=0
    )
    assert first.wait(LIMIT)
    assert second.wait(LIMIT)
    assert_same_results(first.cv_results_, second.cv_results_)


def test_randomized_search_equals_scikit_learn(pair: Machines) -> None:
    X, y = load_iris(return_X_y=True)
    cv = KFold(3, shuffle=True, random_state=1)
    for space in (SMALL, {"C": stats.loguniform(0.1, 10)}):
        search = RandomizedSearch(pair.client, n_iter=4, random_state=7, scoring="f1_macro")
        search.launch_for_arrays(SVC(), space, X, y, cv=cv)
        assert search.wait(LIMIT)
        peer = RandomizedSearchCV(
            SVC(),
            space,
            n_iter=4,
            random_state=7,
            scoring="f1_macro",
            cv=cv,
            return_train_score=True,
        ).fit(X, y)
        assert_same_results(search.cv_results_, peer.cv_results_)


def test_frames_and_sparse_matrices(pair: Machines) -> None:
    X, y = load_iris(return_X_y=True)
    cv = PredefinedSplit(np.arange(len(y)) % 3)
    search = GridSearch(pair.client)
    search.launch_for_arrays(SVC(), SMALL, sparse.csr_matrix(X), y, cv=cv)
    assert search.wait(LIMIT)
    peer = GridSearchCV(SVC(), SMALL, cv=cv, return_train_score=True)
    assert_same_results(search.cv_results_, peer.fit(sparse.csr_matrix(X), y).cv_results_)


def test_functions_and_tools_of_the_seed(pair: Machines, iris: list[str]) -> None:
    pair.start("node002", 1)
    client = pair.client
    score = client.load_balanced_view().apply(compute_evaluation, iris[0], SVC(), {"C": 10.0})
    X_train, y_train, X_test, y_test = joblib.load(iris[0])
    assert score.get(LIMIT) == SVC(C=10.0).fit(X_train, y_train).score(X_test, y_test)
    assert set(one_engine_per_host(client)) == {"node001", "node002"}
    assert sorted(get_engines_memory(client)) == client.ids
    assert all(memory > 1 for memory in get_engines_memory(client).values())
    assert set(get_host_free_memory(client)) == {"node001", "node002"}
    warm_mmap_on_cv_splits(client, iris)


def test_arrays_are_mapped_and_never_sent_with_an_evaluation(
    pair: Machines, tmp_path: Path
) -> None:
    class Witness(ClassifierMixin, BaseEstimator):
        """Says what kind of array it was given."""

        def fit(self, X: Any, y: Any) -> Witness:
            self.classes_ = np.unique(y)
            import mmap

            self.mapped_ = type(X) is np.ndarray and isinstance(X.base, mmap.mmap)
            return self

        def score(self, X: Any, y: Any) -> float:
            return float(self.mapped_)

    X = np.random.default_rng(0).normal(size=(2000, 10))
    search = GridSearch(pair.client)
    search.launch_for_arrays(Witness(), {}, X, (X[:, 0] > 0).astype(int), n_splits=2)
    assert search.wait(LIMIT)
    assert search.failed() == []
    assert search.best_score_ == 1.0


def test_an_estimator_that_raises_is_recorded(pair: Machines, iris: list[str]) -> None:
    grid = {"kernel": ["linear", "no such kernel"]}
    search = GridSearch(pair.client, error_score=-1.0).launch_for_splits(SVC(), grid, iris)
    assert search.wait(LIMIT)
    failed = search.failed()
    assert [(item.candidate, item.split) for item in sorted(failed, key=lambda e: e.key)] == [
        (1, 0),
        (1, 1),
        (1, 2),
    ]
    assert all("no such kernel" in item.error and "Traceback" in item.error for item in failed)
    assert search.cv_results_["mean_test_score"][1] == -1.0
    assert search.cv_results_["rank_test_score"].tolist() == [1, 2]
    assert "Failed: 3, the first with: " in search.report()
    assert undelayed(search) == []


def test_following_a_search_in_mid_flight(pair: Machines, iris: list[str], gated: Gated) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one finished split has no standard error; no warning
        search = GridSearch(pair.client).launch_for_splits(gated, SMALL, iris, pace=0.1)
        assert search.wait(0.0) is False
        first = next(iter(search.as_completed(timeout=LIMIT)))
        assert first.node == "node001"
        assert first.ended - first.started > 0.09  # this clock may be set meanwhile
        (best, *_) = search.find_bests()
        assert best.finished < best.splits
        assert 0 < search.progress() < 1
        assert "splits)" in search.report()
        gated.open()
        assert len(list(search.as_completed(timeout=LIMIT))) == 18
        assert search.wait(LIMIT)


def test_abort_keeps_results_and_reset_forgets_them(
    pair: Machines, iris: list[str], gated: Gated
) -> None:
    search = GridSearch(pair.client).launch_for_splits(gated, SMALL, iris)
    for evaluation in search.as_completed(timeout=LIMIT):
        assert evaluation.error == ""
        break
    search.abort()
    assert not search.running()
    assert search.wait(0)
    assert 1 <= (done := search.completed()) < 18
    assert len(search.find_bests(100)) >= 1
    gated.open()
    # what was under way ends and does not count any more
    again = GridSearch(pair.client).launch_for_splits(SVC(), {"C": [1.0]}, iris[:1])
    assert again.wait(LIMIT)
    assert search.completed() == done
    search.reset()
    assert (search.completed(), search.total(), search.progress()) == (0, 0, 0.0)
    assert search.find_bests() == []


def test_a_view_with_targets_is_kept_to(pair: Machines, iris: list[str]) -> None:
    (other,) = pair.start("node002")
    view = pair.client.load_balanced_view(targets=[other])
    search = GridSearch(view).launch_for_splits(SVC(), SMALL, iris)
    assert search.wait(LIMIT)
    assert search.evaluations_per_node() == {"node002": 18}


def test_a_closed_client_is_told_of(pair: Machines, iris: list[str]) -> None:
    import ipyparallel

    path = pair.engine_file.with_name("ipcontroller-client.json")
    client = ipyparallel.Client(str(path))
    search = GridSearch(client).launch_for_splits(SVC(), SMALL, iris, pace=0.2)
    client.close()
    with pytest.raises(SearchError, match=r"client of the search was closed.*resume"):
        search.wait(LIMIT)


def test_a_client_that_was_closed_in_the_middle_of_a_step_was_not_told_of_as_such(
    pair: Machines, iris: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ipyparallel

    from spotcluster.search.dispatch import dispatcher

    path = pair.engine_file.with_name("ipcontroller-client.json")
    client = ipyparallel.Client(str(path))
    # called right after a step has seen that the client is open
    monkeypatch.setattr(dispatcher.prune, "used", lambda *_: client.close())
    search = GridSearch(client).launch_for_splits(SVC(), SMALL, iris, pace=0.2)
    with pytest.raises(SearchError, match=r"client of the search was closed.*resume"):
        search.wait(LIMIT)


def test_every_result_is_on_disk_before_it_is_told(pair: Machines, iris: list[str]) -> None:
    search = GridSearch(pair.client).launch_for_splits(SVC(), SMALL, iris)
    for evaluation in search.as_completed(timeout=LIMIT):
        assert search.ledger is not None
        lines = [json.loads(line) for line in search.ledger.read_text().splitlines()]
        keys = {(line["candidate"], line["split"]) for line in lines[2:]}
        assert evaluation.key in keys
    assert search.ledger.stat().st_mode & 0o777 == 0o600


def test_a_search_seemed_ended_after_a_ctrl_c_in_wait(
    pair: Machines, iris: list[str], gated: Gated
) -> None:
    search = GridSearch(pair.client)
    search.launch_for_splits(gated, {"C": [0.1, 1.0, 10.0]}, iris)
    me = threading.get_ident()

    def waits() -> bool:
        frame = sys._current_frames()[me]
        return any(at.f_code is Dispatcher.join.__code__ for at, _ in traceback.walk_stack(frame))

    def interrupt() -> None:
        until(waits, "the test to wait for the search")
        signal.pthread_kill(me, signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            search.wait()
    assert search.running()
    gated.open()
    assert search.wait(LIMIT)
    assert search.completed() == 9


def test_numbers_of_numpys_could_not_be_written_into_the_ledger(
    pair: Machines, iris: list[str]
) -> None:
    search = GridSearch(pair.client[:], error_score=np.float32(-1), timeout=np.int64(30))
    search.launch_for_splits(SVC(), {"C": [-1.0, 1.0]}, iris)
    assert search.wait(LIMIT)
    assert search.cv_results_["mean_test_score"][0] == -1.0
    assert search.ledger is not None
    assert GridSearch.resume(search.ledger, pair.client).error_score == -1.0


def test_a_callback_could_not_abort_its_search(pair: Machines, iris: list[str]) -> None:
    def enough(_: Evaluation) -> None:
        search.abort()

    search = GridSearch(pair.client, on_result=enough)
    search.launch_for_splits(SVC(), {"C": [0.1, 1.0, 10.0, 100.0]}, iris, pace=0.5)
    assert search.wait(LIMIT)
    assert 1 <= search.completed() < 12
    assert "raised" not in search.report()
    search.set_params(on_result=lambda _: search.wait())
    search.launch_for_splits(SVC(), {"C": [0.1]}, iris)
    assert search.wait(LIMIT)
    assert "on_result has raised SearchError: What a search calls" in search.report()

"""Searches on executors of concurrent.futures, without any controller."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the import possible
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, learning_curve
from sklearn.svm import SVC

from spotcluster import search as searches
from spotcluster.errors import SearchError
from spotcluster.search import (
    ASHASearch,
    GridSearch,
    HalvingGridSearch,
    OptunaSearch,
    RandomizedSearch,
)

from .conftest import ALONE, LIMIT, Machines, until
from .numbered import (
    NUMBERS,
    ONE,
    Bounded,
    Deadly,
    Interrupted,
    Model,
    Rude,
    Sleepy,
    Warns,
    assert_whole,
    put,
    waiting,
)
from .test_search_on_engines import assert_same_results

X, Y = load_iris(return_X_y=True)
GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.001, 0.01, 0.1]}
KINDS: dict[str, Callable[[], Executor]] = {
    "processes": lambda: ProcessPoolExecutor(2),
    "spawned processes": lambda: ProcessPoolExecutor(2, get_context("spawn")),
    "loky": lambda: get_reusable_executor(2),
    "threads": lambda: ThreadPoolExecutor(2),
}


@pytest.fixture(params=KINDS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Two workers, of each kind."""
    with KINDS[request.param]() as made:
        yield made


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as made:
        yield made


@pytest.fixture
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2) as made:
        yield made


def test_table_is_grid_search_cvs(executor: Executor) -> None:
    theirs = GridSearchCV(SVC(), GRID, return_train_score=True).fit(X, Y)
    ours = GridSearch(executor, SVC(), GRID, return_train_score=True).fit(X, Y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == theirs.best_params_
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert {item.engine for item in ours.evaluations()} <= {0, 1}
    again = GridSearch(executor, SVC(), GRID, return_train_score=True).fit(X, Y)
    assert_same_results(again.cv_results_, theirs.cv_results_)


def test_models_and_scorers_that_have_no_name_to_be_imported_by(executor: Executor) -> None:
    class Local(SVC):
        pass

    def scorer(model: Any, X: Any, y: Any) -> float:
        assert type(model).__name__ == "Local"
        return float(accuracy_score(y, model.predict(X)))

    theirs = GridSearchCV(SVC(), GRID).fit(X, Y)
    ours = GridSearch(executor, Local(), GRID, scoring=scorer).fit(X, Y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)


def test_every_kind_of_search(threads: Executor) -> None:
    theirs = HalvingGridSearchCV(SVC(), GRID, random_state=0).fit(X, Y)
    assert_same_results(
        HalvingGridSearch(threads, SVC(), GRID, random_state=0).fit(X, Y).cv_results_,
        theirs.cv_results_,
    )
    drawn = RandomizedSearch(threads, SVC(), GRID, n_iter=4, random_state=0).fit(X, Y)
    assert len(drawn.cv_results_["params"]) == 4
    climbed = ASHASearch(threads, SVC(), GRID, min_resources=16, random_state=0).fit(X, Y)
    assert climbed.best_score_ > 0.9
    proposed = OptunaSearch(threads, SVC(), GRID, n_trials=5).fit(X, Y)
    assert proposed.completed() == 25
    settings: Any = {"train_sizes": [30, 60], "cv": 3, "shuffle": True, "random_state": 0}
    for mine, his in zip(
        searches.learning_curve(threads, SVC(), X, Y, **settings),
        learning_curve(SVC(), X, Y, **settings),
        strict=True,
    ):
        assert np.array_equal(mine, his)


def test_failed_fits_and_warnings_are_told_as_on_engines(processes: Executor) -> None:
    found = GridSearch(processes, SVC(), {"C": [-1.0, 1.0]}, error_score=-1.0)
    with pytest.warns(Warning, match="5 fits failed out of a total of 10"):
        found.fit(X, Y)
    assert found.cv_results_["mean_test_score"].tolist()[0] == -1.0
    assert "InvalidParameterError" in found.failed()[0].error
    with pytest.warns(UserWarning, match=r"number 1\n\(Warned of 5 times on engines"):
        GridSearch(processes, Warns(), {"n": [0, 1]}).fit(X, Y)
    with pytest.raises(ValueError, match="'C' parameter of SVC"):
        GridSearch(processes, SVC(), {"C": [-1.0]}, error_score="raise").fit(X, Y)


def test_threads_change_nothing_that_their_process_has_once(threads: Executor) -> None:
    before = list(warnings.filters), warnings.showwarning
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        within = list(warnings.filters), warnings.showwarning
        GridSearch(threads, Warns(), {"n": list(range(6))}, refit=False).fit(X, Y)
        assert (list(warnings.filters), warnings.showwarning) == within
    assert (list(warnings.filters), warnings.showwarning) == before
    assert {str(one.message) for one in caught} == {f"number {n}" for n in range(6)}


def test_a_class_of_a_notebook_was_another_one_after_a_search_on_threads(
    threads: Executor,
) -> None:
    class Local(Model):
        pass

    fit = Local.fit
    GridSearch(threads, Local(), {"n": [0, 1]}).fit(X, Y)
    assert Local.fit is fit
    assert "fit" not in vars(Local)


def test_threads_do_not_see_what_others_write_into_the_data(
    threads: Executor, tmp_path: Path
) -> None:
    data, model = np.zeros((10, 2)), Rude(gate=str(tmp_path / "wrote"))
    found = GridSearch(threads)
    found.launch_for_arrays(model, {"n": [0, 1, 2, 3]}, data, [0, 1] * 5, n_splits=1)
    assert found.wait(LIMIT)
    assert found.cv_results_["mean_test_score"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_time_limit_is_kept_by_processes(processes: Executor) -> None:
    found = GridSearch(processes, Sleepy(), {"n": [0, 1, 2]}, timeout=0.3, error_score=-1.0)
    with pytest.warns(Warning, match="fits failed"):
        found.fit(X, Y)
    assert found.cv_results_["mean_test_score"].tolist() == [0.0, -1.0, 2.0]
    assert "took longer than timeout=0.3 s" in found.failed()[0].error


def test_a_time_limit_is_refused_by_threads_before_anything_is_sent(tmp_path: Path) -> None:
    asked: list[Any] = []
    with ThreadPoolExecutor(2, initializer=asked.append, initargs=(1,)) as threads:
        found = GridSearch(threads, SVC(), GRID, timeout=1.0, ledger=tmp_path / "ledger")
        with pytest.raises(SearchError, match=r"no timeout.*executor of processes"):
            found.fit(X, Y)
    assert not asked
    assert not (tmp_path / "ledger").exists()


def test_what_has_no_engines_is_told_what_has(processes: Executor) -> None:
    class Strange(Executor):
        pass

    for strange in (Strange(), 7):
        with pytest.raises(SearchError, match=r"cannot run on a (Strange|int).*ipyparallel.*loky"):
            GridSearch(strange, SVC(), GRID).fit(X, Y)


def test_abort_and_wait_and_going_on(executor: Executor, bound: Path) -> None:
    done: list[Any] = []
    found = GridSearch(executor, on_result=done.append)
    found.launch_for_arrays(Bounded(gate=str(bound)), NUMBERS, X, Y, **ONE, pace=ALONE)
    until(lambda: found.completed() == 4, "four are done")
    assert not found.wait(0.01)
    assert found.running()
    found.abort()
    assert not found.running()
    assert [item.candidate for item in done] == [item.candidate for item in found.evaluations()]
    put(bound, 99)
    again = GridSearch.resume(found.ledger, executor)
    assert again.wait(LIMIT)
    assert_whole(again)


def test_ctrl_c_ends_a_fit_and_the_executor_can_go_on(executor: Executor, tmp_path: Path) -> None:
    told: list[Any] = []

    def interrupt(evaluation: Any) -> None:
        told.append(evaluation)
        if len(told) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    ledger = tmp_path / "ledger"
    found = GridSearch(
        *(executor, Sleepy(), {"n": [0, 2, 3, 4]}), cv=2, ledger=ledger, on_result=interrupt
    )
    with pytest.raises(KeyboardInterrupt):
        found.fit(X, Y)
    assert not found.running()
    again = GridSearch.resume(ledger, executor)
    assert again.wait(LIMIT)
    assert again.cv_results_["mean_test_score"].tolist() == [0.0, 2.0, 3.0, 4.0]


def test_a_killed_worker_ends_the_search_and_the_next_executor_goes_on(
    bound: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    with ProcessPoolExecutor(1) as processes:
        first = GridSearch(processes, ledger=ledger)
        first.launch_for_arrays(Bounded(gate=str(bound)), NUMBERS, X, Y, **ONE, pace=ALONE)
        (pid,) = until(lambda: waiting(bound).values(), "one waits")
        os.kill(pid, signal.SIGKILL)
        sentence = "A worker of the executor died.*new executor and resume.*ledger"
        with pytest.raises(SearchError, match=sentence):
            first.wait(LIMIT)
    assert first.completed() == 4
    put(bound, 99)
    with ProcessPoolExecutor(2) as processes:
        again = GridSearch.resume(ledger, processes)
        assert again.wait(LIMIT)
    assert_whole(again)
    assert [item for item in again.evaluations() if item.pid == pid] == first.evaluations()


@pytest.mark.parametrize("kind", ["processes", "loky"])
def test_what_kills_a_worker_three_times_is_given_up_and_its_neighbours_are_not(
    kind: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    found = GridSearch(None, error_score=-1.0, ledger=ledger)
    broken = 0
    while not broken or found.completed() < found.total():
        with KINDS[kind]() as made:
            try:
                if broken:
                    found = GridSearch.resume(ledger, made)
                else:
                    found = GridSearch(made, error_score=-1.0, ledger=ledger)
                    found.launch_for_arrays(Deadly(), NUMBERS, X, Y, **ONE)
                found.wait(LIMIT)
            except SearchError as error:
                assert "A worker of the executor died" in str(error)  # noqa: PT017 - not always
                broken += 1
        assert broken <= 3
    assert broken == 3
    (failed,) = found.failed()
    assert failed.killed
    assert failed.candidate == 1
    others = [n for n in range(12) if n != 1]
    assert [found.cv_results_["mean_test_score"][n] for n in others] == [float(n) for n in others]


def test_an_interrupt_of_a_whole_terminal_was_counted_as_a_death(
    processes: Executor, tmp_path: Path
) -> None:
    found = GridSearch(processes, ledger=tmp_path / "ledger")
    found.launch_for_arrays(Interrupted(gate=str(tmp_path)), {"n": [0, 1, 2]}, X, Y, n_splits=1)
    assert found.wait(LIMIT)
    assert found.cv_results_["mean_test_score"].tolist() == [0.0, 1.0, 2.0]
    (retry,) = found.retried
    assert "it was interrupted on engine" in retry.reason
    assert not retry.lost


def test_an_executor_that_was_shut_down(processes: Executor, tmp_path: Path) -> None:
    processes.shutdown()
    found = GridSearch(processes, SVC(), GRID, ledger=tmp_path / "ledger")
    with pytest.raises(SearchError, match=r"was shut down.*new executor"):
        found.fit(X, Y)
    with ProcessPoolExecutor(2) as other:
        again = GridSearch.resume(tmp_path / "ledger", other)
        assert again.wait(LIMIT)
    assert_same_results(again.cv_results_, GridSearchCV(SVC(), GRID).fit(X, Y).cv_results_)


def test_search_begun_on_the_laptop_goes_on_on_the_cluster_and_comes_back(
    pair: Machines, bound: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    processes = get_reusable_executor(2)
    first = GridSearch(processes, ledger=ledger)
    first.launch_for_arrays(Bounded(gate=str(bound)), NUMBERS, X, Y, **ONE, pace=ALONE)
    until(lambda: first.completed() == 4, "four are done here")
    first.abort()
    # Evaluations that began before it go on in a worker, and would be let go on in others' places.
    processes.shutdown(kill_workers=True)
    put(bound, 8)
    second = GridSearch.resume(ledger, pair.client, pace=ALONE)
    until(lambda: second.completed() == 8, "four more are done on engines")
    second.abort()
    put(bound, 99)
    with get_reusable_executor(2) as others:
        third = GridSearch.resume(ledger, others)
        assert third.wait(LIMIT)
    assert_whole(third)
    here = {item.node for item in first.evaluations()}
    where = [item.node for item in third.evaluations()]
    assert "node001" not in here
    assert where.count("node001") == 4
    assert set(where) == {*here, "node001"}

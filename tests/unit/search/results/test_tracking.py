"""Searches as MLflow's runs, in a database of its own."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.svm import SVC

import spotcluster.search
from spotcluster.errors import SearchError
from spotcluster.search import GridSearch, persist_cv_splits
from spotcluster.search.results import tracking

mlflow: Any = None
LIMIT = 240.0
X, Y = load_iris(return_X_y=True)
GRID = {"C": [0.1, 1, 10], "gamma": [0.1, 1]}


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Import it where these tests run: of each process that collects them it would take seconds."""
    global mlflow
    mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def tracker(database: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give what makes a tracker that writes into an experiment of the test's own."""

    def made(**given: Any) -> Any:
        name = request.node.name
        return spotcluster.search.mlflow(name, tracking_uri=database, **given)

    return made


@pytest.fixture
def written(database: str, request: pytest.FixtureRequest) -> Callable[[], tuple[Any, Any]]:
    """Give what reads the run of the search, and those of its candidates by their numbers."""

    def read() -> tuple[Any, dict[int, Any]]:
        client = mlflow.MlflowClient(tracking_uri=database)
        experiment = client.get_experiment_by_name(request.node.name).experiment_id
        runs = list(client.search_runs([experiment]))
        (parent,) = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
        children = [one for one in runs if one is not parent]
        assert {one.data.tags["mlflow.parentRunId"] for one in children} <= {parent.info.run_id}
        by_number = {int(one.data.tags[tracking.CANDIDATE]): one for one in children}
        assert len(by_number) == len(children), "a candidate was written twice"
        return parent, by_number

    return read


def problem_of(track: Any) -> str:
    """Wait until the tracker has failed, and return what is said of it."""
    end = time.monotonic() + LIMIT
    while not track.problem:
        assert time.monotonic() < end
        time.sleep(0.02)
    return str(track.problem)


@pytest.fixture
def engines() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_search_is_a_run_and_its_candidates_are_runs_below_it(
    tracker: Any, written: Any, engines: Any
) -> None:
    track = tracker(usd_per_hour=3600.0, tags={"owner": "me"})
    search = GridSearch(engines, SVC(), GRID, cv=3, on_result=track, return_train_score=True)
    search.launch(X, Y)
    assert search.wait(LIMIT)
    assert track.wait(LIMIT)
    parent, children = written()
    table = search.cv_results_
    assert sorted(children) == list(range(6))
    for number, one in children.items():
        done = [item for item in search.evaluations() if item.candidate == number]
        assert one.info.status == "FINISHED"
        assert one.data.params == {k: str(v) for k, v in table["params"][number].items()}
        metrics = one.data.metrics
        assert metrics["mean_test_score"] == pytest.approx(table["mean_test_score"][number])
        assert metrics["mean_train_score"] == pytest.approx(table["mean_train_score"][number])
        assert metrics["fit_seconds"] == pytest.approx(sum(item.fit_time for item in done))
        assert metrics["cost_usd"] == pytest.approx(sum(x.ended - x.started for x in done))
        assert one.data.tags["spotcluster.nodes"] == done[0].node
        assert one.info.start_time == round(1000 * min(item.started for item in done))
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["owner"] == "me"
    assert parent.data.tags["best.C"] == str(search.best_params_["C"])
    assert parent.data.metrics["best_score"] == pytest.approx(search.best_score_)
    assert parent.data.metrics["evaluations"] == 18


def test_scores_of_each_split_are_steps(
    tracker: Any, written: Any, engines: Any, database: str
) -> None:
    track = tracker()
    search = GridSearch(engines, SVC(), {"C": [1]}, cv=3, on_result=track)
    search.launch(X, Y)
    assert search.wait(LIMIT)
    assert track.wait(LIMIT)
    _, children = written()
    client = mlflow.MlflowClient(tracking_uri=database)
    found = client.get_metric_history(children[0].info.run_id, "test_score")
    scores = {one.split: one.test_score for one in search.evaluations()}
    assert {one.step: one.value for one in found} == scores
    assert "cost_usd" not in children[0].data.metrics


def test_search_that_is_resumed_goes_on_with_its_run_and_writes_nothing_twice(
    tracker: Any, written: Any, engines: Any, tmp_path: Path
) -> None:
    first, ledger = tracker(), tmp_path / "ledger"
    splits = persist_cv_splits(X, Y, name=str(tmp_path / "iris"), n_cv_iter=3, random_state=0)
    search = GridSearch(engines, on_result=first, ledger=ledger)
    search.launch_for_splits(SVC(), GRID, splits, pace=0.05)
    for _, _ in zip(search.as_completed(LIMIT), range(8), strict=False):
        pass
    search.abort()
    assert first.wait(LIMIT)
    parent, children = written()
    assert parent.info.status == "KILLED"
    before = {number: one.info.run_id for number, one in children.items()}
    assert 0 < len(before) < 6
    second = tracker()
    assert GridSearch.resume(ledger, engines, on_result=second).wait(LIMIT)
    assert second.wait(LIMIT)
    again, children = written()
    assert again.info.run_id == parent.info.run_id
    assert again.info.status == "FINISHED"
    assert {one.info.status for one in children.values()} == {"FINISHED"}
    assert sorted(children) == list(range(6))
    assert before.items() <= {number: one.info.run_id for number, one in children.items()}.items()


def test_candidate_whose_writer_has_gone_is_written_anew(
    tracker: Any, written: Any, engines: Any, tmp_path: Path, database: str
) -> None:
    def searched() -> dict[int, Any]:
        track = tracker()
        search = GridSearch(engines, SVC(), GRID, cv=3, on_result=track, ledger=tmp_path / "l")
        search.launch(X, Y)
        assert search.wait(LIMIT)
        assert track.wait(LIMIT)
        found: dict[int, Any] = written()[1]
        return found

    cut_off = searched()[2].info.run_id
    mlflow.MlflowClient(tracking_uri=database).update_run(cut_off, status="RUNNING")
    again = searched()
    assert sorted(again) == list(range(6))
    assert again[2].info.run_id != cut_off
    assert again[2].info.status == "FINISHED"


def test_tracker_that_fails_ends_no_search_and_gets_all_when_it_answers_again(
    tracker: Any, written: Any, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_PAUSES", (0.01, 0.01))
    down = True
    real = mlflow.MlflowClient.create_run

    def create(*given: Any, **named: Any) -> Any:
        if down:
            raise OSError("no route to the server")
        return real(*given, **named)

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", create)
    track = tracker()
    search = GridSearch(engines, SVC(), GRID, cv=3, on_result=track)
    search.launch(X, Y)
    assert search.wait(LIMIT)
    assert search.best_params_
    assert problem_of(track) == "OSError: no route to the server"
    assert "MLflow does not take what is found: OSError: no route" in search.report()
    down = False
    assert track.wait(LIMIT)
    assert len(written()[1]) == 6
    assert "MLflow" not in search.report()


def test_candidate_at_which_the_tracker_failed_is_not_written_twice(
    tracker: Any, written: Any, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_PAUSES", (0.01, 0.01))
    calls = 0
    real = mlflow.MlflowClient.log_batch

    def log_batch(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (1, 4):  # at the search's run, and in the middle of a candidate
            raise OSError("no route to the server")
        return real(*given, **named)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", log_batch)
    track = tracker()
    search = GridSearch(engines, SVC(), GRID, cv=3, on_result=track)
    search.launch(X, Y)
    assert search.wait(LIMIT)
    assert track.wait(LIMIT)
    parent, children = written()
    assert parent.data.params["model"] == "SVC"
    assert sorted(children) == list(range(6))
    assert {one.info.status for one in children.values()} == {"FINISHED"}


def test_run_that_somebody_else_has_put_below_the_searchs_stays(
    tracker: Any, written: Any, engines: Any, tmp_path: Path, database: str
) -> None:
    def searched() -> None:
        track = tracker()
        search = GridSearch(engines, SVC(), GRID, cv=3, on_result=track, ledger=tmp_path / "l")
        search.launch(X, Y)
        assert search.wait(LIMIT)
        assert track.wait(LIMIT), track.problem

    searched()
    parent, _ = written()
    client = mlflow.MlflowClient(tracking_uri=database)
    below = {"mlflow.parentRunId": parent.info.run_id}
    foreign = client.create_run(parent.info.experiment_id, tags=below).info.run_id
    searched()
    assert client.get_run(foreign).info.lifecycle_stage == "active"
    assert client.get_run(foreign).info.status == "RUNNING"


def test_password_of_the_tracker_is_not_said(
    tracker: Any, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(*_: Any, **__: Any) -> Any:
        raise OSError("API request to https://me:hush@server/api failed")

    monkeypatch.setattr(tracking, "_PAUSES", (0.01, 0.01))
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "create_run", create)
        track = tracker()
        search = GridSearch(engines, SVC(), {"C": [1]}, cv=3, on_result=track)
        search.launch(X, Y)
        assert search.wait(LIMIT)
        assert problem_of(track) == "OSError: API request to https://server/api failed"
        assert "hush" not in search.report()
    assert track.wait(LIMIT)
    assert "hush" not in repr(type(track)(tracking_uri="https://me:hush@server"))


class Refusing(ClassifierMixin, BaseEstimator):
    def __init__(self, a: int = 0) -> None:
        self.a = a

    def fit(self, X: Any, y: Any) -> Refusing:
        if self.a:
            raise ValueError("not with this")
        self.classes_ = [0]
        return self

    def predict(self, X: Any) -> Any:
        return [0] * len(X)


def test_candidate_that_failed_is_a_failed_run(tracker: Any, written: Any, engines: Any) -> None:
    track = tracker()
    search = GridSearch(engines, Refusing(), {"a": [0, 1]}, cv=3, on_result=track)
    search.launch(X, Y)
    assert search.wait(LIMIT)
    assert track.wait(LIMIT)
    parent, children = written()
    assert [children[number].info.status for number in (0, 1)] == ["FINISHED", "FAILED"]
    assert "not with this" in children[1].data.tags["spotcluster.error"]
    assert parent.data.metrics["failed"] == 3


def test_several_scores_have_their_names(tracker: Any, written: Any, engines: Any) -> None:
    track = tracker()
    scoring = ["accuracy", "f1_macro"]
    search = GridSearch(
        engines, SVC(), {"C": [1]}, cv=3, scoring=scoring, refit="accuracy", on_result=track
    )
    search.launch(X, Y)
    assert search.wait(LIMIT)
    assert track.wait(LIMIT)
    assert {"mean_test_accuracy", "mean_test_f1_macro"} <= written()[1][0].data.metrics.keys()


def test_cost_is_by_node_and_unknown_where_one_has_no_price(tracker: Any) -> None:
    one = spotcluster.search.Evaluation(0, 0, 1.0, node="a", started=0.0, ended=1800.0)
    assert tracker(usd_per_hour={"a": 0.5}).cost([one]) == pytest.approx(0.25)
    assert tracker(usd_per_hour={"b": 0.5}).cost([one]) is None


def test_search_with_a_tracker_can_be_stored(tracker: Any, engines: Any) -> None:
    search = GridSearch(engines, SVC(), {"C": [1]}, cv=3, on_result=tracker(run_name="r"))
    search.launch(X, Y)
    assert search.wait(LIMIT)
    back = pickle.loads(pickle.dumps(search))
    assert back.on_result.run_name == "r"
    assert back.best_params_ == {"C": 1}


def test_missing_mlflow_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SearchError, match=r"pip install 'spotcluster\[mlflow\]'"):
        spotcluster.search.mlflow()

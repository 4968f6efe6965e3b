"""Searches while engines die, drain and join, and their controller or client ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.svm import SVC

from spotcluster import notify
from spotcluster.errors import SearchError
from spotcluster.search import GridSearch, RandomizedSearch

from .conftest import LIMIT, Gated, Machines, undelayed, until
from .disturbed import finished, launch, launch_gated, works_on
from .test_search_on_engines import assert_same_results

pytestmark = pytest.mark.usefixtures("impatience")


@pytest.fixture(autouse=True)
def estimators_travel_by_value() -> Iterator[None]:
    """Engines cannot import the tests."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


class Deadly(ClassifierMixin, BaseEstimator):
    """Kills its engine for one value of its parameter."""

    def __init__(self, n: int = 0) -> None:
        self.n = n

    def fit(self, X: Any, y: Any) -> Deadly:
        import os
        import signal

        if self.n == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self.classes_ = [0, 1]
        return self

    def score(self, X: Any, y: Any) -> float:
        return float(self.n)


class Computing(Gated):
    """A gated one that leaves a file when it waits."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Computing:
        mine = Path(self.gate) / str(os.getpid())
        if mine.exists():
            mine.with_suffix(".waits").touch()
        super().fit(X, y, sample_weight)
        return self


def test_a_killed_engine_loses_nothing(
    machines: Machines, iris: list[str], undisturbed: dict[str, Any]
) -> None:
    machines.start("node001", 2)
    search = launch(machines, iris)
    finished(search, 6)
    victim = search.evaluations()[-1]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    assert search.wait(LIMIT)
    assert_same_results(search.cv_results_, undisturbed)
    assert {retry.reason for retry in undelayed(search)} == {
        f"engine {victim.engine} on node001 died"
    }
    lost = [retry for retry in search.retried if retry.lost]
    assert len(lost) <= 15  # a message is at most 1.5 s of work here, and each is a tenth
    assert f"Lost with their engines and run again: {len(lost)}" in search.report()


def test_all_engines_gone_and_others_come(
    machines: Machines, iris: list[str], undisturbed: dict[str, Any]
) -> None:
    machines.start("node001", 2)
    search = launch(machines, iris)
    finished(search, 5)
    machines.stop_engines()
    until(lambda: "none is registered" in search.report(), "the report says why it waits")
    machines.start("node007", 2)
    assert search.wait(LIMIT)
    assert_same_results(search.cv_results_, undisturbed)
    assert set(search.evaluations_per_node()) == {"node001", "node007"}


def test_a_search_launched_before_there_are_engines(
    machines: Machines, iris: list[str], undisturbed: dict[str, Any]
) -> None:
    search = launch(machines, iris, pace=0.0)
    until(lambda: "none is registered" in search.report(), "the report says why it waits")
    machines.start("node001", 1)
    assert search.wait(LIMIT)
    assert_same_results(search.cv_results_, undisturbed)


def test_an_evaluation_that_kills_its_engine_three_times_is_given_up(
    machines: Machines, iris: list[str]
) -> None:
    machines.start("node001", 5)
    search = GridSearch(machines.client, error_score=-1.0)
    search.launch_for_splits(Deadly(), {"n": [0, 1, 2]}, iris[:1])
    assert search.wait(2 * LIMIT)
    assert search.cv_results_["mean_test_score"].tolist() == [0.0, -1.0, 2.0]
    (failed,) = search.failed()
    assert failed.killed
    assert failed.key == (1, 0)
    assert "3 engines that died" in failed.error
    assert [retry.key for retry in search.retried if retry.lost] == [(1, 0), (1, 0)]
    assert len(machines.client.ids) == 2


def test_a_draining_host_is_given_nothing(machines: Machines, iris: list[str]) -> None:
    machines.start("node001", 1)
    machines.start("node002", 1)
    machines.warm()
    search = launch(machines, iris)
    works_on(search, "node001", "node002")
    flag = machines.drain_flag("node002")
    flag.parent.mkdir(exist_ok=True)
    flag.touch()
    drained = flag.stat().st_mtime
    assert search.wait(LIMIT)
    late = Counter(item.node for item in search.evaluations() if item.started > drained)
    assert late["node001"] > 10
    assert late["node002"] <= 1  # it had looked for the flag and was about to begin


def test_report_and_picture_tell_of_a_host_that_ec2_takes_back_while_it_computes(
    machines: Machines, iris: list[str], gated: Gated
) -> None:
    pytest.importorskip("matplotlib").use("agg")
    machines.start("node001", 1)
    machines.start("node002", 2)
    machines.warm()
    told: list[str] = []  # what others may have seen too is told by who knows that
    notify.use(machines.client, "true", "mycluster", told.append)
    search = launch_gated(machines, iris, Computing(gate=gated.gate))
    until(lambda: len(list(Path(gated.gate).glob("*.waits"))) == 3, "all engines compute")
    flag = machines.drain_flag("node002")
    flag.parent.mkdir(exist_ok=True)
    # 12:31 of this computer's time zone
    at = time.mktime((2026, 11, 29, 12, 31, 0, 0, 0, -1))
    flag.with_name("notices").write_text(f"interruption {at:.0f} 2026-11-29T12:33:00Z\n")
    flag.touch()
    # Its engines can answer nothing: their evaluations do not end.
    said = "node002 is taken back, as EC2 said at 12:31: nothing new begins there."
    until(lambda: said in search.report(), "the report says that it is taken back")
    machines.stop_engines(but=1)
    said = "node002 was taken back at 12:31; 2 evaluations run again."
    until(lambda: said in search.report(), "the report says that it was taken back")
    until(lambda: told == ["node002"], "it is told once")
    gated.open()
    assert search.wait(LIMIT)
    assert said in search.report()
    assert search.evaluations_per_node()["node002"] == 2
    (key,) = search.work_per_engine().legends
    assert "EC2 says that it is taken back" in [text.get_text() for text in key.get_texts()]


def test_the_drain_flag_may_be_elsewhere(
    machines: Machines, iris: list[str], tmp_path: Path
) -> None:
    flag = tmp_path / "leaving"
    flag.touch()
    machines.start("node001", 1, SPOTCLUSTER_DRAIN_FLAG=str(flag))
    search = launch(machines, iris, pace=0.0)
    until(lambda: "all are draining" in search.report(), "the report says why it waits")
    assert search.completed() == 0
    flag.unlink()
    assert search.wait(LIMIT)


def test_what_every_engine_refused_is_sent_again(machines: Machines, iris: list[str]) -> None:
    machines.start("node001", 1)
    search = launch(machines, iris)
    finished(search, 3)
    machines.drain_flag("node001").touch()
    until(lambda: undelayed(search), "evaluations refused by all")
    done = search.completed()
    machines.drain_flag("node001").unlink()
    assert search.wait(LIMIT)
    assert search.completed() == 36 > done
    assert {retry.reason for retry in undelayed(search)} == {"every engine refused it"}


def test_a_controller_that_is_killed_and_restarted(
    iris: list[str], undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"detector.SILENCE": 1.0, "detector.SETTLE": 0.5, "sender.QUEUE_LIMIT": 1.0}
    for name, seconds in limits.items():
        monkeypatch.setattr(f"spotcluster.search.dispatch.{name}", seconds)
    folder = Path(tempfile.mkdtemp(prefix="sce-"))
    machines = Machines(folder)
    try:
        machines.start("node001", 2)
        machines.warm()  # how long a result is waited for depends on the longest evaluation
        search = launch(machines, iris)
        finished(search, 6)
        machines.restart_controller()
        assert search.wait(LIMIT)
        assert_same_results(search.cv_results_, undisturbed)
        reasons = {retry.reason for retry in undelayed(search)}
        assert reasons <= {"its result did not arrive", "its message was lost"}
        assert reasons
    finally:
        machines.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_resuming_runs_nothing_twice(
    machines: Machines, iris: list[str], undisturbed: dict[str, Any]
) -> None:
    machines.start("node001", 2)
    search = launch(machines, iris)
    finished(search, 8)
    search.abort()
    before = search.evaluations()
    assert search.ledger is not None
    with search.ledger.open("ab") as file:
        file.write(b'{"kind": "evaluation", "candidate": 11, "spl')  # a client killed while writing
    again = GridSearch.resume(search.ledger, machines.client)
    assert again.completed() >= 8
    assert again.wait(LIMIT)
    assert_same_results(again.cv_results_, undisturbed)
    assert again.evaluations()[: len(before)] == before
    assert written(search.ledger) == {"search": 1, "candidates": 1, "evaluation": 36}
    finished_again = GridSearch.resume(search.ledger, machines.client)
    assert finished_again.wait(LIMIT)
    assert_same_results(finished_again.cv_results_, undisturbed)
    with pytest.raises(SearchError, match=r"of a GridSearch.*GridSearch\.resume"):
        RandomizedSearch.resume(search.ledger, machines.client)


def written(ledger: Path) -> dict[str, int]:
    """Return how many lines of each kind a ledger has, but for those on what was sent again."""
    kinds = Counter(json.loads(line)["kind"] for line in ledger.read_text().splitlines())
    del kinds["retry"]
    return dict(kinds)


def test_launching_again_with_the_same_ledger_goes_on(
    machines: Machines, iris: list[str], tmp_path: Path, gated: Gated
) -> None:
    machines.start("node001", 2)
    ledger = tmp_path / "search.jsonl"
    space = {"C": [0.1, 1.0, 10.0], "kernel": ["linear", "rbf"]}
    # the draw is different each time, but for what the ledger says
    search = RandomizedSearch(machines.client, n_iter=4, ledger=ledger)
    search.launch_for_splits(gated, space, iris)
    finished(search, 1)
    with pytest.raises(SearchError, match="Another search is writing"):
        RandomizedSearch(machines.client, n_iter=4, ledger=ledger).launch_for_splits(
            gated, space, iris
        )
    gated.open()
    search.abort()
    again = RandomizedSearch(machines.client, n_iter=4, ledger=ledger)
    again.launch_for_splits(gated, space, iris)
    assert again.completed() >= 1
    assert again.wait(LIMIT)
    assert written(ledger) == {"search": 1, "candidates": 1, "evaluation": 12}
    with pytest.raises(SearchError, match="of another search"):
        RandomizedSearch(machines.client, n_iter=4, ledger=ledger).launch_for_splits(
            clone(gated).set_params(C=2.0), space, iris
        )


def test_search_tells_the_hook_of_its_client_when_it_is_done(
    machines: Machines, iris: list[str], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    notify.use(machines.client, f"cat >{told}.new; mv {told}.new {told}", "mycluster")
    machines.start("node001", 1)
    search = GridSearch(machines.client).launch_for_splits(SVC(), {"C": [1.0, 2.0]}, iris)
    assert search.wait(LIMIT)
    until(told.exists, "the hook is told")
    said = json.loads(told.read_text())
    assert (said["event"], said["cluster"]) == ("search done", "mycluster")
    assert (said["done"], said["total"]) == (6, 6)
    assert said["text"].endswith(" is done; 6 of 6 evaluations are finished.")

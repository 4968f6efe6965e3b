"""Searches while engines die, drain, join, and hosts lack or damage files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from spotcluster import depots, notify
from spotcluster.errors import SearchError
from spotcluster.search import GridSearch, RandomizedSearch, persist_cv_splits

from .conftest import ALONE, LIMIT, Gated, Machines, undelayed, until
from .test_search_on_engines import assert_same_results

GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.001, 0.01, 0.1]}


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr("spotcluster.search.dispatch.roster.RETRY", 0.3)


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


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The results to which a disturbed search must come."""
    X, y = load_iris(return_X_y=True)
    cv = ShuffleSplit(3, test_size=0.25, random_state=0)  # as in the fixture iris
    peer = GridSearchCV(SVC(), GRID, cv=cv, return_train_score=True).fit(X, y)
    return dict(peer.cv_results_)


class Shelf:
    """A store of split files behind a web server."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address, self.uploads = folder, address, 0

    def upload(self, path: str, digest: str) -> None:
        if not (self.folder / digest).exists():
            shutil.copy(path, self.folder / digest)
            self.uploads += 1

    def url(self, digest: str) -> str:
        return f"{self.address}/{digest}"


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Shelf]:
    """A store of split files, empty."""
    folder = tmp_path / "depot"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Shelf(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def launch(
    machines: Machines, files: list[str], pace: float = 0.1, model: Any = None
) -> GridSearch:
    search = GridSearch(machines.client)
    search.launch_for_splits(SVC() if model is None else model, GRID, files, pace=pace)
    return search


def launch_gated(machines: Machines, files: list[str], model: Gated) -> GridSearch:
    """Launch one that goes on when all engines have done something, and the gate is open."""
    return launch(machines, files, ALONE, model)


def works_on(search: Any, *nodes: str) -> None:
    until(lambda: search.evaluations_per_node().keys() == set(nodes), f"work on {nodes}")


def finished(search: Any, count: int) -> None:
    until(lambda: search.completed() >= count, f"{count} evaluations")


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


def test_a_host_that_joins_gets_the_files_first(
    machines: Machines, unshared: list[str], undisturbed: dict[str, Any], gated: Gated
) -> None:
    machines.start("node001", 1)
    search = launch_gated(machines, unshared, gated)
    finished(search, 1)
    assert len(list(machines.store("node001").glob("*.pkl"))) == 3
    machines.start("node002", 2)
    finished(search, 3)
    gated.open()
    assert search.wait(LIMIT)
    assert_same_results(search.cv_results_, undisturbed)
    per_node = search.evaluations_per_node()
    assert per_node["node002"] > 5  # it has two of three engines for nearly all of the time
    assert sum(per_node.values()) == 36
    stored = list(machines.store("node002").iterdir())
    assert len([path for path in stored if path.suffix == ".pkl"]) == 3
    assert not [path for path in stored if path.suffix == ".part"]
    assert machines.store("node002").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in stored} == {0o600}


def test_files_go_from_host_to_host(machines: Machines, unshared: list[str], gated: Gated) -> None:
    machines.start("node001", 1)
    search = launch_gated(machines, unshared, gated)
    finished(search, 1)
    machines.start("node002", 1)
    machines.start("node003", 1)
    works_on(search, "node001", "node002", "node003")
    gated.open()
    search.abort()
    assert search.failed() == []
    size = sum(Path(name).stat().st_size for name in unshared)
    delivered = search.delivered()
    assert delivered == {"node001": (size, 0), "node002": (0, size), "node003": (0, size)}


def test_hosts_that_begin_together_are_sent_each_file_once(
    machines: Machines, unshared: list[str], gated: Gated
) -> None:
    for node in ("node001", "node002", "node003"):
        machines.start(node, 1)
    search = launch_gated(machines, unshared, gated)
    works_on(search, "node001", "node002", "node003")
    gated.open()
    search.abort()
    size = sum(Path(name).stat().st_size for name in unshared)
    delivered = search.delivered().values()
    assert sum(sent for sent, _ in delivered) == size
    assert sum(fetched for _, fetched in delivered) == 2 * size


def test_hosts_that_share_a_store_are_sent_each_file_once(
    machines: Machines, unshared: list[str], gated: Gated
) -> None:
    machines.start("node001", 1)
    machines.home("node002").symlink_to(machines.home("node001"))
    machines.start("node002", 1)
    search = launch_gated(machines, unshared, gated)
    works_on(search, "node001", "node002")
    gated.open()
    search.abort()
    size = sum(Path(name).stat().st_size for name in unshared)
    assert sum(sum(both) for both in search.delivered().values()) == size


def test_a_host_that_serves_files_dies_before_another_asks(
    machines: Machines, unshared: list[str], undisturbed: dict[str, Any]
) -> None:
    machines.start("node001", 1)
    search = launch(machines, unshared)
    finished(search, 2)
    machines.engines[-1].send_signal(signal.SIGSTOP)  # it does not answer, and is still registered
    machines.start("node002", 1)
    assert search.wait(LIMIT)
    assert_same_results(search.cv_results_, undisturbed)


def test_a_host_that_hands_on_a_file_dies_meanwhile(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gated: Gated
) -> None:
    X = np.random.default_rng(0).normal(size=(80, 250_000))
    y = np.arange(len(X)) % 2
    cv, grid = ShuffleSplit(1, test_size=0.1, random_state=0), {"C": [0.1, 1.0, 10.0, 100.0]}
    names = persist_cv_splits(X, y, name="large", cv=cv, folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    unseen = [f"/proc/self/cwd/{Path(name).name}" for name in names]
    machines.start("node001")
    search = GridSearch(machines.client).launch_for_splits(gated, grid, unseen, pace=ALONE)
    finished(search, 1)
    (first,) = machines.engines
    others = ("node002", "node003")
    for node in others:
        machines.start(node)
    until(
        lambda: any([*machines.store(node).glob(".*.part")] for node in others),
        "node001 to hand it on",
    )
    first.kill()
    gated.open()
    assert search.wait(LIMIT)
    expected = GridSearchCV(SVC(), grid, cv=cv, return_train_score=True, refit=False).fit(X, y)
    assert_same_results(search.cv_results_, expected.cv_results_)
    assert [path for node in others for path in machines.store(node).glob("*.pkl")]


def test_engines_do_their_imports_before_the_files_have_come(
    machines: Machines, unshared: list[str]
) -> None:
    (engine,) = machines.start("node001")
    machines.store("node001").parent.mkdir()
    machines.store("node001").touch()  # where they should come to
    name = MLPClassifier.__module__
    view = machines.client[engine]

    def known() -> bool:
        return bool(view.apply_sync(eval, f"{name!r} in __import__('sys').modules"))

    assert not known()
    search = GridSearch(machines.client)
    search.launch_for_splits(MLPClassifier(max_iter=5), {"alpha": [0.1]}, unshared)
    until(known, "the imports")
    assert search.completed() == 0
    search.abort()


def test_files_come_from_a_store_that_all_hosts_reach(
    machines: Machines, unshared: list[str], depot: Shelf, gated: Gated
) -> None:
    depots.use(machines.client, depot)
    try:
        machines.start("node001", 1)
        machines.start("node002", 1)
        search = launch_gated(machines, unshared, gated)
        works_on(search, "node001", "node002")
        gated.open()
        search.abort()
    finally:
        depots.use(machines.client, None)
    assert depot.uploads == 3
    size = sum(Path(name).stat().st_size for name in unshared)
    delivered = search.delivered()
    assert delivered == {"node001": (0, size), "node002": (0, size)}


def test_a_store_that_fails_is_told_of_and_not_needed(
    machines: Machines, unshared: list[str], depot: Shelf
) -> None:
    depots.use(machines.client, depot)
    depot.address += "/elsewhere"
    try:
        machines.start("node001", 1)
        search = launch(machines, unshared)
        finished(search, 1)
        assert "The bucket cannot be used" in search.report()
        assert search.wait(LIMIT)
    finally:
        depots.use(machines.client, None)
    assert search.failed() == []


def test_files_that_a_host_sees_are_not_sent(machines: Machines, iris: list[str]) -> None:
    machines.start("node001", 1)
    assert launch(machines, iris, pace=0.0).wait(LIMIT)
    assert [path.suffix for path in machines.store("node001").iterdir()] == [".json"]


def test_files_bigger_than_a_message(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotcluster.search.dispatch.delivery.CHUNK", 1000)
    monkeypatch.chdir(tmp_path)
    joblib.dump(([[0.0], [1.0]] * 900, [0, 1] * 900, [[0.0], [1.0]], [0, 1]), "big.pkl")
    machines.start("node001", 1)
    search = GridSearch(machines.client)
    search.launch_for_splits(SVC(), {"C": [1.0]}, ["/proc/self/cwd/big.pkl"])
    assert search.wait(LIMIT)
    assert search.best_score_ == 1.0
    (stored,) = machines.store("node001").glob("*.pkl")
    assert stored.read_bytes() == Path("big.pkl").read_bytes()


@pytest.mark.parametrize("damage", ["missing", "cut off", "overwritten"])
def test_a_damaged_file_on_a_host_is_sent_again(
    machines: Machines, unshared: list[str], undisturbed: dict[str, Any], damage: str
) -> None:
    machines.start("node001", 1)
    search = launch(machines, unshared)
    finished(search, 3)
    file = sorted(machines.store("node001").glob("*.pkl"))[0]
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:  # by another file in its place: who cuts off a mapped file kills those who read it
        aside = file.with_suffix(".new")
        aside.write_bytes(content[:1000] if damage == "cut off" else b"x" * len(content))
        aside.replace(file)
    assert search.wait(LIMIT)
    assert_same_results(search.cv_results_, undisturbed)
    assert file.read_bytes() == content


def test_a_host_that_cannot_store_files_is_told_of(
    machines: Machines, unshared: list[str], gated: Gated
) -> None:
    machines.start("node001", 1)
    machines.home("node002").mkdir()
    (machines.home("node002") / ".spotcluster").write_text("in the way of the folder")
    machines.start("node002", 1)
    search = launch(machines, unshared, 0.0, gated)
    until(lambda: "did not reach node002" in search.report(), "the report says so")
    gated.open()
    assert search.wait(LIMIT)
    assert search.evaluations_per_node() == {"node001": 36}


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

"""Split files on their way to hosts that join, die, or lack or damage them."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from spotcluster import depots
from spotcluster.search import GridSearch, persist_cv_splits

from .conftest import ALONE, LIMIT, Gated, Machines, until
from .disturbed import finished, launch, launch_gated, works_on
from .test_search_on_engines import assert_same_results

pytestmark = pytest.mark.usefixtures("impatience")


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
    # What is handed on is large, and quick to fit: that takes the longer the more rows there are.
    X = np.random.default_rng(0).normal(size=(20, 1_000_000))
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

"""Searches on dask's workers."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the import possible
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search import GridSearch, HalvingGridSearch, OptunaSearch

from .conftest import LIMIT, until
from .numbered import NUMBERS, ONE, Bounded, Deadly, Rude, assert_whole, put, waiting
from .test_search_on_engines import assert_same_results

X, Y = load_iris(return_X_y=True)
GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.001, 0.01, 0.1]}
APART = 1.6  # a pace at which each evaluation has a message of its own, with which it is told of
QUIET: Any = {"dashboard_address": None, "silence_logs": logging.CRITICAL}


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two workers with a thread each, which dask starts again when they are killed."""
    # A home of their own: what other tests' searches have found there need not be there for long.
    home = tmp_path_factory.mktemp("home")
    with LocalCluster(n_workers=2, threads_per_worker=1, env={"HOME": str(home)}, **QUIET) as made:
        yield made


@pytest.fixture
def client(two_workers: Any) -> Iterator[Any]:
    with Client(two_workers) as made:
        made.wait_for_workers(2, timeout=LIMIT)
        yield made


class Hosts:
    """Workers on pretended hosts: each has its own name and home, all have this machine."""

    def __init__(self, folder: Path, scheduler: str, client: Any) -> None:
        self.folder, self.scheduler, self.client = folder, scheduler, client
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, node: str) -> None:
        home = self.folder / node
        home.mkdir()
        number = len(self.client.nthreads())
        kept = {key: value for key, value in os.environ.items() if "SPOTCLUSTER" not in key}
        self.workers[node] = subprocess.Popen(
            [
                *(sys.executable, "-m", "distributed.cli.dask_worker", self.scheduler),
                *(
                    "--nthreads=1",
                    "--no-nanny",
                    "--no-dashboard",
                    "--host=127.0.0.1",
                ),
            ],
            cwd=home,  # not where spotcluster could be imported from
            env={**kept, "HOME": str(home), "SPOTCLUSTER_NODE": node, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: len(self.client.nthreads()) > number, f"a worker on {node}")

    def kill(self, node: str) -> None:
        worker = self.workers.pop(node)
        worker.kill()
        worker.wait(10)

    def close(self) -> None:
        for node in list(self.workers):
            self.kill(node)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """No workers yet."""
    with LocalCluster(n_workers=0, **QUIET) as cluster, Client(cluster) as client:
        made = Hosts(tmp_path, cluster.scheduler_address, client)
        yield made
        made.close()


def test_table_is_grid_search_cvs(client: Any) -> None:
    class Local(SVC):
        pass

    theirs = GridSearchCV(SVC(), GRID, return_train_score=True).fit(X, Y)
    ours = GridSearch(client, Local(), GRID, return_train_score=True).fit(X, Y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == theirs.best_params_
    halved = HalvingGridSearch(client, SVC(), GRID, random_state=0).fit(X, Y)
    theirs = HalvingGridSearchCV(SVC(), GRID, random_state=0).fit(X, Y)
    assert_same_results(halved.cv_results_, theirs.cv_results_)
    assert OptunaSearch(client, SVC(), GRID, n_trials=4).fit(X, Y).completed() == 20


def test_failures_and_warnings_are_told_as_on_engines(client: Any) -> None:
    found = GridSearch(client, SVC(), {"C": [-1.0, 1.0]}, error_score=-1.0)
    with pytest.warns(Warning, match="5 fits failed out of a total of 10"):
        found.fit(X, Y)
    with pytest.raises(ValueError, match="'C' parameter of SVC"):
        GridSearch(client, SVC(), {"C": [-1.0]}, error_score="raise").fit(X, Y)


def test_threads_of_a_worker_do_not_see_what_others_write_into_the_data(tmp_path: Path) -> None:
    model = Rude(gate=str(tmp_path / "wrote"))
    with LocalCluster(n_workers=1, threads_per_worker=2, **QUIET) as cluster, Client(cluster) as it:
        found = GridSearch(it)
        found.launch_for_arrays(
            model, {"n": [0, 1, 2, 3]}, np.zeros((10, 2)), [0, 1] * 5, n_splits=1
        )
        assert found.wait(LIMIT)
    assert found.cv_results_["mean_test_score"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_what_cannot_be_done_is_told_before_anything_is_sent(client: Any, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with pytest.raises(SearchError, match=r"no timeout.*executor of processes"):
        GridSearch(client, SVC(), GRID, timeout=1.0, ledger=ledger).fit(X, Y)
    assert not ledger.exists()


def test_what_kills_a_worker_three_times_is_given_up(client: Any) -> None:
    found = GridSearch(client, error_score=-1.0)
    found.launch_for_arrays(Deadly(), NUMBERS, X, Y, **ONE)
    assert found.wait(2 * LIMIT)
    (failed,) = found.failed()
    assert failed.killed
    assert failed.candidate == 1
    assert "3 engines that died" in failed.error
    others = [n for n in range(12) if n != 1]
    assert [found.cv_results_["mean_test_score"][n] for n in others] == [float(n) for n in others]
    assert Counter(item.candidate for item in found.evaluations()) == dict.fromkeys(range(12), 1)


def test_hosts_come_and_go_and_get_the_files_that_they_lack(
    hosts: Hosts, unshared: list[str], bound: Path
) -> None:
    hosts.start("node001")
    found = GridSearch(hosts.client)
    model = Bounded(gate=str(bound))
    found.launch_for_splits(model, NUMBERS, unshared[:1], pace=APART)
    until(lambda: found.completed() == 4, "four are done")
    hosts.start("node002")
    until(lambda: len(waiting(bound)) == 2, "both work")
    until(lambda: set(found.delivered()) == {"node001", "node002"}, "both have the file")
    (number, pid), _ = waiting(bound).items()
    victim = next(node for node, worker in hosts.workers.items() if worker.pid == pid)
    hosts.kill(victim)
    put(bound, 99)
    assert found.wait(LIMIT)
    assert_whole(found)
    lost = [retry for retry in found.retried if retry.lost]
    assert [(retry.key, f"on {victim} died" in retry.reason) for retry in lost] == [
        ((number, 0), True)
    ]
    size = Path(unshared[0]).stat().st_size
    assert sorted(map(sum, found.delivered().values())) == [size, size]
    assert found.delivered()["node002"] == (0, size)  # from node001


def test_search_begun_on_threads_goes_on_on_dask_and_comes_back(
    client: Any, bound: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    with ThreadPoolExecutor(2) as threads:
        first = GridSearch(threads, ledger=ledger)
        first.launch_for_arrays(Bounded(gate=str(bound)), NUMBERS, X, Y, **ONE, pace=APART)
        until(lambda: first.completed() == 4, "four are done here")
        first.abort()
        put(bound, 99)  # those that had begun end, in places that others are to have
    put(bound, 4)
    put(bound, 8)
    second = GridSearch.resume(ledger, client, pace=APART)
    until(lambda: second.completed() == 8, "four more are done on workers")
    second.abort()
    put(bound, 99)
    with ThreadPoolExecutor(2) as threads:
        third = GridSearch.resume(ledger, threads)
        assert third.wait(LIMIT)
    assert_whole(third)
    pids = Counter(item.pid == os.getpid() for item in third.evaluations())
    assert pids == {True: 8, False: 4}


def test_a_search_whose_client_was_closed(two_workers: Any, bound: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with Client(two_workers) as client:
        found = GridSearch(client, ledger=ledger)
        found.launch_for_arrays(Bounded(gate=str(bound)), NUMBERS, X, Y, **ONE, pace=APART)
        until(lambda: found.completed() == 4, "four are done")
    with pytest.raises(SearchError, match=r"dask client of the search was closed.*resume"):
        found.wait(LIMIT)
    put(bound, 99)
    with Client(two_workers) as client:
        again = GridSearch.resume(ledger, client)
        assert again.wait(LIMIT)
    assert_whole(again)


def test_a_search_imports_nothing_of_dask() -> None:
    script = "import sys, spotcluster.search; print({'dask', 'distributed'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"

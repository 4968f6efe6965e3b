"""Plain ipyparallel, joblib and scikit-learn with a client of `connect`'s, while engines die."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ipyparallel
import joblib
import numpy as np
import pytest
from held import Held
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from spotcluster import published, subscriptions
from spotcluster.clients import Client
from spotcluster.search import GridSearch

from . import late
from .conftest import LIMIT, Machines, until

CONTROLLER = Path(__file__).parents[2] / "templates" / "controller.py"
GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.001, 0.01, 0.1]}


class Clusters(Machines):
    """The controller that clusters have, and the client that `connect` gives."""

    client_class = Client
    controller_program = (str(CONTROLLER),)

    def environment(self) -> dict[str, str]:
        (self.folder / ".spotcluster").mkdir(exist_ok=True)
        return {**super().environment(), "HOME": str(self.folder)}

    def tasks(self) -> str:
        """Return how many tasks are not answered, as the controller writes it."""
        there = self.folder / ".spotcluster" / "tasks"
        return there.read_text().strip() if there.exists() else ""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Clusters]:
    folder = Path(tempfile.mkdtemp(prefix="sce-"))
    made = Clusters(folder)
    made.start("node001", 2)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


def dies_once(flag: str) -> int:
    """Kill the first engine that this comes to."""
    import os
    import signal
    from pathlib import Path

    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 42


def raises(note: str) -> None:
    """Write down that it was called, and raise."""
    from pathlib import Path

    with Path(note).open("a") as file:
        file.write("called\n")
    raise LookupError("as it always does")


for _function in (dies_once, raises):
    _function.__module__ = "__main__"  # sent whole: engines cannot import the tests


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A filter for warnings that only this process knows, as botocore's urllib3 has them."""
    module = types.ModuleType("only_the_laptop_has_this")
    kind = type("Worry", (UserWarning,), {"__module__": module.__name__})
    module.Worry = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with warnings.catch_warnings():
        warnings.simplefilter("always", kind, append=True)
        yield


class Local(SVC):
    """A model of a script, which no engine can import."""


Local.__module__ = "__main__"


def test_plain_grid_search_failed_for_the_filters_of_the_laptops_warnings(
    cluster: Clusters, only_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "Local", Local, raising=False)
    X, y = load_iris(return_X_y=True)
    here = GridSearchCV(Local(), GRID, cv=3).fit(X, y)
    cluster.client.load_balanced_view().register_joblib_backend("cluster")
    with joblib.parallel_config("cluster"):
        there = GridSearchCV(Local(), GRID, cv=3).fit(X, y)
    assert there.best_params_ == here.best_params_
    np.testing.assert_array_equal(
        there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"]
    )


def test_tasks_of_a_lost_engine_were_lost_with_it(cluster: Clusters, tmp_path: Path) -> None:
    cluster.start("node001", 1)
    view = cluster.client.load_balanced_view()
    flags = [str(tmp_path / "one"), *[os.devnull] * 5]
    assert view.map(dies_once, flags, block=False, ordered=True).get(LIMIT) == [42] * 6
    until(lambda: len(cluster.client.ids) == 2, "the engine to be gone")


def test_joblibs_tasks_of_a_lost_engine_were_lost_with_it(
    cluster: Clusters, tmp_path: Path
) -> None:
    cluster.start("node001", 1)
    cluster.client.load_balanced_view().register_joblib_backend("cluster")
    with joblib.parallel_config("cluster"):
        flags = [str(tmp_path / "one"), *[os.devnull] * 5]
        found = joblib.Parallel()(joblib.delayed(dies_once)(flag) for flag in flags)
    assert found == [42] * 6
    until(lambda: len(cluster.client.ids) == 2, "the engine to be gone")


def test_what_raised_is_not_tried_again(cluster: Clusters, tmp_path: Path) -> None:
    pending = cluster.client.load_balanced_view().apply_async(raises, str(tmp_path / "note"))
    with pytest.raises(ipyparallel.RemoteError, match="as it always does"):
        pending.get(LIMIT)
    assert (tmp_path / "note").read_text().split() == ["called"]


def test_broadcast_view_answers(cluster: Clusters) -> None:
    view = cluster.client.broadcast_view()
    assert set(view.apply_async(os.getpid).get(LIMIT)) == set(
        cluster.client[:].apply_async(os.getpid).get(LIMIT)
    )


def test_client_never_knew_which_engines_came_and_went_while_it_connected(
    cluster: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited without end for one that had gone, and for one that had come."""
    monkeypatch.setattr(subscriptions, "LIMIT", LIMIT)
    cluster.start("node001", 1)
    with late.Notices(cluster.client_file) as notices, ThreadPoolExecutor() as pool:
        connecting = pool.submit(Client, notices.info, timeout=LIMIT)
        assert notices.asked_for.wait(LIMIT)
        cluster.stop_engines(but=2)
        cluster.start("node001", 1)
        there = cluster.client.ids
        notices.open()
        client = connecting.result(LIMIT)
        try:
            assert client.ids == there
            client.clear(block=True)
            cluster.stop_engines(but=2)
            until(lambda: client.ids == cluster.client.ids, "what came after it was connected")
        finally:
            client.close()


def test_controller_writes_how_many_tasks_keep_the_cluster_from_ending(
    cluster: Clusters, tmp_path: Path
) -> None:
    """Queued ones too, of a view that balances loads as of one that names engines."""
    until(lambda: cluster.tasks() == "0", "an idle controller")
    gate = tmp_path / "gate"
    begins = f"import os, time\nopen({str(tmp_path)!r} + f'/begun-{{os.getpid()}}', 'w').close()\n"
    waiting = f"while not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    running = cluster.client[:].execute(begins + waiting)
    # What goes through the balancer would reach an engine first, now and then, and be done at once.
    until(lambda: len(list(tmp_path.glob("begun-*"))) == 2, "two that run")
    queued = [cluster.client.load_balanced_view().apply_async(len, "abc") for _ in range(3)]
    until(lambda: cluster.tasks() == "5", "two that run and three that wait")
    gate.touch()
    assert [one.get(timeout=LIMIT) for one in queued] == [3, 3, 3]
    running.get(timeout=LIMIT)
    until(lambda: cluster.tasks() == "0", "an idle controller again")


def test_hub_kept_all_of_a_searchs_messages_and_warned_of_its_notes(
    cluster: Clusters, tmp_path: Path
) -> None:
    """What it tells of them to `status`, to the dashboard and to autostop is there as before."""
    client = cluster.client
    X, y = load_iris(return_X_y=True)
    until(lambda: cluster.tasks() == "0", "an idle controller")
    before = sum(client.queue_status(engine)["completed"] for engine in client.ids)
    view = client.load_balanced_view()
    search = GridSearch(view).launch_for_arrays(
        Held(str(tmp_path / "gate")), {"C": [1.0, 2.0, 3.0, 4.0]}, X, y, n_splits=2, random_state=0
    )

    def waiting() -> list[dict[str, Any]]:
        """Return what is not answered; it is told of all of it soon."""
        found = client.db_query({"completed": {"$exists": False}}, keys=["label", "engine_uuid"])
        return list(found)

    try:
        until(
            lambda: [client.queue_status(engine)["tasks"] for engine in client.ids] == [1, 1],
            "each engine has one",
        )
        until(lambda: client.queue_status()["unassigned"] > 0, "some wait")
        until(
            lambda: int(cluster.tasks()) == len(waiting()) > 2, "what keeps the cluster from ending"
        )
        # Beside them there may be a question to an engine, which has no label.
        open_ones = [(said, one) for one in waiting() if (said := published.label_of(one["label"]))]
        assert {said["total"] for said, _ in open_ones} == {8}
        at_it = [one["engine_uuid"] for _, one in open_ones if one["engine_uuid"]]
        assert sorted(at_it) == sorted(client._engines.values())
    finally:
        (tmp_path / "gate").touch()
    search.wait(LIMIT)
    until(lambda: cluster.tasks() == "0", "an idle controller again")
    status = client.queue_status()
    assert status["unassigned"] == 0
    assert [status[engine]["tasks"] for engine in client.ids] == [0, 0]
    assert sum(status[engine]["completed"] for engine in client.ids) > before
    kept = client.db_query({"label": {"$exists": True}}, keys=["content", "buffers", "completed"])
    assert len(kept) >= len(open_ones)
    assert all(one["completed"] and not one["content"] and not one["buffers"] for one in kept)
    assert "data_message" not in (cluster.folder / "log").read_text()


def is_willing() -> bool:
    """Return what the engine was told."""
    return willing  # type: ignore[name-defined,no-any-return]  # noqa: F821


is_willing.__module__ = "__main__"


def test_task_that_an_engine_had_refused_stayed_with_it_for_ever(cluster: Clusters) -> None:
    """`status` showed it as one that waits there."""
    client = cluster.client
    first, second = client.ids
    client[first].push({"willing": False}, block=True)
    client[second].push({"willing": True}, block=True)
    view = client.load_balanced_view()
    tasks = [view.apply_async(ipyparallel.depend(is_willing)(abs), -n) for n in range(10)]
    assert [one.get(LIMIT) for one in tasks] == list(range(10))
    until(
        lambda: [client.queue_status(engine)["tasks"] for engine in client.ids] == [0, 0],
        "no engine has any",
        20,
    )


def test_engines_become_dasks_workers(cluster: Clusters) -> None:
    """As a script on the master would have it; what the page says of it."""
    place = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    engines = set(cluster.client[:].apply_sync(os.getpid))
    with cluster.client.become_dask(scheduler_args=place, dashboard=False) as dask:
        until(lambda: len(dask.nthreads()) == len(engines), "all engines are workers")
        assert set(dask.run(os.getpid).values()) == engines
        assert set(dask.nthreads().values()) == {1}
        assert sum(dask.gather(dask.map(abs, range(-10, 0)))) == 55
        assert dask.scheduler.address.startswith("tcp://")  # which has no key
        assert cluster.client[:].apply_sync(os.getpid)  # and they are engines still

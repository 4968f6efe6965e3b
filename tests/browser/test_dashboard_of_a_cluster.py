"""The page of a real cluster on the local cloud, with a search on it, while a node is killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from commands import PROGRAM, cli, nodes, wait_until
from hosts import client_of
from pages import Opened
from sklearn.datasets import load_iris
from sklearn.svm import SVC

import spotcluster
from spotcluster import local
from spotcluster.search import GridSearch, persist_cv_splits

CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 2

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 2
SPOT_BID = 0.5
NODE_INSTANCE_TYPE = c5.large
BUDGET = 5
PLUGINS = pypackages, ipcluster
"""
# More than is ever done here: it is aborted.
GRID = {"C": np.logspace(-1, 2, 60), "gamma": [*np.logspace(-3, 0, 5), -1.0]}

pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "mycluster")
    return "mycluster"


@pytest.fixture
def search(cluster: str, tmp_path: Path) -> Iterator[GridSearch]:
    iris = load_iris()
    files = persist_cv_splits(iris.data, iris.target, name=str(tmp_path / "iris"), random_state=0)
    client = spotcluster.connect(cluster)
    found = GridSearch(client.load_balanced_view())
    try:
        yield found.launch_for_splits(SVC(), GRID, files, pace=2.0)
    finally:
        with contextlib.suppress(Exception):
            found.abort()
        client.close()


@contextlib.contextmanager
def dashboard(cluster: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command as a user does; yield the address that it prints."""
    with subprocess.Popen(
        [*PROGRAM, "dashboard", "--no-browser", cluster],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def test_node_is_killed_and_the_search_is_aborted_from_the_page(
    cluster: str,
    search: GridSearch,
    module_cloud: local.Endpoint,
    browse: Callable[..., Opened],
) -> None:
    with dashboard(cluster) as (url, process):
        page = browse(url).connected()
        page.wait("two nodes", lambda: len(page.rows("nodes")) == 2)
        page.wait("four engines", lambda: len(page.rows("engines")) == 4)
        page.wait("what they do", lambda: "GridSearch: C=" in str(page.rows("engines")))
        page.wait("a failure", lambda: "gamma" in str(page.rows("failures")))
        page.wait("scores", lambda: page.plotted("curve", "y"))
        page.wait("finished work", lambda: len(page.plotted("work", "left")) > 8)
        page.wait("vitals", lambda: "GiB" in str(page.rows("nodes")))
        assert "left of $5.00" in page.text("#figures")

        victim = nodes(cluster)["node001"]["id"]
        client_of(module_cloud).terminate_instances(InstanceIds=[victim])
        page.wait("the node's end", lambda: "node001 has left" in str(page.rows("events")))
        page.wait("its engines' end", lambda: len(page.rows("engines")) == 2)
        page.wait("the mark", lambda: "x" in page.plotted("work", "marker"))
        assert [row[1] for row in page.rows("nodes")] == ["master"]

        page.click("[data-action=abort]")
        page.click("#dialog-do")
        page.wait("the command's end", lambda: "done at" in page.text("#doings"))
        assert "Aborted the GridSearch" in page.text("#doings")
        wait_until("the search's end", lambda: not search.running())
        assert search.completed() < search.total()
        assert "aborted from elsewhere" in search.report()
        page.wait("that it is shown", lambda: "stopped" in page.text("#search"))
        assert page.console() == []

        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said == "Ctrl-C ends the dashboard; the cluster goes on.\n"


def test_controller_that_is_made_anew_is_found_again_and_a_job_is_shown(
    cluster: str, tmp_path: Path, browse: Callable[..., Opened]
) -> None:
    script = tmp_path / "hello.py"
    script.write_text("print('hello from the master')")
    with dashboard(cluster) as (url, process):
        page = browse(url).connected()
        page.wait("engines", lambda: len(page.rows("engines")) >= 2)
        before = {row[0] for row in page.rows("engines")}
        kill_controller(cluster)
        page.wait(
            "that it is silent", lambda: "controller does not answer" in page.text("#remarks")
        )
        cli("runplugin", "ipcluster", cluster)
        page.wait("that it answers", lambda: "answers again" in str(page.rows("events")))
        page.wait("engines", lambda: len(page.rows("engines")) >= 2)
        assert before
        cli("run", cluster, str(script))
        page.wait("the job", lambda: "hello.py" in str(page.rows("jobs")))
        page.click('[data-key="log 1"]')
        page.wait("its output", lambda: "hello from the master" in page.text("#log-text"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def kill_controller(cluster: str) -> None:
    """Kill the controller, of this cluster's master and no other one."""
    host = nodes(cluster)["master"]["id"]
    words = {one: " ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])}
    # Its programs are in the host's folder, which has the host's name in it.
    victims = [one for one, said in words.items() if host in said and "controller" in said]
    assert victims
    for one in victims:
        one.kill()


def test_dashboard_of_no_cluster_is_a_sentence(cluster: str) -> None:
    said: Any = cli("dashboard", "--no-browser", "another", status=2)
    assert "another" in said

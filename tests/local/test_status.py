"""Looking at a cluster while it works, from other terminals; and the Python prompt with it.

One cluster of one node, with two engines, lives through the module.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
from commands import PROGRAM, cli, wait_until
from sklearn.datasets import load_iris
from sklearn.svm import SVC

import spotcluster
from spotcluster import config as configs
from spotcluster import local, published
from spotcluster.cluster import lookup
from spotcluster.cluster.status.controller import Controller
from spotcluster.search import GridSearch, persist_cv_splits

CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 2

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 1
NODE_INSTANCE_TYPE = c5.large
PLUGINS = pypackages, ipcluster

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn
"""
GRID = {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-3, 0, 5)}


pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "mycluster")
    return "mycluster"


@pytest.fixture
def searching(cluster: str, tmp_path: Path) -> Iterator[GridSearch]:
    """Give a search that has found something and keeps both engines busy."""
    iris = load_iris()
    files = persist_cv_splits(iris.data, iris.target, name=str(tmp_path / "iris"), random_state=0)
    client = spotcluster.connect(cluster)
    search = GridSearch(client.load_balanced_view())

    def searched() -> bool:  # another test's is there too, and has ended
        return any(one["running"] and one["done"] >= 2 for one in published.read())

    try:
        search.launch_for_splits(SVC(), GRID, files, pace=2.0)
        wait_until("two evaluations", searched)
        yield search
    finally:
        with contextlib.suppress(Exception):
            search.abort()
        client.close()


def status(name: str) -> dict[str, Any]:
    return dict(json.loads(cli("status", name, "--json")))


def test_status_of_an_idle_cluster(cluster: str) -> None:
    seen = status(cluster)
    assert (seen["state"], seen["size"]) == ("running", 1)
    (node,) = seen["nodes"]
    assert (node["state"], node["engines"], node["problem"]) == ("ready", 2, None)
    assert node["cores"] >= 1
    assert 0 < node["memory_used_mb"] < node["memory_total_mb"]
    assert node["usd_per_hour"] == seen["usd_per_hour"] > 0
    assert [(one["node"], one["number"], one["state"]) for one in seen["engines"]] == [
        ("master", one["number"], "idle") for one in seen["engines"]
    ]
    assert {one["number"] for one in seen["engines"]} == {1, 2}
    assert (seen["queue"]["waiting"], seen["queue"]["running"]) == (0, 0)
    assert seen["searches"] == []


def test_busy_engines_do_not_delay_the_status_and_it_says_what_they_do(
    cluster: str, searching: GridSearch
) -> None:
    looks: list[dict[str, Any]] = []

    def both_busy() -> Any:  # between two evaluations an engine is idle for a moment
        looks.append(status(cluster))
        # And the controller may have had the answer before it was asked what the message is.
        engines = looks[-1]["engines"]
        return engines and all(one["state"] == "busy" and one["task"] for one in engines)

    wait_until("both engines to be busy", both_busy)
    seen = looks[-1]
    for one in seen["engines"]:
        assert one["task"]["kind"] == "GridSearch"
        assert set(one["task"]["params"]) == {"C", "gamma"}
        assert one["since"] is not None
    assert seen["queue"]["running"] == 2
    (search,) = seen["searches"]
    assert (search["kind"], search["state"], search["total"]) == ("GridSearch", "running", 100)
    assert 2 <= search["done"] <= searching.completed()
    best = search["bests"][0]
    assert 0 < best["validation"] <= 1
    assert set(best["params"]) == {"C", "gamma"}
    said = wait_until(
        "an engine to be at work",
        lambda: text if "GridSearch: C=" in (text := cli("status", cluster)) else "",
    )
    assert re.search(r"GridSearch +\d+/100 evaluations", said)


def test_another_laptop_sees_the_search_in_the_labels_of_its_messages(
    cluster: str, searching: GridSearch
) -> None:
    (own,) = [one for one in published.read() if one["running"]]

    def labelled() -> Any:
        answer = controller.ask(60)
        return answer if any(one["search"] == own["id"] for one in answer.labels) else None

    found = lookup.locate(configs.load_if_there(None), cluster, "local")
    controller = Controller(found)
    try:
        # The controller may hear of a message after its answer has come to the client, and of the
        # end of another test's after that.
        answer = wait_until("messages with labels", labelled)
        again = controller.ask(60)  # over the same connection
    finally:
        controller.close()
        found.close()
    assert again.key == answer.key
    name = published.controller_of(answer.key)
    listed = published.merged([], answer.labels, name, time.time())
    (search,) = [one for one in listed if one["id"] == own["id"]]
    assert (search["kind"], search["state"], search["total"]) == ("GridSearch", "running", 100)
    assert own["controller"] == name


def test_search_that_runs_on_the_master_is_seen_from_the_laptop(cluster: str) -> None:
    info = json.loads(
        cli("sshmaster", cluster, "cat .spotcluster/ipython/security/ipcontroller-client.json")
    )
    assert info["key"] == ""  # as of all clusters: with CurveZMQ nothing is signed
    said = {
        "format": published.FORMAT,
        "id": "there",
        "kind": "ASHASearch",
        "controller": published.controller_of(published.key_of(info)),
        "started": time.time(),
        "updated": time.time() + 60,
        "running": True,
        "done": 7,
        "total": 9,
        "bests": [],
        "remarks": [],
    }
    text = json.dumps(said).replace('"', '\\"')
    cli(
        "sshmaster",
        cluster,
        f'mkdir -p .spotcluster/searches; cd .spotcluster/searches; echo "{text}" >there.progress',
    )
    try:
        # One that another test ran there may still be shown.
        (search,) = [s for s in status(cluster)["searches"] if s["id"] == "there"]
    finally:
        cli("sshmaster", cluster, "rm .spotcluster/searches/there.progress")
    assert (search["id"], search["done"], search["state"]) == ("there", 7, "running")


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *words: str, columns: int, lines: int = 40) -> None:
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            size = struct.pack("HHHH", lines, columns, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)  # before it is looked at
            os.execv(sys.executable, [sys.executable, "-m", "spotcluster", *words])
        self._read = b""

    def read(self) -> bool:
        """Take what has come; return whether it is still there."""
        if select.select([self._end], [], [], 0.1)[0]:
            try:
                self._read += os.read(self._end, 1 << 16)
            except OSError:
                return False
        return True

    @property
    def out(self) -> str:
        """All that has been read; a read may end within a character."""
        return self._read.decode(errors="replace")

    def text(self) -> str:
        """Return all that it has shown by now."""
        self.read()
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.out)

    def end(self) -> int:
        """Press Ctrl-C; return the exit status."""
        os.write(self._end, b"\x03")
        end = time.monotonic() + 240
        while self.read():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_watching_goes_on_until_ctrl_c_and_fits_into_the_terminal(
    cluster: str, searching: GridSearch
) -> None:
    terminal = Terminal("status", cluster, "--watch", columns=80)
    wait_until("engines at work", lambda: "GridSearch: C=" in terminal.text())
    before = searching.completed()

    def more_is_done() -> bool:
        shown = re.findall(r"(\d+)/100 evaluations", terminal.text())
        return max(map(int, shown), default=0) > before

    wait_until("pictures of what was done since", more_is_done)
    assert terminal.end() == 0
    assert "Traceback" not in terminal.out
    rows = re.split(r"[\r\n]|\x1b\[1A", terminal.out)  # the cursor goes up for the next picture
    assert max(len(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", row)) for row in rows) <= 80 + len("^C")


def test_prompt_runs_what_comes_from_a_pipe(cluster: str) -> None:
    code = (
        "print(len(client), len(cluster.nodes))\n"
        "%px import os\n"
        "%px print('on ' + os.environ['SPOTCLUSTER_NODE'])\n"
        "def double(x): return 2 * x\n"
        "print(view.apply_sync(double, 4), sum(lview.map_sync(double, range(10))))\n"
    )
    done = programs.run([*PROGRAM, "shell", cluster], given=code, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "2 1"
    assert done.stdout.count("on master") == 2
    assert done.stdout.splitlines()[-1] == "[8, 8] 90"

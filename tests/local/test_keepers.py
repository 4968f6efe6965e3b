"""A node is taken back in the middle of a search, and the keeper replaces it: real engines."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
from commands import PROGRAM, cli, nodes, wait_until
from held import Held
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import spotcluster
from spotcluster import local
from spotcluster.aws import instances
from spotcluster.aws.session import Session
from spotcluster.search import GridSearch, persist_cv_splits

CONFIG = """
[key mykey]

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 2
NODE_INSTANCE_TYPE = c5.large
SPOT_BID = 0.5
PLUGINS = pypackages, ipcluster
"""
GRID = {"C": [0.1, 1.0, 10.0], "gamma": [0.0001, 0.001]}

pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "-c", "small", "mycluster")
    return "mycluster"


@pytest.fixture
def keeper(cluster: str, tmp_path: Path) -> Iterator[Path]:
    """Run a keeper with `--max`; give the file that it writes its log to."""
    path = tmp_path / "log"
    words = [*PROGRAM, "keep", "--min", "2", "--max", "2", cluster]
    with path.open("wb") as out, Path("/dev/null").open("rb") as nothing:
        program = programs.Program(words, stdin=nothing, stdout=out, stderr=out)
    yield path
    program.kill()
    program.wait(60)


def table(search: GridSearch) -> dict[str, Any]:
    return {key: one for key, one in search.cv_results_.items() if key.endswith("_score")}


def test_node_taken_back_in_a_search_is_replaced_before_it_ends_and_the_table_is_the_same(
    cluster: str, keeper: Path, module_home: Path, tmp_path: Path, shown: Callable[[str], None]
) -> None:
    digits = load_digits()
    splits = persist_cv_splits(
        digits.data, digits.target, name=str(tmp_path / "digits"), n_cv_iter=3, random_state=42
    )
    client = spotcluster.connect(cluster)
    try:
        calm = GridSearch(client.load_balanced_view())
        calm.launch_for_splits(SVC(), GRID, splits)
        assert calm.wait(timeout=300)

        gate = tmp_path / "gate"
        search = GridSearch(client.load_balanced_view())
        search.launch_for_splits(Held(str(gate)), GRID, splits)
        wait_until("node001 to be at one", lambda: [*tmp_path.glob("gate.node001.*")])
        wait_until("the keeper to look", lambda: "keeping 'mycluster'" in keeper.read_text())
        taken = nodes(cluster)["node001"]["id"]
        (module_home / "local" / "hosts" / taken / "home" / ".spotcluster" / "drain").touch()
        begin = time.monotonic()
        # It still runs: EC2 ends it at the end of this test.
        wait_until("node002 to be asked for", lambda: "asking for 1" in keeper.read_text())
        seconds = time.monotonic() - begin
        shown(f"from the notice to the request for another node: {seconds:.1f} s")
        wait_until("node002", lambda: "node002 is ready" in keeper.read_text())
        wait_until("node002 to take one", lambda: [*tmp_path.glob("gate.node002.*")])
        instances.terminate(Session("local"), [taken])
        gate.touch()
        assert search.wait(timeout=300)
        assert "node002" in search.evaluations_per_node()
        for column, values in table(calm).items():
            np.testing.assert_array_equal(table(search)[column], values, err_msg=column)
        assert list(nodes(cluster)) == ["master", "node002"]
        said = keeper.read_text()
        assert said.count("asking for") == 1, said
        assert "counts no more: EC2 takes it back" in said
    finally:
        client.close()


def test_keeper_grows_by_the_queue_and_shrinks_what_is_idle(cluster: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    words = ["--max", "3", "--idle", "0.05", "-s", "1", "--target", "0.05", cluster]
    client = spotcluster.connect(cluster)
    with path.open("wb") as out, Path("/dev/null").open("rb") as nothing:
        program = programs.Program(
            [*PROGRAM, "keep", *words], stdin=nothing, stdout=out, stderr=out
        )
    try:
        view = client.load_balanced_view()
        tasks = [view.apply_async(time.sleep, 4) for _ in range(12)]
        wait_until("node003", lambda: "node003 is ready" in path.read_text())
        # How many there are when it looks first is a matter of chance.
        why = r"asking for \d+ node\(s\): \d+ evaluation\(s\) (of \S+ s )?wait"
        assert re.search(why, path.read_text())
        for one in tasks:
            one.get(timeout=120)
        wait_until("the workers to leave", lambda: list(nodes(cluster)) == ["master"])
        assert "nothing to do for" in path.read_text()
        cli("terminate", "-y", cluster)
        assert program.wait(60) == 0
        assert "nothing to keep any more" in path.read_text()
    finally:
        program.kill()
        client.close()

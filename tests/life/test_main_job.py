"""The main job on the local cloud, command by command, as the lecture notes have it.

One cluster lives through the whole module; each test leaves it running for the next.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
from commands import PROGRAM, cli, nodes, wait_until
from held import Held
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import spotcluster
from spotcluster import local
from spotcluster.aws import instances, network
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.errors import ClusterError
from spotcluster.search import GridSearch, persist_cv_splits

CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = starcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 2

[plugin ipclusterrestart]
SETUP_CLASS = starcluster.plugins.ipcluster.IPClusterRestartEngines
ENGINES_PER_NODE = 2

[plugin ipclusterstop]
SETUP_CLASS = starcluster.plugins.ipcluster.IPClusterStop

[plugin pypackages]
setup_class = starcluster.plugins.pypkginstaller.PyPkgInstaller
packages = scikit-learn, psutil

[cluster iptemplate]
KEYNAME = mykey
REGION = local
NODE_IMAGE_ID = ami-5b3fb632     # the one of the lecture notes
NODE_INSTANCE_TYPE = c1.xlarge   # 8 CPUs
DISABLE_QUEUE = True             # We don't need SGE, faster cluster startup
PLUGINS = pypackages, ipcluster
"""
GRID = {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-4, 0, 5)}
# Those that fits are quick with: enough to lose some on the way.
QUICK = {"C": GRID["C"], "gamma": GRID["gamma"][:2]}
BESTS = [
    (0.99022, 1.0, 0.001),
    (0.98889, 10.0, 0.001),
    (0.98889, 100.0, 0.001),
    (0.98756, 10.0, 0.0001),
    (0.98711, 100.0, 0.0001),
]


pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "-c", "iptemplate", "-s", "3", "-b", "0.5", "mycluster")
    return "mycluster"


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    digits = load_digits()
    name = tmp_path_factory.mktemp("splits") / "digits"
    return persist_cv_splits(digits.data, digits.target, name=str(name), random_state=42)


@pytest.fixture
def client(cluster: str) -> Iterator[Any]:
    opened = spotcluster.connect(cluster)
    yield opened
    opened.close()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Name the file that evaluations of `Held` wait for."""
    return tmp_path / "gate"


def waiting(gate: Path, where: object) -> bool:
    """Return whether an evaluation of that node, or that process, waits for `gate`."""
    return bool([*gate.parent.glob(f"gate.{where}.*"), *gate.parent.glob(f"gate.*.{where}")])


@pytest.fixture(scope="module")
def undisturbed(cluster: str, splits: list[str], module_home: Path) -> dict[str, Any]:
    """Run the search with nothing in its way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        opened = spotcluster.connect(cluster)
        try:
            search = GridSearch(opened.load_balanced_view())
            search.launch_for_splits(SVC(), GRID, splits)
            assert search.wait(timeout=600)
            assert [retry for retry in search.retried if retry.lost] == []
            return dict(search.cv_results_)
        finally:
            opened.close()


def assert_same_results(results: dict[str, Any], reference: dict[str, Any]) -> None:
    """Hold the scores of a search for `QUICK` equal to those of one for `GRID`."""
    rows = [reference["params"].index(params) for params in results["params"]]
    assert len(rows) == len(QUICK["C"]) * len(QUICK["gamma"])
    for column in reference:
        if column.endswith("_score"):
            expected = reference[column][rows]
            if column.startswith("rank_"):
                expected = stats.rankdata(expected, method="min")
            np.testing.assert_array_equal(results[column], expected, err_msg=column)


def test_start_gives_an_on_demand_master_and_spot_workers(cluster: str) -> None:
    found = nodes(cluster)
    assert list(found) == ["master", "node001", "node002"]
    assert [node["spot"] for node in found.values()] == [False, True, True]
    assert all(node["ready"] for node in found.values())
    assert all(
        (node["spot_request"] or "").startswith("sir-") == node["spot"] for node in found.values()
    )


def test_engines_on_two_workers_said_one_name_for_their_host(client: Any) -> None:
    """The lecture notes choose one engine for each host by what `gethostname` says."""
    said = set(client[:].apply_sync(socket.gethostname))
    assert said == {"master", "node001", "node002"}


def test_starting_it_again_is_refused_with_a_hint(cluster: str) -> None:
    said = cli("start", "-s", "3", cluster, status=1)
    assert "already running" in said
    assert "addnode" in said


def test_laptop_that_has_moved_is_let_in_again(cluster: str) -> None:
    session = Session("local")

    def rules() -> dict[str, str]:
        found = records.find(session, cluster)
        assert found
        return dict(found.ssh)

    group, own = records.find(session, cluster), rules()
    assert group
    assert list(own) == ["127.0.0.1/32"]
    former = network.ssh_from("203.0.113.9/32", own["127.0.0.1/32"])
    network.disallow(session, group.group_id, network.ssh_from(*own.popitem()))
    network.allow(session, group.group_id, [former])
    assert cli("sshmaster", cluster, "echo here").strip() == "here"
    assert list(rules()) == ["127.0.0.1/32"]


def test_start_lets_others_in_while_it_runs(cluster: str) -> None:
    said = cli("start", cluster, "--allow", "198.51.100.0/24", "--json")
    assert json.loads(said)["cluster"] == cluster
    found = records.find(Session("local"), cluster)
    assert found
    assert list(found.ssh) == ["127.0.0.1/32", "198.51.100.0/24"]


def test_ssh_to_the_master_passes_the_exit_status_on(cluster: str) -> None:
    assert cli("sshmaster", cluster, "echo here").strip() == "here"
    cli("sshmaster", "-A", "-u", "ipuser", cluster, "exit 7", status=7)
    words = ["sshmaster", "-A", "-u", "ipuser"]  # as the seed has it
    done = programs.run([*PROGRAM, *words], given="echo $((6 * 7))\n", timeout=240)
    assert done.stdout.split()[-1:] == ["42"], done.stderr
    assert cli("sshnode", cluster, "node001", "basename", "/a/b").strip() == "b"


@pytest.mark.parametrize(
    "words",
    [
        ("sshmaster", "NAME", "python", "-c", "'import sklearn, sys; print(sys.prefix)'"),
        (
            "sshnode",
            "-u",
            "ipuser",
            "NAME",
            "node001",
            "python3 -c 'import sys; print(sys.prefix)'",
        ),
        ("sshmaster", "-u", "ipuser", "NAME"),
    ],
    ids=["command", "other user", "login"],
)
def test_after_sshmaster_there_was_no_python(cluster: str, words: tuple[str, ...]) -> None:
    named = [cluster if word == "NAME" else word for word in words]
    given = "python -c 'import sys; print(sys.prefix)'\n"
    done = programs.run([*PROGRAM, *named], given=given, timeout=240)
    assert done.stdout.split()[-1].endswith("/home/.spotcluster/env"), done.stderr


def test_engines_had_no_pip(client: Any) -> None:
    found = client[:].apply_sync(shell, "command -v pip; pip --version")
    assert len(found) == 6
    assert all(said.count("/home/.spotcluster/env/") == 2 for said in found), found


def shell(command: str) -> str:
    """Do as ``!command`` does."""
    import subprocess

    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout


shell.__module__ = "__main__"  # sent whole: the engines do not have this module


def test_every_view_answers(client: Any) -> None:
    for view in (client[:], client.load_balanced_view(), client.broadcast_view()):
        assert view.map_sync(abs, [-1, 2, -3]) == [1, 2, 3]


def test_master_reaches_nodes_by_name_with_known_host_keys(cluster: str) -> None:
    said = cli("sshmaster", cluster, "ssh -o BatchMode=yes node001 'echo $SSH_CONNECTION'")
    assert nodes(cluster)["node001"]["private_ip"] in said


def test_connection_file_is_private_and_opens_the_controller(
    cluster: str, module_home: Path
) -> None:
    import ipyparallel

    path = module_home / "connections" / "local" / f"{cluster}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    info = json.loads(path.read_text())
    assert info["curve_serverkey"]
    client = ipyparallel.Client(connection_info=str(path), timeout=240)
    assert len(client.ids) == 6
    client.close()


def test_connect_reaches_every_engine_through_the_tunnel(client: Any) -> None:
    def where() -> tuple[str, str, str]:
        import os
        import sys

        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return os.environ["SPOTCLUSTER_NODE"], os.environ["OMP_NUM_THREADS"], version

    where.__module__ = "__main__"  # sent whole: the engines do not have this module
    found = client[:].apply_sync(where)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert sorted(found) == sorted(
        (node, "1", version) for node in ("master", "node001", "node002") for _ in range(2)
    )


def test_who_watched_the_cluster_filled_the_log_of_its_controller(cluster: str) -> None:
    for _ in range(2):
        cli("status", cluster)
    log = cli("sshmaster", cluster, "cat ~/.spotcluster/logs/controller*")
    assert "registered" in log or "engine" in log
    assert "client::client" not in log


def test_first_words_that_engines_print_after_connecting_were_lost(cluster: str) -> None:
    for _ in range(8):  # each was lost in two of five times
        opened = spotcluster.connect(cluster)
        try:
            said = opened[:].execute("print('here')", block=False)
            said.get(timeout=240)
            assert said.wait_for_output(240)
            assert set(said.stdout) == {"here\n"}
        finally:
            opened.close()


def test_search_finds_what_the_lecture_notes_found(
    client: Any, splits: list[str], undisturbed: dict[str, Any]
) -> None:
    order = np.argsort(-undisturbed["mean_test_score"], kind="stable")[:5]
    found = [
        (round(float(undisturbed["mean_test_score"][i]), 5), *undisturbed["params"][i].values())
        for i in order
    ]
    assert found == BESTS


def test_engine_killed_mid_search_costs_no_evaluation(
    client: Any, splits: list[str], undisturbed: dict[str, Any], gate: Path
) -> None:
    victim = client[client.ids[-1]].apply_sync(os.getpid)
    search = GridSearch(client.load_balanced_view())
    # Between two evaluations there would be nothing to lose.
    search.launch_for_splits(Held(str(gate), str(victim)), QUICK, splits, pace=0.5)
    wait_until("ten evaluations", lambda: search.completed() >= 10)
    wait_until("the victim to be at one", lambda: waiting(gate, victim))
    os.kill(victim, signal.SIGKILL)
    assert search.wait(timeout=600)
    assert_same_results(search.cv_results_, undisturbed)
    assert [retry for retry in search.retried if retry.lost]


def test_restarting_engines_brings_the_killed_one_back(cluster: str, client: Any) -> None:
    cli("runplugin", "ipclusterrestart", cluster)
    wait_until("six engines", lambda: len(client.ids) == 6)


def test_what_was_installed_later_is_part_of_the_cluster(cluster: str, module_home: Path) -> None:
    more = CONFIG.replace("scikit-learn, psutil", "scikit-learn, psutil, toolz")
    (module_home / "config").write_text(more)
    cli("runplugin", "pypackages", cluster)
    cli("sshmaster", cluster, "pip install --quiet tabulate==0.9.0")  # not the newest
    (module_home / "config").write_text(CONFIG)  # as on another computer


def test_node_added_mid_search_takes_evaluations_and_one_removed_loses_none(
    cluster: str, client: Any, splits: list[str], undisturbed: dict[str, Any], gate: Path
) -> None:
    search = GridSearch(client.load_balanced_view())
    search.launch_for_splits(Held(str(gate)), QUICK, splits)
    cli("addnode", "-s", "1", "-b", "0.5", cluster)
    wait_until("node003 to take one", lambda: waiting(gate, "node003"))
    assert waiting(gate, "node001")
    found = cli("sshnode", cluster, "node003", "pip freeze").split()
    assert "tabulate==0.9.0" in found
    assert [one for one in found if one.startswith("toolz==")]
    said = cli("removenode", "-y", cluster, "node001")
    assert "node001" in said
    assert search.completed() < search.total(), "the search was over before the node left"
    gate.touch()
    assert search.wait(timeout=600)
    assert {"node001", "node003"} < search.evaluations_per_node().keys()
    assert_same_results(search.cv_results_, undisturbed)
    assert [retry for retry in search.retried if retry.lost] == []
    there = ["master", "node002", "node003"]  # node001 may be shutting down for a while
    wait_until("node001 to be gone", lambda: list(nodes(cluster)) == there)


def test_host_terminated_through_the_api_mid_search_costs_no_evaluation(
    cluster: str, client: Any, splits: list[str], undisturbed: dict[str, Any], gate: Path
) -> None:
    session, host = Session("local"), nodes(cluster)["node003"]["id"]
    search = GridSearch(client.load_balanced_view())
    search.launch_for_splits(Held(str(gate), "node003"), QUICK, splits, pace=0.5)
    wait_until("node003 to be at one", lambda: waiting(gate, "node003"))
    instances.terminate(session, [host])
    assert search.wait(timeout=600)
    assert_same_results(search.cv_results_, undisturbed)
    assert [retry for retry in search.retried if retry.lost]
    wait_until("node003 to be gone", lambda: "node003" not in nodes(cluster))


def test_start_brings_back_the_node_that_was_lost(cluster: str) -> None:
    said = cli("start", "-c", "iptemplate", cluster)
    assert "1 node(s) with 2 engine(s)" in said
    assert "has 3 node(s)" in said
    assert list(nodes(cluster)) == ["master", "node002", "node004"]


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("removenode", "-y", "mycluster", "node099"), 2, "no node 'node099'"),
        (("removenode", "-y", "mycluster", "master"), 2, "terminate mycluster"),
        (("sshnode", "mycluster", "nodeX", "true"), 2, "no node 'nodeX'"),
        (("sshmaster", "nocluster"), 2, "no cluster 'nocluster'"),
        (("addnode", "-s", "0", "mycluster"), 2, "0"),
        (("addnode", "-b", "0.0001", "mycluster"), 1, "below the spot price"),
        (("runplugin", "nothing", "mycluster"), 2, "has a plugin 'nothing'"),
    ],
)
def test_wrong_word_is_one_sentence_and_changes_nothing(
    cluster: str, words: tuple[str, ...], status: int, expected: str
) -> None:
    before = nodes(cluster)
    assert expected in cli(*words, status=status)
    assert nodes(cluster) == before


def test_plugin_of_the_seed_stops_controller_and_engines_and_another_brings_them_back(
    cluster: str,
) -> None:
    cli("runplugin", "ipclusterstop", cluster)
    with pytest.raises(ClusterError, match="runplugin ipcluster mycluster"):
        spotcluster.connect(cluster, timeout=3)
    cli("runplugin", "ipcluster", cluster)
    opened = spotcluster.connect(cluster)
    assert len(opened.ids) == 6
    opened.close()


def test_terminate_leaves_nothing(cluster: str, module_home: Path) -> None:
    assert "nothing" in cli("terminate", "-y", cluster)
    assert json.loads(cli("listclusters", "--json")) == []
    session = Session("local")
    assert not instances.live(instances.describe(session))
    assert not instances.volumes(session, cluster)
    assert not instances.open_spot_requests(session, cluster)
    assert all(host.processes == 0 for host in local.status().hosts)
    assert not (module_home / "connections" / "local" / f"{cluster}.json").exists()
    assert "no cluster" in cli("terminate", "-y", cluster, status=2)

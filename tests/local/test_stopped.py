"""A cluster that is stopped in the middle of a search, and comes back, on the local cloud.

One cluster lives through the whole module; each test leaves it running for the next.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import held
import psutil
import pytest
from commands import cli, nodes, wait_until

import spotcluster
from spotcluster import files, local
from spotcluster.aws import instances
from spotcluster.aws.session import Session

CONFIG = """
[key mykey]

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn, rich

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
ON_THE_MASTER = """
import json
from pathlib import Path
import ipyparallel
from sklearn.datasets import load_digits
from held import Held
from spotcluster.search import GridSearch, persist_cv_splits

home = Path.home()
security = home / ".spotcluster" / "ipython" / "security"
client = ipyparallel.Client(str(security / "ipcontroller-client.json"))
ledger = home / "search.jsonl"
gate = home / "gate"
"""
BEGIN = f"""{ON_THE_MASTER}
digits = load_digits()
splits = persist_cv_splits(
    digits.data, digits.target, name=str(home / "digits"), n_cv_iter=5, random_state=42
)
search = GridSearch(client, ledger=ledger)
grid = {{"C": [1.0, 10.0], "gamma": [0.001, 0.0001]}}
# Half of them wait, so that the search cannot be over when the cluster stops; each travels alone.
search.launch_for_splits(Held(str(gate), above=1.0), grid, splits, pace=1.0)
search.wait()
"""
GO_ON = f"""{ON_THE_MASTER}
gate.touch()
search = GridSearch.resume(ledger, client)
before = search.completed()
assert search.wait(timeout=600)
best = round(float(max(search.cv_results_["mean_test_score"])), 5)
print(json.dumps({{"before": before, "total": search.total(), "best": best}}))
"""


pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "-c", "small", "mycluster")
    return "mycluster"


def on_master(cluster: str, program: str, *, aside: bool = False) -> str:
    """Run a Python program on the master, as somebody who has logged in there."""
    source = f"{Path(spotcluster.__file__).parents[1]}:{Path(held.__file__).parent}"
    command = f"env PYTHONPATH={source} ~/.spotcluster/env/bin/python -c {shlex.quote(program)}"
    if aside:
        command = f"nohup {command} >search.log 2>&1 </dev/null &"
    return cli("sshmaster", cluster, command)


def processes(home: Path, host: str) -> list[psutil.Process]:
    """Return the processes that have something of a host in their command line."""
    folder = str(home / "local" / "hosts" / host)
    return [one for one in psutil.process_iter(["cmdline"]) if folder in str(one.info)]


def test_search_that_was_half_done_is_resumed_after_stop_and_start(
    cluster: str, module_home: Path
) -> None:
    before = nodes(cluster)
    disk = module_home / "local" / "hosts" / before["master"]["id"] / "home"
    ledger = disk / "search.jsonl"
    connection = files.connection_file("local", cluster)
    keys = connection.read_bytes()

    def finished() -> list[str]:
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [line for line in lines if '"kind": "evaluation"' in line]

    on_master(cluster, BEGIN, aside=True)
    wait_until("four evaluations", lambda: len(finished()) >= 4)
    said = cli("stop", "-y", cluster)
    assert "Kept with its disk: master. Terminated: node001." in said
    assert {alias: node["state"] for alias, node in nodes(cluster).items()} == {"master": "stopped"}
    assert processes(module_home, before["master"]["id"]) == []
    done = finished()
    assert 4 <= len(done) < 20
    assert "is stopped" in cli("sshmaster", cluster, "true", status=1)

    cli("start", cluster)
    after = nodes(cluster)
    assert list(after) == ["master", "node001"]
    assert after["master"]["id"] == before["master"]["id"]
    assert after["node001"]["id"] != before["node001"]["id"]
    assert connection.read_bytes() == keys
    found = json.loads(on_master(cluster, GO_ON).splitlines()[-1])
    assert found == {"before": len(done), "total": 20, "best": 0.99022}
    assert finished()[: len(done)] == done
    assert len(finished()) == 20


def test_client_connects_again_and_the_master_knows_its_new_worker(cluster: str) -> None:
    client = spotcluster.connect(cluster)
    try:
        assert len(client.ids) == 2
        where = [identity.split("_")[0] for identity in dict(client._engines).values()]
        assert sorted(where) == ["master", "node001"]
        assert client.load_balanced_view().apply_sync(int) == 0
    finally:
        client.close()
    assert cli("sshmaster", cluster, "ssh -o BatchMode=yes node001 echo in") == "in\n"


def test_restart_ends_what_ran_and_brings_the_engines_back(cluster: str, module_home: Path) -> None:
    before = nodes(cluster)
    hosts = [node["id"] for node in before.values()]
    ran = {host: set(processes(module_home, host)) for host in hosts}
    cli("sshmaster", cluster, "echo kept >file")
    said = json.loads(cli("restart", "--json", cluster))
    assert sorted(said["ready"]) == ["master", "node001"]
    assert said["engines"] == 2
    after = nodes(cluster)
    assert [node["id"] for node in after.values()] == hosts
    for host in hosts:
        assert ran[host]
        assert not ran[host] & set(processes(module_home, host))
    assert cli("sshmaster", cluster, "cat file") == "kept\n"
    client = spotcluster.connect(cluster)
    try:
        assert len(client.ids) == 2
    finally:
        client.close()


def test_master_made_anew_lacked_what_pip_had_installed_on_the_former_one(cluster: str) -> None:
    cli("sshmaster", cluster, "pip install --quiet tabulate==0.9.0")  # not the newest
    cli("addnode", cluster)
    former = nodes(cluster)["master"]["id"]
    instances.terminate(Session("local"), [former])
    wait_until("the master to be gone", lambda: "master" not in nodes(cluster))
    cli("start", cluster)
    assert nodes(cluster)["master"]["id"] != former
    assert "tabulate==0.9.0" in cli("sshmaster", cluster, "pip freeze").split()


def test_terminate_of_a_stopped_cluster_deletes_its_disk(cluster: str, module_home: Path) -> None:
    host = nodes(cluster)["master"]["id"]
    cli("stop", "-y", cluster)
    assert (module_home / "local" / "hosts" / host).exists()
    cli("terminate", "-y", cluster)
    assert not (module_home / "local" / "hosts" / host).exists()
    assert "no cluster" in cli("listclusters")

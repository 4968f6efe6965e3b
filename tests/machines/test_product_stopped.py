"""A cluster of machines that boot is stopped, comes back, and is rebooted.

One cluster lives through the whole module: a master and node001 on demand, node002 on spot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest

from spotcluster.plugins import environment

from .bed.image import python_version
from .bed.lab import Lab
from .bed.machine import Machine

NODES = ("master", "node001", "node002")
ENGINES = """
import json
import spotcluster
client = spotcluster.connect("mycluster")
names = client[:].apply_sync(lambda: __import__("os").environ["SPOTCLUSTER_NODE"])
print(json.dumps(sorted(names)))
client.close()
"""


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[str]:
    mine = environment.laptop_python()
    if python_version() != mine:
        pytest.skip(f"engines need Python {mine}, and the image has {python_version()}")
    lab.configure()
    lab.run("start", "-s", "2", "mycluster")
    lab.run("addnode", "-b", "0.5", "mycluster")
    yield "mycluster"
    lab.run("terminate", "-y", "mycluster")
    assert lab.machines == []


def engines(lab: Lab) -> list[str]:
    return list(json.loads(lab.python(ENGINES).splitlines()[-1]))


def boots(machine: Machine) -> int:
    """Return how many boots the system's own journal knows of."""
    return len(machine.inside("journalctl --list-boots --no-pager -q").splitlines())


def is_unit(machine: Machine, name: str) -> bool:
    said = machine.inside(
        f"systemctl is-active spotcluster-{name}; systemctl is-enabled spotcluster-{name}"
    )
    return said.split() == ["active", "enabled"]


def names_in(machine: Machine) -> dict[str, str]:
    """Return the nodes that a machine's /etc/hosts names, with their addresses."""
    lines = machine.inside("cat /etc/hosts").splitlines()
    ours = [line.split() for line in lines if line.endswith("# spotcluster")]
    found = {alias: address for address, alias, *_ in ours}
    assert len(found) == len(ours), lines
    return found


def digest(lab: Lab) -> str:
    """Return what the connection file of clients holds, shortened."""
    (file,) = (lab.home / "connections").rglob("*.json")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_stop_switches_off_and_start_brings_back_the_same_machines(lab: Lab, cluster: str) -> None:
    before = {alias: lab.machine(alias).id for alias in NODES}
    keys = digest(lab)
    master, worker = lab.machine("master"), lab.machine("node001")
    host_key = master.tags["spotcluster:host-key"]
    for machine in (master, worker):
        machine.inside("echo kept >/home/ipuser/file; sync")

    said = lab.run("stop", "-y", cluster)
    assert "Kept with its disk: master, node001. Terminated: node002." in said
    assert {machine.id: machine.state for machine in lab.machines} == {
        before["master"]: "stopped",
        before["node001"]: "stopped",
    }
    assert master.look()["processes"] == worker.look()["processes"] == 0
    (listed,) = json.loads(lab.run("listclusters", "--json", cluster))
    assert listed["state"] == "stopped"
    assert 0 < listed["usd_per_hour"] < 0.01  # what the disks cost

    lab.run("start", cluster)
    after = {alias: lab.machine(alias).id for alias in NODES}
    assert (after["master"], after["node001"]) == (before["master"], before["node001"])
    assert after["node002"] != before["node002"]
    for machine in (master, worker):
        assert boots(machine) == 2
        assert machine.inside("cat /home/ipuser/file") == "kept\n"
        assert is_unit(machine, "engines")
    assert is_unit(master, "controller")
    assert master.tags["spotcluster:host-key"] == host_key
    assert digest(lab) == keys
    assert engines(lab) == list(NODES)


def test_nodes_that_came_back_know_one_another_by_name(lab: Lab, cluster: str) -> None:
    addresses = {alias: lab.machine(alias).address for alias in NODES}
    assert names_in(lab.machine("master")) == addresses
    for alias in ("node001", "node002"):
        mine = {name: addresses[name] for name in ("master", alias)}
        assert names_in(lab.machine(alias)) == mine
        hop = f"ssh -o BatchMode=yes {alias} hostname"
        assert lab.run("sshmaster", "-u", "ipuser", cluster, hop) == f"{alias}\n"


def test_restart_reboots_every_machine_and_waits_for_the_engines(lab: Lab, cluster: str) -> None:
    before = {alias: boots(lab.machine(alias)) for alias in NODES}
    said = json.loads(lab.run("restart", "--json", cluster))
    assert sorted(said["ready"]) == list(NODES)
    assert {alias: boots(lab.machine(alias)) for alias in NODES} == {
        alias: number + 1 for alias, number in before.items()
    }
    assert engines(lab) == list(NODES)


def test_cluster_that_comes_back_smaller_forgets_the_names_of_those_that_went(
    lab: Lab, cluster: str
) -> None:
    lab.run("stop", "-y", cluster)
    lab.run("start", "-s", "2", cluster)
    assert sorted(names_in(lab.machine("master"))) == ["master", "node001"]
    left = lab.machine("master").inside("ls /etc/spotcluster/ssh")
    assert left.split() == ["node001.conf", "node001.known_hosts"]
    assert engines(lab) == ["master", "node001"]
    lab.run("stop", "-y", cluster)  # and is terminated as it is

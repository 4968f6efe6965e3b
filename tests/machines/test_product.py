"""The product's main job on machines that boot: SSH on port 22, packages from a private mirror."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from spotcluster.plugins import environment

from .bed.image import USER, python_version
from .bed.lab import Lab

SEARCH = """
import json
import numpy as np
import spotcluster
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from spotcluster.search import GridSearch, persist_cv_splits

client = spotcluster.connect("mycluster")
digits = load_digits()
splits = persist_cv_splits(digits.data, digits.target, name="digits", random_state=42)
search = GridSearch(client.load_balanced_view())
search.launch_for_splits(SVC(), {"C": [1.0, 10.0], "gamma": [0.001, 0.0001]}, splits)
assert search.wait(timeout=200)
best = max(search.cv_results_["mean_test_score"])
print(json.dumps({"best": round(float(best), 5), "nodes": search.evaluations_per_node()}))
client.close()
"""


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[str]:
    mine = environment.laptop_python()
    if python_version() != mine:
        pytest.skip(f"engines need Python {mine}, and the image has {python_version()}")
    lab.configure()
    lab.run("start", "-s", "3", "-b", "0.5", "mycluster")
    yield "mycluster"
    lab.run("terminate", "-y", "mycluster")
    assert lab.machines == []


def test_start_of_a_master_and_two_workers(lab: Lab, cluster: str) -> None:
    (found,) = json.loads(lab.run("listclusters", "--json", cluster))
    assert [node["alias"] for node in found["nodes"]] == ["master", "node001", "node002"]
    assert all(node["ready"] for node in found["nodes"])
    assert len(lab.machines) == 3


def test_nodes_are_machines_with_ssh_on_port_22(lab: Lab, cluster: str) -> None:
    for alias in ("master", "node001"):
        assert "spotcluster:ssh-port" not in lab.machine(alias).tags
    said = lab.run("sshnode", cluster, "node001", "id -un; sudo -n id -un; cat /proc/1/comm")
    assert said.split() == [USER, "root", "systemd"]
    assert lab.machine("node002").ssh("cat /proc/1/comm").stdout == "systemd\n"
    said = lab.run("sshmaster", cluster, "ssh -o BatchMode=yes node001 'echo $SSH_CONNECTION'")
    assert said.split()[-1] == "22"


def test_search_runs_on_all_nodes(lab: Lab, cluster: str) -> None:
    found = json.loads(lab.python(SEARCH).splitlines()[-1])
    assert found["best"] == 0.99022
    assert set(found["nodes"]) == {"master", "node001", "node002"}

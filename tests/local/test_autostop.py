"""A cluster on the local cloud that is idle, ends by itself, and comes back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import PROGRAM, cli, nodes, wait_until

from spotcluster import local
from spotcluster.aws import instances
from spotcluster.aws.session import Session

CONFIG = """
[key mykey]

[cluster idle]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2
AUTOSTOP = 40s
"""


pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    assert "After 40 s idle it ends by itself" in cli("start", "-c", "idle", "mycluster")
    return "mycluster"


def seen(home: Path, host: str) -> dict[str, Any]:
    """Return what a node's own service has seen."""
    own = home / "local" / "hosts" / host / "home" / ".spotcluster" / "services"
    found: dict[str, Any] = json.loads((own / "autostop.state").read_text())
    return found


def test_command_that_runs_holds_it_up_and_then_it_ends_and_comes_back(
    cluster: str, module_home: Path
) -> None:
    running = subprocess.Popen([*PROGRAM, "sshmaster", cluster, "sleep 90"])
    hosts = {alias: found["id"] for alias, found in nodes(cluster).items()}
    wait_until(
        "the command to be seen",
        lambda: "a command or transfer over SSH" in seen(module_home, hosts["master"])["busy"],
    )
    wait_until(
        "the worker to see its master",
        lambda: seen(module_home, hosts["node001"])["busy"] == ["its master is there"],
    )
    assert running.wait(timeout=400) == 0

    def states() -> list[str]:
        found = instances.describe(Session("local"), cluster)
        return [one.state for one in found if one.state != "terminated"]

    wait_until("the cluster to end by itself", lambda: states() == ["stopped"])
    (listed,) = json.loads(cli("listclusters", "--json", cluster))
    assert listed["ended_by_itself"]
    assert listed["state"] == "stopped"
    assert [one["alias"] for one in listed["nodes"]] == ["master"]
    assert "`spotcluster start mycluster` brings it back" in " ".join(cli("listclusters").split())

    cli("start", cluster)
    assert {one["state"] for one in nodes(cluster).values()} == {"running"}
    assert len(nodes(cluster)) == 2
    assert "does not end by itself" in cli("autostop", cluster, "off")
    wait_until("off to be taken", lambda: seen(module_home, hosts["master"])["limit"] == 0)
    cli("terminate", "-y", cluster)

"""Cut off in the middle: nothing is left that nobody knows of, and repeating goes on."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import programs
import pytest
from commands import PROGRAM, cli, nodes

from spotcluster import local
from spotcluster.aws import instances
from spotcluster.aws.session import Session
from spotcluster.cluster.lifecycle import terminate

CONFIG = """
[key mykey]

[cluster bare]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 3
SPOT_BID = 0.5
"""


@pytest.fixture(scope="module")
def key(module_cloud: local.Endpoint, module_home: Path) -> None:
    (module_home / "config").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        cli("createkey", "mykey")


@pytest.fixture(autouse=True)
def cloud(key: None, in_module_cloud: local.Endpoint) -> Iterator[None]:
    """Leave nothing of a cluster to the next test."""
    yield
    if terminate.remains(Session("local"), "mycluster"):
        cli("terminate", "-y", "mycluster")


def cut_off(moment: str, how: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start the cluster, and send a signal as soon as the program says `moment`."""
    with programs.spoken([*PROGRAM, "start", "-c", "bare", "mycluster"]) as (program, lines):
        said = []
        for line in lines:
            said.append(line)
            if moment in line:
                program.send_signal(how)
                break
        else:
            pytest.fail(f"the program never said {moment!r}:\n{''.join(said)}")
        said += lines
        return subprocess.CompletedProcess(program.args, program.wait(240), "", "".join(said))


MOMENTS = [
    "master: launch",
    "node002: address",
    "node001: ssh",
    "master: set-up",
    "node001: set-up",
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_terminate_leaves_nothing_of_a_start_that_was_killed(moment: str) -> None:
    cut_off(moment, signal.SIGKILL)
    session = Session("local")
    if terminate.remains(session, "mycluster"):
        cli("terminate", "-y", "mycluster")
    assert not terminate.remains(session, "mycluster")
    assert json.loads(cli("listclusters", "--json")) == []
    assert all(host.processes == 0 for host in local.status().hosts)


@pytest.mark.parametrize("moment", MOMENTS)
def test_start_goes_on_after_a_start_that_was_killed(moment: str) -> None:
    cut_off(moment, signal.SIGKILL)
    cli("start", "-c", "bare", "mycluster")
    found = nodes("mycluster")
    assert list(found) == ["master", "node001", "node002"]
    assert all(node["ready"] for node in found.values())
    assert len(instances.live(instances.describe(Session("local")))) == 3
    assert cli("sshmaster", "mycluster", "ssh -o BatchMode=yes node002 echo yes").strip() == "yes"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_start_says_what_exists_and_what_ends_it(how: signal.Signals) -> None:
    done = cut_off("node001: ssh", how)
    assert done.returncode == 130
    assert "terminate mycluster" in done.stderr
    assert "Traceback" not in done.stderr
    for one in instances.live(instances.describe(Session("local"))):
        assert one.id in done.stderr
    cli("terminate", "-y", "mycluster")

"""A whole life on the local cloud, with real hosts, while its API fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import cli, nodes

from spotcluster import local
from spotcluster.aws.session import Session
from spotcluster.cluster.lifecycle import terminate

CONFIG = """
[key mykey]

[cluster bare]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2
SPOT_BID = 0.5
"""
THROTTLED = {"action": "*", "probability": 0.5, "code": "RequestLimitExceeded", "status": 503}
LOST = {"action": "*", "probability": 0.2, "after": True, "drop": True}
LATE = {"action": "RunInstances", "lag": 3, "tag_lag": 5}


@pytest.fixture(scope="module")
def key(module_cloud: local.Endpoint, module_home: Path) -> None:
    (module_home / "config").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        cli("createkey", "mykey")


@pytest.fixture(autouse=True)
def cloud(key: None, in_module_cloud: local.Endpoint) -> Iterator[None]:
    """Leave the cloud as it was, also after a test that failed."""
    yield
    local.set_faults([])
    if terminate.remains(Session("local"), "mycluster"):
        cli("terminate", "-y", "mycluster")


@pytest.mark.parametrize("rules", [[THROTTLED], [LATE, LOST]], ids=["throttled", "late and lost"])
def test_life_of_a_cluster_while_calls_fail(rules: list[dict[str, object]]) -> None:
    local.set_faults(rules)
    cli("start", "-c", "bare", "mycluster")
    cli("addnode", "mycluster")
    cli("removenode", "-y", "mycluster", "node001")
    local.set_faults([])
    assert list(nodes("mycluster")) == ["master", "node002"]
    local.set_faults(rules)
    cli("terminate", "-y", "mycluster")
    local.set_faults([])
    assert not terminate.remains(Session("local"), "mycluster")
    assert all(host.processes == 0 for host in local.status().hosts)

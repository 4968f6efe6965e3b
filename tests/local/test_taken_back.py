"""EC2's notices on the local cloud, from the machine's metadata to `status`, and the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import cli, wait_until

from spotcluster import local

CONFIG = """
[key mykey]

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 2
SPOT_BID = 1
NODE_INSTANCE_TYPE = c5.large
"""

pytestmark = pytest.mark.usefixtures("in_module_cloud")


def status() -> dict[str, Any]:
    return dict(json.loads(cli("status", "mycluster", "--json")))


def test_node_that_is_taken_back_drains_and_status_tells_it_before_and_after(
    module_cloud: local.Endpoint, module_home: Path
) -> None:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "mycluster")
    worker = next(one for one in status()["nodes"] if one["alias"] == "node001")
    assert worker["notices"] == []
    local.give_notice([{"instance": worker["id"], "kind": "rebalance"}])
    seen: dict[str, Any] = {}

    def says(kind: str) -> bool:
        seen.update(next(one for one in status()["nodes"] if one["alias"] == "node001"))
        return kind in [one["kind"] for one in seen["notices"]]

    wait_until("the recommendation", lambda: says("rebalance"), 60)
    assert seen["state"] == "ready"
    local.give_notice([{"instance": worker["id"], "seconds": 20}])
    wait_until("the notice", lambda: says("interruption"), 60)
    assert seen["state"] == "draining"
    assert "node001 is taken back at " in cli("status", "mycluster")
    wait_until("the end", lambda: [one["alias"] for one in status()["taken_back"]] == ["node001"])
    assert "node001 was taken back at " in cli("status", "mycluster")
    cli("terminate", "-y", "mycluster")

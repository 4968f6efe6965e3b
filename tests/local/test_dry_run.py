"""`start --dry-run`: everything is checked against the API and shown; nothing is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import cli

from spotcluster import files, local, ssh
from spotcluster.aws.session import Session
from spotcluster.cluster.lifecycle import terminate

CONFIG = """
[key mykey]

[key other]
KEY_LOCATION = {other}

[cluster small]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 3
SPOT_BID = 0.5

[cluster oldimage]
EXTENDS = small
NODE_IMAGE_ID = ami-0123456789abcdef0

[cluster wrongkey]
EXTENDS = small
KEYNAME = other

[cluster nosuchzone]
EXTENDS = small
AVAILABILITY_ZONE = us-east-1z
"""


@pytest.fixture(scope="module")
def configured(module_cloud: local.Endpoint, module_home: Path) -> None:
    """Have the two keys, of which one gets another file afterwards."""
    other = module_home / "other.pem"
    (module_home / "config").write_text(CONFIG.format(other=other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        cli("createkey", "mykey")
        cli("createkey", "other", "-o", str(other))
    files.write_private(other, ssh.keys.generate().private)


@pytest.fixture
def own_cloud(spotcluster_home: Path) -> Iterator[None]:
    """Give a test a local cloud that it may end, and a key in it."""
    (spotcluster_home / "config").write_text(CONFIG.format(other="/none"))
    try:
        cli("createkey", "mykey")
        yield
    finally:
        local.stop()


@pytest.mark.usefixtures("configured", "in_module_cloud")
def test_plan_shows_nodes_and_price_and_makes_nothing() -> None:
    said = cli("start", "-c", "small", "--dry-run", "mycluster")
    for part in ("master", "node002", "on demand", "spot, at most $0.5/h", "Together: $0."):
        assert part in said
    plan = json.loads(cli("start", "-c", "small", "--validate-only", "--json", "mycluster"))
    assert [node["alias"] for node in plan["nodes"]] == ["master", "node001", "node002"]
    assert plan["usd_per_hour"] == pytest.approx(sum(n["usd_per_hour"] for n in plan["nodes"]))
    assert not terminate.remains(Session("local"), "mycluster")


@pytest.mark.usefixtures("configured", "in_module_cloud")
@pytest.mark.parametrize("dry", [True, False], ids=["dry", "for real"])
def test_what_the_api_would_refuse_is_refused_before_anything_is_made(
    dry: bool,
) -> None:
    for words, expected, status in (
        (("-c", "oldimage"), "ami-0123456789abcdef0", 1),
        (("-c", "wrongkey"), "is not the private key of the key pair 'other'", 2),
        (("-c", "nosuchzone"), "us-east-1z", 2),
        (("-c", "small", "-i", "c5.huge"), "no instance type 'c5.huge'", 2),
        (("-c", "small", "-b", "0.001"), "below the spot price", 1),
    ):
        said = cli("start", *words, *(["--dry-run"] if dry else []), "mycluster", status=status)
        assert expected in said
        assert not terminate.remains(Session("local"), "mycluster")


def test_crashed_local_cloud_is_said_with_the_command_that_helps(own_cloud: None) -> None:
    import os
    import signal

    pid = local.status().pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    said = cli("listclusters", status=1)
    assert "spotcluster local start" in said
    assert "spotcluster local start" in cli("local", "status", status=1)
    cli("local", "start")
    assert "mykey" in cli("listkeypairs")

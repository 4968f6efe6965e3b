"""A cluster that an earlier version has started (data/a45db88/README.md): this one goes on with it.

What is kept is what EC2 and the machines show, and no object of ours or of moto's.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from spotcluster.aws.session import Session

KEPT = Path(__file__).parent / "data" / "a45db88" / "cluster.json"
REGION = "us-east-1"
MOVING = {"uptime_seconds", "usd_per_hour", "usd_so_far", "launched", "spot_request", "problem"}
"""What a cluster is told of that is not the same at another time and under other ids."""


@pytest.fixture
def said(world: Any) -> dict[str, Any]:
    """Have the cluster in the world; return what was said of it."""
    kept = json.loads(KEPT.read_text())
    ec2 = Session(REGION).client("ec2")
    group = made_group(ec2, kept["group"])
    now_called = {kept["group"]["GroupId"]: group}
    for one in kept["instances"]:
        made = made_instance(ec2, one, group)
        now_called[one["InstanceId"]] = made["InstanceId"]
        now_called[one["PrivateIpAddress"]] = made["PrivateIpAddress"]
    text = KEPT.read_text()
    for former, now in sorted(now_called.items(), reverse=True):  # no address that begins another
        text = text.replace(former, now)
    kept = json.loads(text)
    world.machines.files = kept["machines"]
    for name, content in kept["own"].items():
        path = world.home / name
        for folder in reversed(path.relative_to(world.home).parents):
            (world.home / folder).mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
    return {"listed": kept["listed"], "status": kept["status"]}


def made_group(ec2: Any, former: dict[str, Any]) -> str:
    made: str = ec2.create_security_group(
        GroupName=former["GroupName"],
        Description=former["Description"],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": former["Tags"]}],
    )["GroupId"]
    rules = json.loads(json.dumps(former["IpPermissions"]).replace(former["GroupId"], made))
    ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=rules)
    return made


def made_instance(ec2: Any, former: dict[str, Any], group: str) -> dict[str, Any]:
    request = former["SpotRequest"]
    spot = {"SpotOptions": {"MaxPrice": request["SpotPrice"]}} if request else {}
    kinds = {"instance": former["Tags"], "volume": former["Tags"]}
    if request:
        kinds["spot-instances-request"] = request["Tags"]
    options = {"InstanceMarketOptions": {"MarketType": "spot", **spot}} if request else {}
    (made,) = ec2.run_instances(
        MinCount=1,
        MaxCount=1,
        ClientToken=former["ClientToken"],
        ImageId=former["ImageId"],
        InstanceType=former["InstanceType"],
        KeyName=former["KeyName"],
        SecurityGroupIds=[group],
        Placement={"AvailabilityZone": former["Placement"]["AvailabilityZone"]},
        UserData=decoded(former["UserData"]),
        MetadataOptions={"HttpTokens": former["MetadataOptions"]["HttpTokens"]},
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind, tags in kinds.items()],
        **options,
    )["Instances"]
    found: dict[str, Any] = made
    return found


def decoded(user_data: str) -> str:
    return base64.b64decode(user_data).decode()  # boto3 encodes it again


def lasting(told: Any) -> Any:
    """Return what is told of a cluster without what is `MOVING`."""
    if isinstance(told, dict):
        return {name: lasting(value) for name, value in told.items() if name not in MOVING}
    return [lasting(one) for one in told] if isinstance(told, list) else told


def ids(world: Any) -> dict[str, str]:
    return {alias: one.id for alias, (one,) in world.instances().items()}


def test_a_former_cluster_is_told_of_as_it_was(world: Any, said: dict[str, Any]) -> None:
    listed = json.loads(world.run("-r", REGION, "listclusters", "--json").out)
    for one in listed:  # it was made before there was an autostop
        names = ("autostop_seconds", "ended_by_itself", "ended", "budget_usd", "at_most")
        assert [one.pop(name) for name in names] == [None, False, None, None, None]
        assert one.pop("keeps_itself") is False  # nor had a master a role
        assert one.pop("image_copies") == []
    assert lasting(listed) == lasting(said["listed"])
    status = json.loads(world.run("-r", REGION, "status", "mycluster", "--json").out)
    assert status.pop("budget_usd") is None
    assert status.pop("taken_back") == []
    assert status.pop("keeper") is None
    assert not any(one.pop("notices") for one in status["nodes"])
    assert status.pop("autostop") in (None, {"seconds_left": None, "busy": []})
    assert lasting(status) == lasting(said["status"])


def test_a_former_cluster_lives_on(world: Any, said: dict[str, Any]) -> None:
    before = ids(world)
    assert list(before) == ["master", "node001", "node002"]
    files = json.dumps(world.machines.files[before["node001"]])

    world.run("addnode", "-n", "1", "mycluster")
    assert world.ready() == ["master", "node001", "node002", "node003"]
    assert ids(world).items() >= before.items()  # of those that there were, none was touched
    assert json.dumps(world.machines.files[before["node001"]]) == files
    assert ("node003", "letting the master in") in world.machines.steps
    master = world.machines.files[before["master"]]
    assert master["~/.ssh/id_ed25519.pub"].startswith("ssh-ed25519 ")

    world.run("removenode", "-y", "mycluster", "node001")
    assert world.ready() == ["master", "node002", "node003"]

    world.run("stop", "-y", "mycluster")
    assert {alias: one.state for alias, (one,) in world.instances().items()}["master"] == "stopped"
    world.run("start", "mycluster")
    assert ids(world)["master"] == before["master"]
    assert world.ready()[:1] == ["master"]

    world.run("terminate", "-y", "mycluster")
    assert world.left() == []
    assert world.own_files() == []


def test_a_former_cluster_is_ended(world: Any, said: dict[str, Any]) -> None:
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []
    assert world.own_files() == []

"""The policy that `iam-policy` prints: enough for every command, and nothing that none needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spotcluster.aws.session import Session
from spotcluster.local import answers

from .world import REGION, World

SERVICES = {
    "GetParameter": "ssm",
    "GetParametersByPath": "ssm",
    "PutParameter": "ssm",
    "GetProducts": "pricing",
    "GetServiceQuota": "servicequotas",
}
OURS = {f"aws:ResourceTag/spotcluster:{one}" for one in ("cluster", "volume", "image")}
NOT_SEEN = {
    "iam:CreateServiceLinkedRole",  # AWS calls it by itself, for an account's first spot instance
    "ec2:RevokeSecurityGroupIngress",  # when this computer has another address than it had
    # with a volume of EFS
    "elasticfilesystem:DescribeFileSystems",
    "elasticfilesystem:DescribeMountTargetSecurityGroups",
    "elasticfilesystem:DescribeMountTargets",
    "ec2:DescribeVolumesModifications",  # asked when the answer to ModifyVolume was lost
}


def granted(world: World) -> set[str]:
    policy = json.loads(world.run("iam-policy").out)
    assert policy["Version"] == "2012-10-17"
    assert {one["Effect"] for one in policy["Statement"]} == {"Allow"}
    return {action for one in policy["Statement"] for action in one["Action"]}


def volumes(world: World, home: Path) -> None:
    """Run every command of volumes, and those that attach them and let go of them."""
    config = home / "config"
    more = "[volume data]\nVOLUME_ID = data\nMOUNT_PATH = /data\n"
    more += "[cluster keeping]\nEXTENDS = bare\nPLUGINS =\nVOLUMES = data\n"
    more += "PLACEMENT_GROUP = cluster\nCAPACITY_RESERVATION = {reservation}\n"
    config.write_text(f"{config.read_text()}\n{more}")
    here = ("-r", REGION)
    check, world.on_call = world.on_call, None  # what is reserved is by others
    made = Session(REGION).ec2.create_capacity_reservation(
        InstanceType="c5.large",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone="us-east-1a",
        InstanceCount=1,
    )
    reservation = made["CapacityReservation"]["CapacityReservationId"]
    config.write_text(config.read_text().replace("{reservation}", reservation))
    world.on_call = check
    volume = json.loads(
        world.run(*here, "createvolume", "1", "us-east-1a", "-n", "data", "--json").out
    )["id"]
    check, world.on_call = world.on_call, None  # a snapshot is taken by others
    snapshot = Session(REGION).ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    world.on_call = check
    world.run(*here, "createvolume", "--snapshot", snapshot, "-n", "copy")
    world.run(*here, "listvolumes")
    world.run("start", "-c", "keeping", "-s", "1", "--format", "mycluster")
    world.run(*here, "resizevolume", "data", "2")
    world.run("terminate", "-y", "mycluster")
    world.run(*here, "removevolume", "-y", "data", "copy")
    check, world.on_call = world.on_call, None
    Session(REGION).ec2.delete_snapshot(SnapshotId=snapshot)
    world.on_call = check


def test_every_command_needs_what_the_policy_has_and_no_more(
    world: World, spotcluster_home: Path
) -> None:
    allowed = granted(world)
    asked: set[str] = set()

    def check(number: int, name: str, do: Callable[[], Any]) -> Any:
        if ": " in name:  # a remote step
            return do()
        service = SERVICES.get(name, "ec2")
        asked.add(f"{service}:{name}")
        if f"{service}:{name}" not in allowed:
            return answers.error(service, "UnauthorizedOperation", "You are not authorized.", 403)
        return do()

    world.on_call = check
    world.run("-r", "us-east-1", "createkey", "other", "-o", str(spotcluster_home / "other.pem"))
    world.run("-r", "us-east-1", "listkeypairs")
    world.run("-r", "us-east-1", "removekey", "-y", "other")
    world.run("-r", "us-east-1", "spothistory", "c5.large")
    for command in ("listinstances", "listspots", "listzones", "listregions", "listimages"):
        world.run("-r", "us-east-1", command)
    world.run("start", "-c", "bare", "--dry-run", "mycluster")
    world.run("start", "-c", "bare", "mycluster")
    world.run("addnode", "mycluster")
    world.run("listclusters")
    world.run("status", "mycluster")
    world.run("showconsole", "mycluster", "node001")
    world.run("runplugin", "ipcluster", "mycluster")
    world.run("removenode", "-y", "mycluster", "node001")
    fail = {"lost": "sshd is dead."}
    world.machines.faults.append(lambda step: fail if step["alias"] == "node003" else None)
    world.run("addnode", "--on-failure", "drop", "mycluster", status=1)
    world.cloud.capacity.replace([{"lifecycle": "spot", "capacity": 0}])
    world.run("addnode", "mycluster", status=1)
    world.cloud.capacity.replace([])
    world.run("ebsimage", "mycluster", "node002", "tools")
    world.run("-r", "us-east-1", "removeimage", "-y", "tools:1")
    world.run("restart", "mycluster")
    world.run("stop", "-y", "mycluster")
    world.run("start", "mycluster")
    world.run("terminate", "-y", "mycluster")
    world.run("costs")
    volumes(world, spotcluster_home)
    assert world.left() == []
    assert asked - allowed == set()
    assert allowed - asked == NOT_SEEN


def test_a_keeper_needs_what_its_policy_has(world: World) -> None:
    """It makes workers and ends them; whoever has its computer cannot make or end a cluster."""
    world.run("start", "-c", "bare", "-s", "3", "mycluster")
    policy = json.loads(world.run("iam-policy", "--keep").out)
    allowed = {action for one in policy["Statement"] for action in one["Action"]}
    asked: set[str] = set()

    def check(number: int, name: str, do: Callable[[], Any]) -> Any:
        if ": " in name:  # a remote step
            return do()
        service = SERVICES.get(name, "ec2")
        asked.add(f"{service}:{name}")
        if f"{service}:{name}" not in allowed:
            return answers.error(service, "UnauthorizedOperation", "You are not authorized.", 403)
        return do()

    world.on_call = check
    (lost,) = world.instances()["node001"]
    lost.terminate()
    world.settle()
    fail = {"lost": "sshd is dead."}
    world.machines.faults.append(lambda step: fail if step["alias"] == "node003" else None)
    world.run("keep", "--once", "mycluster", status=0)
    assert world.ready() == ["master", "node002", "node004"]
    assert asked - allowed == set()
    said = world.run("terminate", "-y", "mycluster", status=1).err
    assert "UnauthorizedOperation" in said or "not authorized" in said.lower()
    assert not {"ec2:CreateSecurityGroup", "ec2:ImportKeyPair", "ec2:StopInstances"} & allowed
    world.on_call = None
    world.run("terminate", "-y", "mycluster")


def test_what_changes_or_ends_things_is_allowed_for_ours_only(world: World) -> None:
    policy = json.loads(world.run("iam-policy").out)
    for statement in policy["Statement"]:
        for action in statement["Action"]:
            verb = action.partition(":")[2]
            if verb.startswith(
                (
                    "Terminate",
                    "Stop",
                    "Start",
                    "Reboot",
                    "DeleteS",
                    "DeleteV",
                    "DeleteT",
                    "Cancel",
                    "Auth",
                    "Mod",
                )
            ):
                tags = statement["Condition"]["Null"]
                assert list(tags.values()) == ["false"]
                assert tags.keys() <= OURS


def ssh_rules() -> list[str]:
    ec2 = Session(REGION).ec2
    (group,) = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["spotcluster-mycluster"]}]
    )["SecurityGroups"]
    return sorted(
        block["CidrIp"]
        for rule in group["IpPermissions"]
        if rule.get("FromPort") == 22
        for block in rule["IpRanges"]
    )


def test_allow_adds_to_the_callers_own_address(world: World) -> None:
    words = ("start", "-c", "bare", "-s", "1")
    world.run(*words, "--allow", "198.51.100.0/24", "--allow", "192.0.2.9", "mycluster")
    assert ssh_rules() == ["192.0.2.9/32", "198.51.100.0/24", "203.0.113.7/32"]


def test_block_that_is_none_is_refused_before_anything_is_made(world: World) -> None:
    said = world.run("start", "-c", "bare", "--allow", "198.51.100.7/24", "mycluster", status=2)
    assert "--allow 198.51.100.7/24" in said.err
    assert world.left() == []

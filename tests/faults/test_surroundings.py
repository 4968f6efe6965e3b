"""What nodes are launched into: placement groups, reservations, others' groups, roles and keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moto.iam.models import iam_backends
from roles import TRUST
from werkzeug.wrappers import Response

from spotcluster.aws import tags
from spotcluster.aws.session import Session
from spotcluster.local import answers

from .world import REGION, World


@pytest.fixture
def template(world: World, spotcluster_home: Path) -> Callable[..., None]:
    """Write what the template `own` says."""
    config = spotcluster_home / "config"
    before = config.read_text()

    def write(**keys: object) -> None:
        lines = "".join(f"{key.upper()} = {value}\n" for key, value in keys.items())
        config.write_text(f"{before}\n[cluster own]\nEXTENDS = bare\n{lines}")

    return write


def start(world: World, *words: str, status: int = 0) -> Any:
    return world.run("start", "-c", "own", *words, "mycluster", status=status)


def planned(world: World, *words: str) -> Any:
    return json.loads(start(world, "--dry-run", "--json", *words).out)


def zones(world: World) -> dict[str, str]:
    return {alias: one.availability_zone for alias, (one,) in world.instances().items()}


def reserve(count: int, kind: str = "c5.large", zone: str = "us-east-1b") -> str:
    made = Session(REGION).ec2.create_capacity_reservation(
        InstanceType=kind, InstancePlatform="Linux/UNIX", AvailabilityZone=zone, InstanceCount=count
    )
    return made["CapacityReservation"]["CapacityReservationId"]


# A placement group of its own.


def test_nodes_are_near_each_other_and_nothing_is_left(
    world: World, template: Callable[..., None]
) -> None:
    template(placement_group="cluster", tags="project:digits")
    assert planned(world)["placement_group"] == "spotcluster-mycluster"
    said = start(world, "--dry-run").out
    assert "Placement group: spotcluster-mycluster, made for it." in said
    assert world.left() == []
    start(world, "-s", "3")
    ec2 = Session(REGION).ec2
    (group,) = ec2.describe_placement_groups()["PlacementGroups"]
    own = {one["Key"]: one["Value"] for one in group["Tags"]}
    assert (own["spotcluster:cluster"], own["project"]) == ("mycluster", "digits")
    world.run("addnode", "mycluster")
    found = world.instances()
    assert {one.placement.group_name for (one,) in found.values()} == {"spotcluster-mycluster"}
    assert len(set(zones(world).values())) == 1
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_other_zone_than_that_of_the_group_is_refused(
    world: World, template: Callable[..., None]
) -> None:
    template(placement_group="cluster")
    start(world, "-s", "1")
    (zone,) = zones(world).values()
    other = "us-east-1a" if zone != "us-east-1a" else "us-east-1b"
    said = world.run("addnode", "-z", other, "mycluster", status=2).err
    assert f"AVAILABILITY_ZONE (-a) is in {other}" in said
    assert f"PLACEMENT_GROUP are in {zone}" in said
    assert world.ready() == ["master"]


def test_type_that_no_group_takes_is_refused_before_anything_is_made(
    world: World, template: Callable[..., None]
) -> None:
    template(placement_group="cluster", node_instance_type="t3.micro")
    assert "t3.micro cannot be in a placement group" in start(world, status=2).err
    assert world.left() == []


def test_cluster_that_is_ended_meanwhile_leaves_no_group(
    world: World, template: Callable[..., None]
) -> None:
    """Ended between the look for the cluster and the making of its group, by another terminal."""
    template(placement_group="cluster")
    ended: list[str] = []

    def end(_: int, name: str, do: Callable[[], Response]) -> Response:
        if name == "CreatePlacementGroup" and not ended:
            ended.append(name)
            world.run("terminate", "-y", "mycluster")
        return do()

    world.on_call = end
    said = start(world, status=1).err
    assert "has been terminated from elsewhere" in said
    assert ended
    assert world.left() == []


def test_earlier_policy_ends_a_cluster_without_a_group(world: World) -> None:
    """`terminate` asks for placement groups only where a tag tells of one."""
    world.run("start", "-c", "bare", "-s", "1", "mycluster")

    def refuse(_: int, name: str, do: Callable[[], Response]) -> Response:
        if "PlacementGroup" in name:
            return answers.error("ec2", "UnauthorizedOperation", "You are not authorized.", 403)
        return do()

    world.on_call = refuse
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


# One that is there.


def test_group_of_others_is_used_and_stays(world: World, template: Callable[..., None]) -> None:
    template(placement_group="theirs")
    said = start(world, status=2).err
    assert "There is no placement group 'theirs' (PLACEMENT_GROUP) in us-east-1" in said
    assert world.left() == []
    Session(REGION).ec2.create_placement_group(GroupName="theirs", Strategy="partition")
    assert "theirs, there already, partition." in start(world, "--dry-run").out
    start(world)
    assert {one.placement.group_name for (one,) in world.instances().values()} == {"theirs"}
    world.run("terminate", "-y", "mycluster")
    assert world.left() == ["theirs"]


def test_nodes_went_into_somebody_elses_group_that_had_the_name_of_the_clusters_own(
    world: World, template: Callable[..., None]
) -> None:
    name = "spotcluster-mycluster"
    Session(REGION).ec2.create_placement_group(GroupName=name, Strategy="spread")
    template(placement_group="cluster")
    said = start(world, status=2).err
    assert f"There is a placement group '{name}' in {REGION}, which is not this cluster's." in said
    assert world.left() == [name]


# Capacity reservations.


def test_nodes_on_demand_are_launched_into_the_reservation(
    world: World, template: Callable[..., None]
) -> None:
    made = reserve(3)
    template(spot_bid="", capacity_reservation=made)
    (spec,) = {one["type"] for one in planned(world)["nodes"]}
    assert spec == "c5.large"
    assert (
        f"Capacity reservation: {made}, 3 free c5.large in us-east-1b."
        in start(world, "--dry-run").out
    )
    world.cloud.capacity.replace([{"capacity": 0}])  # there is none but what is reserved
    start(world, "-s", "2")
    assert set(zones(world).values()) == {"us-east-1b"}
    world.run("addnode", "mycluster")
    said = world.run("addnode", "mycluster", status=1).err
    assert f"{made} (CAPACITY_RESERVATION) has 0 free c5.large in us-east-1b; 1 are needed" in said
    assert len(world.ready()) == 3
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_more_nodes_than_are_reserved_are_refused_before_anything_is_made(
    world: World, template: Callable[..., None]
) -> None:
    template(spot_bid="", capacity_reservation=reserve(2))
    said = start(world, "-s", "5", status=1).err
    assert "has 2 free c5.large in us-east-1b; 5 are needed" in said
    assert "Say -s 2 or less, or leave CAPACITY_RESERVATION out." in said
    assert world.left() == []


@pytest.mark.parametrize(
    ("kind", "words", "why"),
    [
        ("c5.xlarge", (), "and no node on demand is of that type"),
        ("c5.large", ("--force-spot-master",), "and no node on demand is of that type"),
        ("c5.large", ("-a", "us-east-1c"), "CAPACITY_RESERVATION is in us-east-1b"),
    ],
)
def test_reservation_that_no_node_fits_is_refused(
    world: World, template: Callable[..., None], kind: str, words: tuple[str, ...], why: str
) -> None:
    template(capacity_reservation=reserve(2, kind))
    assert why in start(world, *words, status=2).err
    assert world.left() == []


def test_reservation_that_is_not_there_or_over_is_refused(
    world: World, template: Callable[..., None]
) -> None:
    template(capacity_reservation="cr-0123456789abcdef0")
    said = start(world, status=2).err
    assert "There is no capacity reservation 'cr-0123456789abcdef0'" in said
    made = reserve(2)
    Session(REGION).ec2.cancel_capacity_reservation(CapacityReservationId=made)
    template(capacity_reservation=made)
    assert "is cancelled" in start(world, status=2).err
    assert world.left() == []


def test_fallback_takes_what_is_reserved_first(world: World, template: Callable[..., None]) -> None:
    """The master takes one of two; of two workers that the spot market lacks, one the other."""
    template(capacity_reservation=reserve(2), on_demand_fallback="all")
    world.cloud.capacity.replace([{"lifecycle": "spot", "capacity": 0}])
    start(world, "-s", "3")
    into = {alias: one.capacity_reservation_id for alias, (one,) in world.instances().items()}
    assert into["master"]
    assert sorted(alias for alias, one in into.items() if one) == ["master", "node001"]
    assert world.ready() == ["master", "node001", "node002"]


def test_fallback_went_into_a_full_reservation_when_start_was_repeated(
    world: World, template: Callable[..., None]
) -> None:
    """A master that is there, and is set up once more, was taken off what is free a second time."""
    template(capacity_reservation=reserve(1), on_demand_fallback="all")
    world.cloud.capacity.replace([{"lifecycle": "spot", "capacity": 0}])
    start(world, "-s", "1")
    (master,) = world.instances()["master"]
    Session(REGION).ec2.delete_tags(Resources=[master.id], Tags=[{"Key": tags.STATE}])
    start(world, "-s", "4")
    assert world.ready() == ["master", "node001", "node002", "node003"]
    into = {alias: one.capacity_reservation_id for alias, (one,) in world.instances().items()}
    assert [alias for alias, one in into.items() if one] == ["master"]


# Others' groups, roles and keys.


def make_profile(name: str) -> None:
    iam = Session(REGION).client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def test_all_that_others_made_is_used_and_stays_as_it_was(
    world: World, template: Callable[..., None]
) -> None:
    session = Session(REGION)
    try:
        make_profile("reader")
        group = session.ec2.create_security_group(GroupName="theirs", Description="theirs")
        key = session.client("kms").create_key()["KeyMetadata"]["Arn"]
        template(
            node_instance_profile="reader",
            security_groups=group["GroupId"],
            kms_key=key,
            root_volume_size=30,
            root_volume_iops=4_000,
            root_volume_throughput=250,
        )
        told = planned(world)
        assert told["disk"] == {
            "type": "gp3",
            "iops": 4_000,
            "throughput_mib": 250,
            "kms_key": key,
        }
        assert (told["security_groups"], told["node_instance_profile"]) == (
            [group["GroupId"]],
            "reader",
        )
        said = " ".join(start(world, "--dry-run").out.split())
        assert f"Nodes are also in {group['GroupId']}, which stay." in said
        assert f"Their own disks: gp3, 4000 IOPS, 250 MiB/s, encrypted with {key}." in said
        start(world)
        for (one,) in world.instances().values():
            assert group["GroupId"] in {each.id for each in one.security_groups}
            profiles = one.ec2_backend.iam_instance_profile_associations
            assert profiles[one.id].iam_instance_profile.name == "reader"
            (disk,) = one.block_device_mapping.values()
            volume = one.ec2_backend.get_volume(disk.volume_id)
            assert (volume.kms_key_id, volume.size, volume.volume_type) == (key, 30, "gp3")
            assert (volume.iops, volume.throughput) == (4_000, 250)
        tags = world.group_tags()
        assert "reader" in "".join(tags.values())
        world.run("terminate", "-y", "mycluster")
        (left,) = session.ec2.describe_security_groups(GroupIds=[group["GroupId"]])[
            "SecurityGroups"
        ]
        assert left["IpPermissions"] == []
        assert world.left() == ["theirs"]
    finally:
        iam_backends.reset()


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("node_instance_profile", "none", "no instance profile 'none' (NODE_INSTANCE_PROFILE)"),
        ("security_groups", "sg-0123abcd, sg-4567cdef", "sg-0123abcd is not there; sg-4567cdef is"),
        ("kms_key", "alias/none", "There is no key 'alias/none' (KMS_KEY) in KMS of us-east-1"),
        ("root_volume_iops", "5000", "is more than 8 GiB of gp3 may have, 4000; 10 GiB are enough"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_made(
    world: World, template: Callable[..., None], key: str, value: str, why: str
) -> None:
    template(**{key: value})
    assert why in " ".join(start(world, status=2).err.split())
    assert world.left() == []


def test_dearer_disk_counts_against_the_budget_and_in_the_price(
    world: World, template: Callable[..., None]
) -> None:
    template(root_volume_size=100)
    plain = planned(world)["usd_per_hour"]
    template(root_volume_size=100, root_volume_type="io2", root_volume_iops=10_000)
    dear = planned(world)["usd_per_hour"]
    # Two disks: io2 and its IOPS are 0.125 and 0.065 for a month of 730 hours, gp3 is 0.08.
    assert dear - plain == pytest.approx(2 * (100 * 0.045 + 10_000 * 0.065) / 730)
    start(world, "--budget", "20")
    told = json.loads(world.run("listclusters", "--json").out)
    assert told[0]["usd_per_hour"] > dear * 0.9

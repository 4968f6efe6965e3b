"""Placement groups and capacity reservations of the local cloud."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster.local.cloud import Cloud

TAG = {"Key": "spotcluster:cluster", "Value": "c"}


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def make_group(ec2: Any, name: str = "near", strategy: str = "cluster") -> str:
    made = ec2.create_placement_group(
        GroupName=name,
        Strategy=strategy,
        TagSpecifications=[{"ResourceType": "placement-group", "Tags": [TAG]}],
    )
    return str(made["PlacementGroup"]["GroupId"])


def reserve(ec2: Any, count: int = 2, kind: str = "c5.large", zone: str = "us-east-1a") -> str:
    made = ec2.create_capacity_reservation(
        InstanceType=kind, InstancePlatform="Linux/UNIX", AvailabilityZone=zone, InstanceCount=count
    )
    return str(made["CapacityReservation"]["CapacityReservationId"])


def into(reservation: str) -> dict[str, Any]:
    target = {"CapacityReservationId": reservation}
    return {
        "InstanceType": "c5.large",
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "CapacityReservationSpecification": {"CapacityReservationTarget": target},
    }


def free(ec2: Any, reservation: str) -> int:
    found = ec2.describe_capacity_reservations(CapacityReservationIds=[reservation])
    return int(found["CapacityReservations"][0]["AvailableInstanceCount"])


def test_group_is_there_once_with_its_tags_until_it_is_deleted(ec2: Any) -> None:
    made = make_group(ec2)
    with pytest.raises(ClientError) as error:
        make_group(ec2)
    assert code(error) == "InvalidPlacementGroup.Duplicate"
    make_group(ec2, "far", "spread")
    (found,) = ec2.describe_placement_groups(Filters=[{"Name": "group-name", "Values": ["near"]}])[
        "PlacementGroups"
    ]
    assert (found["GroupId"], found["Strategy"], found["State"]) == (made, "cluster", "available")
    assert found["Tags"] == [TAG]
    listed = ec2.describe_tags(
        Filters=[{"Name": "resource-type", "Values": ["placement-group", "fleet"]}]
    )["Tags"]
    assert {one["ResourceType"] for one in listed} == {"placement-group"}
    assert made in {one["ResourceId"] for one in listed}
    for name in ("near", "far"):
        ec2.delete_placement_group(GroupName=name)
    assert ec2.describe_placement_groups()["PlacementGroups"] == []
    assert ec2.describe_tags()["Tags"] == []
    with pytest.raises(ClientError) as error:
        ec2.delete_placement_group(GroupName="near")
    assert code(error) == "InvalidPlacementGroup.Unknown"


def test_group_in_use_is_not_deleted(
    ec2: Any, run: Any, settle: Callable[[], None], describe: Any
) -> None:
    make_group(ec2)
    (one,) = run(InstanceType="c5.large", Placement={"GroupName": "near"})
    with pytest.raises(ClientError) as error:
        ec2.delete_placement_group(GroupName="near")
    assert code(error) == "InvalidPlacementGroup.InUse"
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    settle()
    ec2.delete_placement_group(GroupName="near")


def test_group_is_in_one_zone_and_not_for_every_type(ec2: Any, run: Any) -> None:
    make_group(ec2)
    near = {"GroupName": "near"}
    with pytest.raises(ClientError) as error:
        run(InstanceType="t3.micro", Placement=near)
    assert code(error) == "InvalidParameterCombination"
    with pytest.raises(ClientError) as error:
        run(InstanceType="c5.large", Placement={"GroupName": "nowhere"})
    assert code(error) == "InvalidPlacementGroup.Unknown"
    run(InstanceType="c5.large", Placement={**near, "AvailabilityZone": "us-east-1a"})
    with pytest.raises(ClientError) as error:
        run(InstanceType="c5.large", Placement={**near, "AvailabilityZone": "us-east-1b"})
    assert code(error) == "InsufficientInstanceCapacity"


def test_reservation_has_so_many_and_no_more(
    ec2: Any, run: Any, cloud: Cloud, settle: Callable[[], None]
) -> None:
    made = reserve(ec2)
    cloud.capacity.replace([{"capacity": 0}])  # nobody else has any
    with pytest.raises(ClientError) as error:
        run(InstanceType="c5.large", Placement={"AvailabilityZone": "us-east-1a"})
    assert code(error) == "InsufficientInstanceCapacity"
    (first,) = run(**into(made))
    assert free(ec2, made) == 1
    run(**into(made))
    with pytest.raises(ClientError) as error:
        run(**into(made))
    assert code(error) == "ReservationCapacityExceeded"
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    settle()
    assert free(ec2, made) == 1


def test_reservation_is_for_its_type_in_its_zone_and_active(ec2: Any, run: Any) -> None:
    made = reserve(ec2)
    with pytest.raises(ClientError) as error:
        run(**{**into(made), "InstanceType": "c5.xlarge"})
    assert code(error) == "InvalidParameterCombination"
    with pytest.raises(ClientError) as error:
        run(**into("cr-0123456789abcdef0"))
    assert code(error) == "InvalidCapacityReservationId.NotFound"
    ec2.cancel_capacity_reservation(CapacityReservationId=made)
    assert free(ec2, made) == 0
    with pytest.raises(ClientError) as error:
        run(**into(made))
    assert code(error) == "ReservationCapacityExceeded"


def test_both_are_there_after_a_restart(ec2: Any, cloud: Cloud, tmp_path: Path) -> None:
    make_group(ec2)
    reserve(ec2)
    backend = pickle.loads(pickle.dumps(cloud.backend("123456789012", "us-east-1")))
    assert list(backend.placement_groups) == ["near"]
    assert len(backend.capacity_reservations) == 1


def test_state_of_a_version_without_them_is_taken_up(cloud: Cloud) -> None:
    backend = cloud.backend("123456789012", "us-east-1")
    former = {
        name: value
        for name, value in backend.__getstate__().items()
        if name not in ("placement_groups", "capacity_reservations")
    }
    made = type(backend).__new__(type(backend))
    made.__setstate__(former)
    assert (made.placement_groups, made.capacity_reservations) == ({}, {})

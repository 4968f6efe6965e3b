"""Fleets that keep what they have; what has to do with time is in test_cloud_fleets_in_time.py."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster.local.cloud import Cloud


def members(ec2: Any, made: dict[str, Any]) -> list[str]:
    found = ec2.describe_fleet_instances(FleetId=made["FleetId"])["ActiveInstances"]
    return [one["InstanceId"] for one in found]


def state(ec2: Any, made: dict[str, Any]) -> str:
    (found,) = ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"]
    return str(found["FleetState"])


@pytest.mark.parametrize("kind", ["spot", "on-demand"])
def test_what_a_fleet_that_maintains_lost_was_never_replaced(
    ec2: Any, fleet: Any, keep: Any, kind: str
) -> None:
    made = fleet([], 3, kind)
    first = members(ec2, made)
    keep()
    assert members(ec2, made) == first
    ec2.terminate_instances(InstanceIds=first[:1])
    assert members(ec2, made) == first[1:]
    keep()
    now = members(ec2, made)
    assert set(first[1:]) < set(now)
    assert len(now) == 3
    (found,) = ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"]
    assert (found["FulfilledCapacity"], found["ActivityStatus"]) == (3.0, "fulfilled")


def test_a_fleet_without_room_launches_when_there_is_some(
    ec2: Any, fleet: Any, keep: Any, cloud: Cloud
) -> None:
    cloud.capacity.replace([{"capacity": 1}])
    made = fleet([], 3)
    keep()
    keep()
    assert len(members(ec2, made)) == 1
    cloud.capacity.replace([])
    keep()
    assert len(members(ec2, made)) == 3
    told = ec2.describe_fleet_history(FleetId=made["FleetId"], StartTime="2020-01-01T00:00:00Z")
    said = [
        (one["EventType"], one["EventInformation"]["EventSubType"])
        for one in told["HistoryRecords"]
    ]
    assert said == [
        ("fleet-change", "submitted"),
        ("instance-change", "launched"),
        ("service-error", "InsufficientInstanceCapacity"),
        ("fleet-change", "active"),
        ("instance-change", "launched"),
        ("instance-change", "launched"),
    ]


def test_a_request_is_not_launched_again_nor_modified(ec2: Any, fleet: Any, keep: Any) -> None:
    made = fleet([], 2, Type="request")
    ec2.terminate_instances(InstanceIds=members(ec2, made)[:1])
    keep()
    assert len(members(ec2, made)) == 1
    with pytest.raises(ClientError, match="Only fleets of type maintain"):
        ec2.modify_fleet(
            FleetId=made["FleetId"], TargetCapacitySpecification={"TotalTargetCapacity": 4}
        )


@pytest.mark.parametrize(
    ("target", "policy", "there"),
    [(5, None, 5), (1, None, 1), (1, "no-termination", 3), (0, None, 0)],
)
def test_a_fleet_is_modified(
    ec2: Any, fleet: Any, keep: Any, target: int, policy: str | None, there: int
) -> None:
    made = fleet([], 3)
    first = members(ec2, made)
    more = {"ExcessCapacityTerminationPolicy": policy} if policy else {}
    ec2.modify_fleet(
        FleetId=made["FleetId"],
        TargetCapacitySpecification={"TotalTargetCapacity": target},
        **more,
    )
    keep()
    now = members(ec2, made)
    assert len(now) == there
    assert set(first) & set(now) == set(first[: min(3, there)])
    (found,) = ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"]
    assert found["TargetCapacitySpecification"]["TotalTargetCapacity"] == target
    assert found["TargetCapacitySpecification"]["DefaultTargetCapacityType"] == "spot"


@pytest.mark.parametrize("terminate", [True, False])
def test_a_fleet_that_is_deleted_replaces_nothing(
    ec2: Any, fleet: Any, keep: Any, settle: Any, *, terminate: bool
) -> None:
    made = fleet([], 2)
    before = members(ec2, made)
    ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=terminate)
    assert state(ec2, made) == ("deleted_terminating" if terminate else "deleted_running")
    with pytest.raises(ClientError, match="FleetNotInModifiableState"):
        ec2.modify_fleet(
            FleetId=made["FleetId"], TargetCapacitySpecification={"TotalTargetCapacity": 4}
        )
    if not terminate:
        ec2.terminate_instances(InstanceIds=before[:1])
        keep()
        assert members(ec2, made) == before[1:]
        assert state(ec2, made) == "deleted_running"
        ec2.terminate_instances(InstanceIds=before)
    keep()
    assert members(ec2, made) == []
    assert state(ec2, made) == "deleted"


def test_a_fleet_whose_template_was_deleted_says_so(ec2: Any, fleet: Any, keep: Any) -> None:
    made = fleet([], 1)
    ec2.delete_launch_template(LaunchTemplateName="nodes")
    ec2.terminate_instances(InstanceIds=members(ec2, made))
    keep()
    told = ec2.describe_fleet_history(
        FleetId=made["FleetId"], StartTime="2020-01-01T00:00:00Z", EventType="service-error"
    )
    (one,) = told["HistoryRecords"]
    assert "LaunchTemplate" in one["EventInformation"]["EventSubType"]

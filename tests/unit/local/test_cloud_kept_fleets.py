"""Fleets that keep what they have, and fleets that say what types must have and not their names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moments import HeldClock
from moto.ec2.models.instance_types import INSTANCE_TYPES

from spotcluster.local import market
from spotcluster.local.cloud import Cloud
from spotcluster.local.images import UBUNTU

SMALL = {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096, "Max": 16384}}


@pytest.fixture
def fleet(ec2: Any) -> Callable[..., dict[str, Any]]:
    ec2.create_launch_template(
        LaunchTemplateName="nodes",
        LaunchTemplateData={"ImageId": UBUNTU, "InstanceType": "c5.large"},
    )
    named = {"LaunchTemplateName": "nodes", "Version": "$Latest"}

    def make(
        overrides: list[dict[str, Any]], count: int, kind: str = "spot", **params: Any
    ) -> dict[str, Any]:
        answer: dict[str, Any] = ec2.create_fleet(
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": named, "Overrides": overrides}],
            **{
                "Type": "maintain",
                "TargetCapacitySpecification": {
                    "TotalTargetCapacity": count,
                    "DefaultTargetCapacityType": kind,
                },
                **params,
            },
        )
        return answer

    return make


@pytest.fixture
def keep(cloud: Cloud, settle: Callable[[], None]) -> Callable[[], None]:
    """Complete changes and look after fleets, as the reconciler does."""

    def run() -> None:
        settle()
        with cloud.lock:
            for backend in cloud.backends():
                backend.keep_fleets()
        settle()

    return run


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


def test_a_spot_instance_that_is_taken_back_is_replaced_from_another_pool(
    ec2: Any, fleet: Any, keep: Any, cloud: Cloud
) -> None:
    made = fleet([{"InstanceType": "c5.large"}, {"InstanceType": "m5.large"}], 1)
    (first,) = members(ec2, made)
    (lost,) = [one for one in cloud.instances() if one.id == first]
    keep()
    cloud.capacity.replace([{"instance_type": lost.instance_type, "capacity": 0}])
    with cloud.lock:
        lost.ec2_backend.host_died(lost)
    keep()
    ((second),) = members(ec2, made)
    assert second != first
    kinds = {one.id: one.instance_type for one in cloud.instances()}
    assert {kinds[first], kinds[second]} == {"c5.large", "m5.large"}


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


def test_a_fleet_whose_time_is_over_launches_nothing(
    ec2: Any, fleet: Any, keep: Any, held_clock: HeldClock
) -> None:
    made = fleet([], 1, ValidUntil=held_clock.now + timedelta(hours=1))
    held_clock.move(timedelta(hours=2))
    ec2.terminate_instances(InstanceIds=members(ec2, made))
    keep()
    assert members(ec2, made) == []


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


# By what types must have.


def types_with(ec2: Any, architecture: str = "x86_64", **wanted: Any) -> list[str]:
    found = ec2.get_instance_types_from_instance_requirements(
        ArchitectureTypes=[architecture],
        VirtualizationTypes=["hvm"],
        InstanceRequirements={**SMALL, **wanted},
    )
    return [one["InstanceType"] for one in found["InstanceTypes"]]


def test_types_that_have_what_is_wanted(ec2: Any) -> None:
    found = types_with(ec2)
    assert {"c5.large", "m5.large", "c5.xlarge"} <= set(found)
    assert not {"t3.medium", "c5.2xlarge", "c7g.large", "x1e.xlarge"} & set(found)
    for name in found:
        info = INSTANCE_TYPES[name]
        assert 2 <= info["VCpuInfo"]["DefaultVCpus"] <= 4
        assert 4096 <= info["MemoryInfo"]["SizeInMiB"] <= 16384
    assert "c7g.large" in types_with(ec2, "arm64")
    assert "t3.medium" in types_with(ec2, BurstablePerformance="included")
    assert set(types_with(ec2, BurstablePerformance="required", CpuManufacturers=["amd"])) == {
        *("t3a.medium", "t3a.large", "t3a.xlarge")
    }
    assert types_with(ec2, AllowedInstanceTypes=["c5.*"]) == ["c5.large", "c5.xlarge"]
    assert not [n for n in types_with(ec2, ExcludedInstanceTypes=["c*"]) if n.startswith("c")]
    assert "c4.large" not in types_with(ec2, InstanceGenerations=["current"])
    assert all(
        INSTANCE_TYPES[one]["InstanceStorageSupported"]
        for one in types_with(ec2, LocalStorage="required")
    )
    on_ssd = set(types_with(ec2, LocalStorage="required", LocalStorageTypes=["ssd"]))
    on_hdd = set(types_with(ec2, LocalStorage="required", LocalStorageTypes=["hdd"]))
    assert on_ssd
    assert not on_ssd & on_hdd
    assert on_ssd | on_hdd == set(types_with(ec2, LocalStorage="required"))


def test_types_come_in_pages(ec2: Any) -> None:
    asked = {
        "ArchitectureTypes": ["x86_64"],
        "VirtualizationTypes": ["hvm"],
        "InstanceRequirements": SMALL,
    }
    pages = ec2.get_paginator("get_instance_types_from_instance_requirements").paginate(
        **asked, PaginationConfig={"PageSize": 7}
    )
    assert [one["InstanceType"] for page in pages for one in page["InstanceTypes"]] == types_with(
        ec2
    )


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"BareMetal": "perhaps"}, "InvalidParameterValue"),
        ({"CpuManufacturers": ["ibm"]}, "InvalidParameterValue"),
        ({"InstanceGenerations": ["next"]}, "InvalidParameterValue"),
        ({"VCpuCount": {"Min": 4, "Max": 2}}, "InvalidParameterValue"),
        ({"VCpuCount": {"Max": 2}}, "MissingParameter"),
        (
            {"AllowedInstanceTypes": ["c*"], "ExcludedInstanceTypes": ["m*"]},
            "InvalidParameterCombination",
        ),
        ({"NetworkBandwidthGbps": {"Min": 10}}, "UnsupportedOperation"),
    ],
)
def test_requirements_that_are_refused(ec2: Any, wanted: dict[str, Any], code: str) -> None:
    if wanted == {"VCpuCount": {"Max": 2}}:
        with pytest.raises(Exception, match="Min"):  # by botocore already
            types_with(ec2, **wanted)
        return
    with pytest.raises(ClientError, match=code):
        types_with(ec2, **wanted)


def test_an_instant_fleet_by_requirements_takes_the_cheapest_that_fits_its_image(
    ec2: Any, fleet: Any, cloud: Cloud
) -> None:
    market.tell([{"usd": 0.05}, {"instance_type": "m5a.large", "usd": 0.01}])
    made = fleet([{"InstanceRequirements": SMALL}], 2, Type="instant")
    assert {one["InstanceType"] for one in made["Instances"]} == {"m5a.large"}
    (group,) = made["Instances"]
    assert group["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"] == "m5a.large"
    assert made["Errors"] == []
    with pytest.raises(ClientError, match="not both"):
        fleet([{"InstanceRequirements": SMALL, "InstanceType": "c5.large"}], 1, Type="instant")
    none = {**SMALL, "AllowedInstanceTypes": ["c5.metal"]}
    with pytest.raises(ClientError, match="No instance types satisfy"):
        fleet([{"InstanceRequirements": none}], 1, Type="instant")


@pytest.mark.parametrize(("over", "number"), [(0, 1), (100, 2), (1000, 3)])
def test_a_price_over_the_lowest_one_leaves_types_out(
    fleet: Any, cloud: Cloud, over: int, number: int
) -> None:
    prices = {"c5.large": 0.02, "m5.large": 0.035, "r5.large": 0.2}
    market.tell([{"instance_type": name, "usd": usd} for name, usd in prices.items()])
    wanted = {
        **SMALL,
        "AllowedInstanceTypes": [*prices],
        "SpotMaxPricePercentageOverLowestPrice": over,
    }
    made = fleet(
        [{"InstanceRequirements": wanted}],
        3,
        Type="instant",
        SpotOptions={"AllocationStrategy": "diversified"},
    )
    assert {one["InstanceType"] for one in made["Instances"]} == set([*prices][:number])

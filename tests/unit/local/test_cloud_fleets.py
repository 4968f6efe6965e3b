"""Fleets: several pools, each with an error or instances of its own, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster.local import market
from spotcluster.local.cloud import Cloud
from spotcluster.local.images import UBUNTU


@pytest.fixture
def template(ec2: Any) -> dict[str, str]:
    ec2.create_launch_template(
        LaunchTemplateName="nodes",
        LaunchTemplateData={"ImageId": UBUNTU, "InstanceType": "c5.large"},
    )
    return {"LaunchTemplateName": "nodes", "Version": "$Latest"}


@pytest.fixture
def fleet(ec2: Any, template: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """Make a fleet, an instant one of the spot market where nothing else is said."""

    def make(
        overrides: list[dict[str, Any]], count: int, kind: str = "spot", **params: Any
    ) -> dict[str, Any]:
        config = {"LaunchTemplateSpecification": template, "Overrides": overrides}
        target = {"TotalTargetCapacity": count, "DefaultTargetCapacityType": kind}
        given = {"Type": "instant", "TargetCapacitySpecification": target, **params}
        answer: dict[str, Any] = ec2.create_fleet(LaunchTemplateConfigs=[config], **given)
        return answer

    return make


def subnets(ec2: Any) -> dict[str, str]:
    return {one["AvailabilityZone"]: one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]}


def counts(answer: dict[str, Any]) -> dict[str, int]:
    """Return how many instances each zone's subnet, or else each type, gave."""
    found: dict[str, int] = {}
    for group in answer["Instances"]:
        override = group["LaunchTemplateAndOverrides"]["Overrides"]
        name = override.get("SubnetId") or override["InstanceType"]
        found[name] = found.get(name, 0) + len(group["InstanceIds"])
    return found


def test_each_pool_of_a_fleet_says_why_it_gave_nothing(ec2: Any, fleet: Any, cloud: Cloud) -> None:
    places = subnets(ec2)
    a, b, c = places["us-east-1a"], places["us-east-1b"], places["us-east-1c"]
    cloud.capacity.replace(
        [
            {"instance_type": "c5.large", "zone": "us-east-1a", "capacity": 2},
            {"instance_type": "c5.large", "zone": "us-east-1b", "lifecycle": "spot", "capacity": 0},
        ]
    )
    answer = fleet(
        [
            {"InstanceType": "c5.large", "SubnetId": a, "MaxPrice": "0.08"},
            {"InstanceType": "c5.large", "SubnetId": b, "MaxPrice": "0.08"},
            {"InstanceType": "m5.large", "SubnetId": c, "MaxPrice": "0.0001"},
            {"InstanceType": "c5.huge", "SubnetId": c},
        ],
        5,
        SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
    )
    assert counts(answer) == {a: 2}
    said = {
        (error["LaunchTemplateAndOverrides"]["Overrides"]["SubnetId"], error["ErrorCode"])
        for error in answer["Errors"]
    }
    assert said == {
        (a, "InsufficientInstanceCapacity"),
        (b, "InsufficientInstanceCapacity"),
        (c, "SpotMaxPriceTooLow"),
        (c, "InvalidParameterValue"),
    }
    assert {error["Lifecycle"] for error in answer["Errors"]} == {"spot"}


def test_what_one_pool_has_not_comes_from_the_next(ec2: Any, fleet: Any, cloud: Cloud) -> None:
    places = subnets(ec2)
    wanted = [places["us-east-1a"], places["us-east-1b"]]
    cloud.capacity.replace([{"zone": "us-east-1a", "lifecycle": "on-demand", "capacity": 1}])
    answer = fleet(
        [
            {"InstanceType": "c5.large", "SubnetId": subnet, "Priority": order}
            for order, subnet in enumerate(wanted)
        ],
        4,
        "on-demand",
        OnDemandOptions={"AllocationStrategy": "prioritized"},
    )
    assert counts(answer) == {wanted[0]: 1, wanted[1]: 3}
    (error,) = answer["Errors"]
    assert error["ErrorCode"] == "InsufficientInstanceCapacity"
    assert "(us-east-1a)" in error["ErrorMessage"]


def test_a_fleet_of_several_subnets_in_one_override(ec2: Any, fleet: Any) -> None:
    places = [*subnets(ec2).values()][:2]
    options = {"AllocationStrategy": "diversified"}
    answer = fleet([{"SubnetId": ",".join(places)}], 4, SpotOptions=options)
    assert counts(answer) == dict.fromkeys(places, 2)


def test_a_fleet_that_must_have_more_than_there_is_launches_nothing(
    fleet: Any, cloud: Cloud, describe: Any
) -> None:
    cloud.capacity.replace([{"capacity": 2}])
    options = {"MinTargetCapacity": 3, "SingleInstanceType": True}
    answer = fleet([{"InstanceType": "c5.large"}], 3, SpotOptions=options)
    assert answer["Instances"] == []
    assert [error["ErrorCode"] for error in answer["Errors"]] == ["InsufficientInstanceCapacity"]
    assert describe() == []


def test_a_fleet_of_a_known_token_says_the_same_again(fleet: Any, describe: Any) -> None:
    overrides = [{"InstanceType": "c5.large"}, {"InstanceType": "m5.large", "MaxPrice": "0.0001"}]
    options = {"AllocationStrategy": "diversified"}
    first, second = (fleet(overrides, 2, SpotOptions=options, ClientToken="once") for _ in range(2))
    for part in ("FleetId", "Instances", "Errors"):
        assert first[part] == second[part]
    assert first["Errors"]
    assert len(describe()) == 2
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        fleet(overrides, 3, SpotOptions=options, ClientToken="once")


def test_an_instant_fleet_is_told_of_to_who_names_it_and_is_deleted_with_its_instances(
    ec2: Any, fleet: Any, describe: Any
) -> None:
    tags = [{"ResourceType": "fleet", "Tags": [{"Key": "of", "Value": "mycluster"}]}]
    made = fleet([{"InstanceType": "c5.large"}], 2, TagSpecifications=tags)
    wanted = {"FleetIds": [made["FleetId"]]}
    assert ec2.describe_fleets()["Fleets"] == []
    (found,) = ec2.describe_fleets(**wanted)["Fleets"]
    assert (found["Type"], found["FleetState"], found["FulfilledCapacity"]) == (
        *("instant", "active"),
        2.0,
    )
    assert found["Instances"] == made["Instances"]
    assert found["Tags"] == [{"Key": "of", "Value": "mycluster"}]
    assert {tag["Key"] for one in describe() for tag in one["Tags"]} >= {
        *("aws:ec2:fleet-id", "aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version")
    }

    kept = ec2.delete_fleets(**wanted, TerminateInstances=False)
    assert kept["UnsuccessfulFleetDeletions"][0]["FleetId"] == made["FleetId"]
    gone = ec2.delete_fleets(FleetIds=[made["FleetId"], "fleet-0"], TerminateInstances=True)
    assert [one["CurrentFleetState"] for one in gone["SuccessfulFleetDeletions"]] == [
        "deleted_terminating"
    ]
    (unknown,) = gone["UnsuccessfulFleetDeletions"]
    assert unknown["Error"]["Code"] == "fleetIdDoesNotExist"
    assert {one["State"]["Name"] for one in describe()} == {"shutting-down"}
    with pytest.raises(ClientError, match=r"InvalidFleetId\.NotFound"):
        ec2.describe_fleets(FleetIds=["fleet-0"])


def test_fleets_of_other_types_launch_and_are_listed(ec2: Any, fleet: Any) -> None:
    made = fleet([], 2, "on-demand", Type="request")
    assert "Instances" not in made
    (found,) = ec2.describe_fleets(Filters=[{"Name": "type", "Values": ["request"]}])["Fleets"]
    assert found["FleetId"] == made["FleetId"]
    active = ec2.describe_fleet_instances(FleetId=made["FleetId"])["ActiveInstances"]
    assert [one["InstanceType"] for one in active] == ["c5.large"] * 2


def test_a_launch_takes_what_its_pool_holds_or_is_refused(run: Any, cloud: Cloud) -> None:
    cloud.capacity.replace([{"instance_type": "c5.*", "capacity": 3}])
    assert len(run(MinCount=1, MaxCount=5)) == 3
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        run()
    assert run(InstanceType="m5.large")


def test_a_spot_fleet_launches_and_is_cancelled(ec2: Any, describe: Any) -> None:
    config = {
        "TargetCapacity": 2,
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchSpecifications": [{"ImageId": UBUNTU, "InstanceType": "c5.large"}],
    }
    made = ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    active = ec2.describe_spot_fleet_instances(SpotFleetRequestId=made)["ActiveInstances"]
    assert {one["SpotInstanceRequestId"] for one in active} == {
        one["SpotInstanceRequestId"] for one in describe()
    }
    unknown = "sfr-00000000-0000-0000-0000-000000000000"
    gone = ec2.cancel_spot_fleet_requests(
        SpotFleetRequestIds=[made, unknown], TerminateInstances=True
    )
    assert [one["SpotFleetRequestId"] for one in gone["SuccessfulFleetRequests"]] == [made]
    assert [one["SpotFleetRequestId"] for one in gone["UnsuccessfulFleetRequests"]] == [unknown]
    assert {one["State"]["Name"] for one in describe()} == {"shutting-down"}


def test_a_spot_fleet_whose_price_is_too_low_gets_nothing(ec2: Any, describe: Any) -> None:
    specification = {"ImageId": UBUNTU, "InstanceType": "c5.large"}
    config = {
        "TargetCapacity": 2,
        "SpotPrice": "0.0001",
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchSpecifications": [specification],
    }
    with pytest.raises(ClientError, match="SpotMaxPriceTooLow"):
        ec2.request_spot_fleet(SpotFleetRequestConfig=config)
    assert describe() == []
    assert market.price_now("c5.large", "us-east-1a").usd > 0.0001

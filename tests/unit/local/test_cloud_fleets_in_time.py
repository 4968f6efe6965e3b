"""Fleets by what spot instances cost, which changes by the hour, and fleets whose time is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moments import HeldClock
from test_cloud_kept_fleets import members

from spotcluster.local import market
from spotcluster.local.cloud import Cloud

SMALL = {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096, "Max": 16384}}


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


def test_a_fleet_whose_time_is_over_launches_nothing(
    ec2: Any, fleet: Any, keep: Any, held_clock: HeldClock
) -> None:
    made = fleet([], 1, ValidUntil=held_clock.now + timedelta(hours=1))
    held_clock.move(timedelta(hours=2))
    ec2.terminate_instances(InstanceIds=members(ec2, made))
    keep()
    assert members(ec2, made) == []


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

"""Spot requests, bids, prices and fleets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moments import HeldClock

from spotcluster.local import clock, market
from spotcluster.local.images import UBUNTU
from spotcluster.local.prices import on_demand_price


def spot(price: str | None = None, **options: Any) -> dict[str, Any]:
    if price is not None:
        options["MaxPrice"] = price
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}}


def requests(ec2: Any, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ec2.describe_spot_instance_requests(**params)[
        "SpotInstanceRequests"
    ]
    return found


def test_a_spot_instance_has_its_request(
    ec2: Any, run: Any, describe: Any, held_clock: HeldClock
) -> None:
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "c", "Value": "x"}]}]
    (instance,) = run(**spot("0.30"), TagSpecifications=tags)
    assert instance["InstanceLifecycle"] == "spot"
    (request,) = requests(ec2)
    assert request["SpotInstanceRequestId"] == instance["SpotInstanceRequestId"]
    assert request["InstanceId"] == instance["InstanceId"]
    assert (request["State"], request["Status"]["Code"]) == ("active", "fulfilled")
    assert float(request["SpotPrice"]) == 0.30
    assert request["Tags"] == [{"Key": "c", "Value": "x"}]
    assert request["LaunchSpecification"]["InstanceType"] == "c5.xlarge"
    assert request["CreateTime"] == held_clock.now
    (described,) = describe()
    assert described["SpotInstanceRequestId"] == request["SpotInstanceRequestId"]


def test_the_request_closes_when_the_instance_is_terminated(
    ec2: Any, run: Any, settle: Any
) -> None:
    (instance,) = run(**spot())
    settle()
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    (request,) = requests(ec2)
    assert (request["State"], request["Status"]["Code"]) == (
        "closed",
        "instance-terminated-by-user",
    )


def test_a_cancelled_request_stays_visible_and_its_instance_runs(
    ec2: Any, run: Any, describe: Any, settle: Any
) -> None:
    (instance,) = run(**spot())
    settle()
    ids = [instance["SpotInstanceRequestId"]]
    answer = ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=ids)
    assert answer["CancelledSpotInstanceRequests"][0]["State"] == "cancelled"
    (request,) = requests(ec2, SpotInstanceRequestIds=ids)
    assert (request["State"], request["Status"]["Code"]) == (
        "cancelled",
        "request-canceled-and-instance-running",
    )
    assert describe()[0]["State"]["Name"] == "running"


def test_requests_are_found_by_state_and_tag(ec2: Any, run: Any) -> None:
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "c", "Value": "x"}]}]
    (mine,) = run(**spot(), TagSpecifications=tags)
    run(**spot())
    wanted = [
        {"Name": "tag:c", "Values": ["x"]},
        {"Name": "state", "Values": ["open", "active"]},
    ]
    assert [r["InstanceId"] for r in requests(ec2, Filters=wanted)] == [mine["InstanceId"]]


def test_an_unknown_request_is_refused(ec2: Any) -> None:
    with pytest.raises(ClientError, match=r"InvalidSpotInstanceRequestID\.NotFound"):
        requests(ec2, SpotInstanceRequestIds=["sir-0123456789abcdef0"])


def test_a_bid_below_the_price_is_refused(ec2: Any, run: Any, describe: Any) -> None:
    with pytest.raises(ClientError, match="SpotMaxPriceTooLow"):
        run(**spot("0.001"))
    assert describe() == []
    assert requests(ec2) == []


def test_a_bid_that_is_no_price_is_refused(run: Any) -> None:
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        run(**spot("cheap"))


def test_a_one_time_spot_instance_cannot_be_stopped(ec2: Any, run: Any, settle: Any) -> None:
    (instance,) = run(**spot())
    settle()
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        ec2.stop_instances(InstanceIds=[instance["InstanceId"]])


def test_a_persistent_spot_instance_can_be_stopped(ec2: Any, run: Any, settle: Any) -> None:
    (instance,) = run(**spot(SpotInstanceType="persistent", InstanceInterruptionBehavior="stop"))
    settle()
    ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    (request,) = requests(ec2)
    assert (request["State"], request["Status"]["Code"]) == ("disabled", "instance-stopped-by-user")


def test_request_spot_instances_fulfils_a_sufficient_bid(ec2: Any, describe: Any) -> None:
    tags = [{"Key": "c", "Value": "x"}]
    answer = ec2.request_spot_instances(
        SpotPrice="0.2",
        InstanceCount=2,
        LaunchSpecification={"ImageId": UBUNTU, "InstanceType": "c5.xlarge"},
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": tags}],
    )
    assert {r["State"] for r in answer["SpotInstanceRequests"]} == {"active"}
    assert [r["Tags"] for r in answer["SpotInstanceRequests"]] == [tags, tags]
    made = describe()
    assert {i["InstanceLifecycle"] for i in made} == {"spot"}
    assert {i["SpotInstanceRequestId"] for i in made} == {
        r["SpotInstanceRequestId"] for r in answer["SpotInstanceRequests"]
    }


def test_request_spot_instances_leaves_a_low_bid_open(ec2: Any, describe: Any) -> None:
    answer = ec2.request_spot_instances(
        SpotPrice="0.0001",
        LaunchSpecification={"ImageId": UBUNTU, "InstanceType": "c5.xlarge"},
    )
    (request,) = answer["SpotInstanceRequests"]
    assert (request["State"], request["Status"]["Code"]) == ("open", "price-too-low")
    assert "InstanceId" not in request
    assert describe() == []
    ids = [request["SpotInstanceRequestId"]]
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=ids)
    (cancelled,) = requests(ec2, SpotInstanceRequestIds=ids)
    assert cancelled["Status"]["Code"] == "canceled-before-fulfillment"


# Prices.


def history(ec2: Any, **params: Any) -> list[dict[str, Any]]:
    pages = ec2.get_paginator("describe_spot_price_history").paginate(**params)
    return [price for page in pages for price in page["SpotPriceHistory"]]


def test_history_covers_ninety_days_of_every_zone(ec2: Any, held_clock: HeldClock) -> None:
    kind = "vt1.3xlarge"  # of two zones only, so that the history is short
    found = history(ec2, InstanceTypes=[kind])
    ages = [held_clock.now - price["Timestamp"] for price in found]
    assert min(ages) < timedelta(hours=6)
    assert timedelta(days=90) <= max(ages) < timedelta(days=91)
    assert ages == sorted(ages)
    assert {price["AvailabilityZone"] for price in found} == set(market.zones_of("us-east-1", kind))
    assert len({price["AvailabilityZone"] for price in found}) > 1
    assert {price["InstanceType"] for price in found} == {kind}


def test_history_is_about_a_third_of_the_on_demand_price(ec2: Any) -> None:
    ratios = [
        float(price["SpotPrice"]) / on_demand_price("c5.xlarge")
        for price in history(ec2, InstanceTypes=["c5.xlarge"], AvailabilityZone="us-east-1a")
    ]
    assert 0.2 < min(ratios) < max(ratios) < 0.4
    assert len(set(ratios)) > 10


def test_history_obeys_times_zone_and_product(ec2: Any, held_clock: HeldClock) -> None:
    end = held_clock.now - timedelta(days=10)
    start = end - timedelta(days=3)
    found = history(
        ec2,
        InstanceTypes=["c5.xlarge", "m5.large"],
        AvailabilityZone="us-east-1b",
        ProductDescriptions=["Linux/UNIX"],
        StartTime=start,
        EndTime=end,
    )
    assert {price["AvailabilityZone"] for price in found} == {"us-east-1b"}
    for kind in ("c5.xlarge", "m5.large"):
        times = [price["Timestamp"] for price in found if price["InstanceType"] == kind]
        assert max(times) <= end
        # the price in force at the start has its own, earlier time
        assert sorted(times)[0] <= start < sorted(times)[1]
    assert history(ec2, InstanceTypes=["c5.xlarge"], ProductDescriptions=["Windows"]) == []


def test_history_comes_in_pages(ec2: Any, held_clock: HeldClock) -> None:
    few = held_clock.now - timedelta(days=6)
    whole = history(ec2, InstanceTypes=["c5.xlarge"], AvailabilityZone="us-east-1a", StartTime=few)
    first = ec2.describe_spot_price_history(
        InstanceTypes=["c5.xlarge"],
        Filters=[{"Name": "availability-zone", "Values": ["us-east-1a"]}],
        MaxResults=7,
    )
    assert len(first["SpotPriceHistory"]) == 7
    second = ec2.describe_spot_price_history(
        InstanceTypes=["c5.xlarge"],
        Filters=[{"Name": "availability-zone", "Values": ["us-east-1a"]}],
        MaxResults=7,
        NextToken=first["NextToken"],
    )
    assert first["SpotPriceHistory"] + second["SpotPriceHistory"] == whole[:14]


def test_the_price_now_is_the_newest_of_the_history(ec2: Any, held_clock: HeldClock) -> None:
    (newest,) = history(
        ec2,
        InstanceTypes=["c5.xlarge"],
        AvailabilityZone="us-east-1a",
        StartTime=held_clock.now,
    )
    assert market.price_now("c5.xlarge", "us-east-1a").text == newest["SpotPrice"]


@given(
    when=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
    kind=st.sampled_from(["c5.xlarge", "t3.micro", "g5.xlarge", "r6i.large"]),
)
def test_a_price_holds_from_its_time_on(when: datetime, kind: str) -> None:
    moment = when.replace(tzinfo=UTC)
    price = market.price_at(kind, "us-east-1a", moment)
    assert price.since <= moment < price.since + timedelta(hours=6)
    assert market.price_at(kind, "us-east-1a", price.since) == price
    assert 0.2 < price.usd / on_demand_price(kind) < 0.4


def test_a_price_that_was_told_stays_until_another_is(ec2: Any, held_clock: HeldClock) -> None:
    def history() -> list[str]:
        found = ec2.describe_spot_price_history(
            InstanceTypes=["c5.large"], AvailabilityZone="us-east-1a", StartTime=clock.now()
        )
        return [one["SpotPrice"] for one in found["SpotPriceHistory"]]

    before = history()
    market.tell([{"zone": "us-east-1a"}])  # as it is
    held_clock.move(timedelta(days=3))
    assert history() == before
    market.tell([{"instance_type": "c5.*", "usd": 0.0123}])
    held_clock.move(timedelta(days=3))
    assert history() == ["0.012300"]
    assert market.price_now("c5.large", "us-east-1a").usd == 0.0123
    assert market.price_now("m5.large", "us-east-1b").usd != 0.0123
    (now, *earlier) = market.history(
        [("c5.large", "us-east-1a")], clock.now() - timedelta(days=4), clock.now()
    )
    assert (now.text, [one.text for one in earlier]) == ("0.012300", before)
    with pytest.raises(ValueError, match="is no price"):
        market.tell([{"usd": -1}])
    market.tell([])
    assert history() != ["0.012300"]


# Fleets.

CAPPED = [{"InstanceType": "c5.large", "MaxPrice": "0.0001"}, {"InstanceType": "m5.large"}]


@pytest.fixture
def template(ec2: Any) -> dict[str, str]:
    ec2.create_launch_template(
        LaunchTemplateName="nodes",
        LaunchTemplateData={"ImageId": UBUNTU, "InstanceType": "c5.large"},
    )
    return {"LaunchTemplateName": "nodes", "Version": "$Latest"}


def fleet(
    ec2: Any, template: dict[str, str], overrides: list[dict[str, Any]], count: int, **params: Any
) -> dict[str, Any]:
    answer: dict[str, Any] = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template, "Overrides": overrides}],
        TargetCapacitySpecification={
            "TotalTargetCapacity": count,
            "DefaultTargetCapacityType": "spot",
        },
        **params,
    )
    return answer


def test_a_fleet_spreads_over_its_overrides(
    ec2: Any, template: dict[str, str], describe: Any
) -> None:
    kinds = ["c5.large", "m5.large", "r5.large"]
    answer = fleet(
        ec2,
        template,
        [{"InstanceType": kind} for kind in kinds],
        6,
        SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
    )
    assert {i["InstanceType"]: len(i["InstanceIds"]) for i in answer["Instances"]} == dict.fromkeys(
        kinds, 2
    )
    assert answer["Errors"] == []
    found = describe()
    assert len(found) == 6
    assert all(i["SpotInstanceRequestId"].startswith("sir-") for i in found)


def test_a_fleet_of_the_lowest_price_takes_the_cheapest(ec2: Any, template: dict[str, str]) -> None:
    answer = fleet(
        ec2,
        template,
        [{"InstanceType": "c5.4xlarge"}, {"InstanceType": "c5.large"}],
        3,
        SpotOptions={"AllocationStrategy": "lowest-price"},
    )
    assert [i["InstanceType"] for i in answer["Instances"]] == ["c5.large"]


Prices = Callable[[dict[str, float]], None]


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> Prices:
    """Say what instance types cost now, whatever time it is."""

    def put(usd: dict[str, float]) -> None:
        def price_now(kind: str, zone: str) -> market.Price:
            return market.Price(kind, zone, usd[kind], clock.now())

        monkeypatch.setattr(market, "price_now", price_now)

    return put


def test_a_fleet_tells_errors_and_launches_the_rest(
    ec2: Any, template: dict[str, str], prices: Prices
) -> None:
    prices({"c5.large": 0.02, "m5.large": 0.03})
    answer = fleet(ec2, template, CAPPED, 3)
    (error,) = answer["Errors"]
    assert error["ErrorCode"] == "SpotMaxPriceTooLow"
    assert error["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"] == "c5.large"
    (group,) = answer["Instances"]
    assert (group["InstanceType"], len(group["InstanceIds"])) == ("m5.large", 3)


def test_a_fleet_does_not_ask_for_what_is_dearer_than_what_it_gets(
    ec2: Any, template: dict[str, str], prices: Prices
) -> None:
    prices({"c5.large": 0.03, "m5.large": 0.02})
    answer = fleet(ec2, template, CAPPED, 3)
    assert answer["Errors"] == []
    (group,) = answer["Instances"]
    assert (group["InstanceType"], len(group["InstanceIds"])) == ("m5.large", 3)


@pytest.mark.parametrize("kinds", [("c5.large", "m5.large"), ("m5.large", "c5.large")])
def test_of_pools_that_cost_the_same_a_fleet_takes_the_first(
    ec2: Any, template: dict[str, str], prices: Prices, kinds: tuple[str, str]
) -> None:
    prices(dict.fromkeys(kinds, 0.02))
    answer = fleet(ec2, template, [{"InstanceType": kind} for kind in kinds], 2)
    assert [group["InstanceType"] for group in answer["Instances"]] == [kinds[0]]


def test_a_bid_of_just_the_price_is_enough(run: Any, prices: Prices) -> None:
    prices({"c5.xlarge": 0.05})
    assert run(**spot("0.05"))
    with pytest.raises(ClientError, match="SpotMaxPriceTooLow"):
        run(**spot("0.0499"))


def test_a_fleet_splits_on_demand_and_spot_and_tags(
    ec2: Any, template: dict[str, str], describe: Any
) -> None:
    answer = ec2.create_fleet(
        Type="instant",
        ClientToken="once",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template}],
        TargetCapacitySpecification={
            "TotalTargetCapacity": 3,
            "OnDemandTargetCapacity": 1,
            "SpotTargetCapacity": 2,
            "DefaultTargetCapacityType": "spot",
        },
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "c", "Value": "x"}]}],
    )
    assert {i["Lifecycle"]: len(i["InstanceIds"]) for i in answer["Instances"]} == {
        "on-demand": 1,
        "spot": 2,
    }
    found = describe(Filters=[{"Name": "tag:c", "Values": ["x"]}])
    assert sorted(i.get("InstanceLifecycle", "on-demand") for i in found) == [
        "on-demand",
        "spot",
        "spot",
    ]


def test_a_fleet_with_a_known_token_is_the_same_fleet(
    ec2: Any, template: dict[str, str], describe: Any
) -> None:
    first = fleet(ec2, template, [], 2, ClientToken="once")
    second = fleet(ec2, template, [], 2, ClientToken="once")
    assert first["FleetId"] == second["FleetId"]
    assert len(describe()) == 2

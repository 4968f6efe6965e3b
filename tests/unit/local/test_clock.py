"""One clock for all that the local cloud says: when things were made, what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moments import MOMENTS, HeldClock

from spotcluster.local import clock, market
from spotcluster.local.images import UBUNTU

HOUR = timedelta(hours=1)


def test_the_clock_is_the_computers(held_clock: HeldClock) -> None:
    assert held_clock.instead_of is time.time


def test_times_are_told_in_utc_wherever_the_computer_is(held_clock: HeldClock) -> None:
    assert clock.now() == held_clock.now
    assert clock.stamp() == datetime(*held_clock.now.timetuple()[:6])


def times_in(answer: Any) -> Iterator[datetime]:
    """Yield every time that an answer tells, however deep."""
    if isinstance(answer, datetime):
        yield answer
    elif isinstance(answer, dict):
        for key, value in answer.items():
            if key != "ResponseMetadata":
                yield from times_in(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from times_in(value)


def test_all_that_is_made_says_the_same_time(
    ec2: Any, run: Any, settle: Any, held_clock: HeldClock
) -> None:
    market_options = {"MarketType": "spot", "SpotOptions": {}}
    (instance,) = run(InstanceMarketOptions=market_options)
    settle()
    volume = ec2.create_volume(AvailabilityZone=instance["Placement"]["AvailabilityZone"], Size=1)
    ec2.attach_volume(
        VolumeId=volume["VolumeId"], InstanceId=instance["InstanceId"], Device="/dev/sdf"
    )
    for answer in (
        ec2.describe_spot_instance_requests(),
        ec2.describe_volumes(),
        ec2.get_console_output(InstanceId=instance["InstanceId"]),
    ):
        assert set(times_in(answer)) == {held_clock.now}
    (reservation,) = ec2.describe_instances()["Reservations"]
    assert reservation["Instances"][0]["LaunchTime"] == held_clock.now


def test_an_instance_that_is_started_again_has_a_new_launch_time_and_one_that_ended_says_when(
    ec2: Any, run: Any, settle: Any, describe: Any, held_clock: HeldClock
) -> None:
    (instance,) = run()
    settle()
    ids = [instance["InstanceId"]]
    ec2.stop_instances(InstanceIds=ids)
    settle()
    held_clock.move(timedelta(hours=2))
    ec2.start_instances(InstanceIds=ids)
    assert describe()[0]["LaunchTime"] == held_clock.now == instance["LaunchTime"] + HOUR * 2
    settle()
    held_clock.move(HOUR)
    ec2.terminate_instances(InstanceIds=ids)
    said = f"User initiated ({held_clock.now:%Y-%m-%d %H:%M:%S} GMT)"
    assert describe()[0]["StateTransitionReason"] == said


def test_terminated_instances_are_forgotten_after_an_hour(
    ec2: Any, run: Any, describe: Any, settle: Any, cloud: Any, held_clock: HeldClock
) -> None:
    (instance, other) = run(2, ClientToken="once")
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    settle()
    (backend,) = cloud.backends()
    held_clock.move(HOUR - timedelta(seconds=1))
    assert not backend.forget_old()
    held_clock.move(timedelta(seconds=1))
    assert backend.forget_old()
    assert [i["InstanceId"] for i in describe()] == [other["InstanceId"]]


def test_spot_requests_that_are_over_are_forgotten_after_two_days(
    ec2: Any, cloud: Any, held_clock: HeldClock
) -> None:
    made = ec2.request_spot_instances(
        SpotPrice="0.0001", LaunchSpecification={"ImageId": UBUNTU, "InstanceType": "c5.xlarge"}
    )["SpotInstanceRequests"]
    ec2.cancel_spot_instance_requests(
        SpotInstanceRequestIds=[made[0]["SpotInstanceRequestId"]],
    )
    (backend,) = cloud.backends()
    held_clock.move(timedelta(days=2))
    assert not backend.forget_old()
    held_clock.move(timedelta(seconds=1))
    assert backend.forget_old()
    assert not ec2.describe_spot_instance_requests()["SpotInstanceRequests"]


def test_pages_of_a_history_are_of_one_time_though_a_price_changes_meanwhile(
    ec2: Any, held_clock: HeldClock
) -> None:
    pool = {"InstanceTypes": ["c5.xlarge"], "AvailabilityZone": "us-east-1a"}
    changed = market.price_now("c5.xlarge", "us-east-1a").since
    # A moment before the change, closer to it than to the second before.
    held_clock.now = changed - timedelta(seconds=0.4)
    whole = ec2.describe_spot_price_history(**pool, MaxResults=20)["SpotPriceHistory"]
    first = ec2.describe_spot_price_history(**pool, MaxResults=10)
    held_clock.move(HOUR)
    second = ec2.describe_spot_price_history(**pool, MaxResults=10, NextToken=first["NextToken"])
    assert first["SpotPriceHistory"] + second["SpotPriceHistory"] == whole


def test_every_moment_is_what_is_said_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def there(name: str) -> Callable[[timedelta], str]:
        monkeypatch.setenv("TZ", MOMENTS[name].zone)
        time.tzset()
        seconds = MOMENTS[name].when.timestamp()
        return lambda later: time.strftime(
            "%d %b %H:%M:%S", time.localtime(seconds + later.total_seconds())
        )

    now, soon = timedelta(), timedelta(seconds=10)
    assert there("leap-day")(now) == "01 Mar 05:29:50"
    assert there("new-year")(now) == "31 Dec 20:30:05"
    spring = there("spring")
    assert (spring(now), spring(soon)) == ("28 Mar 01:59:50", "28 Mar 03:00:00")
    autumn = there("autumn-2037")
    assert (autumn(-HOUR), autumn(now)) == ("01 Nov 01:10:00", "01 Nov 01:10:00")
    nov28 = MOMENTS["nov28"].when
    assert nov28 == datetime(2026, 11, 28, 8, tzinfo=UTC)
    dear, cheap = (market.price_at(f"{kind}.large", "us-east-1a", nov28) for kind in ("c5", "m5"))
    assert dear.usd > cheap.usd

"""Calls that are too many are refused as EC2 refuses them, where that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster.local.cloud import Cloud
from spotcluster.local.limits import Limits


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def limits(now: list[float]) -> Limits:
    made = Limits(lambda: now[0])
    made.on = True
    return made


def passed(limits: Limits, action: str, count: int, **params: str) -> int:
    """Return how many of so many calls at once are let through."""
    return sum(limits.allows("us-east-1", action, params) for _ in range(count))


@pytest.mark.parametrize(
    ("action", "at_once", "each_second"),
    [
        ("RunInstances", 5, 2),
        ("DescribeInstances", 100, 20),
        ("CreateFleet", 50, 5),
        ("CreateTags", 100, 10),
    ],
)
def test_each_action_has_a_bucket_that_fills(
    limits: Limits, now: list[float], action: str, at_once: int, each_second: int
) -> None:
    assert passed(limits, action, 200) == at_once
    assert passed(limits, "DeleteVolume", 1) == 1
    assert limits.allows("us-west-2", action, {})
    now[0] += 2
    assert passed(limits, action, 200) == 2 * each_second
    now[0] += 3600
    assert passed(limits, action, 200) == at_once


def test_instances_have_a_bucket_too(limits: Limits, now: list[float]) -> None:
    assert passed(limits, "RunInstances", 3, MaxCount="400") == 2
    now[0] += 100
    assert passed(limits, "RunInstances", 1, MaxCount="400") == 1
    assert passed(limits, "RunInstances", 1, MaxCount="1") == 0
    ends = {f"InstanceId.{number}": "i-0" for number in range(1, 601)}
    assert passed(limits, "TerminateInstances", 2, **ends) == 1


def test_limits_are_off_until_they_are_asked_for(
    cloud: Cloud, limits: Limits, run: Callable[..., Any], describe: Any
) -> None:
    for _ in range(6):
        run()
    cloud.limits = limits  # of a clock that stands: on a busy computer the bucket would fill
    for _ in range(5):
        run()
    with pytest.raises(ClientError, match="RequestLimitExceeded") as error:
        run()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert len(describe()) == 11

"""Spot prices over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.aws import prices

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def test_average_is_weighted_by_how_long_a_price_held() -> None:
    found = prices._summary("us-east-1a", [(ago(10), 0.1), (ago(1), 1.1)], ago(10), NOW)
    assert (found.current, found.maximum) == (1.1, 1.1)
    assert found.average == pytest.approx(0.2)


def test_of_two_prices_at_the_start_the_one_that_began_last_holds() -> None:
    def history(**asked: Any) -> dict[str, Any]:
        start = asked["StartTime"]
        items = [(start, "0.1"), (start - timedelta(hours=3), "9.0")]
        pool = {"InstanceType": "c5.large", "AvailabilityZone": "us-east-1a"}
        return {
            "SpotPriceHistory": [
                {**pool, "Timestamp": when, "SpotPrice": usd} for when, usd in items
            ]
        }

    session: Any = SimpleNamespace(ec2=SimpleNamespace(describe_spot_price_history=history))
    (found,) = prices.spot_history(session, "c5.large", days=3)
    assert (found.current, found.average) == (0.1, pytest.approx(0.1))


def test_price_that_begins_after_our_now_weighs_nothing() -> None:
    found = prices._summary("us-east-1a", [(ago(10), 0.1), (ago(-1), 1.1)], ago(10), NOW)
    assert (found.current, found.average) == (1.1, pytest.approx(0.1))


@given(
    st.lists(
        st.tuples(st.floats(0, 720), st.floats(0.0001, 50)),
        min_size=1,
        max_size=50,
    )
)
def test_average_lies_between_lowest_and_highest(changes: list[tuple[float, float]]) -> None:
    history = sorted((ago(hours), price) for hours, price in changes)
    found = prices._summary("z", history, ago(700), NOW)
    values = [price for _, price in history]
    assert min(values) <= found.average * 1.0000001
    assert found.average <= max(values) * 1.0000001
    assert found.current == history[-1][1]

"""Spot prices over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
    told = [(ago(20), 9.0), (ago(10), 0.1)]
    found = prices._summary("us-east-1a", told, ago(10), NOW)
    assert (found.current, found.average) == (0.1, pytest.approx(0.1))


@given(
    st.lists(
        st.tuples(st.floats(-1, 720), st.floats(0.0001, 50)),
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

"""What is expected of evaluations, and how many travel together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.search.dispatch.durations import MOST, Durations


def known(*seconds: float) -> Durations:
    durations = Durations()
    for number, each in enumerate(seconds):
        durations.add((1000 + number, 0), each)
    return durations


def test_one_while_nothing_is_known() -> None:
    assert Durations().batch([(0, 0), (0, 1)], 60.0) == 1
    assert Durations().expected((0, 0)) is None


def test_splits_of_a_candidate_tell_of_each_other() -> None:
    durations = known(1.0)
    durations.add((7, 0), 3.0)
    assert durations.expected((7, 1)) == 3.0
    assert durations.expected((8, 0)) == 2.0
    assert durations.longest == 3.0
    assert durations.work([(7, 1), (8, 0)]) == 5.0


def test_tiny_evaluations_travel_together() -> None:
    waiting = [(n, 0) for n in range(10000)]
    assert known(0.01).batch(waiting, 4.0) == pytest.approx(400, abs=1)
    assert known(1e-9).batch(waiting, 4.0) == MOST
    assert known(10.0).batch(waiting, 4.0) == 1


def test_what_takes_long_does_not_wait_with_what_is_quick() -> None:
    durations = known(0.001, 0.001, 0.001)
    durations.add((5, 0), 2.0)
    assert durations.batch([(0, 0), (0, 1), (5, 1), (0, 2)], 1.0) == 2


def test_what_a_ledger_knows_counts_from_the_first_message_on() -> None:
    durations = Durations()
    durations.recall(np.arange(400) // 2, 1.0 + np.arange(400) // 2)
    assert durations.expected((3, 2)) == 4.0
    assert durations.expected((999, 0)) == pytest.approx(185, abs=16)  # as the last ones
    assert durations.longest == 200.0
    assert durations.batch([(3, 2), (4, 2), (5, 2)], 10.0) == 2


def test_how_far_expectations_are_off_is_known() -> None:
    assert known(*[2.0] * 20).error == 0.0
    assert known(*[1.0, 4.0] * 20).error > 0.2


def test_late_is_what_takes_much_longer_than_others() -> None:
    assert not Durations().late([(0, 0)], 1e6)
    durations = known(4.0)
    assert not durations.late([(0, 0)], 7.0)
    assert durations.late([(0, 0)], 9.0)
    assert not known(0.001).late([(0, 0)], 0.5)


@given(
    st.lists(st.floats(0.0, 1e4), min_size=1, max_size=20),
    st.integers(1, 300),
    st.floats(0.0, 100.0),
)
def test_a_message_always_holds_something_that_waits(
    seconds: list[float], waiting: int, wanted: float
) -> None:
    durations = known(*seconds)
    size = durations.batch([(n, 0) for n in range(waiting)], wanted)
    assert 1 <= size <= waiting
    assert size == 1 or durations.work([(n, 0) for n in range(size)]) <= wanted * (1 + 1e-9)


def test_what_many_known_ones_take_began_at_nothing() -> None:
    durations = Durations()
    durations.recall(np.arange(1000) % 200, np.full(1000, 100.0))
    assert durations.mean == pytest.approx(100.0)
    assert durations.spread == pytest.approx(0.0)

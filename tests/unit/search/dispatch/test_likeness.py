"""What is expected of candidates by what others that are like them took."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from simulated import World

from spotcluster.search.dispatch.likeness import FEWEST, Likeness

GRID = [
    {"kernel": kernel, "C": c, "n": n}
    for kernel, c, n in itertools.product(("linear", "rbf", None), (0.1, 1.0, 10.0), (10, 20, 40))
]
SLOW = {"linear": 1.0, "rbf": 4.0, None: 0.5}


def takes(params: dict[str, Any]) -> float:
    return float(SLOW[params["kernel"]] * params["n"] / 10)


def learned(candidates: list[dict[str, Any]], tried: list[int]) -> Likeness:
    likeness = Likeness(candidates.__getitem__)
    for number in tried:
        likeness.add(number, takes(candidates[number]))
    return likeness


def test_what_was_not_tried_takes_what_its_values_took_elsewhere() -> None:
    tried = list(range(len(GRID)))
    random.Random(0).shuffle(tried)
    likeness = learned(GRID, tried[:18])
    for number in tried[18:]:
        assert likeness.expected(number) == pytest.approx(takes(GRID[number]), rel=0.4)
    assert likeness.longest == pytest.approx(16.0, rel=0.4)


def test_a_number_that_was_drawn_tells_by_its_size() -> None:
    chance = random.Random(0)
    drawn = [{"kernel": "linear", "n": chance.randint(10, 5000)} for _ in range(60)]
    likeness = learned(drawn, list(range(30)))
    for number in range(30, 60):
        assert likeness.expected(number) == pytest.approx(takes(drawn[number]), rel=0.2)


def test_nothing_is_expected_where_values_tell_nothing() -> None:
    chance = random.Random(0)
    likeness = Likeness(GRID.__getitem__)
    for number in range(FEWEST - 1):
        likeness.add(number, 1.0)
        assert likeness.expected(number) is None  # of so few
    for number in range(len(GRID)):
        likeness.add(number, chance.uniform(0.1, 10.0))
    assert likeness.expected(0) is None
    assert likeness.longest == 0.0


@pytest.mark.parametrize(
    "value", [[1, 2], {"a": 1}, object(), float("nan"), float("inf"), -1.0, 0, True, 10**400]
)
def test_values_of_any_kind_may_be_parameters(value: Any) -> None:
    candidates = [{"a": value if n % 2 else n + 1, "b": value, "c": n % 3} for n in range(20)]
    likeness = Likeness(candidates.__getitem__)
    for number in range(20):
        likeness.add(number, 1.0 + number % 3)
    assert likeness.expected(1) is None or likeness.expected(1) == pytest.approx(2.0, rel=0.6)


def test_a_search_whose_candidates_differ_much_ends_sooner_when_their_likeness_is_known() -> None:
    grid = [{"a": a, "b": b} for a in range(10) for b in range(10)]
    keys = [(number, split) for number in range(100) for split in range(3)]

    def seconds(params: dict[str, Any]) -> float:
        number = params["n"]
        return float(0.2 * 1.5 ** (number // 10 * 7 % 10) * 1.3 ** (number % 10 * 3 % 10))

    took = []
    for params in (lambda _: {}, grid.__getitem__):
        world = World(seconds)
        world.join(32)
        run = world.run(keys, params=params)
        assert sorted(run.done) == keys
        took.append(run.seconds)
    assert took[1] < 0.95 * took[0]

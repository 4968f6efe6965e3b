"""Names that `start` and `addnode` give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.cluster import plan
from spotcluster.errors import UsageError


@given(st.lists(st.integers(1, 2000), max_size=20), st.integers(0, 20))
def test_new_names_are_new_and_in_order(taken: list[int], number: int) -> None:
    names = [f"node{index:03d}" for index in taken]
    fresh = plan.aliases_after(["master", *names], number)
    assert len(set(fresh)) == number
    assert not set(fresh) & set(names)
    assert [int(name[4:]) for name in fresh] == sorted(int(name[4:]) for name in fresh)


def test_names_after_node999_go_on() -> None:
    assert plan.aliases_after(["node999"], 2) == ["node1000", "node1001"]


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 64, "a;rm", "ü"])
def test_name_that_ec2_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        plan.check_name(name)


@pytest.mark.parametrize("name", ["mycluster", "a", "My-Cluster_2"])
def test_ordinary_name_is_taken(name: str) -> None:
    plan.check_name(name)

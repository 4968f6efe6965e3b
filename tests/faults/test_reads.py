"""How often `start` reads the cluster's record: once to decide by, and once more when all is done.

What was read is handed on, so that all of a command decides by the same value; what somebody else
changes meanwhile is met where it matters, by names that EC2 gives once and by the read at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from .world import World

START = ("start", "-s", "2", "-c", "bare", "mycluster")
GO_ON = ("start", "mycluster")


def nothing(world: World) -> None:
    pass


def a_start_that_was_cut_off(world: World) -> None:
    world.frozen = {"node001"}
    starting = world.terminal(*START)
    while len(world.instances()) < 2:
        assert not starting.ended()
    starting.kill()
    world.wait_until_idle()
    world.frozen = set()
    world.settle()


def a_stopped_cluster(world: World) -> None:
    world.run(*START)
    world.run("stop", "-y", "mycluster")


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (nothing, START),
        (a_start_that_was_cut_off, START),
        (a_start_that_was_cut_off, GO_ON),
        (a_stopped_cluster, START),
        (a_stopped_cluster, GO_ON),
    ],
)
def test_start_reads_the_record_twice(
    world: World, before: Callable[[World], None], words: tuple[str, ...]
) -> None:
    before(world)
    world.begin()
    world.run(*words)
    assert world.ready() == ["master", "node001"]
    assert world.calls.count("DescribeSecurityGroups") <= 2, world.calls


def test_start_of_what_runs_reads_the_record_once(world: World) -> None:
    world.run(*START)
    world.begin()
    assert "is already running, with 2 nodes" in world.run(*GO_ON, status=1).err
    assert world.calls.count("DescribeSecurityGroups") == 1, world.calls


def test_of_two_that_start_at_once_one_makes_the_cluster_and_both_go_on_with_it(
    world: World,
) -> None:
    """Both have seen that there is none before either makes it."""
    both = threading.Barrier(2, timeout=60)
    met: list[int] = []

    def meet(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "CreateSecurityGroup" and len(met) < 2:
            met.append(number)
            both.wait()
        return do()

    world.on_call = meet
    terminals = [world.terminal(*START) for _ in range(2)]
    said = [one.wait() for one in terminals]
    assert len(met) == 2
    assert [one.status for one in said] == [0, 0], [one.err for one in said]
    assert sum("is there already; going on with what it lacks" in one.err for one in said) == 1
    assert {alias: len(found) for alias, found in world.instances().items()} == {
        "master": 1,
        "node001": 1,
    }
    assert world.ready() == ["master", "node001"]


def test_who_comes_second_to_make_a_cluster_finds_it_running(world: World) -> None:
    """It was started by somebody else between our look and our making it."""
    met: list[int] = []

    def other_is_faster(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "CreateSecurityGroup" and not met:
            met.append(number)
            world.run(*START)
        return do()

    world.on_call = other_is_faster
    assert "is already running, with 2 nodes" in world.run(*START, status=1).err
    assert world.ready() == ["master", "node001"]

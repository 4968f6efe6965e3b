"""Two terminals at once: names stay unique, and nothing is left over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import at_once
from .commands import STOP
from .world import World, set_limit


@pytest.fixture
def cluster(world: World) -> World:
    world.run("start", "-s", "1", "-c", "bare", "mycluster")
    assert world.ready() == ["master"]
    world.begin()
    return world


def test_node_added_while_another_one_is_drained_leaves_the_right_size(world: World) -> None:
    """The one that was leaving counted, so that the next `start` made a node that nobody wanted."""
    world.run("start", "-s", "3", "-c", "bare", "mycluster")
    draining, drained = threading.Event(), threading.Event()

    def hold(_: int, name: str, do: Callable[[], Any]) -> Any:
        if name.startswith("node001: draining"):
            draining.set()
            assert drained.wait(240)
        return do()

    world.on_call = hold
    removing = world.terminal("removenode", "-y", "mycluster", "node001")
    assert draining.wait(60)
    # It said "3 of 2 nodes".
    assert "2 of 2 nodes and 1 to be removed in" in world.run("listclusters").out
    world.run("addnode", "mycluster")
    drained.set()
    assert removing.wait().status == 0
    assert world.group_tags()["spotcluster:size"] == "3"
    assert "is already running, with 3 nodes" in world.run("start", "mycluster", status=1).err


def test_that_the_master_stays_is_said_before_it_is_asked_whether_to_go_on(cluster: World) -> None:
    done = cluster.run("removenode", "mycluster", "master", status=2)
    assert done.err.startswith("The master cannot be removed from its cluster.")
    assert "Nothing of 'mycluster' was changed." not in done.err
    assert cluster.ready() == ["master"]


@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 2), (3, 1)])
def test_two_addnodes_at_once_give_unique_names(cluster: World, first: int, second: int) -> None:
    both = threading.Barrier(2, timeout=60)
    met: list[int] = []

    def meet(number: int, name: str, do: Callable[[], Any]) -> Any:
        # Both have looked at the cluster and chosen the same name before either launches.
        if name == "CreateLaunchTemplate" and len(met) < 2:
            met.append(number)
            both.wait()
        return do()

    cluster.on_call = meet
    terminals = [cluster.terminal("addnode", "-s", str(n), "mycluster") for n in (first, second)]
    for terminal in terminals:
        done = terminal.wait()
        assert done.status == 0, done.err
    found = cluster.instances()
    assert all(len(there) == 1 for there in found.values())
    assert len(found) == 1 + first + second
    assert cluster.ready() == sorted(found)
    own = cluster.group_tags()
    assert own["spotcluster:size"] == str(1 + first + second)
    assert not [key for key in own if key.startswith("spotcluster:adding")]
    cluster.on_call = None
    cluster.run("terminate", "-y", "mycluster")
    assert cluster.left() == []


def test_four_addnodes_at_once(cluster: World) -> None:
    terminals = [cluster.terminal("addnode", "-s", "2", "mycluster") for _ in range(4)]
    assert [terminal.wait().status for terminal in terminals] == [0] * 4
    assert cluster.ready() == ["master", *(f"node{number:03d}" for number in range(1, 9))]
    assert cluster.group_tags()["spotcluster:size"] == "9"


def test_addnode_that_was_killed_is_gone_on_with_and_another_one_is_not(cluster: World) -> None:
    """Of two additions, the one whose terminal lives is left to it."""
    cluster.frozen = {"node001", "node002"}
    killed = cluster.terminal("addnode", "-s", "2", "mycluster")
    while len(cluster.instances()) < 3:
        assert not killed.ended()
    killed.kill()
    cluster.wait_until_idle()
    cluster.frozen = {"node003"}
    alive = cluster.terminal("addnode", "-s", "1", "mycluster")
    while len(cluster.instances()) < 4:
        assert not alive.ended()
    repeated = cluster.terminal("addnode", "-s", "2", "mycluster")
    done = repeated.wait()
    assert "going on with an addition of 2 node(s)" in done.err
    assert cluster.ready() == ["master", "node001", "node002"]
    cluster.frozen = set()
    cluster.settle()
    assert alive.wait().status == 0
    assert cluster.ready() == ["master", "node001", "node002", "node003"]
    assert cluster.group_tags()["spotcluster:size"] == "4"


# A sample of moments; all of them are in tests/sweep.


def test_terminate_at_some_moments_of_addnode_leaves_nothing(cluster: World) -> None:
    assert len(at_once.check_terminate_during_addnode(cluster, each=5)) >= 3


def test_addnode_at_some_moments_of_terminate_leaves_nothing(cluster: World) -> None:
    assert len(at_once.check_addnode_during_terminate(cluster, each=9)) >= 3


def test_stop_at_some_moments_of_addnode_leaves_nothing_running(cluster: World) -> None:
    assert len(at_once.check_stop_during_addnode(cluster, each=5)) >= 3


def test_stop_at_some_moments_of_start_has_an_end_that_start_goes_on_from(
    cluster: World, spotcluster_home: Path
) -> None:
    # A master that has stopped again before anybody saw it run is waited for until then.
    set_limit(spotcluster_home, "LAUNCH_TIMEOUT", 20)
    cluster.run(*STOP)
    assert len(at_once.check_stop_during_start(cluster, each=10)) >= 2

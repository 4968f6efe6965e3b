"""Two terminals at once: names stay unique, and nothing is left over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import Terminal, World, set_limit


@pytest.fixture
def cluster(world: World) -> World:
    world.run("start", "-s", "1", "-c", "bare", "mycluster")
    assert world.ready() == ["master"]
    world.begin()
    return world


class Hold:
    """Holds one call of the API back: the `number`-th, until `release`."""

    def __init__(self, number: int) -> None:
        self.reached = threading.Event()
        self.name = ""
        self._left = number
        self._lock = threading.Lock()  # of two calls at once, each is another one
        self._released = threading.Event()

    def __call__(self, number: int, name: str, do: Callable[[], Any]) -> Any:
        is_held = False
        if ": " not in name:  # not a remote step
            with self._lock:
                self._left -= 1
                is_held = self._left == 0
        if is_held:
            self.name = name
            self.reached.set()
            assert self._released.wait(240)
        return do()

    def release(self) -> None:
        self._released.set()


def reaches(hold: Hold, terminal: Terminal) -> bool:
    """Wait until the terminal is held; False when it has ended before."""
    while not hold.reached.wait(0.005):
        if terminal.ended():
            return False
    return True


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
    world.run("addnode", "mycluster")
    drained.set()
    assert removing.wait().status == 0
    assert world.group_tags()["spotcluster:size"] == "3"
    assert "is already running, with 3 nodes" in world.run("start", "mycluster", status=1).err


@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 2), (3, 1)])
def test_two_addnodes_at_once_give_unique_names(cluster: World, first: int, second: int) -> None:
    both = threading.Barrier(2, timeout=60)
    met: list[int] = []

    def meet(number: int, name: str, do: Callable[[], Any]) -> Any:
        # Both have looked at the cluster and chosen the same name before either launches.
        if name == "RunInstances" and len(met) < 2:
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


@pytest.mark.timeout(1200)
def test_terminate_at_any_moment_of_addnode_leaves_nothing(cluster: World) -> None:
    saved = cluster.save()
    number, held = 0, []
    while True:
        number += 1
        cluster.restore(saved)
        cluster.on_call = hold = Hold(number)
        adding = cluster.terminal("addnode", "mycluster")
        if not reaches(hold, adding):
            break
        cluster.run("terminate", "-y", "mycluster")
        hold.release()
        done = adding.wait()
        cluster.wait_until_idle()
        assert cluster.left() == [], f"at {number}, {hold.name}:\n{done.err}"
        assert "Traceback" not in done.err
        held.append(hold.name)
        if done.status:
            said = ("terminated from elsewhere", "There is no cluster", "is being terminated")
            assert any(one in done.err for one in said), f"at {number}, {hold.name}:\n{done.err}"
    assert adding.wait().status == 0
    assert {"RunInstances", "CreateTags", "DescribeInstances"} <= set(held)


@pytest.mark.timeout(1200)
def test_addnode_at_any_moment_of_terminate_leaves_nothing(cluster: World) -> None:
    saved = cluster.save()
    number = 0
    while True:
        number += 1
        cluster.restore(saved)
        cluster.on_call = hold = Hold(number)
        ending = cluster.terminal("terminate", "-y", "mycluster")
        if not reaches(hold, ending):
            break
        adding = cluster.terminal("addnode", "mycluster").wait()
        hold.release()
        done = ending.wait()
        cluster.wait_until_idle()
        assert done.status == 0, f"at {number}, {hold.name}:\n{done.err}"
        assert cluster.left() == [], f"at {number}, {hold.name}:\n{done.err}{adding.err}"
    assert number > 5


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


@pytest.mark.timeout(1200)
def test_stop_at_any_moment_of_addnode_leaves_nothing_running(cluster: World) -> None:
    saved = cluster.save()
    number = 0
    while True:
        number += 1
        cluster.restore(saved)
        cluster.on_call = hold = Hold(number)
        adding = cluster.terminal("addnode", "mycluster")
        if not reaches(hold, adding):
            break
        cluster.run("stop", "-y", "mycluster")
        hold.release()
        done = adding.wait()
        cluster.wait_until_idle()
        where = f"at {number}, {hold.name}:\n{done.err}"
        there = {
            alias: [one.state for one in found] for alias, found in cluster.instances().items()
        }
        assert there == {"master": ["stopped"]}, where
        assert "Traceback" not in done.err
        if done.status:
            said = ("stopped from elsewhere", "is stopped", "is being terminated", "shutting-down")
            assert any(one in done.err for one in said), where
    assert number > 10


@pytest.mark.timeout(1200)
def test_stop_at_any_moment_of_start_has_an_end_that_start_goes_on_from(
    cluster: World, spotcluster_home: Path
) -> None:
    """Whoever writes last what is wanted gets it; in between nothing is lost or left running."""
    # A master that has stopped again before anybody saw it run is waited for until then.
    set_limit(spotcluster_home, "LAUNCH_TIMEOUT", 20)
    cluster.run("stop", "-y", "mycluster")
    (master,) = cluster.instances()["master"]
    own = master.id
    saved = cluster.save()
    number = 0
    while True:
        number += 4
        cluster.restore(saved)
        cluster.on_call = hold = Hold(number)
        starting = cluster.terminal("start", "-s", "2", "mycluster")
        if not reaches(hold, starting):
            break
        stopping = cluster.terminal("stop", "-y", "mycluster").wait()
        hold.release()
        done = starting.wait()
        cluster.wait_until_idle()
        where = f"at {number}, {hold.name}:\n{stopping.out}{stopping.err}\n{done.err}"
        assert "Traceback" not in done.err + stopping.err, where
        cluster.run("start", "mycluster") if cluster.ready() != ["master", "node001"] else None
        assert cluster.ready() == ["master", "node001"], where
        assert [one.id for one in cluster.instances()["master"]] == [own], where
    assert number > 10

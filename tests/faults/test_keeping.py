"""A cluster that keeps its size, in a world where nodes are taken back, lost and cannot be had."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from .commands import a_lost_node, two_nodes
from .machines import VITALS
from .terminals import Terminal
from .world import World


def await_(what: Callable[[], Any], terminal: Terminal, limit: float = 60.0) -> float:
    """Wait until something is so, while a terminal runs; return the seconds that it took."""
    begin = time.monotonic()
    while not what():
        assert not terminal.ended(), terminal.done
        assert time.monotonic() - begin < limit, terminal.kill().out
        time.sleep(0.05)
    return time.monotonic() - begin


def take_back(world: World, *aliases: str) -> None:
    """Let the machines of nodes say what they say after EC2's notice: nothing new is begun."""

    def drains(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["what"] == "asking how the machine does" and asked["alias"] in aliases:
            return {"out": VITALS.format(clock=int(time.time()), draining=1)}
        return None

    world.machines.faults.append(drains)


def live(world: World) -> list[str]:
    return list(world.instances())


def end(world: World, *keepers: Terminal) -> str:
    """End the cluster, by which keepers end; return what the first one said."""
    world.run("terminate", "-y", "mycluster")
    done = [one.wait(60) for one in keepers]
    assert [one.status for one in done] == [0] * len(done), done
    assert all("nothing to keep any more" in one.out for one in done)
    assert all("Traceback" not in one.err for one in done)
    assert world.left() == []
    return done[0].out


def test_a_node_that_is_gone_is_replaced_once(world: World) -> None:
    a_lost_node(world)
    done = world.run("keep", "--once", "mycluster")
    assert world.ready() == ["master", "node002"]
    assert world.group_tags()["spotcluster:size"] == "2"
    assert "asking for 1 node(s): 2 nodes are wanted, 1 are there" in done.out
    assert "node002 is ready" in done.out
    again = world.run("keep", "--once", "mycluster")
    assert "has the nodes that it should, 2" in again.out
    assert "asking" not in again.out


def test_a_node_that_ec2_takes_back_is_replaced_before_it_is_gone(world: World) -> None:
    two_nodes(world)
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "node001: asking how the machine does" in world.calls, keeper)
    take_back(world, "node001")
    assert await_(lambda: "node002" in live(world), keeper) < 15
    assert live(world) == ["master", "node001", "node002"]
    await_(lambda: "node002" in world.ready(), keeper)
    zones = [world.instances()[one][0].placement for one in ("node001", "node002")]
    assert zones[0] != zones[1]  # another pool
    (taken,) = world.instances()["node001"]
    taken.terminate()
    world.settle()
    assert world.group_tags()["spotcluster:size"] == "2"
    said = end(world, keeper)
    assert said.count("asking for") == 1
    assert "node001 (c5.large in us-east-1" in said
    assert "counts no more: EC2 takes it back" in said


def test_two_keepers_replace_a_node_once(world: World) -> None:
    two_nodes(world)
    keepers = [world.terminal("keep", "mycluster") for _ in range(2)]
    for one in keepers:
        await_(lambda: world.calls.count("node001: asking how the machine does") > 3, one)
    take_back(world, "node001")
    await_(lambda: "node002" in world.ready(), keepers[0])
    time.sleep(3)
    assert {alias: len(found) for alias, found in world.instances().items()} == {
        "master": 1,
        "node001": 1,
        "node002": 1,
    }
    assert world.group_tags()["spotcluster:size"] == "2"
    end(world, *keepers)


@pytest.mark.parametrize("answer", ["RequestLimitExceeded", "InsufficientInstanceCapacity"])
def test_refusals_of_ec2_are_outlived(world: World, answer: str) -> None:
    from .changes import refusal

    a_lost_node(world)
    refused: list[str] = []

    def refuse(_: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "CreateFleet" and len(refused) < 3:
            refused.append(name)
            return refusal(answer)
        return do()

    world.on_call = refuse
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "node002" in world.ready() or "node003" in world.ready(), keeper, 120)
    assert len(refused) == 3
    assert len(live(world)) == 2
    end(world, keeper)


def test_keeper_ends_when_its_cluster_is_stopped(world: World) -> None:
    two_nodes(world)
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "master: asking how the machine does" in world.calls, keeper)
    world.run("stop", "-y", "mycluster")
    done = keeper.wait(60)
    assert done.status == 0
    assert "'mycluster' is stopped; `spotcluster start mycluster` brings it back" in done.out
    assert not [one for one in world.ready() if one != "master"]


def test_no_master_is_made_by_a_keeper(world: World) -> None:
    """A master that has ended by itself was to end: a keeper must not begin the bill anew."""
    two_nodes(world)
    (master,) = world.instances()["master"]
    master.terminate()
    world.settle()
    done = world.terminal("keep", "mycluster").wait(120)
    assert done.status == 1
    assert "`spotcluster start mycluster` makes a new one" in done.out
    assert live(world) == ["node001"]


def test_interrupted_keeper_says_what_exists(world: World) -> None:
    two_nodes(world)
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "master: asking how the machine does" in world.calls, keeper)
    keeper.interrupt()
    done = keeper.wait(60)
    assert done.status == 130
    assert "keep mycluster       goes on with it" in done.err
    assert world.ready() == ["master", "node001"]


def test_what_a_keeper_is_told_is_checked(world: World) -> None:
    done = world.run("keep", "--min", "5", "--max", "3", "mycluster", status=2)
    assert "--min 5 is more than --max 3" in done.err
    done = world.run("keep", "nosuch", status=1)
    assert "There is no cluster 'nosuch'" in done.err
    done = world.run("loadbalance", "-K", "mycluster", status=2)
    assert "`spotcluster terminate NAME` ends a cluster" in done.err

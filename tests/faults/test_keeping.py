"""A cluster that keeps its size, in a world where nodes are taken back, lost and cannot be had."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spotcluster.local import market

from . import changes
from .commands import a_lost_node, two_nodes
from .machines import VITALS
from .terminals import Terminal
from .test_autostop import settings
from .world import World

KEEPER = "spotcluster.cluster.lifecycle.keeping.keeper"

ACTING = "spotcluster.cluster.lifecycle.keeping.acting"
OBSERVATION = "spotcluster.cluster.lifecycle.keeping.observation"


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


def recommend(world: World, alias: str) -> list[str]:
    """Let a machine say EC2's rebalance recommendation; return what says when it was drained."""
    drained: list[str] = []

    def says(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["alias"] != alias:
            return None
        if asked["what"] == "draining":
            drained.append(alias)
        if asked["what"] != "asking how the machine does":
            return None
        now = int(time.time())
        out = VITALS.format(clock=now, draining=int(bool(drained)))
        return {"out": f"{out}notice=rebalance {now} 2026-11-29T12:20:00Z\n"}

    world.machines.faults.append(says)
    return drained


def test_recommendation_is_obeyed_where_it_is_to_be(world: World, spotcluster_home: Path) -> None:
    config = spotcluster_home / "config"
    early = "[cluster bare]\nREPLACE_EARLY = True\n"
    config.write_text(config.read_text().replace("[cluster bare]\n", early))
    two_nodes(world)
    drained = recommend(world, "node001")
    keeper = world.terminal("keep", "mycluster")
    assert await_(lambda: "node002" in live(world), keeper) < 15
    assert live(world) == ["master", "node001", "node002"]
    await_(lambda: drained, keeper)
    await_(lambda: "node002" in world.ready(), keeper)
    zones = [world.instances()[one][0].placement for one in ("node001", "node002")]
    assert zones[0] != zones[1]  # another pool
    said = end(world, keeper)
    assert said.count("asking for") == drained.count("node001") == 1
    assert "counts no more: EC2 says that it may take it back soon" in said


def test_recommendation_changes_nothing_otherwise(world: World) -> None:
    two_nodes(world)
    drained = recommend(world, "node001")
    done = world.run("keep", "--once", "mycluster")
    assert "has the nodes that it should, 2" in done.out
    assert live(world) == ["master", "node001"]
    assert not drained


@pytest.mark.parametrize(
    ("setting", "words", "size"),
    [
        ("", (), 3),  # 5400 s of work in 15 minutes: 6 engines, of which a worker has four
        ("TARGET = 1h\n", (), 2),
        ("TARGET = 1h\n", ("--target", "15"), 3),
        ("", ("--target", "5"), 6),
    ],
)
def test_what_waits_is_to_be_done_in_the_target_of_the_template_or_of_the_command(
    world: World, spotcluster_home: Path, setting: str, words: tuple[str, ...], size: int
) -> None:
    config = spotcluster_home / "config"
    own = f"[cluster bare]\n{setting}"
    config.write_text(config.read_text().replace("[cluster bare]\n", own))
    two_nodes(world)
    world.change(changes.work_waits, 90, 60.0)
    done = world.run("keep", "--once", "--max", "10", *words, "mycluster")
    assert len(world.ready()) == size, done.out
    if size > 2:
        minutes = words[1] if words else "15"
        assert f"90 evaluation(s) of 60 s wait, to be done in {minutes} min" in done.out


def test_keeper_moves_the_ceiling_on_and_the_end_of_an_idle_cluster_stays(world: World) -> None:
    """The timers go by the bid, and what is really paid is a part of it."""
    world.run("start", "-s", "2", "-c", "bare", "--budget", "20", "mycluster")
    before = {one: settings(world, one) for one in ("master", "node001")}
    world.change(changes.set_value, f"{ACTING}.COUNTED", 0.5)
    keeper = world.terminal("keep", "mycluster")

    def moved() -> bool:
        now = {one: settings(world, one) for one in before}
        return all(now[one]["set"] != before[one]["set"] for one in before)

    await_(moved, keeper)
    now = {one: settings(world, one) for one in before}
    for alias, one in now.items():
        # Nothing of it was spent in these seconds: so long from now, and not from the start.
        assert one["ceiling"] == pytest.approx(before[alias]["ceiling"], rel=0.01)
        assert "postponed" not in one
    end(world, keeper)


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


@pytest.fixture
def hasty(world: World) -> World:
    """Let keepers try again soon."""
    world.change(changes.set_value, f"{KEEPER}._FIRST", 0.5)
    world.change(changes.set_value, f"{KEEPER}._LONGEST", 1.0)
    return world


def keep_on(world: World, trouble: str, cure: Callable[[], None]) -> str:
    """Let a keeper live through a trouble; return what it said."""
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: trouble in keeper.said(), keeper)
    time.sleep(3)
    assert live(world) == ["master"]
    cure()
    await_(lambda: len(world.ready()) == 2, keeper)
    assert world.group_tags()["spotcluster:size"] == "2"
    return end(world, keeper)


def test_keeper_waits_for_capacity(hasty: World) -> None:
    a_lost_node(hasty)
    hasty.cloud.capacity.replace([{"lifecycle": "spot", "capacity": 0}])
    said = keep_on(hasty, "More is asked for in", lambda: hasty.cloud.capacity.replace([]))
    assert "There is no Spot capacity" in said


def test_keeper_waits_for_a_price_below_the_bid(hasty: World) -> None:
    a_lost_node(hasty)
    with hasty.cloud.lock:
        market.tell([{"usd": 3.0}])
    try:
        said = keep_on(hasty, "is below the spot price", lambda: market.tell([]))
    finally:
        market.tell([])
    assert "The bid of $0.5/h is below the spot price" in said


@pytest.mark.parametrize(
    "code", ["RequestExpired", "ExpiredToken", "RequestLimitExceeded", "UnauthorizedOperation"]
)
def test_keeper_outlives_refusals_and_says_each_once(hasty: World, code: str) -> None:
    with (hasty.home / "config").open("a") as config:
        config.write("\n[aws info]\nTHROTTLE_TIMEOUT = 1\n")
    two_nodes(hasty)
    keeper = hasty.terminal("keep", "mycluster")
    await_(lambda: "node001: asking how the machine does" in hasty.calls, keeper)
    hasty.cloud.faults.replace([{"action": "*", "code": code}])
    await_(lambda: "It is tried again and again" in keeper.said(), keeper)
    (lost,) = hasty.instances()["node001"]
    lost.terminate()
    hasty.settle()
    time.sleep(3)
    assert keeper.said().count("nothing is done for now") == 1
    hasty.cloud.faults.replace([])
    await_(lambda: hasty.ready() == ["master", "node002"], keeper)
    assert "can be asked again" in end(hasty, keeper)


def test_losses_in_turn_while_nodes_are_being_set_up_are_all_replaced(world: World) -> None:
    """A keeper that waits for one node to be ready would leave the next loss to later."""
    world.run("start", "-s", "3", "-c", "bare", "mycluster")
    world.frozen = {"node003"}
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "node002: asking how the machine does" in world.calls, keeper)
    take_back(world, "node001")
    await_(lambda: "node003" in live(world), keeper)
    take_back(world, "node002")
    assert await_(lambda: "node004" in live(world), keeper) < 15
    await_(lambda: "node004" in world.ready(), keeper)
    assert "node003" not in world.ready()
    world.frozen = set()
    world.settle()
    await_(lambda: "node003" in world.ready(), keeper)
    assert live(world) == ["master", "node001", "node002", "node003", "node004"]
    assert world.group_tags()["spotcluster:size"] == "3"
    end(world, keeper)


def test_keeper_that_is_killed_is_gone_on_from(world: World) -> None:
    a_lost_node(world)
    world.frozen = {"node002"}
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "node002" in live(world), keeper)
    keeper.kill()
    world.wait_until_idle()
    world.frozen = set()
    world.settle()
    next_one = world.terminal("keep", "mycluster")
    await_(lambda: world.ready() == ["master", "node002"], next_one)
    await_(lambda: not [one for one in world.group_tags() if "adding" in one], next_one)
    assert {one: len(there) for one, there in world.instances().items()} == {
        "master": 1,
        "node002": 1,
    }
    assert "of an addition that was cut off are gone on with" in end(world, next_one)


def test_keeper_ends_when_its_cluster_is_stopped(world: World) -> None:
    two_nodes(world)
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "master: asking how the machine does" in world.calls, keeper)
    world.run("stop", "-y", "mycluster")
    done = keeper.wait(60)
    assert done.status == 0
    assert "'mycluster' is stopped; `spotcluster start mycluster` brings it back" in done.out
    assert not [one for one in world.ready() if one != "master"]


def test_stop_while_a_keeper_makes_a_node_leaves_nothing_running(world: World) -> None:
    a_lost_node(world)
    world.frozen = {"node002"}
    keeper = world.terminal("keep", "mycluster")
    await_(lambda: "node002" in live(world), keeper)
    world.run("stop", "-y", "mycluster")
    assert keeper.wait(120).status == 0
    states = {alias: one.state for alias, (one,) in world.instances().items()}
    assert states == {"master": "stopped"}
    world.frozen = set()
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_no_master_is_made_by_a_keeper(world: World) -> None:
    """A master that has ended by itself was to end: a keeper must not begin the bill anew."""
    two_nodes(world)
    world.change(changes.set_value, f"{OBSERVATION}._NO_MASTER", 2.0)
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
    done = world.run("keep", "--min", "1000000000", "mycluster", status=2)
    assert "more than any account may have" in done.err
    done = world.run("keep", "nosuch", status=2)
    assert "There is no cluster 'nosuch'" in done.err
    done = world.run("loadbalance", "-K", "mycluster", status=2)
    assert "`spotcluster terminate NAME` ends a cluster" in done.err

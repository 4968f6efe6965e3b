"""Workers are launched together: each gets a name of its own, wherever the launch is cut off."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from .sweep import called, cut_off
from .world import World

START = ("start", "-c", "bare", "-s", "4", "mycluster")
NODES = ["master", "node001", "node002", "node003"]


def workers_in_order_of_ids(world: World) -> list[str]:
    found = [(one.id, name) for name, there in world.instances().items() for one in there]
    return [name for _, name in sorted(found) if name != "master"]


def test_workers_are_launched_by_one_fleet_and_named_by_their_ids(world: World) -> None:
    world.run(*START)
    assert world.ready() == NODES
    making = ("RunInstances", "CreateLaunchTemplate", "CreateFleet", "DeleteLaunchTemplate")
    assert [world.calls.count(name) for name in making] == [1, 1, 1, 1]
    assert workers_in_order_of_ids(world) == NODES[1:]
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "call", ["CreateLaunchTemplate", "CreateFleet", "CreateTags", "DeleteLaunchTemplate"]
)
def test_launch_of_several_that_was_cut_off_is_gone_on_with(
    world: World, call: str, *, after: bool
) -> None:
    name, _ = cut_off(world, START, called(call), signal.SIGKILL, after=after)
    assert name == call
    cut = world.save()
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []
    world.restore(cut)
    world.run(*START)
    assert world.ready() == NODES
    assert all(len(there) == 1 for there in world.instances().values())
    assert workers_in_order_of_ids(world) == NODES[1:]
    backend = world.cloud.backend("123456789012", "us-east-1")
    assert not backend.launch_templates


def test_addition_that_was_cut_off_before_its_nodes_had_names_is_gone_on_with(
    world: World,
) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    adding = ("addnode", "-s", "3", "mycluster")
    cut_off(world, adding, called("CreateFleet"), signal.SIGKILL, after=True)
    world.run("addnode", "-s", "1", "mycluster")  # another one takes none of the names
    world.run(*adding)
    assert world.ready() == [*NODES, "node004"]
    assert workers_in_order_of_ids(world)[:1] != []
    assert world.group_tags()["spotcluster:size"] == "5"


@pytest.mark.parametrize("words", [("-z", "us-east-1b"), ("-I", "m5.large"), ()])
def test_nodes_are_added_where_and_of_the_type_that_the_user_says(
    world: World, words: tuple[str, ...]
) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.run("addnode", "-s", "2", *words, "mycluster")
    assert world.ready() == ["master", "node001", "node002"]
    workers = [one for there in world.instances().values() for one in there][1:]
    if "-z" in words:
        assert {one.availability_zone for one in workers} == {"us-east-1b"}
    kind = "m5.large" if "-I" in words else "c5.large"
    assert {one.instance_type for one in workers} == {kind}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-z", "us-east-1q"), "us-east-1q"),
        (("-I", "c9.huge"), "c9.huge"),
        (("-s", "100000"), "100000 are needed"),
        (("-s", "1000000000"), "more than any account may have"),
    ],
)
def test_what_cannot_be_added_is_refused_before_anything_is_made(
    world: World, words: tuple[str, ...], said: str
) -> None:
    """A billion nodes were all given names first."""
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.begin()
    done = world.terminal("addnode", *words, "mycluster").wait(60)
    assert done.status in (1, 2)
    assert said in done.err
    assert all(one.startswith(("Describe", "Get")) for one in world.calls), world.calls
    assert world.group_tags()["spotcluster:size"] == "1"


@pytest.mark.parametrize(
    ("size", "said"), [("100000", "100000 are needed"), ("1000000000", "100000")]
)
def test_cluster_that_no_subnet_has_room_for_is_refused_before_anything_is_made(
    world: World, size: str, said: str
) -> None:
    done = world.terminal("start", "-c", "bare", "-s", size, "mycluster").wait(60)
    assert done.status in (1, 2)
    assert said in done.err
    assert world.left() == []


WIDE = """
[cluster wide]
EXTENDS = bare
CLUSTER_SIZE = 300
NODE_INSTANCE_TYPES = c5.large, c5.xlarge, m5.xlarge
"""


@pytest.fixture
def wide(world: World, spotcluster_home: Path) -> None:
    config = spotcluster_home / "config"
    config.write_text(config.read_text() + WIDE)


def planned(world: World, *words: str) -> dict[str, Any]:
    said = world.run("start", "-c", "wide", "--dry-run", "--json", *words, "mycluster").out
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.mark.usefixtures("wide")
def test_dry_run_ranks_pools_by_the_price_of_a_vcpu_and_says_which_are_chosen(
    world: World,
) -> None:
    every = planned(world, "-b", "9")["pools"]
    assert {one["type"] for one in every} == {"c5.large", "c5.xlarge", "m5.xlarge"}
    assert all(one["chosen"] for one in every)
    per_vcpu = [one["usd_per_vcpu_hour"] for one in every]
    assert per_vcpu == sorted(per_vcpu)
    for one in every:
        assert one["saving"] == 1 - one["usd_per_hour"] / one["on_demand_usd_per_hour"]
    costs = sorted(one["usd_per_hour"] for one in every)
    bid = costs[len(costs) // 2]
    for one in (bounded := planned(world, "-b", str(bid)))["pools"]:
        assert one["chosen"] == (one["usd_per_hour"] <= bid), one
    first = next(one for one in bounded["pools"] if one["chosen"])
    assert bounded["nodes"][1]["type"] == first["type"]
    assert bounded["nodes"][1]["usd_per_hour"] == first["usd_per_hour"]


@pytest.mark.usefixtures("wide")
def test_dry_run_of_many_nodes_fits_a_screen(world: World) -> None:
    """Each node had a line."""
    lines = world.run("start", "-c", "wide", "-b", "9", "--dry-run", "mycluster").out.splitlines()
    assert len(lines) < 30
    assert any(line.startswith("node001 to node299 ") for line in lines)
    assert sum(line.rstrip().endswith("chosen") for line in lines) == 12
    assert any(re.fullmatch(r"\.\.\. and \d+ more; .*", line) for line in lines)


def test_dry_run_on_demand_of_one_type_has_nothing_to_rank(world: World) -> None:
    assert "chosen" not in world.run("start", "-c", "steady", "--dry-run", "mycluster").out

"""Workers are launched together: each gets a name of its own, wherever the launch is cut off."""

from __future__ import annotations

import signal

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

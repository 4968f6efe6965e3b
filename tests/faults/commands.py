"""The commands that are cut off, held and interrupted, and what must come of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .machines import VITALS
from .world import World


@dataclass
class Command:
    """A command, on what it is run, and what it makes of that.

    Attributes
    ----------
    ready : list of str
        The nodes that there are when it is done.
    size : int
        How many nodes the cluster should have by its record then.
    stopped : list of str
        The nodes that have stopped.
    images : int
        How many images there are at least; repeated when all was done, it makes one more.
    undone : Command, optional
        What makes the opposite of it, from wherever it was cut off.
    """

    words: tuple[str, ...]
    before: Callable[[World], None]
    ready: list[str]
    size: int
    stopped: Sequence[str] = ()
    undone: Command | None = None
    images: int = 0


def nothing(world: World) -> None:
    pass


def a_master(world: World) -> None:
    world.run("start", "-s", "1", "-c", "bare", "mycluster")


def two_nodes(world: World) -> None:
    world.run("start", "-s", "2", "-c", "bare", "mycluster")


def a_lost_node(world: World) -> None:
    two_nodes(world)
    (lost,) = world.instances()["node001"]
    lost.terminate()
    world.settle()


def a_taken_node(world: World) -> None:
    """Make a cluster whose worker says what it says after EC2's notice: nothing new is begun."""
    two_nodes(world)

    def drains(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["what"] == "asking how the machine does" and asked["alias"] == "node001":
            return {"out": VITALS.format(clock=int(time.time()), draining=1)}
        return None

    world.machines.faults.append(drains)


def a_cluster_that_ended_by_itself(world: World) -> None:
    world.run("start", "-s", "2", "-c", "bare", "-b", "0.5", "--force-spot-master", "mycluster")
    for there in world.instances().values():
        for one in there:
            one.ec2_backend.host_shut_down(one)
    world.settle()


def workers_of_both_kinds(world: World) -> None:
    world.run("start", "-c", "steady", "mycluster")
    world.run("addnode", "-b", "0.5", "mycluster")


def near(world: World) -> None:
    """Let there be a template whose nodes are near each other, in a group of the cluster's own."""
    config = world.home / "config"
    config.write_text(
        f"{config.read_text()}\n[cluster near]\nEXTENDS = bare\nPLACEMENT_GROUP = cluster\n"
    )


def all_that_start_makes(world: World) -> None:
    near(world)
    world.run(*START_WITH_ALL)


def a_stopped_cluster(world: World) -> None:
    two_nodes(world)
    world.run("stop", "-y", "mycluster")


def a_ceiling(world: World) -> None:
    world.run("start", "-s", "2", "-c", "bare", "--budget", "20", "mycluster")


START = ("start", "-s", "2", "-c", "bare", "mycluster")
START_WITH_ALL = ("start", "-s", "2", "-c", "near", "--budget", "20", "mycluster")
GO_ON = ("start", "mycluster")
KEEP = ("keep", "--once", "mycluster")
STOP = ("stop", "-y", "mycluster")
END = ("terminate", "-y", "mycluster")
COMMANDS = {
    "start": Command(START_WITH_ALL, near, ["master", "node001"], 2),
    "addnode": Command(("addnode", "mycluster"), a_master, ["master", "node001"], 2),
    "removenode": Command(("removenode", "-y", "mycluster", "node001"), two_nodes, ["master"], 1),
    "start again": Command(START, a_lost_node, ["master", "node002"], 2),
    "start of one that ended": Command(
        GO_ON, a_cluster_that_ended_by_itself, ["master", "node002"], 2
    ),
    "keep": Command(KEEP, a_lost_node, ["master", "node002"], 2),
    "keep of a node that is taken": Command(
        KEEP, a_taken_node, ["master", "node001", "node002"], 2
    ),
    "stop": Command(
        STOP,
        workers_of_both_kinds,
        [],
        3,
        stopped=["master", "node001"],
        undone=Command(GO_ON, nothing, ["master", "node001", "node002"], 3),
    ),
    "start of a stopped cluster": Command(
        GO_ON,
        a_stopped_cluster,
        ["master", "node001"],
        2,
        undone=Command(STOP, nothing, [], 2, stopped=["master"]),
    ),
    "autostop": Command(("autostop", "mycluster", "2h"), a_ceiling, ["master", "node001"], 2),
    "restart": Command(("restart", "mycluster"), two_nodes, ["master", "node001"], 2),
    "ebsimage": Command(
        ("ebsimage", "mycluster", "node001", "tools"), two_nodes, ["master", "node001"], 2, images=1
    ),
    "terminate": Command(END, all_that_start_makes, [], 0),
}
"""`start` makes all that it can be asked for at once: what makes less is `LEAST`."""
LEAST = {
    "start": Command(START, nothing, ["master", "node001"], 2),
    "terminate": Command(END, two_nodes, [], 0),
}
"""Of these commands, those that make or end the least; their states are among those of the most."""

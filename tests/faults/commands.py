"""The commands that are cut off, held and interrupted, and what must come of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    undone : Command, optional
        What makes the opposite of it, from wherever it was cut off.
    """

    words: tuple[str, ...]
    before: Callable[[World], None]
    ready: list[str]
    size: int
    stopped: Sequence[str] = ()
    undone: Command | None = None


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


def workers_of_both_kinds(world: World) -> None:
    world.run("start", "-c", "steady", "mycluster")
    world.run("addnode", "-b", "0.5", "mycluster")


def a_stopped_cluster(world: World) -> None:
    two_nodes(world)
    world.run("stop", "-y", "mycluster")


def a_ceiling(world: World) -> None:
    world.run("start", "-s", "2", "-c", "bare", "--budget", "20", "mycluster")


START = ("start", "-s", "2", "-c", "bare", "mycluster")
GO_ON = ("start", "mycluster")
KEEP = ("keep", "--once", "mycluster")
STOP = ("stop", "-y", "mycluster")
END = ("terminate", "-y", "mycluster")
COMMANDS = {
    "start": Command(START, nothing, ["master", "node001"], 2),
    "addnode": Command(("addnode", "mycluster"), a_master, ["master", "node001"], 2),
    "removenode": Command(("removenode", "-y", "mycluster", "node001"), two_nodes, ["master"], 1),
    "start again": Command(START, a_lost_node, ["master", "node002"], 2),
    "keep": Command(KEEP, a_lost_node, ["master", "node002"], 2),
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
    "terminate": Command(END, two_nodes, [], 0),
}

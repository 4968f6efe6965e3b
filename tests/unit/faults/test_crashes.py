"""Killed right before and right after every call: terminate leaves nothing, repeating converges.

A call that only reads changes nothing, so that "after" it is "before" the next one; it is cut off
once. What comes of a crash depends on what EC2, the machines and the home folder hold then, so
`terminate` and the repetition are run once for each such state, and the table names it by number.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.wrappers import Response
from world import Terminal, World


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


START = ("start", "-s", "2", "-c", "bare", "mycluster")
GO_ON = ("start", "mycluster")
STOP = ("stop", "-y", "mycluster")
COMMANDS = {
    "start": Command(START, nothing, ["master", "node001"], 2),
    "addnode": Command(("addnode", "mycluster"), a_master, ["master", "node001"], 2),
    "removenode": Command(("removenode", "-y", "mycluster", "node001"), two_nodes, ["master"], 1),
    "start again": Command(START, a_lost_node, ["master", "node002"], 2),
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
    "restart": Command(("restart", "mycluster"), two_nodes, ["master", "node001"], 2),
    "terminate": Command(("terminate", "-y", "mycluster"), two_nodes, [], 0),
}


class Cut:
    """Sends a signal to a terminal right before or right after its `number`-th call."""

    def __init__(self, number: int, how: signal.Signals, *, after: bool) -> None:
        self.name = ""
        self._number = number
        self._how = how
        self._after = after
        self._pid = 0
        self._known = threading.Event()

    def at(self, terminal: Terminal) -> None:
        """Say which terminal it is."""
        self._pid = terminal.pid
        self._known.set()

    def __call__(self, number: int, name: str, do: Callable[[], Response]) -> Response:
        if number != self._number:
            return do()
        self.name = name
        response = do() if self._after or self._how is not signal.SIGKILL else Response(status=500)
        assert self._known.wait(60)
        os.kill(self._pid, self._how)
        return response


def cut_off(
    world: World, command: Command, number: int, how: signal.Signals, *, after: bool
) -> tuple[str, Terminal]:
    """Run a command and cut it off; return at which call, "" when it ended before."""
    world.begin()
    world.on_call = cut = Cut(number, how, after=after)
    terminal = world.terminal(*command.words)
    cut.at(terminal)
    terminal.wait()
    world.wait_until_idle()
    world.on_call = None
    return cut.name, terminal


def only_reads(name: str) -> bool:
    """Return whether a call changes nothing."""
    return name.startswith(("Describe", "Get")) or ": reading" in name


def cuts(world: World, command: Command, saved: Any) -> Iterator[tuple[int, str, str]]:
    """Cut a command off at every call; yield the number, the side and the call."""
    number, reads = 1, False
    while True:
        for side in ("before", "after"):
            if side == "after" and reads:
                continue
            world.restore(saved)
            name, terminal = cut_off(world, command, number, signal.SIGKILL, after=side == "after")
            if not name:
                assert terminal.done
                assert terminal.done.status == 0, terminal.done.err
                return
            reads = only_reads(name)
            yield number, side, name
        number += 1
        reads = False


def state(world: World) -> str:
    """Return what there is, without what differs from run to run."""
    nodes = []
    for alias, found in world.instances().items():
        for one in found:
            tags = sorted(key for key in one.ec2_backend.tags[one.id])
            disk = sorted(world.machines.files.get(one.id, ()))
            nodes.append((alias, one.state, tags, disk))
    group = {
        key.partition("adding:")[0]: value if key.endswith("size") else ""
        for key, value in world.group_tags().items()
    }
    own = [path for path in world.own_files() if not path.name.startswith(".")]
    files = [str(path.relative_to(world.home)) for path in own]
    kinds = sorted(one.partition("-")[0] for one in world.left())
    return repr((nodes, group, world.group_rules(), files, kinds))


def check_converged(world: World, command: Command, said: str) -> None:
    found = world.instances()
    wanted = sorted([*command.ready, *command.stopped])
    assert {alias: len(there) for alias, there in found.items()} == dict.fromkeys(wanted, 1), said
    assert world.ready() == command.ready, said
    states = {alias: one.state for alias, (one,) in found.items()}
    running = dict.fromkeys(command.ready, "running")
    assert states == running | dict.fromkeys(command.stopped, "stopped"), said
    own = world.group_tags()
    assert ("spotcluster:stopped" in own) == bool(command.stopped), said
    assert int(own.get("spotcluster:size", 0)) == command.size, said
    assert not [key for key in own if key.startswith("spotcluster:adding")], said
    if not wanted:
        assert world.left() == [], said


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("what", COMMANDS)
def test_killed_at_every_call(world: World, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = COMMANDS[what]
    command.before(world)
    saved = world.save()
    met: dict[str, int] = {}
    left: dict[int, str] = {}
    rows = []
    for number, side, name in cuts(world, command, saved):
        there = state(world)
        is_new = there not in met
        rows.append((number, side, met.setdefault(there, len(met) + 1), name))
        if not is_new:
            continue
        cut = world.save()
        where = f"{what}, killed {side} call {number}, {name}"
        done = world.terminal("terminate", "-y", "mycluster").wait()
        assert done.status == 0 or "There is no cluster" in done.err, f"{where}:\n{done.err}"
        left[met[there]] = ", ".join(world.left()) or "nothing"
        assert world.left() == [], f"{where}:\n{done.err}"
        assert world.own_files() == [], f"{where}:\n{done.err}"
        world.restore(cut)
        if what == "addnode" and (side, name) == ("after", "DeleteTags"):
            continue  # its last call: all is done and said, and repeating it adds another node
        done = world.terminal(*command.words).wait()
        check_converged(world, command, f"{where}:\n{done.err}")
        if command.undone:
            world.restore(cut)
            done = world.terminal(*command.undone.words).wait()
            if not ("start" in command.undone.words and "already running" in done.err):
                assert done.status == 0, f"{where}:\n{done.err}"
            check_converged(world, command.undone, f"{where}, then undone:\n{done.err}")
    with capsys.disabled():
        lines = [
            f"{number:4} {side:7} {known:6}  {left[known]:10} {name}"
            for number, side, known, name in rows
        ]
        title = f"{what}: killed {len(rows)} times, in {len(met)} states"
        head = "   k side     state  left over  call"
        sys.stdout.write("\n".join(["", title, head, *lines, ""]))
    assert len(rows) > 5


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("what", COMMANDS)
def test_interrupt_at_any_call_says_what_exists_and_what_ends_it(world: World, what: str) -> None:
    command = COMMANDS[what]
    command.before(world)
    saved = world.save()
    world.begin()
    world.run(*command.words)
    usual = list(world.calls)
    number, reads = 0, 0
    while True:
        number += 1
        reads = reads + 1 if number <= len(usual) and only_reads(usual[number - 1]) else 0
        if reads > 1:
            continue  # as after the one before
        world.restore(saved)
        before = state(world)
        name, terminal = cut_off(world, command, number, signal.SIGINT, after=True)
        if not name:
            break
        done = terminal.done
        assert done
        where = f"interrupted at call {number}, {name}:\n{done.out}{done.err}"
        if done.status == 0:  # it came when all was done
            continue
        assert done.status == 130, where
        assert "Traceback" not in done.err, where
        if "Nothing of 'mycluster' was changed" in done.err:
            assert state(world) == before, where
            continue
        for found in world.instances().values():
            for one in found:
                assert one.id in done.err, where
        expected = "terminate mycluster" if world.left() else "Nothing of 'mycluster' exists"
        assert expected in done.err, where
    world.restore(saved)

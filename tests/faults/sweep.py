"""What a command leaves when it is cut off at any of its calls, found while it runs once.

A kill leaves what EC2, the machines and this computer hold at that moment; of the terminal itself
nothing is left. So a command is run once, one call at a time, and what there is right before and
right after each call is kept, where it is new. Its other threads may each have sent a call by
then, which takes effect all the same: what comes of these, without the one call, is found
afterwards by making them where it was cut off. Kills by a signal are for a part of the calls, and
show whether that is what a kill leaves: a state that none of this has met joins the table.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from werkzeug.wrappers import Response

from .terminals import Terminal
from .world import Saved, World


def only_reads(name: str) -> bool:
    """Return whether a call changes nothing."""
    return name.startswith(("Describe", "Get")) or ": reading" in name


def is_remote(name: str) -> bool:
    """Return whether a call is a step on a node."""
    return ": " in name


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
    return repr((nodes, group, world.group_rules(), files, kinds, sorted(world.images())))


@dataclass(frozen=True)
class Row:
    """A moment at which a command is cut off, and the number of the state that it leaves."""

    number: int
    side: str
    state: int
    name: str


@dataclass
class Table:
    """The states in which a command may leave things, in the order in which they were met.

    Attributes
    ----------
    numbers : dict of str to int
        The states' numbers, from 1.
    saved : dict of int to Saved
        What brings a state back.
    rows : list of Row
        All moments that were looked at.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    saved: dict[int, Saved] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def meet(self, world: World, number: int, side: str, name: str) -> None:
        """Add a moment, and what there is at it where that is new."""
        there = state(world)
        known = self.numbers.setdefault(there, len(self.numbers) + 1)
        if known not in self.saved:
            self.saved[known] = world.save()
        self.rows.append(Row(number, side, known, name))

    def calls(self) -> list[Row]:
        """Return the calls in their order, as moments right before each."""
        return [row for row in self.rows if row.side == "before"]

    def occurrence(self, call: Row) -> int:
        """Return how many calls of its name there are up to a call."""
        return sum(row.name == call.name and row.number <= call.number for row in self.calls())

    def first(self, known: int) -> Row:
        """Return the moment at which a state was met first."""
        return next(row for row in self.rows if row.state == known)


@dataclass
class _Asked:
    """A call that has come and has not taken effect."""

    name: str
    do: Callable[[], Response]


class Recorder:
    """Lets a terminal's calls take effect in the order in which they come, one at a time.

    None begins before the terminal has sent all that it sends without an answer, so that of a
    terminal with threads the calls that are under way at once are known.
    """

    def __init__(self, world: World, table: Table) -> None:
        self._world = world
        self._table = table
        self._asked: list[_Asked] = []
        self._turn = threading.Condition()
        self._number = 0
        self._terminal = Late()
        self._beside: dict[tuple[str, ...], tuple[Row, Saved, list[_Asked]]] = {}

    def run(self, words: Sequence[str]) -> Terminal:
        """Run a command to its end."""
        self._world.begin()
        self._world.on_call = self
        terminal = self._world.terminal(*words)
        self._terminal.is_known(terminal)
        terminal.wait()
        self._world.wait_until_idle()
        self._world.on_call = None
        return terminal

    def __call__(self, _: int, name: str, do: Callable[[], Response]) -> Response:
        own = _Asked(name, do)
        with self._turn:
            self._asked.append(own)
            assert self._turn.wait_for(lambda: self._asked[0] is own, 240)
        try:
            _wait_until_it_waits(self._terminal.get(), lambda: len(self._asked), self._world)
            return self._take_effect(own)
        finally:
            with self._turn:
                self._asked.pop(0)
                self._turn.notify_all()

    def _take_effect(self, own: _Asked) -> Response:
        self._number += 1
        self._table.meet(self._world, self._number, "before", own.name)
        if only_reads(own.name):
            return own.do()
        others = [one for one in self._asked[1:] if not only_reads(one.name)]
        key = (str(self._table.rows[-1].state), own.name, *(one.name for one in others))
        if others and key not in self._beside:
            self._beside[key] = (self._table.rows[-1], self._world.save(), others)
        response = own.do()
        self._table.meet(self._world, self._number, "after", own.name)
        return response

    def meet_what_others_did(self) -> None:
        """Find what is left where the calls of other threads took effect, and one call did not."""
        for row, saved, others in self._beside.values():
            self._world.restore(saved)
            for one in others:
                one.do()
            self._table.meet(self._world, row.number, "without", row.name)


class Late:
    """A terminal that is known a moment after its first call may have come."""

    def __init__(self) -> None:
        self._terminal: Terminal | None = None
        self._known = threading.Event()

    def is_known(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._known.set()

    def get(self) -> Terminal:
        assert self._known.wait(60)
        assert self._terminal
        return self._terminal


def _wait_until_it_waits(terminal: Terminal, held: Callable[[], int], world: World) -> None:
    """Wait until a terminal only waits: for answers that are held, or for time to pass."""
    end = time.monotonic() + 10
    looks, pause = 0, 0.0005
    while looks < 2 and time.monotonic() < end:
        is_waiting = world.under_way() == held() and not terminal.works()
        looks = looks + 1 if is_waiting else 0
        time.sleep(pause)
        pause = min(2 * pause, 0.03)  # where others use the processors, it is not for us to


Hit = Callable[[int, str], bool]
"""Tells a call by its number and its name."""


def nth(number: int) -> Hit:
    """Return what tells the `number`-th call."""
    return lambda counted, _: counted == number


def called(name: str, number: int = 1) -> Hit:
    """Return what tells the `number`-th call of a name: threads may change the order of calls."""
    left = itertools.count(number, -1)
    lock = threading.Lock()

    def hit(_: int, other: str) -> bool:
        with lock:
            return other == name and next(left) == 1

    return hit


class Cut:
    """Sends a signal to a terminal right before or right after one of its calls."""

    def __init__(self, hit: Hit, how: signal.Signals, *, after: bool) -> None:
        self.name = ""
        self.terminal = Late()
        self._hit = hit
        self._how = how
        self._after = after

    def __call__(self, number: int, name: str, do: Callable[[], Response]) -> Response:
        if not self._hit(number, name):
            return do()
        self.name = name
        response = do() if self._after or self._how is not signal.SIGKILL else Response(status=500)
        os.kill(self.terminal.get().pid, self._how)
        return response


def cut_off(
    world: World, words: Sequence[str], hit: Hit, how: signal.Signals, *, after: bool
) -> tuple[str, Terminal]:
    """Run a command and cut it off; return at which call, "" when it ended before."""
    world.begin()
    world.on_call = cut = Cut(hit, how, after=after)
    terminal = world.terminal(*words)
    cut.terminal.is_known(terminal)
    terminal.wait()
    world.wait_until_idle()
    world.on_call = None
    return cut.name, terminal


def record(world: World, words: Sequence[str], before: Saved) -> Table:
    """Run a command once; return the table of what it may leave."""
    table = Table()
    world.restore(before)
    recorder = Recorder(world, table)
    done = recorder.run(words).done
    assert done
    assert done.status == 0, done.err
    recorder.meet_what_others_did()
    return table


def to_kill_at(table: Table) -> list[Row]:
    """Return the calls for kills by a signal: each fifth that changes things, all kinds of steps.

    Of the calls also the last. A step that both nodes take, or that is taken again, is one kind.
    """
    changing = [row for row in table.calls() if not only_reads(row.name)]
    steps: dict[str, Row] = {}
    for row in changing:
        if is_remote(row.name):
            steps.setdefault(row.name.partition(": ")[2], row)
    calls = [row for row in changing if not is_remote(row.name)]
    at = {*calls[::5], *calls[-1:], *steps.values()}
    return sorted(at, key=lambda row: row.number)


def kill(world: World, words: Sequence[str], before: Saved, table: Table, at: Iterable[Row]) -> int:
    """Kill a command before or after calls by turns; add what is left, return how often it was."""
    kills = 0
    for row, after in zip(at, itertools.cycle((False, True)), strict=False):
        world.restore(before)
        hit = called(row.name, table.occurrence(row))
        name, _ = cut_off(world, words, hit, signal.SIGKILL, after=after)
        if name:  # one that asks less often is over before
            kills += 1
            table.meet(world, row.number, "after*" if after else "before*", name)
    return kills

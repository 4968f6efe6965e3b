"""kill -9 at a spread of the calls and remote steps of every command, on real nodes.

What all of them leave is looked at in tests/sweep, where the nodes are stubs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

KILLED = Path(__file__).with_name("killed.py")
START = ("start", "-c", "bare", "mycluster")
ADD = ("addnode", "mycluster")
REMOVE = ("removenode", "-y", "mycluster", "node001")
END = ("terminate", "-y", "mycluster")
STOP = ("stop", "-y", "mycluster")
AGAIN = ("start", "mycluster")
REBOOT = ("restart", "mycluster")
# each in the state in which the one before leaves things
COMMANDS = (START, ADD, REMOVE, REBOOT, STOP, AGAIN, END)
AFTER = {
    START: ["master", "node001"],
    ADD: ["master", "node001", "node002"],
    REMOVE: ["master", "node002"],
    REBOOT: ["master", "node002"],
    AGAIN: ["master", "node001"],  # the spot worker ended with the stop, and another is made
    END: [],
}


class Place(Protocol):
    """Where the commands are run."""

    def call(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a program; return its status and what it said on standard error."""

    def nodes(self) -> list[str]:
        """Return the nodes that are set up, sorted; each must be a machine that lets in."""

    def is_stopped(self) -> bool:
        """Return whether the cluster is stopped."""

    def left(self) -> list[str]:
        """Return all that there still is, in EC2 and on this computer."""


@dataclass
class Spread:
    """Kills commands, and sees to what comes of it."""

    place: Place
    folder: Path
    counts: dict[tuple[str, ...], int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def run(self, words: tuple[str, ...], number: int = 0, side: str = "before") -> bool:
        """Run a command; kill it at its `number`-th call or step, and return whether it was.

        One that repeats what EC2 is slow to do makes more or fewer calls, and may be over before.
        """
        count = self.folder / "count"
        command = [sys.executable, str(KILLED), str(number), side, str(count), *words]
        status, said = self.place.call(command)
        gone = words is REMOVE and status == 2 and "has no node 'node001'" in said
        killed = bool(number) and status == -9
        assert status == 0 or gone or killed, f"{words} at {number}: {status}\n{said}"
        return killed

    def learn(self) -> None:
        """Run every command undisturbed, to know how many calls and steps it has."""
        for words in COMMANDS:
            self.run(words)
            self.counts[words] = int((self.folder / "count").read_text())
            self.check(words)

    def check(self, words: tuple[str, ...]) -> None:
        """See that things are as the command is to leave them."""
        if words is STOP:
            assert self.place.is_stopped()
            return
        nodes = self.place.nodes()
        assert nodes == AFTER[words], f"after {words}: {nodes}; {self.told}"
        if words is END:
            self.check_nothing_is_left()

    def check_nothing_is_left(self) -> None:
        assert self.place.left() == []

    def kill(self, words: tuple[str, ...], share: float) -> bool:
        """Kill a command when so much of it is done, before a call or after it, by turns.

        Returns
        -------
        bool
            Whether it was killed.
        """
        number = max(1, round(share * self.counts[words]))
        side = ("before", "after")[len(self.told) % 2]
        killed = self.run(words, number, side)
        what = side if killed else "over before"
        self.told.append(f"{words[0]} {what} {number} of {self.counts[words]}")
        over = [one for one in self.told if "over before" in one]
        assert len(over) <= 4, over  # too many say that the numbers mean nothing
        return killed

    def converges(self, share: float) -> None:
        """Kill every command in turn and repeat it: it comes to what it would have come to.

        Not near the end: an `addnode` that is repeated when it has done all adds another node.
        """
        for words in COMMANDS:
            if self.kill(words, share) and (words is not END or self.place.left()):
                self.run(words)
            self.check(words)

    def leaves_nothing(self, share: float, commands: Sequence[tuple[str, ...]] = COMMANDS) -> None:
        """Kill each of some commands and end the cluster instead of repeating it."""
        for words in commands:
            if words is not START:
                self.run(START)
            if words is AGAIN:
                self.run(STOP)
            self.kill(words, share)
            if self.place.left():
                self.run(END)
            self.check_nothing_is_left()

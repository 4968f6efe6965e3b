"""A command held at one of its calls while another one runs to its end, and then let go on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .sweep import is_remote, only_reads, record
from .terminals import Terminal
from .world import Saved, World

_OF_NO_CLUSTER = (
    "DescribeImages",
    "DescribeInstanceTypeOfferings",
    "DescribeInstanceTypes",
    "DescribeKeyPairs",
    "DescribeSpotPriceHistory",
    "DescribeSubnets",
    "GetParameter",
    "GetProducts",
)
"""What they tell is the same whatever becomes of a cluster meanwhile."""


class Hold:
    """Holds one call of the API back, until `release`: the `number`-th, or that of a name.

    What changes something has its name, as runs may differ in what they ask: a price that is known.
    """

    def __init__(self, number: int, name: str = "") -> None:
        self.reached = threading.Event()
        self.name = ""
        self._only = name
        self._left = number
        self._lock = threading.Lock()  # of two calls at once, each is another one
        self._released = threading.Event()

    def __call__(self, number: int, name: str, do: Callable[[], Any]) -> Any:
        is_held = False
        if name == self._only if self._only else not is_remote(name):
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


def moments(world: World, words: Sequence[str], before: Saved) -> list[tuple[int, str]]:
    """Return the calls of the API at which it matters what others do meanwhile.

    Each is a number, and the name that it is a number of, if not of all.

    Of calls that ask the same while there is the same, the first and the last: what the command
    goes by is newest then, and oldest.
    """
    calls = [row for row in record(world, words, before).calls() if not is_remote(row.name)]
    alike: dict[tuple[str, int], list[int]] = {}
    for number, row in enumerate(calls, 1):
        if row.name not in _OF_NO_CLUSTER:
            alike.setdefault((row.name, row.state), []).append(number)
    found = {number for numbers in alike.values() for number in (numbers[0], numbers[-1])}
    changing = {number for number, row in enumerate(calls, 1) if not only_reads(row.name)}
    nth: Counter[str] = Counter()
    called = []
    for number, row in enumerate(calls, 1):
        nth[row.name] += 1
        if number in changing:
            called.append((nth[row.name], row.name))
        elif number in found:
            called.append((number, ""))
    return called


def held(
    world: World, words: Sequence[str], before: Saved, *, each: int = 1
) -> Iterator[tuple[Hold, Terminal, str]]:
    """Hold a command at each `each`-th moment; yield the hold, the terminal, and where it is.

    Whoever iterates lets go of it, and sees it end.
    """
    for number, name in moments(world, words, before)[each // 2 :: each]:
        world.restore(before)
        world.on_call = hold = Hold(number, name)
        terminal = world.terminal(*words)
        if reaches(hold, terminal):
            yield hold, terminal, f"at {number}, {hold.name}"
        world.on_call = None
    world.restore(before)

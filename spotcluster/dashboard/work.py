"""What engines have done over time, by what the controller has said at each look."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spotcluster.cluster.status.controller import Engine

WINDOW = 1800.0
"""Seconds that are kept."""

BINS = 300
"""Columns of the picture of all nodes: each is `WINDOW` / `BINS` seconds wide."""

_MOST = 400  # pieces of work that are kept of an engine

Lane = tuple[str, int]
"""A node's name and the number of an engine on it."""


@dataclass(frozen=True)
class Piece:
    """A piece of work; `end` is None while it lasts. Of which search, or empty."""

    start: float
    end: float | None
    search: str
    failed: bool = False


@dataclass
class Stay:
    """When an engine was there; `left` is None while it is."""

    joined: float
    left: float | None = None
    at_first: bool = False  # it was there before anybody looked


@dataclass
class _Engine:
    pieces: deque[Piece] = field(default_factory=lambda: deque(maxlen=_MOST))
    stays: list[Stay] = field(default_factory=list)
    since: float | None = None
    search: str = ""


class Work:
    """The history; one thread adds to it, others read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: dict[Lane, _Engine] = {}
        self._bins: dict[int, dict[str, list[float]]] = {}  # by node: busy and present, in sums
        self._looked = False
        self.taken: dict[str, float] = {}

    def see(self, engines: Sequence[Engine], now: float, clock_ahead: float = 0.0) -> None:
        """Take what the controller has said."""
        with self._lock:
            there: set[Lane] = set()
            for one in engines:
                lane = (one.node or "elsewhere", one.number or one.id)
                there.add(lane)
                mine = self._engines.setdefault(lane, _Engine())
                if not mine.stays or mine.stays[-1].left is not None:
                    mine.stays.append(Stay(now, at_first=not self._looked))
                message = one.message
                since = None
                if message is not None:
                    since = message.since.timestamp() - clock_ahead if message.since else now
                    since = min(since, now)
                if mine.since is not None and (since is None or since > mine.since + 0.001):
                    end = now if since is None else since
                    mine.pieces.append(Piece(mine.since, end, mine.search))
                    mine.since = None
                if since is not None and mine.since is None:
                    mine.since = since
                    mine.search = str(message.label.get("search", "")) if message else ""
            for lane, mine in self._engines.items():
                if lane not in there and mine.stays and mine.stays[-1].left is None:
                    mine.stays[-1].left = now
                    if mine.since is not None:
                        mine.pieces.append(Piece(mine.since, now, mine.search))
                        mine.since = None
            self._looked = self._looked or bool(engines)
            self._count(engines, now)
            self._forget(now - WINDOW)

    def take(self, node: str, when: float) -> None:
        """Note that EC2 takes or has taken a node."""
        with self._lock:
            self.taken.setdefault(node, when)

    def _count(self, engines: Sequence[Engine], now: float) -> None:
        present = Counter(one.node or "elsewhere" for one in engines)
        busy = Counter(one.node or "elsewhere" for one in engines if one.message is not None)
        sums = self._bins.setdefault(int(now // (WINDOW / BINS)), {})
        for node, number in present.items():
            mine = sums.setdefault(node, [0.0, 0.0])
            mine[0] += busy[node]
            mine[1] += number

    def _forget(self, before: float) -> None:
        oldest = int(before // (WINDOW / BINS))
        for number in [one for one in self._bins if one < oldest]:
            del self._bins[number]
        for lane in list(self._engines):
            mine = self._engines[lane]
            while mine.pieces and (mine.pieces[0].end or before) < before:
                mine.pieces.popleft()
            mine.stays = [one for one in mine.stays if one.left is None or one.left > before]
            if not mine.stays and not mine.pieces:
                del self._engines[lane]

    # --- reading ----------------------------------------------------------------------------------

    def lanes(self) -> list[Lane]:
        """Return the engines that have been there, the master's first, those of a node together."""
        with self._lock:
            return sorted(self._engines, key=lambda lane: (lane[0] != "master", lane))

    def pieces(self, lane: Lane, leaving_out: Iterable[str] = ()) -> list[Piece]:
        """Return what an engine has done, without what has ended of the searches named.

        Of those their ledgers say it to the millisecond.
        """
        out = set(leaving_out)
        with self._lock:
            mine = self._engines.get(lane)
            if mine is None:
                return []
            found = [one for one in mine.pieces if one.search not in out]
            if mine.since is not None:
                found.append(Piece(mine.since, None, mine.search))
            return found

    def stays(self, lane: Lane) -> list[Stay]:
        """Return when an engine was there."""
        with self._lock:
            mine = self._engines.get(lane)
            return [Stay(one.joined, one.left, one.at_first) for one in mine.stays] if mine else []

    def by_node(self, now: float) -> tuple[list[str], np.ndarray]:
        """Return the nodes, and which share of their engines was busy: a row each, nan: not there.

        The last column is that of `now`.
        """
        last = int(now // (WINDOW / BINS))
        with self._lock:
            names = {node for sums in self._bins.values() for node in sums}
            nodes = sorted(names, key=lambda node: (node != "master", node))
            row = {node: at for at, node in enumerate(nodes)}
            found = np.full((len(nodes), BINS), np.nan, dtype=np.float32)
            for number, sums in self._bins.items():
                column = BINS - 1 - (last - number)
                if 0 <= column < BINS:
                    for node, (busy, present) in sums.items():
                        found[row[node], column] = busy / present
            return nodes, found

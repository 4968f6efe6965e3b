"""Decides from where each host gets each split file: from the client, or from a host that has it.

The client sends a file once, to the first host that wants it, and different files to different
hosts; from there they go from host to host. Each serves one other at a time, with all that its line
carries, so that in each turn those who have a file double; with two at a time they would be three
times as many in twice the time, which is less.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

CLIENT = ""
"""The client as a source, beside the names of hosts."""
AT_ONCE = 1  # hosts that one host serves at a time, beside those that are slow
SLOW = 20.0  # seconds after which a host is slow, and others wait for it no longer, and
MOST = 3  # hosts that one host serves at a time with those
LOOK = 1.0  # seconds between two looks at whether to go on waiting
STRANGERS = 2  # hosts that cannot be reached after which no other one is tried


@dataclass
class Peer:
    """A host that serves what it has."""

    engine: int
    offer: dict[str, Any]  # what `engine.transfer.fetch` needs
    has: set[str]


@dataclass
class _Target:
    unreachable: set[str] = field(default_factory=set)  # hosts
    from_client: set[str] = field(default_factory=set)  # digests on their way


class Spread:
    """Who has what, as far as one search knows; for several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._peers: dict[str, Peer] = {}
        self._targets: dict[str, _Target] = {}
        self._copies: Counter[str] = Counter()  # how many peers have each
        self._served: dict[tuple[str, str, str], float] = {}  # who gets what from whom, and since
        self.uploading = threading.Lock()  # to the depot, once each

    def serves(self, node: str, engine: int, offer: dict[str, Any]) -> None:
        """Take note that an engine of this host serves files, those that it will get too."""
        with self._changed:
            self._forget(node)
            self._peers[node] = Peer(engine, offer, set(offer["has"]))
            self._copies.update(offer["has"])
            self._changed.notify_all()

    def peers(self) -> dict[str, int]:
        """Return the engines that serve files, by their hosts."""
        with self._changed:
            return {node: peer.engine for node, peer in self._peers.items()}

    def left(self, node: str) -> None:
        """Take note that a host serves nothing any more, and that nothing is on its way to it."""
        with self._changed:
            self._forget(node)
            self._targets[node] = _Target()
            self._served = {x: since for x, since in self._served.items() if node not in x[::2]}
            self._changed.notify_all()

    def choose(
        self, node: str, missing: Collection[str], go_on: Callable[[], None]
    ) -> tuple[str, str]:
        """Return which file a host should get now, and from whom; wait while all are busy.

        `go_on` is called now and then; what it raises ends the waiting. Call `ended` when the file
        has come, or has not.
        """
        with self._changed:
            while (chosen := self._choice(node, missing)) is None:
                self._changed.wait(LOOK)
                go_on()
            digest, source = chosen
            if source == CLIENT:
                self._targets[node].from_client.add(digest)  # `_choice` has made it
            else:
                self._served[node, digest, source] = time.monotonic()
            return chosen

    def offer(self, source: str) -> dict[str, Any]:
        """Return what an engine needs to be served by this host; empty when it has left."""
        with self._changed:
            peer = self._peers.get(source)
            return {} if peer is None else peer.offer

    def passed_on(self, node: str, digest: str, source: str) -> None:
        """Take note that all of a file has left its source, which can serve another host now."""
        with self._changed:
            self._served.pop((node, digest, source), None)
            self._changed.notify_all()

    def ended(self, node: str, digest: str, source: str, *, arrived: bool) -> None:
        """Take note that a file has come to a host, or that its source could not be reached."""
        with self._changed:
            target = self._targets.setdefault(node, _Target())
            if source == CLIENT:
                target.from_client.discard(digest)
            else:
                self._served.pop((node, digest, source), None)
                if not arrived:
                    target.unreachable.add(source)
            if arrived and node in self._peers and digest not in self._peers[node].has:
                self._peers[node].has.add(digest)
                self._copies[digest] += 1
            self._changed.notify_all()

    def _forget(self, node: str) -> None:
        peer = self._peers.pop(node, None)
        if peer is not None:
            self._copies.subtract(peer.has)

    def _choice(self, node: str, missing: Collection[str]) -> tuple[str, str] | None:
        target = self._targets.setdefault(node, _Target())
        # those that have left were no strangers
        strangers = len(target.unreachable & self._peers.keys()) >= STRANGERS
        others = {
            name: peer
            for name, peer in self._peers.items()
            if not strangers and name != node and name not in target.unreachable
        }
        now, serving, slow = time.monotonic(), Counter[str](), Counter[str]()
        for (_, _, source), since in self._served.items():
            serving[source] += 1
            slow[source] += now - since > SLOW
        wanted = set(missing)
        idle = [
            (serving[name], self._copies[digest], digest, name)
            for name, peer in others.items()
            if serving[name] - slow[name] < AT_ONCE and serving[name] < MOST
            for digest in peer.has & wanted
        ]
        if idle:
            _, _, digest, source = min(idle)
            return digest, source
        there = set[str]().union(*(peer.has for peer in others.values()))
        coming = set[str]().union(*(self._coming(name) for name in others))
        # nobody has it, nor will soon
        mine = [digest for digest in missing if digest not in there and digest not in coming]
        return (mine[0], CLIENT) if mine else None

    def _coming(self, node: str) -> set[str]:
        return self._targets[node].from_client if node in self._targets else set()

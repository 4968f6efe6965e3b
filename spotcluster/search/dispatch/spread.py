"""Decides from where each host gets each split file: from the client, or from a host that has it.

The client sends a file once, to the first host that wants it, and different files to different
hosts; from there they go from host to host, each serving a few others at a time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

CLIENT = ""
"""The client as a source, beside the names of hosts."""
AT_ONCE = 2  # hosts that one host serves at a time
LOOK = 1.0  # seconds between two looks at whether to go on waiting
STRANGERS = 2  # hosts that cannot be reached after which no other one is tried


@dataclass
class Peer:
    """A host that serves what it has."""

    engine: int
    offer: dict[str, Any]  # what `engine.transfer.fetch` needs
    has: set[str]
    serving: int = 0


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
        self.uploading = threading.Lock()  # to the depot, once each

    def serves(self, node: str, engine: int, offer: dict[str, Any]) -> None:
        """Take note that an engine of this host serves files, those that it will get too."""
        with self._changed:
            self._peers[node] = Peer(engine, offer, set(offer["has"]))
            self._changed.notify_all()

    def peers(self) -> dict[str, int]:
        """Return the engines that serve files, by their hosts."""
        with self._changed:
            return {node: peer.engine for node, peer in self._peers.items()}

    def left(self, node: str) -> None:
        """Take note that a host serves nothing any more, and that nothing is on its way to it."""
        with self._changed:
            self._peers.pop(node, None)
            self._targets[node] = _Target()
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
                self._peers[source].serving += 1
            return chosen

    def offer(self, source: str) -> dict[str, Any]:
        """Return what an engine needs to be served by this host; empty when it has left."""
        with self._changed:
            peer = self._peers.get(source)
            return {} if peer is None else peer.offer

    def ended(self, node: str, digest: str, source: str, *, arrived: bool) -> None:
        """Take note that a file has come to a host, or that its source could not be reached."""
        with self._changed:
            target = self._targets.setdefault(node, _Target())
            if source == CLIENT:
                target.from_client.discard(digest)
            else:
                if source in self._peers:
                    self._peers[source].serving -= 1
                if not arrived:
                    target.unreachable.add(source)
            if arrived and node in self._peers:
                self._peers[node].has.add(digest)
            self._changed.notify_all()

    def _choice(self, node: str, missing: Collection[str]) -> tuple[str, str] | None:
        target = self._targets.setdefault(node, _Target())
        others = {
            name: peer
            for name, peer in self._peers.items()
            if name not in {node, *target.unreachable} and len(target.unreachable) < STRANGERS
        }
        copies = Counter(digest for peer in others.values() for digest in peer.has)
        idle = [
            (peer.serving, copies[digest], digest, name)
            for name, peer in others.items()
            for digest in peer.has & set(missing)
            if peer.serving < AT_ONCE
        ]
        if idle:
            _, _, digest, source = min(idle)
            return digest, source
        coming = {
            digest
            for name, other in self._targets.items()
            if name in others
            for digest in other.from_client
        }
        # nobody has it, nor will soon
        mine = [digest for digest in missing if not copies[digest] and digest not in coming]
        return (mine[0], CLIENT) if mine else None

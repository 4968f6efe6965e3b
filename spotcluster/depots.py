"""Stores that all hosts of a client reach, and from which they may read what the client has.

A cluster knows of one, and a search asks for it, of which neither knows the other; so this belongs
to no room.
"""

from __future__ import annotations

from typing import Any, Protocol
from weakref import WeakKeyDictionary


class Depot(Protocol):
    """A store that all hosts reach, in which files are called by their digests."""

    def upload(self, path: str, digest: str) -> None:
        """Put a file there, unless it is there."""

    def url(self, digest: str) -> str:
        """Return an address from which a host can read it, in parts, without credentials."""


# By ipyparallel's client, on which nothing of ours is hung; gone with it.
_depots: WeakKeyDictionary[Any, Depot] = WeakKeyDictionary()


def use(client: Any, depot: Depot | None) -> None:
    """Let the engines of an ipyparallel client read files from a store, or from none any more."""
    if depot is None:
        _depots.pop(client, None)
    else:
        _depots[client] = depot


def of(client: Any) -> Depot | None:
    """Return the store of an ipyparallel client; None where it has none."""
    return _depots.get(client)

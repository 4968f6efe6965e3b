"""What the environments of nodes have, and which node has others than the master.

Evaluations go to any node, so each is to have the same packages. A node that joins gets what the
master has (`environment.follow`), but somebody may have installed some on a few nodes later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from spotcluster import threads, wording
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.errors import SpotclusterError
from spotcluster.plugins import environment

log = logging.getLogger("spotcluster.packages")

_NAMED = 5  # of one kind; the others are counted


Listings = Mapping[str, Mapping[str, str]]
"""The versions of the packages on each node, by their names."""


def note_differences(cluster: Cluster, nodes: Iterable[Node]) -> None:
    """Name those of the nodes that have other packages than the master, and which."""
    say_differences(cluster, listings(cluster, nodes))


def listings(cluster: Cluster, nodes: Iterable[Node]) -> Listings:
    """Return what the master has and each of the nodes; without those that do not answer."""
    found: dict[str, Mapping[str, str]] = {}

    def ask(node: Node) -> None:
        try:
            found[node.alias] = environment.installed(node)
        except SpotclusterError as error:
            log.info("the packages of %s: %s", node.alias, error)

    others = [node for node in nodes if not node.is_master]
    if others:
        threads.on_each([cluster.master, *others], ask, lambda node: node.alias)
    return found


def say_differences(cluster: Cluster, found: Listings) -> None:
    """Name those of the nodes that were asked and have other packages than the master."""
    master = cluster.master.alias
    if reference := found.get(master):
        for alias in sorted(found.keys() - {master}):
            if said := difference(found[alias], reference):
                cluster.note(f"{alias}: its packages differ from the master's: {said}")


def difference(own: Mapping[str, str], reference: Mapping[str, str]) -> str:
    """Say what an environment has otherwise than another one; empty where it is the same."""
    both = [name for name in sorted(own) if name in reference]
    kinds = {
        "lacks": [f"{name} {reference[name]}" for name in sorted(reference) if name not in own],
        "has": [
            f"{name} {own[name]} instead of {reference[name]}"
            for name in both
            if own[name] != reference[name]
        ],
        "has also": [f"{name} {own[name]}" for name in sorted(own) if name not in reference],
    }
    return "; ".join(
        f"it {word} {wording.some(names, _NAMED)}" for word, names in kinds.items() if names
    )

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


def note_differences(cluster: Cluster, nodes: Iterable[Node]) -> None:
    """Name those of the nodes that have other packages than the master, and which."""
    others = [node for node in nodes if not node.is_master]
    if not others:
        return
    found: dict[str, Mapping[str, str]] = {}

    def ask(node: Node) -> None:
        try:
            found[node.alias] = environment.installed(node)
        except SpotclusterError as error:
            log.info("the packages of %s: %s", node.alias, error)

    threads.on_each([cluster.master, *others], ask, lambda node: node.alias)
    reference = found.get(cluster.master.alias)
    for node in others:
        if reference and (own := found.get(node.alias)) and (said := difference(own, reference)):
            cluster.note(f"{node.alias}: its packages differ from the master's: {said}")


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

"""What the environments of nodes have, and which node has others than the master.

Evaluations go to any node, so each is to have the same packages. A node that joins gets what the
master has (`environment.follow`), but somebody may have installed some on a few nodes later.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping

from spotcluster import threads, wording
from spotcluster.cluster import records
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.cluster.secrets import has_password
from spotcluster.errors import SpotclusterError
from spotcluster.plugins import environment
from spotcluster.plugins.environment import Installed

log = logging.getLogger("spotcluster.packages")

_NAMED = 5  # of one kind; the others are counted
_KEPT = 2000  # characters, which are eight of EC2's fifty tags


Listings = Mapping[str, Installed]
"""What each node has, by the nodes' names."""


def note_differences(cluster: Cluster, nodes: Iterable[Node]) -> None:
    """Name those of the nodes that have other packages than the master, and which."""
    conclude(cluster, listings(cluster, nodes))


def listings(cluster: Cluster, nodes: Iterable[Node]) -> Listings:
    """Return what the master has and each of the nodes; without those that do not answer."""
    found: dict[str, Installed] = {}

    def ask(node: Node) -> None:
        try:
            found[node.alias] = environment.installed(node)
        except SpotclusterError as error:
            log.info("the packages of %s: %s", node.alias, error)

    others = [node for node in nodes if not node.is_master]
    if others:
        threads.on_each([cluster.master, *others], ask, lambda node: node.alias)
    return found


def conclude(cluster: Cluster, found: Listings) -> None:
    """Name the nodes that have other packages than the master, and write down what that has."""
    master = cluster.master.alias
    if reference := found.get(master):
        for alias in sorted(found.keys() - {master}):
            if said := difference(found[alias].versions, reference.versions):
                cluster.note(f"{alias}: its packages differ from the master's: {said}")
        _remember(cluster, reference.later)


def _remember(cluster: Cluster, names: Collection[str]) -> None:
    """Write down what somebody has asked pip for on the master, for one made in its place."""
    record = cluster.record
    if not (names or record.installed_later):
        return
    try:
        found = environment.requirements(cluster.master, names) if names else []
    except SpotclusterError as error:
        log.info("the requirements of the master: %s", error)
        return
    # Of an address with a password, and of very many, the tags are not the place.
    kept = [one for one in map(str, found) if not has_password(one)]
    if len(json.dumps(kept)) > _KEPT:
        kept = []
    if missing := [one.name for one in found if str(one) not in kept]:
        cluster.note(
            f"a master made anew would not have {wording.some(missing, _NAMED)}, which pip has"
            " brought: name it in PACKAGES and `spotcluster runplugin` that plugin"
        )
    if kept != list(record.installed_later):
        cluster.record = records.remember_installed(cluster.session, record, kept)


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

"""Taking nodes out of a running cluster, losing nothing."""

from __future__ import annotations

from collections.abc import Sequence

from spotcluster import threads
from spotcluster.aws import instances, network, tags
from spotcluster.cluster import hooks, records
from spotcluster.cluster.bringup import autostop, ceiling
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node, forget
from spotcluster.cluster.status import costs
from spotcluster.errors import SpotclusterError, UsageError
from spotcluster.plugins.base import Plugin


def remove_nodes(cluster: Cluster, aliases: Sequence[str]) -> list[str]:
    """Drain nodes and terminate them, all at the same time; return their aliases.

    A plugin that fails, or a node that cannot be reached, is noted and does not keep the node:
    what the user wants gone must not go on costing money.

    Raises
    ------
    UsageError
        There is no such node, or it is the master. Nothing has been removed then.
    """
    leaving = chosen(cluster, aliases)
    plugins = cluster.usable_plugins()[::-1]
    # First, so that an `addnode` that counts the nodes while these drain does not count them.
    network.tag(cluster.session, [one.instance.id for one in leaving], {tags.LEAVING: "yes"})
    gone = {one.instance.id for one in leaving}  # EC2 may show the tag later
    there = instances.staying(instances.describe(cluster.session, cluster.name))
    size = max(1, sum(one.id not in gone for one in there))
    cluster.record = records.resize(cluster.session, cluster.record, size)
    threads.on_each(leaving, lambda node: _drain(cluster, node, plugins), lambda node: node.alias)
    instances.terminate(cluster.session, [node.instance.id for node in leaving])
    for node in leaving:
        cluster.left(node.alias)
        cluster.reporter.stage(node.alias, "terminated")
    cluster.keep_host_keys()
    costs.settle(cluster.session, cluster.record)
    _move_ceiling(cluster)
    return [node.alias for node in leaving]


def chosen(cluster: Cluster, aliases: Sequence[str]) -> list[Node]:
    """Return the nodes that are to be removed, each once.

    Raises
    ------
    UsageError
        There is no such node, or it is the master.
    """
    nodes = list(dict.fromkeys(cluster.node(alias) for alias in aliases))
    if any(node.is_master for node in nodes):
        raise UsageError(
            "The master cannot be removed from its cluster.",
            f"`spotcluster terminate {cluster.name}` ends the whole cluster.",
        )
    return nodes


def _move_ceiling(cluster: Cluster) -> None:
    """Let those that stay run longer, as fewer of them spend what is left."""
    ceiling.move_on(cluster)
    if cluster.deadline is not None:
        for alias, error in autostop.tell(cluster).items():
            cluster.note(f"the ceiling of {alias} stays as it was: {error}")


def _drain(cluster: Cluster, node: Node, plugins: Sequence[tuple[str, Plugin]]) -> None:
    cluster.reporter.stage(node.alias, "draining")
    for name, plugin in plugins:
        anyway = "it is terminated all the same"
        hooks.call_anyway(name, plugin.remove, cluster, node, anyway=anyway)
    try:
        forget(cluster.master, node.alias)
    except SpotclusterError as error:
        cluster.note(f"the master keeps the name {node.alias}: {error}")

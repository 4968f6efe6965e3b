"""Rebooting all nodes of a cluster, and bringing them back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from spotcluster import templates
from spotcluster.aws import instances, tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import hooks
from spotcluster.cluster.bringup import ceiling, plans
from spotcluster.cluster.bringup.bringup import Result, bring_up
from spotcluster.cluster.bringup.failures import OnFailure
from spotcluster.cluster.bringup.member import Member
from spotcluster.cluster.cluster import Cluster, is_ending, is_stopped, mark_returning
from spotcluster.cluster.lifecycle.keeping import on_master
from spotcluster.cluster.node import Node
from spotcluster.errors import ClusterError, SpotclusterError
from spotcluster.plugins.base import Plugin


def restart(cluster: Cluster) -> Result:
    """Reboot every node that has been set up, and run the plugins' `restart` on it.

    Nodes come back with their disks, under the same addresses. One that does not is left as it is
    when it is on demand, and terminated when it is a spot instance.

    Raises
    ------
    ClusterError
        The cluster is stopped, or has not been set up.
    """
    begin = time.monotonic()
    if cluster.record.ending:
        raise is_ending(cluster.name)
    if cluster.is_stopped:
        raise is_stopped(cluster.name)
    plugins = cluster.check_plugins()  # that a secret is lacking is said before anything goes down
    plans.check_key(cluster.record.template.model_copy(update={"key_location": cluster.key_path}))
    nodes = [one for one in cluster.nodes if one.instance.ready or one.instance.returning]
    if not any(node.is_master for node in nodes):
        raise ClusterError(
            f"The master of '{cluster.name}' has not been set up.",
            f"`spotcluster start {cluster.name}` goes on with it.",
        )
    for node in cluster.nodes:
        if node not in nodes:
            cluster.note(
                f"{node.alias} has not been set up and is left as it is;"
                f" `spotcluster start {cluster.name}` goes on with it"
            )
    template = cluster.record.template
    if template.budget is not None or template.max_hours is not None:  # their timers end with them
        found = instances.describe(cluster.session, cluster.name)
        there = instances.present(found)
        left = ceiling.of(cluster.session, template, (), there, cluster.record, found)
        cluster.deadline = None if left is None else begin + left
    _prepare(cluster, plugins)
    mark_returning(cluster.session, [one.instance for one in nodes if one.instance.ready])
    for node in nodes:
        cluster.left(node.alias)  # until it has come back
    members = [_member(cluster, node) for node in nodes]
    result = bring_up(cluster, members, begin, OnFailure.DROP)
    on_master.begin_or_say(cluster)
    return result


def _prepare(cluster: Cluster, plugins: Sequence[tuple[str, Plugin]]) -> None:
    """Run the plugins' `reboot`, in reverse order; one that fails holds nothing up."""
    limit = cluster.record.template.stop_timeout
    for name, plugin in plugins[::-1]:
        if type(plugin).reboot is Plugin.reboot:
            continue
        try:
            hooks.call_within(limit, "STOP_TIMEOUT", name, plugin.reboot, cluster)
        except SpotclusterError as error:
            why = str(error).removesuffix(".")
            cluster.note(f"{why}; the nodes are rebooted all the same")


def _member(cluster: Cluster, node: Node) -> Member:
    marks: list[str] = []
    marked = replace(node.instance, tags={**node.instance.tags, tags.STATE: tags.RETURNING})

    def reboot() -> Instance:
        try:
            marks.append(_boot(node, "mark"))
        except SpotclusterError as error:  # it may be why the user wants a reboot
            cluster.note(f"{node.alias} does not answer and is rebooted all the same: {error}")
        node.close()
        instances.reboot(cluster.session, node.instance.id)
        return marked

    def is_up(again: Node) -> bool:
        try:
            return not marks or _boot(again, "look", marks[0]) != "same"
        except SpotclusterError:  # it goes down at this moment
            return False

    return Member(
        node.alias,
        reboot,
        lambda fresh: Node(fresh, node.key_path),
        returning=True,
        is_up=is_up,
    )


def _boot(node: Node, step: str, mark: str = "") -> str:
    """Leave a mark on a machine that no reboot survives, or say whether it is there."""
    script = templates.script("boot.sh", step=step, mark=mark, units=node.facts.has_units)
    return node.run(script, what="asking whether it has rebooted", timeout=30).strip()

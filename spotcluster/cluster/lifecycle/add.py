"""Adding nodes to a running cluster."""

from __future__ import annotations

import time
from dataclasses import replace

from spotcluster.aws import instances, tags
from spotcluster.cluster import records
from spotcluster.cluster.additions import Addition
from spotcluster.cluster.bringup import naming, plans, workers
from spotcluster.cluster.bringup.bringup import Result, bring_up, is_wanted
from spotcluster.cluster.bringup.failures import OnFailure
from spotcluster.cluster.bringup.launch import Launcher
from spotcluster.cluster.bringup.making import unless_ended
from spotcluster.cluster.bringup.member import launched
from spotcluster.cluster.cluster import Cluster, is_ending, is_stopped
from spotcluster.cluster.ingress import open_group
from spotcluster.cluster.reporter import Reporter
from spotcluster.config.names import MOST_NODES
from spotcluster.errors import ClusterError, UsageError


def add_nodes(
    cluster: Cluster,
    number: int,
    *,
    bid: float | None,
    reporter: Reporter,
    zone: str | None = None,
    type: str | None = None,  # noqa: A002 - as a user calls it
    on_failure: OnFailure = OnFailure.REPLACE,
) -> Result:
    """Add nodes to a running cluster; nothing that runs is touched.

    An `addnode` of as many nodes that was cut off is gone on with, instead of adding as many again.

    Parameters
    ----------
    bid : float or None
        Highest price per hour for spot nodes; None for what the cluster was started with.
    zone, type : str, optional
        Where these nodes are, and their type; by default where and what the template says.
    on_failure : OnFailure
        What is done about a node that does not get ready.
    """
    begin = time.monotonic()
    if number > MOST_NODES:
        raise UsageError(
            f"{number} nodes are more than any account may have ({MOST_NODES}).",
            "Give -s a smaller number.",
        )
    session, record = cluster.session, cluster.record
    cluster.reporter = reporter
    cluster.plugins()  # that a secret is lacking is said before anything is launched
    if record.ending:
        raise is_ending(cluster.name)
    if cluster.is_stopped:
        raise is_stopped(cluster.name)
    if not (cluster.nodes or is_wanted(cluster)):
        raise is_ending(cluster.name)
    master = cluster.master
    if not master.instance.ready:
        raise ClusterError(
            f"The master of '{cluster.name}' has not been set up.",
            f"`spotcluster start {cluster.name}` goes on with it.",
        )
    template = record.template.model_copy(update={"key_location": cluster.key_path})
    template = template.with_overrides(bid=bid, availability_zone=zone, node_instance_type=type)
    found = record.own(instances.describe(session, cluster.name))
    addition = _addition(record, number, reporter)
    there = [one for one in instances.present(found) if one.tags.get(tags.BY) == addition.id]
    unready = [one for one in there if not one.ready]
    names = naming.left if addition in record.additions else naming.after
    fresh = names([one.alias for one in found], max(0, number - len(there)))
    waiting = [one.alias for one in unready]
    wanted = fresh.behind(waiting)
    todo = plans.make(session, cluster.name, template, wanted, running=waiting, there=len(there))
    addition = addition.taken_over()
    size = len(instances.staying(found)) + len(fresh)
    with unless_ended(record.name):
        record = records.resize(session, record, size, addition.tag)
        record = open_group(session, record, template)
    cluster.record = replace(record, additions=(addition,))
    new = [one for one in todo.nodes if one.alias not in waiting]
    workers.take_over(session, cluster.name, unready, new)
    launcher = Launcher(cluster, todo, found, addition.id, waiting)
    members = [launched(launcher, session, one, cluster.key_path, unready) for one in todo.nodes]
    return bring_up(cluster, members, begin, on_failure)


def _addition(record: records.Record, number: int, reporter: Reporter) -> Addition:
    """Return the addition that was cut off and is repeated now, or a new one."""
    for one in record.cut_off:
        if one.number == number:
            reporter.note(f"going on with an addition of {number} node(s) that was cut off")
            return one
        reporter.note(
            f"an addition of {one.number} node(s) was cut off;"
            f" `spotcluster start {record.name}` goes on with it"
        )
    return Addition.new(number)

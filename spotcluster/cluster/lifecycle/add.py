"""Adding nodes to a running cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from spotcluster.aws import instances, tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import records
from spotcluster.cluster.additions import Addition
from spotcluster.cluster.bringup import autostop, ceiling, naming, plans, workers
from spotcluster.cluster.bringup.bringup import Result, bring_up, is_wanted
from spotcluster.cluster.bringup.failures import OnFailure
from spotcluster.cluster.bringup.launch import Launcher
from spotcluster.cluster.bringup.making import unless_ended
from spotcluster.cluster.bringup.member import launched
from spotcluster.cluster.bringup.naming import Names
from spotcluster.cluster.bringup.places import pools
from spotcluster.cluster.cluster import Cluster, is_ending, is_stopped
from spotcluster.cluster.ingress import open_group
from spotcluster.cluster.reporter import Reporter
from spotcluster.config import Template
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
    template = _check(cluster, reporter)
    template = template.with_overrides(bid=bid, availability_zone=zone, node_instance_type=type)
    record = cluster.record
    found = record.own(instances.describe(cluster.session, cluster.name))
    addition = _addition(record, number, reporter)
    there = [one for one in instances.present(found) if one.tags.get(tags.BY) == addition.id]
    unready = [one for one in there if not one.ready]
    names = naming.left if addition in record.additions else naming.after
    fresh = names([one.alias for one in found], max(0, number - len(there)))
    what = _Wanted(template, found, unready, fresh, (addition.taken_over(),), there=len(there))
    return _bring(cluster, what, begin, on_failure)


def fill(
    cluster: Cluster,
    size: int,
    *,
    bid: float | None,
    avoid: AbstractSet[tuple[str, str]] = frozenset(),
    reporter: Reporter,
) -> Result | None:
    """Bring a running cluster to a size, for a keeper; None where it has that already.

    Additions that were cut off are gone on with, whoever's they were. Several keepers of a cluster
    may do this at once: they choose the same names, and EC2 makes a node for a name once.

    Parameters
    ----------
    size : int
        Nodes, the master included; those that leave do not count.
    bid : float or None
        Highest price per hour of those that are made; None for what the cluster has now.
    avoid : set of (type, zone)
        Pools that nodes come from only where there are no others.
    """
    begin = time.monotonic()
    template = _check(cluster, reporter)
    record = cluster.record
    template = template.with_overrides(bid=record.bid if bid is None else bid)
    found = record.own(instances.describe(cluster.session, cluster.name))
    names = {one.id for one in record.cut_off}
    unready = [
        one
        for one in instances.staying(found)
        if one.tags.get(tags.BY) in names and not one.ready and not one.is_master
    ]
    lacking = max(0, size - len(instances.staying(found)))
    choose = naming.left if record.cut_off else naming.after
    fresh = choose([one.alias for one in found], lacking)
    if not unready and not fresh:
        records.conclude(cluster.session, replace(record, additions=record.cut_off))
        return None
    taken = [one.taken_over() for one in record.cut_off]
    own = Addition.of_keeper(len(unready) + len(fresh))
    what = _Wanted(template, found, unready, fresh, (own, *taken), avoid=avoid)
    # One that fails is asked for again by the keeper, which also knows what else has changed.
    return _bring(cluster, what, begin, OnFailure.DROP)


def _check(cluster: Cluster, reporter: Reporter) -> Template:
    """Return the template by which nodes are added, where they can be."""
    record = cluster.record
    cluster.reporter = reporter
    cluster.check_plugins()  # that a secret is lacking is said before anything is launched
    if record.ending:
        raise is_ending(cluster.name)
    if cluster.is_stopped:
        raise is_stopped(cluster.name)
    if not (cluster.nodes or is_wanted(cluster)):
        raise is_ending(cluster.name)
    if not cluster.master.instance.ready:
        raise ClusterError(
            f"The master of '{cluster.name}' has not been set up.",
            f"`spotcluster start {cluster.name}` goes on with it.",
        )
    return record.template.model_copy(update={"key_location": cluster.key_path})


@dataclass(frozen=True)
class _Wanted:
    """Nodes to add: some that were begun, and some that are new, by the first of the additions.

    Attributes
    ----------
    there : int
        How many there are already of the number that the user gave.
    """

    template: Template
    found: Sequence[Instance]
    unready: Sequence[Instance]
    fresh: Names
    additions: tuple[Addition, ...]
    there: int = 0
    avoid: AbstractSet[tuple[str, str]] = frozenset()


def _bring(cluster: Cluster, what: _Wanted, begin: float, on_failure: OnFailure) -> Result:
    """Write down what is added, launch what is new, and set it all up."""
    session, record = cluster.session, cluster.record
    waiting = [one.alias for one in what.unready]
    todo = plans.make(
        session,
        cluster.name,
        what.template,
        what.fresh.behind(waiting),
        running=waiting,
        there=what.there,
        near=plans.zone_of(instances.present(what.found)),
        inside=cluster.inside,
    ).without(what.avoid)
    pools.remark_high_bid(session, todo.bids, cluster.note)
    present = instances.present(what.found)
    left = ceiling.of(session, what.template, todo.nodes, present, record, what.found)
    if left is not None:
        cluster.deadline = begin + left
        _tell_ceiling(cluster)
    addition = what.additions[0]
    lines = {key: value for one in what.additions for key, value in one.tag.items()}
    size = len(instances.staying(what.found)) + len(what.fresh)
    with unless_ended(record.name):
        record = records.resize(session, record, size, lines)
        if not cluster.inside:  # where SSH is open to the others of the group
            record = open_group(session, record, what.template, ipv6=todo.subnet.ipv6)
    cluster.record = replace(record, additions=what.additions)
    new = [one for one in todo.nodes if one.alias not in waiting]
    workers.take_over(session, cluster.name, what.unready, new)
    launcher = Launcher(cluster, todo, what.found, addition.id, waiting)
    members = [
        launched(launcher, session, one, cluster.make_node, what.unready) for one in todo.nodes
    ]
    return bring_up(cluster, members, begin, on_failure)


def _tell_ceiling(cluster: Cluster) -> None:
    """Let the nodes that run end earlier, before others spend what they would have.

    Raises
    ------
    ClusterError
        One is not told, so that nothing may be added.
    """
    failed = autostop.tell(cluster)
    if failed:
        why = "; ".join(f"{alias}: {error}" for alias, error in failed.items())
        raise ClusterError(
            f"Nothing is added to '{cluster.name}', as its ceiling would not hold: {why}",
            "Repeat it when those nodes answer, or `spotcluster removenode` them.",
        )


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

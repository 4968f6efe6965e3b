"""Starting a cluster, or going on where a start was cut off.

All is decided by one look at what there is. Somebody else may change that meanwhile, however late
we looked, so nothing here is right only because it was read a moment ago: who makes the cluster
and who makes a node is decided by EC2, which takes the name of a group and the token of a launch
once; tags are written only where something is to change; and whether the cluster is still wanted,
and how large it is, is read again when all is done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from spotcluster import wording
from spotcluster.aws import instances
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster import ingress, records
from spotcluster.cluster.bringup import ceiling, naming, plans, workers
from spotcluster.cluster.bringup.bringup import Result, bring_up
from spotcluster.cluster.bringup.failures import OnFailure
from spotcluster.cluster.bringup.launch import Launcher
from spotcluster.cluster.bringup.making import make_place, unless_ended
from spotcluster.cluster.bringup.member import brought_back, launched
from spotcluster.cluster.bringup.naming import Names
from spotcluster.cluster.bringup.places import pools
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.plans import Plan
from spotcluster.cluster.cluster import (
    Cluster,
    is_ending,
    make_plugin,
    mark_returning,
    nodes_of,
)
from spotcluster.cluster.lifecycle.keeping import on_master
from spotcluster.cluster.records import Record, Snapshot
from spotcluster.cluster.reporter import Reporter
from spotcluster.cluster.status import receipts
from spotcluster.cluster.volumes import mounting
from spotcluster.cluster.volumes.mounting import Outcome
from spotcluster.config import Template
from spotcluster.config.settings import PluginSection
from spotcluster.errors import ClusterError
from spotcluster.plugins import loader

_FRESH = 30.0  # seconds after which is looked again: the user may have thought about a question


class AlreadyRunning(ClusterError):
    """The cluster has all its nodes; there is nothing to start."""


def plan(
    session: Session,
    name: str,
    template: Template,
    seen: Snapshot,
    *,
    size: int | None = None,
    bid: float | None = None,
    format_new: bool = False,
    plugins: Mapping[str, PluginSection] | None = None,
) -> Plan:
    """Return what `start` would launch; makes nothing, and refuses all that `start` would.

    Parameters
    ----------
    seen : Snapshot
        What there is of the cluster.
    size, bid : optional
        What is to be changed of a cluster that is there; see `start`.
    format_new, plugins
        As for `start`.

    Raises
    ------
    ClusterError
        The cluster is running and has all its nodes, or this computer lacks a plugin's secret.
    """
    plans.check_name(name)
    record = seen.record
    if record is None:
        aliases = naming.after([], template.cluster_size - 1).behind([MASTER])
        todo = plans.make(session, name, template, aliases)
    else:
        found = record.own(seen.instances)
        missing = _missing(record, found, size)
        own = _again(record, template, bid)
        there = instances.present(found)
        todo = plans.make(session, name, own, missing, there=len(there), near=plans.zone_of(there))
        back = tuple(one for one in there if one.returning)
        todo = replace(todo, returning=back)
    if record is None:  # what it would be refused for is said before anything is made
        records.check_size(todo.template)
        ceiling.of(session, todo.template, todo.nodes)
        for refusal in on_master.refusals(todo.template):
            raise refusal
    for section in todo.template.plugins:
        plugin = make_plugin(section, _own_plugins(template, plugins))
        loader.check(section.name, plugin, todo.template.cluster_user)
    mounting.check_format(todo.volumes, format_new=format_new)
    return todo


def _own_plugins(
    template: Template, plugins: Mapping[str, PluginSection] | None
) -> Mapping[str, PluginSection]:
    return {one.name: one for one in template.plugins} if plugins is None else plugins


def start(
    session: Session,
    name: str,
    template: Template,
    reporter: Reporter,
    *,
    seen: Snapshot | None = None,
    on_failure: OnFailure = OnFailure.REPLACE,
    allow: Sequence[str] = (),
    format_new: bool = False,
    size: int | None = None,
    bid: float | None = None,
    plugins: Mapping[str, PluginSection] | None = None,
) -> Result:
    """Start a cluster, bring back one that is stopped, or give one that was cut off what it lacks.

    What is there already, by EC2's tags, is used; the template of a cluster that exists is the one
    it was started from. Nodes that have stopped come back with their disks, and spot workers are
    made anew, up to the size that the cluster had.

    Parameters
    ----------
    seen : Snapshot, optional
        What there is of the cluster, if that has been looked at.
    size : int, optional
        How many nodes a cluster that is stopped, or lacks some, is to have from now on.
    bid : float, optional
        Highest price per hour for the spot nodes that are made for it now.
    plugins : mapping of str to PluginSection
        The plugins of this computer's config; those of the template by default.
    on_failure : OnFailure
        What is done about a node that does not get ready.
    allow : sequence of str
        CIDR blocks that may reach SSH too.
    format_new : bool
        Whether volumes that nothing was ever written to get a file system.
    """
    begin = time.monotonic()
    if seen is None or seen.age > _FRESH:
        seen = records.look(session, name)

    def planned(seen: Snapshot) -> Plan:
        return plan(
            session,
            name,
            template,
            seen,
            size=size,
            bid=bid,
            format_new=format_new,
            plugins=plugins,
        )

    try:
        todo = planned(seen)
        if seen.record is None:
            made = records.create(session, name, todo.template, todo.subnet.vpc_id)
            seen = records.look_at(session, made)
            if not made.new:  # of somebody else's, who was faster: then what that lacks is wanted
                todo = planned(seen)
    except AlreadyRunning:
        done = _tend(
            session,
            seen,
            template,
            reporter,
            allow,
            size=size,
            plugins=plugins,
            format_new=format_new,
        )
        if done is None:
            raise
        cluster, volumes = done
        return Result(cluster, (), time.monotonic() - begin, volumes)
    pools.remark_high_bid(session, todo.bids, reporter.note)
    record = seen.record
    assert record
    found = record.own(seen.instances)
    record = _amended(session, record, template)
    # Of a cluster that was made just now it has been looked at before that.
    left = ceiling.of(
        session, todo.template, todo.nodes, instances.present(found), record, seen.instances
    )
    if not record.new:
        if _is_asleep(record, found):
            reporter.note(f"'{name}' is stopped; bringing it back with what its disks hold")
        else:
            reporter.note(f"'{name}' is there already; going on with what it lacks")
        receipts.begin_anew(session, record, seen.instances)
    key_path = todo.template.key_path
    there = instances.present(found)
    # Those that were set up for a master that is no more are brought to the new one.
    has_master = any(one.is_master for one in there)
    ready = [node for node in nodes_of(there, key_path) if node.instance.ready and has_master]
    own = _own_plugins(template, plugins)
    cluster = Cluster(session, record, key_path, ready, reporter, own)
    cluster.deadline = None if left is None else begin + left
    with unless_ended(record.name):
        # In this order: killed in between, they are known as those that come back.
        asleep = mark_returning(
            session,
            [
                one
                for one in there
                if one.ready and (one.state in instances.STOPPED or not has_master)
            ],
        )
        cluster.record = record = records.mark_started(session, record, size or record.size, bid)
        cluster.record = record = ingress.open_group(
            session, record, todo.template, allow, ipv6=todo.subnet.ipv6
        )
    make_place(cluster, todo)
    there = [{one.id: one for one in asleep}.get(one.id, one) for one in there]
    returning = [one for one in there if one.returning]
    unready = [one for one in there if not one.ready and one not in returning]
    whole = todo
    if unready:  # one that fails is launched anew
        names = [one.alias for one in unready]
        again = plans.make(
            session, name, todo.template, names, running=names, near=plans.zone_of(there)
        )
        mounting.check_format(again.volumes, format_new=format_new)
        whole = replace(todo, nodes=(*todo.nodes, *again.nodes))
    workers.take_over(session, name, unready, todo.nodes)
    launcher = Launcher(cluster, whole, found, there=[one.alias for one in unready])
    members = [
        *(brought_back(session, one, cluster.make_node) for one in returning),
        *(launched(launcher, session, one, cluster.make_node, unready) for one in whole.nodes),
    ]
    # Those that were cut off are part of what is made here; those under way end by themselves.
    cluster.record = replace(record, additions=record.cut_off)
    result = bring_up(cluster, members, begin, on_failure, format_new=format_new)
    on_master.begin_or_say(cluster)
    return result


def _tend(
    session: Session,
    seen: Snapshot,
    template: Template,
    reporter: Reporter,
    allow: Sequence[str],
    *,
    size: int | None,
    plugins: Mapping[str, PluginSection] | None,
    format_new: bool,
) -> tuple[Cluster, Outcome] | None:
    """Let in who is to reach a running cluster, mount its volumes, bring its keeper back.

    None where nothing of it was asked for, or there was nothing to do, or another size was asked
    for, which is not to look as if it had been brought about.
    """
    record = seen.record
    assert record
    if size not in (None, len(instances.present(record.own(seen.instances)))):
        return None
    if allow:
        record = ingress.open_group(session, record, record.template, allow)
        reporter.note(f"SSH to '{record.name}' is open to {wording.listed(allow)}")
    else:
        record = ingress.let_in(session, record)
    if not (record.template.volumes or allow or record.keeps_itself):
        return None
    own = record.template.model_copy(update={"key_location": template.key_location})
    key_path = plans.check_key(own)
    nodes = nodes_of(seen.instances, key_path)
    cluster = Cluster(session, record, key_path, nodes, reporter, _own_plugins(template, plugins))
    asked = on_master.begin_where_missing(cluster) or bool(allow)
    if not record.template.volumes:
        return (cluster, Outcome()) if asked else None
    master = cluster.master
    reporter.stage(master.alias, "volumes")
    brought = mounting.bring(cluster, master, format_new=format_new)
    reporter.stage(master.alias, "ready")
    for one in brought.mounted:
        if not one.before:
            reporter.note(f"{master.alias}: {one.path} is mounted")
    return (cluster, brought) if asked or brought.new or brought.troubles else None


def _is_asleep(record: Record, found: Sequence[Instance]) -> bool:
    """Return whether the cluster is stopped, by us or node by node."""
    return record.stopped or any(one.state in instances.STOPPED for one in found)


def _again(record: Record, template: Template, bid: float | None) -> Template:
    """Return the template by which more nodes are made for a cluster that exists."""
    own = _limits(record, template).model_copy(update={"key_location": template.key_location})
    if bid is None:
        bid = record.bid
    return own if bid is None else own.with_overrides(bid=bid)


def _limits(record: Record, template: Template) -> Template:
    """Return a cluster's template with when it is to end by what is asked for now."""
    asked = {"autostop": template.autostop, "budget": template.budget}
    given = {key: value for key, value in asked.items() if value is not None}
    return record.template.model_copy(update=given)


def _amended(session: Session, record: Record, template: Template) -> Record:
    """Write that down, where it is another than before."""
    limits = _limits(record, template)
    return record if limits == record.template else records.amend(session, record, limits)


def _missing(record: Record, found: Sequence[Instance], size: int | None = None) -> Names:
    """Return the names of the nodes that a cluster lacks."""
    if record.ending:
        raise is_ending(record.name)
    live = instances.present(found)
    asleep = _is_asleep(record, found)
    if not asleep and len(live) >= record.size and all(one.ready for one in live):
        raise AlreadyRunning(
            f"The cluster '{record.name}' is already running, with {len(live)} nodes.",
            f"Choose another name, `spotcluster addnode {record.name}` to make it larger, or"
            f" `spotcluster terminate {record.name}` to end it.",
        )
    wanted = size or record.size
    if wanted < len(live) and wanted != record.size:
        back = " that come back with their disks" if asleep else ""
        raise ClusterError(
            f"The cluster '{record.name}' has {len(live)} nodes{back}:"
            f" {', '.join(one.alias for one in live)}; -s {wanted} would be fewer.",
            f"`spotcluster start {record.name}`, then `spotcluster removenode {record.name} ALIAS`"
            " makes it smaller.",
        )
    has_master = any(one.is_master for one in live)
    number = wanted - 1 - sum(not one.is_master for one in live)
    names = naming.left([one.alias for one in found], max(0, number))
    return names if has_master else names.behind([MASTER])

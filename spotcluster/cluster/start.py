"""Starting a cluster, or going on where a start was cut off."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spotcluster.aws import instances, network, tags
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster import costs, end, volumes
from spotcluster.cluster import plan as plans
from spotcluster.cluster import record as records
from spotcluster.cluster.additions import Addition
from spotcluster.cluster.cluster import (
    Cluster,
    is_ending,
    is_stopped,
    mark_returning,
    nodes_of,
)
from spotcluster.cluster.failures import OnFailure
from spotcluster.cluster.launching import Launcher, ended_elsewhere
from spotcluster.cluster.node import Node
from spotcluster.cluster.pipeline import Member, Pipeline
from spotcluster.cluster.plan import MASTER, Plan, PlannedNode
from spotcluster.cluster.progress import Reporter
from spotcluster.cluster.watcher import Watcher
from spotcluster.config import Template
from spotcluster.config.settings import PluginSection
from spotcluster.errors import CloudError, ClusterError
from spotcluster.plugins.ipcluster import IPCluster


class AlreadyRunning(ClusterError):
    """The cluster has all its nodes; there is nothing to start."""


@dataclass(frozen=True)
class Result:
    """What came of bringing nodes up.

    Attributes
    ----------
    elapsed : float
        Seconds from the first call to the last node that got ready.

    Notes
    -----
    Call `conclude` when the user has been told.
    """

    cluster: Cluster
    members: tuple[Member, ...]
    elapsed: float

    def conclude(self) -> None:
        """Write down that all of it is done; see `record.conclude`."""
        records.conclude(self.cluster.session, self.cluster.record)

    @property
    def failed(self) -> list[Member]:
        """The nodes that did not get ready."""
        return [member for member in self.members if not member.ready]

    @property
    def phases(self) -> dict[str, float]:
        """How long each stage took on the node that took longest, in seconds, in order."""
        longest: dict[str, float] = {}
        for member in self.members:
            for stage, seconds in member.stages.items():
                longest[stage] = max(longest.get(stage, 0.0), seconds)
        return longest

    @property
    def nodes(self) -> list[Node]:
        """The nodes that got ready now; those that were there before are not touched."""
        return [member.node for member in self.members if member.ready and member.node]

    @property
    def left_out(self) -> dict[str, list[str]]:
        """What could not be done, in words, and the nodes where it could not."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.left_out:
                found.setdefault(", ".join(node.left_out), []).append(node.alias)
        return found

    @property
    def troubles(self) -> list[str]:
        """What went wrong without making a node unusable, in sentences."""
        return [trouble for node in self.cluster.nodes for trouble in node.troubles]

    @property
    def engines(self) -> int:
        """How many engines these nodes have; all of them have answered."""
        plugins = [one for _, one in self.cluster.plugins() if isinstance(one, IPCluster)]
        numbers: list[int] = [one.engines(node) for one in plugins for node in self.nodes]
        return sum(numbers)


def plan(
    session: Session,
    name: str,
    template: Template,
    *,
    size: int | None = None,
    bid: float | None = None,
) -> Plan:
    """Return what `start` would launch; makes nothing.

    Parameters
    ----------
    size, bid : optional
        What is to be changed of a cluster that is stopped; see `start`.

    Raises
    ------
    ClusterError
        The cluster is running and has all its nodes.
    """
    plans.check_name(name)
    record = records.find(session, name)
    if record is None:
        aliases = [MASTER, *plans.aliases_after([], template.cluster_size - 1)]
        return plans.make(session, name, template, aliases)
    found = _own(record, instances.describe(session, name))
    missing = _missing(record, found, size)
    own = _again(record, found, template, bid)
    todo = plans.make(session, name, own, missing)
    return replace(todo, returning=tuple(one for one in instances.present(found) if one.returning))


def start(
    session: Session,
    name: str,
    template: Template,
    reporter: Reporter,
    *,
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
    size : int, optional
        How many nodes a cluster that is stopped is to have from now on.
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
    try:
        todo = plan(session, name, template, size=size, bid=bid)
    except AlreadyRunning:
        mounted = _mount_what_is_not(session, name, template, reporter, format_new=format_new)
        if mounted is None:
            raise
        return Result(mounted, (), time.monotonic() - begin)
    volumes.check_format(todo.volumes, format_new=format_new)
    record = records.find(session, name)
    if record is None:
        record = records.create(session, name, todo.template, todo.subnet.vpc_id)
        found = _own(record, instances.describe(session, name))
    else:
        found = _own(record, instances.describe(session, name))
        if _is_asleep(record, found):
            reporter.note(f"'{name}' is stopped; bringing it back with what its disks hold")
            costs.settle(session, record)  # EC2 forgets when what it starts again has run before
        else:
            reporter.note(f"'{name}' is there already; going on with what it lacks")
            size = bid = None
    key_path = todo.template.check_key()
    own = {one.name: one for one in template.plugins} if plugins is None else plugins
    there = instances.present(found)
    ready = [node for node in nodes_of(there, key_path) if node.instance.ready]
    cluster = Cluster(session, record, key_path, ready, reporter, own, format_new=format_new)
    cluster.plugins()  # that a secret is lacking is said before anything is launched
    with _unless_ended(record):
        # In this order: killed in between, they are known as those that come back.
        asleep = mark_returning(
            session, [one for one in there if one.ready and one.state in instances.STOPPED]
        )
        cluster.record = record = records.mark_started(session, record, size or record.size, bid)
        _open_group(session, record, todo.template, allow)
    there = [{one.id: one for one in asleep}.get(one.id, one) for one in there]
    returning = [one for one in there if one.returning]
    unready = [one for one in there if not one.ready and one not in returning]
    whole = todo
    if unready:  # one that fails is launched anew
        again = plans.make(session, name, todo.template, [one.alias for one in unready])
        volumes.check_format(again.volumes, format_new=format_new)
        whole = replace(todo, nodes=(*todo.nodes, *again.nodes))
    launcher = Launcher(cluster, whole, found)
    members = [
        *(_back(session, one, key_path) for one in returning),
        *(_member(launcher, session, one, key_path, unready) for one in whole.nodes),
    ]
    # Those that were cut off are part of what is made here; those under way end by themselves.
    cut_off = [one for one in record.additions if one.was_cut_off(longest=_longest(record))]
    cluster.record = replace(record, additions=tuple(cut_off))
    return bring_up(cluster, members, begin, on_failure)


def _mount_what_is_not(
    session: Session, name: str, template: Template, reporter: Reporter, *, format_new: bool
) -> Cluster | None:
    """Mount what a running cluster has of volumes; None where there is nothing to do."""
    record = records.find(session, name)
    if record is None or not record.template.volumes:
        return None
    own = record.template.model_copy(update={"key_location": template.key_location})
    key_path = own.check_key()
    nodes = nodes_of(instances.describe(session, name), key_path)
    cluster = Cluster(session, record, key_path, nodes, reporter, format_new=format_new)
    master = cluster.master
    reporter.stage(master.alias, "volumes")
    brought = volumes.bring(cluster, master)
    reporter.stage(master.alias, "ready")
    for one in brought.mounted:
        if not one.before:
            reporter.note(f"{master.alias}: {one.path} is mounted")
    return cluster if brought.new or brought.troubles else None


def bring_up(
    cluster: Cluster,
    members: Sequence[Member],
    begin: float,
    on_failure: OnFailure = OnFailure.REPLACE,
) -> Result:
    """Run the members through the pipeline; workers that fail are replaced or terminated.

    Raises
    ------
    ClusterError
        The cluster was ended from elsewhere meanwhile, or a node failed and `on_failure` is
        abort: what these members had launched has been terminated.
    """
    limits = cluster.record.template
    with Watcher(cluster.session, cluster.name) as watcher:
        pipeline = Pipeline(
            cluster,
            cluster.plugins(),
            watcher,
            cluster.reporter,
            launch_timeout=limits.launch_timeout,
            ssh_timeout=limits.ssh_timeout,
            setup_timeout=limits.setup_timeout,
            on_failure=on_failure,
            replacements=limits.replacements,
            still_wanted=lambda: _is_there(cluster),
        )
        pipeline.run(members)
        result = Result(cluster, tuple(members), time.monotonic() - begin)
        if pipeline.aborted:
            _undo(pipeline, members)
            raise _aborted(cluster, result)
        if not any(member.is_master for member in result.failed):
            _drop(pipeline, result.failed)
        record = records.settle(cluster.session, cluster.record)
        if record is None:
            _undo(pipeline, members)
            now = records.find(cluster.session, cluster.name)
            if now and not now.ending and cluster.record.was_stopped_since(now):
                raise _stopped_elsewhere(cluster.name)
            end.forget_files(cluster.region, cluster.name)
            raise ended_elsewhere(cluster.name)
        cluster.record = record
    return result


def add_nodes(
    cluster: Cluster,
    number: int,
    *,
    bid: float | None,
    reporter: Reporter,
    on_failure: OnFailure = OnFailure.REPLACE,
) -> Result:
    """Add nodes to a running cluster; nothing that runs is touched.

    An `addnode` of as many nodes that was cut off is gone on with, instead of adding as many again.

    Parameters
    ----------
    bid : float or None
        Highest price per hour for spot nodes; None for what the cluster was started with.
    on_failure : OnFailure
        What is done about a node that does not get ready.
    """
    begin = time.monotonic()
    session, record = cluster.session, cluster.record
    cluster.reporter = reporter
    cluster.plugins()  # that a secret is lacking is said before anything is launched
    if record.ending:
        raise is_ending(cluster.name)
    if cluster.is_stopped:
        raise is_stopped(cluster.name)
    if not (cluster.nodes or _is_there(cluster)):
        raise is_ending(cluster.name)
    master = cluster.master
    if not master.instance.ready:
        raise ClusterError(
            f"The master of '{cluster.name}' has not been set up.",
            f"`spotcluster start {cluster.name}` goes on with it.",
        )
    # Near the master: traffic between zones costs money, and time.
    near = {"key_location": cluster.key_path, "availability_zone": master.instance.zone}
    template = record.template.model_copy(update=near)
    if bid is not None:
        template = template.with_overrides(bid=bid)
    found = _own(record, instances.describe(session, cluster.name))
    addition = _addition(record, number, reporter)
    there = [one for one in instances.present(found) if one.tags.get(tags.BY) == addition.id]
    unready = [one for one in there if not one.ready]
    names = plans.aliases_left if addition in record.additions else plans.aliases_after
    fresh = names([one.alias for one in found], max(0, number - len(there)))
    todo = plans.make(session, cluster.name, template, [*(one.alias for one in unready), *fresh])
    addition = addition.taken_over()
    size = len(instances.present(found)) + len(fresh)
    with _unless_ended(record):
        record = records.resize(session, record, size, addition.tag)
        _open_group(session, record, template)
    cluster.record = replace(record, additions=(addition,))
    launcher = Launcher(cluster, todo, found, addition.id)
    members = [_member(launcher, session, one, cluster.key_path, unready) for one in todo.nodes]
    return bring_up(cluster, members, begin, on_failure)


def _addition(record: records.Record, number: int, reporter: Reporter) -> Addition:
    """Return the addition that was cut off and is repeated now, or a new one."""
    for one in record.additions:
        if one.was_cut_off(longest=_longest(record)):
            if one.number == number:
                reporter.note(f"going on with an addition of {number} node(s) that was cut off")
                return one
            reporter.note(
                f"an addition of {one.number} node(s) was cut off;"
                f" `spotcluster start {record.name}` goes on with it"
            )
    return Addition.new(number)


def _longest(record: records.Record) -> float:
    """Return the seconds after which an addition must have ended, by the limits of its waits."""
    limits = record.template
    set_up = limits.setup_timeout * (1 + len(limits.plugins))
    tries = 1 + limits.replacements
    return tries * (limits.launch_timeout + limits.ssh_timeout + set_up) + 600


def _own(record: records.Record, found: Sequence[Instance]) -> list[Instance]:
    """Leave out the nodes of an earlier cluster of this name that EC2 still shows as ended."""
    return [
        one
        for one in found
        if one.state in instances.PRESENT or one.tags.get(tags.ID) == record.run
    ]


def _is_asleep(record: records.Record, found: Sequence[Instance]) -> bool:
    """Return whether the cluster is stopped, by us or node by node."""
    return record.stopped or any(one.state in instances.STOPPED for one in found)


def _again(
    record: records.Record, found: Sequence[Instance], template: Template, bid: float | None
) -> Template:
    """Return the template by which more nodes are made for a cluster that exists."""
    own = record.template.model_copy(update={"key_location": template.key_location})
    masters = [one for one in instances.present(found) if one.is_master]
    if masters and not own.subnet_id:
        # Near the master: traffic between zones costs money, and time.
        own = own.model_copy(update={"availability_zone": masters[0].zone})
    if bid is None or not _is_asleep(record, found):
        bid = record.bid
    return own if bid is None else own.with_overrides(bid=bid)


def _missing(
    record: records.Record, found: Sequence[Instance], size: int | None = None
) -> list[str]:
    """Return the names of the nodes that a cluster lacks."""
    if record.ending:
        raise is_ending(record.name)
    live = instances.present(found)
    asleep = _is_asleep(record, found)
    wanted = size if size and asleep else record.size
    if wanted < len(live) and wanted != record.size:
        raise ClusterError(
            f"The cluster '{record.name}' has {len(live)} nodes that come back with their disks:"
            f" {', '.join(one.alias for one in live)}; -s {wanted} would be fewer.",
            f"`spotcluster start {record.name}`, then `spotcluster removenode {record.name} ALIAS`"
            " makes it smaller.",
        )
    if not asleep and len(live) >= wanted and all(one.ready for one in live):
        raise AlreadyRunning(
            f"The cluster '{record.name}' is already running, with {len(live)} nodes.",
            f"Choose another name, `spotcluster addnode {record.name}` to make it larger, or"
            f" `spotcluster terminate {record.name}` to end it.",
        )
    has_master = any(one.is_master for one in live)
    workers = wanted - 1 - sum(not one.is_master for one in live)
    names = plans.aliases_left([one.alias for one in found], max(0, workers))
    return names if has_master else [MASTER, *names]


@contextlib.contextmanager
def _unless_ended(record: records.Record) -> Iterator[None]:
    """Say that the cluster was ended, where EC2 says that its group is not there."""
    try:
        yield
    except CloudError as error:
        if error.code not in network.UNKNOWN_GROUP:
            raise
        raise ended_elsewhere(record.name) from error


def _open_group(
    session: Session, record: records.Record, template: Template, allow: Sequence[str] = ()
) -> None:
    """Let this computer (or whom the template names) reach SSH, and the nodes one another."""
    callers = [*(template.allow or (session.caller_cidr(),)), *allow]
    network.allow(
        session,
        record.group_id,
        [
            network.among_themselves(record.group_id),
            *(network.ssh_from(cidr) for cidr in dict.fromkeys(callers)),
            *(
                network.port_range(one.ip_protocol, one.from_port, one.to_port, one.cidr_ip)
                for one in template.permissions
            ),
        ],
        new=record.new,
    )


def _member(
    launcher: Launcher,
    session: Session,
    planned: PlannedNode,
    key_path: Path,
    there: Sequence[Instance],
) -> Member:
    """Return the member for a planned node; one that is there already is not launched at first."""
    waiting = [one for one in there if one.alias == planned.alias]

    def launch() -> Instance:
        if not waiting:
            return launcher.launch(planned)
        _wake(session, waiting[0])
        return waiting.pop()

    asleep = [one.id for one in waiting if one.state in instances.STOPPED]
    return Member(
        planned.alias,
        launch,
        lambda fresh: Node(fresh, key_path),
        asleep=asleep[0] if asleep else "",
    )


def _back(session: Session, one: Instance, key_path: Path) -> Member:
    """Return the member for a node that was set up once and comes back with its disk."""

    def launch() -> Instance:
        _wake(session, one)
        return one

    return Member(
        one.alias,
        launch,
        lambda fresh: Node(fresh, key_path),
        returning=True,
        asleep=one.id if one.state in instances.STOPPED else "",
    )


def _wake(session: Session, one: Instance) -> None:
    if one.state in instances.STOPPED:
        instances.start(session, one.id)


def _is_there(cluster: Cluster) -> bool:
    """Return whether nobody has ended or stopped the cluster, or begun to."""
    return records.is_wanted(cluster.record, records.find(cluster.session, cluster.name))


def _drop(pipeline: Pipeline, failed: Sequence[Member]) -> None:
    """Terminate the nodes that failed, so that none runs which nobody can use."""
    for member in failed:
        if member.keeps_disk:
            pipeline.reporter.note(f"{member.alias} is left as it is, for what its disk holds")
        elif member.instance:
            pipeline.discard(member)
            pipeline.reporter.note(f"{member.alias} was terminated, since it could not be set up")


def _undo(pipeline: Pipeline, members: Sequence[Member]) -> None:
    """Terminate all that these members have launched."""
    for member in members:
        if member.instance and not member.keeps_disk:
            pipeline.discard(member)


def _stopped_elsewhere(name: str) -> ClusterError:
    """Return the error for a cluster that somebody has stopped while nodes were made for it."""
    return ClusterError(
        f"'{name}' has been stopped from elsewhere meanwhile; the nodes made here were ended.",
        f"`spotcluster start {name}` brings it back.",
    )


def _aborted(cluster: Cluster, result: Result) -> ClusterError:
    first = next(one for one in result.failed if one.failures)
    what = f"spotcluster -r {cluster.region}"
    return ClusterError(
        f"{first.alias} failed, and --on-failure abort ended the {len(result.members)} node(s) of"
        " this command.",
        f"`{what} terminate {cluster.name}` ends what is left of the cluster."
        if any(one.is_master for one in result.members)
        else f"The other nodes of '{cluster.name}' go on.",
    )

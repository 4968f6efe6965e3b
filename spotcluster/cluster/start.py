"""Starting a cluster, or going on where a start was cut off."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spotcluster import ssh
from spotcluster.aws import instances, network, tags
from spotcluster.aws.instances import Instance, Launch
from spotcluster.aws.session import Session
from spotcluster.cluster import plan as plans
from spotcluster.cluster import record as records
from spotcluster.cluster.cluster import Cluster, nodes_of
from spotcluster.cluster.node import Node
from spotcluster.cluster.pipeline import Member, Pipeline
from spotcluster.cluster.plan import MASTER, Plan, PlannedNode
from spotcluster.cluster.progress import Reporter
from spotcluster.cluster.watcher import Watcher
from spotcluster.config import Template
from spotcluster.errors import CloudError, ClusterError
from spotcluster.plugins.ipcluster import IPCluster

_SETTLE = 60.0  # seconds that EC2 may need until a describe shows what a call has made


@dataclass(frozen=True)
class Result:
    """What came of bringing nodes up.

    Attributes
    ----------
    elapsed : float
        Seconds from the first call to the last node that got ready.
    """

    cluster: Cluster
    members: tuple[Member, ...]
    elapsed: float

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
    def engines(self) -> int:
        """How many engines these nodes have; all of them have answered."""
        plugins = [one for _, one in self.cluster.plugins() if isinstance(one, IPCluster)]
        numbers: list[int] = [one.engines(node) for one in plugins for node in self.nodes]
        return sum(numbers)


def plan(session: Session, name: str, template: Template) -> Plan:
    """Return what `start` would launch; makes nothing.

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
    own = record.template.model_copy(update={"key_location": template.key_location})
    return plans.make(session, name, own, _missing(record, found))


def start(session: Session, name: str, template: Template, reporter: Reporter) -> Result:
    """Start a cluster, or give one that was cut off what it lacks.

    What is there already, by EC2's tags, is used; the template of a cluster that exists is the one
    it was started from.
    """
    begin = time.monotonic()
    todo = plan(session, name, template)
    record = records.find(session, name)
    if record is None:
        record = records.create(session, name, template, todo.subnet.vpc_id)
    else:
        reporter.note(f"'{name}' is there already; going on with what it lacks")
    found = _own(record, instances.describe(session, name))
    _open_group(session, record.group_id, todo.template)
    key_path = todo.template.check_key()
    ready = [node for node in nodes_of(found, key_path) if node.instance.ready]
    cluster = Cluster(session, record, key_path, ready, reporter)
    unready = [one for one in instances.live(found) if not one.ready]
    members = [_rejoin(one, key_path) for one in unready]
    members += [_join(cluster, todo, planned, found) for planned in todo.nodes]
    return bring_up(cluster, members, begin)


def bring_up(cluster: Cluster, members: Sequence[Member], begin: float) -> Result:
    """Run the members through the pipeline; workers that fail are terminated."""
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
        )
        pipeline.run(members)
    result = Result(cluster, tuple(members), time.monotonic() - begin)
    if not any(member.alias == MASTER for member in result.failed):
        _drop(cluster, result.failed)
    return result


def add_nodes(cluster: Cluster, number: int, *, bid: float | None, reporter: Reporter) -> Result:
    """Add nodes to a running cluster; nothing that runs is touched.

    Parameters
    ----------
    bid : float or None
        Highest price per hour for spot nodes; None for what the cluster was started with.
    """
    begin = time.monotonic()
    master = cluster.master
    # Near the master: traffic between zones costs money, and time.
    near = {"key_location": cluster.key_path, "availability_zone": master.instance.zone}
    template = cluster.record.template.model_copy(update=near)
    if bid is not None:
        template = template.with_overrides(bid=bid)
    found = _own(cluster.record, instances.describe(cluster.session, cluster.name))
    aliases = plans.aliases_after([one.alias for one in found], number)
    todo = plans.make(cluster.session, cluster.name, template, aliases)
    cluster.record = records.resize(
        cluster.session, cluster.record, len(instances.live(found)) + number
    )
    if not master.instance.ready:
        raise ClusterError(
            f"The master of '{cluster.name}' has not been set up.",
            f"`spotcluster start {cluster.name}` goes on with it.",
        )
    members = [_join(cluster, todo, planned, found) for planned in todo.nodes]
    cluster.reporter = reporter
    return bring_up(cluster, members, begin)


def _own(record: records.Record, found: Sequence[Instance]) -> list[Instance]:
    """Leave out the nodes of an earlier cluster of this name that EC2 still shows as ended."""
    return [
        one for one in found if one.state in instances.LIVE or one.tags.get(tags.ID) == record.id
    ]


def _missing(record: records.Record, found: Sequence[Instance]) -> list[str]:
    """Return the names of the nodes that a cluster lacks."""
    live = instances.live(found)
    stopped = [one.alias for one in live if one.state in ("stopping", "stopped")]
    if stopped:
        raise ClusterError(
            f"The cluster '{record.name}' has stopped nodes: {', '.join(stopped)}.",
            f"`spotcluster terminate {record.name}` ends it.",
        )
    if len(live) >= record.size and all(one.ready for one in live):
        raise ClusterError(
            f"The cluster '{record.name}' is already running, with {len(live)} nodes.",
            f"Choose another name, `spotcluster addnode {record.name}` to make it larger, or"
            f" `spotcluster terminate {record.name}` to end it.",
        )
    has_master = any(one.is_master for one in live)
    workers = record.size - 1 - sum(not one.is_master for one in live)
    names = plans.aliases_after([one.alias for one in found], max(0, workers))
    return names if has_master else [MASTER, *names]


def _open_group(session: Session, group_id: str, template: Template) -> None:
    """Let this computer (and whom the template names) reach SSH, and the nodes one another."""
    callers = template.allow or (session.caller_cidr(),)
    network.allow(
        session,
        group_id,
        [
            network.among_themselves(group_id),
            *(network.ssh_from(cidr) for cidr in callers),
            *(
                network.port_range(one.ip_protocol, one.from_port, one.to_port, one.cidr_ip)
                for one in template.permissions
            ),
        ],
    )


def _rejoin(instance: Instance, key_path: Path) -> Member:
    return Member(instance.alias, lambda: instance, lambda fresh: Node(fresh, key_path))


def _join(cluster: Cluster, todo: Plan, planned: PlannedNode, found: Sequence[Instance]) -> Member:
    """Return the member that launches a planned node."""
    # The same crash repeated asks with the same token; a name that is used again with another.
    earlier = sum(one.alias == planned.alias for one in found)
    token = instances.token(cluster.record.id, planned.alias, str(earlier))

    def launch() -> Instance:
        host_key = ssh.keys.generate()
        own_tags = {
            tags.CLUSTER: cluster.name,
            tags.ID: cluster.record.id,
            tags.ALIAS: planned.alias,
            tags.ROLE: "master" if planned.alias == MASTER else "worker",
            tags.HOST_KEY: " ".join(host_key.public.split()[:2]),
            tags.LOGIN: todo.template.image_user or planned.image.login,
            "Name": f"{cluster.name}-{planned.alias}",
        }
        what = Launch(
            image=planned.image,
            type=planned.type.name,
            key_name=todo.template.keyname,
            subnet_id=todo.subnet.id,
            group_id=cluster.record.group_id,
            user_data=_user_data(host_key),
            tags=own_tags,
            spot=planned.spot,
            bid=planned.bid,
            token=token,
            public_ip=todo.template.public_ips is not False,
            root_gb=todo.template.root_volume_size,
        )
        try:
            return instances.launch(cluster.session, what)
        except CloudError as error:
            # The token has been used with another host key: an earlier run made this node.
            if error.code != "IdempotentParameterMismatch":
                raise
            return _settled(cluster, planned.alias, error)

    return Member(planned.alias, launch, lambda instance: Node(instance, cluster.key_path))


def _settled(cluster: Cluster, alias: str, error: CloudError) -> Instance:
    """Wait until EC2 shows the node that an earlier run has made."""
    end = time.monotonic() + _SETTLE
    while time.monotonic() < end:
        for one in instances.live(instances.describe(cluster.session, cluster.name)):
            if one.alias == alias:
                return one
        time.sleep(1)
    raise error


def _user_data(host_key: ssh.keys.KeyPair) -> str:
    """Return the cloud-config that gives a node its host key; JSON is YAML, and quotes safely."""
    keys = {"ed25519_private": host_key.private, "ed25519_public": host_key.public}
    return "#cloud-config\n" + json.dumps({"ssh_deletekeys": True, "ssh_keys": keys})


def _drop(cluster: Cluster, failed: Sequence[Member]) -> None:
    """Terminate the nodes that failed, so that none runs which nobody can use."""
    lost = [member for member in failed if member.instance]
    instances.terminate(cluster.session, [member.instance.id for member in lost if member.instance])
    for member in lost:
        cluster.left(member.alias)
        cluster.note(f"{member.alias} was terminated, since it could not be set up")

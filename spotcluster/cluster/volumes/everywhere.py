"""File systems that all nodes mount: EFS's, checked before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

from spotcluster.aws import network
from spotcluster.aws.network import Subnet
from spotcluster.aws.session import Session
from spotcluster.aws.storage import efs
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.config import Template, Volume
from spotcluster.errors import ClusterError, RemoteCommandFailed, UsageError
from spotcluster.plugins import sharing
from spotcluster.plugins.sharing import Mount

_SERVICE = "efs"
# As EFS's guide has it. Its servers are several and come back by themselves, so whoever waits for
# one gets its answer in the end, and no write is lost.
_OPTIONS = (
    "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,nosuid,nodev"
)


def check(session: Session, cluster: str, template: Template, subnets: Sequence[Subnet]) -> None:
    """Check that nodes in any of the subnets could mount the file systems of a template.

    Raises
    ------
    UsageError
        They could not; all that is wrong is said.
    """
    if not template.file_systems:
        return
    of_nodes = [group.id for group in network.find_groups(session, cluster)]
    of_nodes += template.security_groups
    wrong = [
        f"[volume {one.name}]: {why}"
        for one in template.file_systems
        for why in _wrong(session, one.file_system_id, subnets, of_nodes)
    ]
    if wrong:
        raise UsageError("\n".join(wrong))


def _wrong(
    session: Session, wanted: str, subnets: Sequence[Subnet], of_nodes: Sequence[str]
) -> list[str]:
    state = efs.state(session, wanted)
    if not state:
        return [f"there is no EFS file system {wanted} in {session.region}."]
    if state not in ("available", "updating"):
        return [f"{wanted} is not available: it is {state}."]
    there = {one.zone: one for one in efs.targets(session, wanted)}
    wrong = {}
    for subnet in subnets:
        target = there.get(subnet.zone)
        if target is None:
            wrong[subnet.zone] = (
                f"{wanted} has no mount target in {subnet.zone}, where nodes may be;"
                f" `aws efs create-mount-target --file-system-id {wanted} --subnet-id {subnet.id}`"
                " makes one, and AVAILABILITY_ZONE or SUBNET_ID keeps nodes elsewhere."
            )
        elif target.state != "available":
            wrong[subnet.zone] = f"its mount target {target.id} is not available: {target.state}."
        elif target.vpc_id and target.vpc_id != subnet.vpc_id:
            wrong[subnet.zone] = (
                f"{wanted} can be mounted in {target.vpc_id}, and the subnet {subnet.id} is in"
                f" {subnet.vpc_id}; name one of the former with SUBNET_ID."
            )
        elif subnet.cidr:  # one that has IPv6 alone has none
            groups = efs.groups(session, target.id)
            if not efs.let_in(session, groups, subnet.cidr, of_nodes):
                first = groups[0] if groups else "GROUP"
                wrong[subnet.zone] = (
                    f"the security group of the mount target {target.id} ({first}) lets nobody of"
                    f" {subnet.id} reach it; `aws ec2 authorize-security-group-ingress --group-id"
                    f" {first} --protocol tcp --port {efs.PORT} --cidr {subnet.cidr}` does."
                )
    return list(wrong.values())


def bring(cluster: Cluster, node: Node) -> list[str]:
    """Mount the file systems on a node; return what it is left without, in words.

    Raises
    ------
    ClusterError
        One cannot be mounted. Another machine could not do it either.
    """
    wanted = cluster.record.template.file_systems
    if not wanted:
        return []
    if not node.facts.has_units:
        return [f"mounting {one.file_system_id} on {one.mount_path}" for one in wanted]
    mounts = [_mount(cluster.session, one) for one in wanted]
    step = sharing.mounting(_SERVICE, mounts, owner=node.account.name)
    try:
        sharing.run(node, "client", [step])
    except RemoteCommandFailed as error:
        said = error.output.strip().splitlines()
        raise ClusterError(
            f"{node.alias}: EFS is not mounted: {said[-1] if said else error.status}.",
            "Look at the file system's policy and its network, or leave it out of VOLUMES.",
        ) from error
    return []


def _mount(session: Session, one: Volume) -> Mount:
    source = f"{efs.host(session, one.file_system_id)}:/"
    return Mount(one.mount_path, source, _OPTIONS, kind="efs")

"""EFS file systems: where they can be mounted, and who is let in there."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spotcluster.aws.calls import call, every
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError

PORT = 2049
_UNKNOWN = "FileSystemNotFound"


@dataclass(frozen=True)
class Target:
    """A place in a zone where a file system can be mounted.

    Attributes
    ----------
    state : str
        What becomes of it: ``available``.
    """

    id: str
    vpc_id: str
    subnet_id: str
    zone: str
    state: str


def state(session: Session, file_system_id: str) -> str:
    """Return the state of a file system, as ``available``; empty where there is none."""
    efs = session.client("efs")
    try:
        found = call(efs.describe_file_systems, FileSystemId=file_system_id)["FileSystems"]
    except CloudError as error:
        if error.code != _UNKNOWN:
            raise
        return ""
    return str(found[0]["LifeCycleState"]) if found else ""


def targets(session: Session, file_system_id: str) -> list[Target]:
    """Return the mount targets of a file system; there is one in a zone at most."""
    efs = session.client("efs")
    found, marker = [], None
    while True:
        answer = call(efs.describe_mount_targets, FileSystemId=file_system_id, Marker=marker)
        found += answer["MountTargets"]
        marker = answer.get("NextMarker")
        if not marker:
            break
    return [
        Target(
            one["MountTargetId"],
            one.get("VpcId", ""),
            one["SubnetId"],
            one.get("AvailabilityZoneName", ""),
            one["LifeCycleState"],
        )
        for one in found
    ]


def groups(session: Session, target_id: str) -> list[str]:
    """Return the security groups of a mount target."""
    efs = session.client("efs")
    found = call(efs.describe_mount_target_security_groups, MountTargetId=target_id)
    return list(found["SecurityGroups"])


def let_in(
    session: Session, groups: Collection[str], cidr: str, of_nodes: Collection[str] = ()
) -> bool:
    """Tell whether security groups let addresses, or members of other groups, reach NFS.

    Parameters
    ----------
    cidr : str
        The addresses of the subnet that nodes are in.
    of_nodes : collection of str
        The groups that nodes are in.
    """
    wanted = ipaddress.ip_network(cidr)
    listed = every(
        session.ec2.describe_security_groups, "SecurityGroups", GroupIds=sorted(set(groups))
    )
    for rule in (one for group in listed for one in group["IpPermissions"] if _is_nfs(one)):
        if any(wanted.subnet_of(block) for block in _blocks(rule, wanted.version)):
            return True
        if any(one["GroupId"] in of_nodes for one in rule.get("UserIdGroupPairs", ())):
            return True
        if rule.get("PrefixListIds"):  # of whoever made it: what is on it is not ours to judge
            return True
    return False


def _is_nfs(rule: Mapping[str, Any]) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return bool(rule["IpProtocol"] == "tcp" and rule["FromPort"] <= PORT <= rule["ToPort"])


def _blocks(rule: Mapping[str, Any], version: int) -> Iterator[Any]:
    for one in rule.get("IpRanges", ()):
        block = ipaddress.ip_network(one["CidrIp"], strict=False)
        if block.version == version:
            yield block


def host(session: Session, file_system_id: str) -> str:
    """Return the name of a file system's mount target: in each zone it is that zone's."""
    region = session.client("efs").meta.region_name
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{file_system_id}.efs.{region}.{suffix}"

"""The network a cluster lives in: a subnet that is there, and a security group of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spotcluster import wording
from spotcluster.aws import inventory, tags
from spotcluster.aws.calls import call, call_soon, every
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

_SSH = 22
UNKNOWN_GROUP = (
    "InvalidGroup.NotFound",
    "InvalidSecurityGroupID.NotFound",
    "InvalidID.NotFound",  # as CreateTags and DeleteTags say it
)
"""The codes by which EC2 says that there is no such group."""


@dataclass(frozen=True)
class Subnet:
    """A subnet: ``id``, ``vpc_id``, availability ``zone``, how many addresses are ``free``.

    Attributes
    ----------
    ipv6 : bool
        Whether it has IPv6 addresses only, of which there are always enough.
    """

    id: str
    vpc_id: str
    zone: str
    free: int
    ipv6: bool = False


@dataclass(frozen=True)
class Group:
    """A cluster's security group, which also carries the cluster's record in its tags."""

    id: str
    name: str
    vpc_id: str
    tags: Mapping[str, str]
    ssh: Mapping[str, str] = field(default_factory=dict)  # CIDR blocks, and the rules' descriptions


def find_subnet(
    session: Session, subnet_id: str | None, zone: str | None, offered: Collection[str]
) -> Subnet:
    """Return the subnet that the user named, or the default VPC's roomiest; see `find_subnets`."""
    return find_subnets(session, subnet_id, zone, offered)[0]


def find_subnets(
    session: Session, subnet_id: str | None, zone: str | None, offered: Collection[str]
) -> list[Subnet]:
    """Return the subnet that the user named, or those of the default VPC, the roomiest first.

    Parameters
    ----------
    zone : str or None
        The zone that it must be in.
    offered : collection of str
        The zones that offer the instance types that are wanted; any of them will do.

    Raises
    ------
    CloudError
        There is no such subnet.
    """
    if subnet_id:
        listed = every(session.ec2.describe_subnets, "Subnets", SubnetIds=[subnet_id])
    else:
        wanted = tags.filters(default_for_az="true")
        if zone:
            wanted += tags.filters(availability_zone=zone)
        listed = every(session.ec2.describe_subnets, "Subnets", Filters=wanted)
    found = [
        Subnet(
            item["SubnetId"],
            item["VpcId"],
            item["AvailabilityZone"],
            item["AvailableIpAddressCount"],
            bool(item.get("Ipv6Native")),
        )
        for item in listed
    ]
    if not found and zone and not subnet_id:
        _check_zone(session, zone)
    if not found and not subnet_id:
        region = session.region
        subnet = "aws ec2 create-default-subnet --availability-zone"
        if zone:
            raise CloudError(
                f"The default VPC has no subnet in {region}, zone {zone}.",
                "Name one with SUBNET_ID in the cluster's section, or leave AVAILABILITY_ZONE out;"
                f" `{subnet} {zone} --region {region}` makes one.",
            )
        raise CloudError(
            f"There is no default VPC in {region}, or it has no subnet.",
            f"`aws ec2 create-default-vpc --region {region}` makes one with a subnet in each zone,"
            f" and `{subnet} {region}a --region {region}` a subnet of one that is there; or name a"
            " subnet with SUBNET_ID in the cluster's section.",
        )
    usable = [subnet for subnet in found if subnet.zone in offered]
    if not usable:
        places = ", ".join(sorted({subnet.zone for subnet in found}))
        raise CloudError(
            f"The zone {places} does not offer the instance types that are wanted.",
            f"These zones do: {wording.listed(sorted(offered))}; or choose another type.",
        )
    return sorted(usable, key=lambda subnet: (subnet.free, subnet.zone), reverse=True)


def _check_zone(session: Session, zone: str) -> None:
    try:
        known = [one.name for one in inventory.zones(session)]
    except CloudError:  # what was found out about the zone is said without
        return
    if known and zone not in known:
        raise UsageError(
            f"The region {session.region} has no zone '{zone}'.{wording.hint(zone, known)}",
            f"`spotcluster -r {session.region} listzones` shows those there are.",
        )


def find_groups(session: Session, cluster: str | None = None) -> list[Group]:
    """Return the groups of `cluster`, or of every cluster."""
    wanted = (
        tags.filters(cluster=cluster)
        if cluster
        else [{"Name": "tag-key", "Values": [tags.CLUSTER]}]
    )
    return [
        Group(
            item["GroupId"],
            item["GroupName"],
            item.get("VpcId", ""),
            tags.mapping(item.get("Tags")),
            _ssh(item.get("IpPermissions", ())),
        )
        for item in every(session.ec2.describe_security_groups, "SecurityGroups", Filters=wanted)
    ]


def _ssh(permissions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {
        one.get("CidrIp") or one["CidrIpv6"]: one.get("Description", "")
        for permission in permissions
        if (permission["IpProtocol"], permission.get("FromPort")) == ("tcp", _SSH)
        for one in (*permission.get("IpRanges", ()), *permission.get("Ipv6Ranges", ()))
    }


def check_groups(session: Session, ids: Sequence[str], vpc_id: str) -> None:
    """Refuse security groups of the user's that nodes cannot be in; all that is wrong at once.

    Raises
    ------
    UsageError
        One is not there, or of another VPC than the nodes.
    """
    if not ids:
        return
    # By a filter: where ids are given, one that is not there would fail the whole call.
    wanted = tags.filters(group_id=[*ids])
    listed = every(session.ec2.describe_security_groups, "SecurityGroups", Filters=wanted)
    places = {item["GroupId"]: item.get("VpcId", "") for item in listed}
    wrong = [f"{one} is not there" for one in ids if one not in places]
    wrong += [
        f"{one} is of {places[one]}, and the nodes are in {vpc_id}"
        for one in ids
        if places.get(one, vpc_id) != vpc_id
    ]
    if wrong:
        raise UsageError(
            f"SECURITY_GROUPS in {session.region}: {'; '.join(wrong)}.",
            f"`aws ec2 describe-security-groups --region {session.region}` shows those there are.",
        )


def create_group(session: Session, name: str, vpc_id: str, own_tags: Mapping[str, str]) -> str:
    """Create a security group, tagged in the creating call; return its id.

    Its name is its client token: EC2 refuses a second one of that name in the same VPC.
    """
    answer = call(
        session.ec2.create_security_group,
        GroupName=name,
        Description="Nodes of a spotcluster cluster",
        VpcId=vpc_id,
        TagSpecifications=tags.specifications(own_tags, "security-group"),
    )
    return str(answer["GroupId"])


def tag(session: Session, resource_ids: Sequence[str], own_tags: Mapping[str, str]) -> None:
    """Put tags on resources that exist."""
    call(session.ec2.create_tags, Resources=list(resource_ids), Tags=tags.pairs(own_tags))


def tagged(session: Session, cluster: str, *kinds: str) -> dict[str, list[str]]:
    """Return the ids of what has a cluster's tag, by kinds of resources that are listed so only."""
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    for item in every(
        session.ec2.describe_tags,
        "Tags",
        Filters=tags.filters(resource_type=list(kinds), key=tags.CLUSTER, value=cluster),
    ):
        found[item["ResourceType"]].append(item["ResourceId"])
    return {kind: sorted(set(ids)) for kind, ids in found.items()}


def untag(session: Session, resource_ids: Sequence[str], keys: Sequence[str]) -> None:
    """Take tags from resources that exist."""
    call(
        session.ec2.delete_tags,
        Resources=list(resource_ids),
        Tags=[{"Key": key} for key in keys],
    )


def allow(
    session: Session, group_id: str, permissions: Sequence[Mapping[str, Any]], *, new: bool = False
) -> None:
    """Open a group for `permissions` (IpPermissions), one by one; those there already are kept.

    Parameters
    ----------
    new : bool
        Whether it was made a moment ago, so that EC2 may not know of it yet.
    """
    for permission in permissions:
        try:
            call_soon(
                session.ec2.authorize_security_group_ingress,
                unknown=UNKNOWN_GROUP if new else (),
                GroupId=group_id,
                IpPermissions=[permission],
            )
        except CloudError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise


def disallow(session: Session, group_id: str, permission: Mapping[str, Any]) -> None:
    """Close a group for a permission; one that is not there is closed."""
    try:
        call(
            session.ec2.revoke_security_group_ingress,
            GroupId=group_id,
            IpPermissions=[permission],
        )
    except CloudError as error:
        if error.code != "InvalidPermission.NotFound":
            raise


def ssh_from(cidr: str, about: str = "") -> dict[str, Any]:
    """Return the permission that lets `cidr` reach SSH; the rule may say something of itself."""
    return port_range("tcp", _SSH, _SSH, cidr, about)


def port_range(protocol: str, first: int, last: int, cidr: str, about: str = "") -> dict[str, Any]:
    """Return the permission that lets `cidr` reach the ports `first` to `last`."""
    description = {"Description": about} if about else {}
    if ":" in cidr:
        kind = {"Ipv6Ranges": [{"CidrIpv6": cidr, **description}]}
    else:
        kind = {"IpRanges": [{"CidrIp": cidr, **description}]}
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **kind}


def among_themselves(group_id: str) -> dict[str, Any]:
    """Return the permission that lets members of a group reach one another."""
    return {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}


def delete_group(session: Session, group_id: str) -> bool:
    """Delete a group; return False while EC2 counts instances, also ended ones, as its users."""
    try:
        call(session.ec2.delete_security_group, GroupId=group_id)
    except CloudError as error:
        if error.code == "DependencyViolation":
            return False
        if error.code not in UNKNOWN_GROUP:
            raise
    return True

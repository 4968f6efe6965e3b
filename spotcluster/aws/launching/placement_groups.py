"""Placement groups: where instances are near each other, or away from each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spotcluster.aws import tags
from spotcluster.aws.calls import call
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

OWN = "cluster"
"""What a template says that wants a group of the cluster's own."""

UNKNOWN = "InvalidPlacementGroup.Unknown"
"""The code by which EC2 says that there is no such group, or not yet."""


@dataclass(frozen=True)
class PlacementGroup:
    """A placement group: ``cluster``, ``spread`` or ``partition``.

    Attributes
    ----------
    own : bool
        Whether it is made and deleted with a cluster.
    """

    name: str
    strategy: str = "cluster"
    own: bool = False

    @property
    def in_one_zone(self) -> bool:
        """Whether all that is in it is in one zone."""
        return self.strategy == "cluster"


def own_name(cluster: str) -> str:
    """Return the name of the group of a cluster's own."""
    return f"spotcluster-{cluster}"


def own(session: Session, cluster: str) -> PlacementGroup:
    """Return the group of a cluster's own, which need not be there yet.

    Raises
    ------
    UsageError
        Its name is that of somebody else's, which nodes would be launched into, and which would
        stay.
    """
    name = own_name(cluster)
    found = call(session.ec2.describe_placement_groups, Filters=tags.filters(group_name=name))
    for one in found["PlacementGroups"]:
        if tags.mapping(one.get("Tags")).get(tags.CLUSTER) != cluster:
            raise UsageError(
                f"There is a placement group '{name}' in {session.region}, which is not this"
                " cluster's.",
                f"Write PLACEMENT_GROUP = {name} to launch nodes into it, or name the cluster"
                " otherwise.",
            )
    return PlacementGroup(name, own=True)


def find(session: Session, name: str) -> PlacementGroup:
    """Return the group of a name.

    Raises
    ------
    UsageError
        There is none, or nothing can be launched into it.
    """
    wanted = tags.filters(group_name=name)
    found = call(session.ec2.describe_placement_groups, Filters=wanted)["PlacementGroups"]
    if not found:
        raise UsageError(
            f"There is no placement group '{name}' (PLACEMENT_GROUP) in {session.region}.",
            "`aws ec2 describe-placement-groups` shows those there are; PLACEMENT_GROUP = cluster"
            " is one of the cluster's own.",
        )
    state = found[0].get("State", "available")
    if state != "available":
        raise UsageError(
            f"The placement group '{name}' (PLACEMENT_GROUP) is {state}.",
            "Name another one, or PLACEMENT_GROUP = cluster for one of the cluster's own.",
        )
    return PlacementGroup(name, found[0].get("Strategy", "cluster"))


def create(session: Session, name: str, own: Mapping[str, str]) -> None:
    """Make a group whose instances are near each other; one that is there is no error.

    EC2 has one of a name in a region, which is all that a client token would be good for.
    """
    try:
        call(
            session.ec2.create_placement_group,
            GroupName=name,
            Strategy="cluster",
            TagSpecifications=tags.specifications(own, "placement-group"),
        )
    except CloudError as error:
        if error.code != "InvalidPlacementGroup.Duplicate":
            raise


def of_cluster(session: Session, cluster: str) -> list[str]:
    """Return the names of the groups of a cluster."""
    wanted = tags.filters(cluster=cluster)
    found: list[Any] = call(session.ec2.describe_placement_groups, Filters=wanted)[
        "PlacementGroups"
    ]
    return [one["GroupName"] for one in found if one.get("State") not in ("deleting", "deleted")]


def delete(session: Session, name: str) -> None:
    """Delete a group; one already gone is no error, nor one that EC2 counts instances of yet."""
    try:
        call(session.ec2.delete_placement_group, GroupName=name)
    except CloudError as error:
        if error.code not in (UNKNOWN, "InvalidPlacementGroup.InUse"):
            raise

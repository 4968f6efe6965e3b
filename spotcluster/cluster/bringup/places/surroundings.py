"""What nodes are launched into and with that others have made, looked at before anything is made.

That is the roles, the key of the disks, a placement group and a capacity reservation. The groups
of a VPC are looked at when it is known which one it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spotcluster import wording
from spotcluster.aws import instances, network
from spotcluster.aws.instance_types import InstanceType
from spotcluster.aws.launching import placement_groups, reservations
from spotcluster.aws.launching.placement_groups import PlacementGroup
from spotcluster.aws.launching.reservations import Reservation
from spotcluster.aws.session import Session
from spotcluster.aws.storage import ebs
from spotcluster.cluster.bringup.places import kinds
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.places.pools import Offer
from spotcluster.cluster.bringup.places.room import Wish
from spotcluster.config import NodeGroup, Template, disks
from spotcluster.errors import CapacityError, UsageError

ZONE = "AVAILABILITY_ZONE (-a) is"
NEAR = "the nodes in PLACEMENT_GROUP are"
_IPV4_ONLY = (".ipcluster.IPCluster", ".dask.Dask", ".ray.Ray")
_KEEPERS_POLICY = "`spotcluster iam-policy --keep` prints the policy that its role needs."


@dataclass(frozen=True)
class Surroundings:
    """Where nodes are placed, and whose capacity those on demand take."""

    group: PlacementGroup | None = None
    reservation: Reservation | None = None

    @property
    def in_one_zone(self) -> bool:
        """Whether all nodes are in one zone."""
        return self.group is not None and self.group.in_one_zone

    def takes(self, kind: str, *, spot: bool) -> bool:
        """Return whether a node of a type is launched into the reservation."""
        return self.reservation is not None and not spot and kind == self.reservation.type

    def reserved(self, offers: Sequence[Offer], *, spot: bool) -> tuple[Offer, ...]:
        """Return those of the places that a node may come from which are reserved."""
        return tuple(
            one
            for one in offers
            if self.takes(one.pool.type, spot=spot)
            and self.reservation
            and one.pool.zone == self.reservation.zone
        )

    def check_types(self, types: Iterable[InstanceType]) -> None:
        """Refuse types that cannot be in the placement group."""
        if self.group is None:
            return
        wrong = sorted(one.name for one in types if self.group.strategy not in one.strategies)
        if wrong:
            raise UsageError(
                f"{wording.listed(wrong)} cannot be in a placement group of the strategy"
                f" '{self.group.strategy}' (PLACEMENT_GROUP).",
                "Choose other types, or leave PLACEMENT_GROUP out.",
            )

    def check_room(self, number: int, wish: Wish, *, may_wait: bool) -> None:
        """Refuse more nodes than the reservation has free, or none of its type.

        Parameters
        ----------
        number : int
            How many of the nodes to launch would be launched into it.
        may_wait : bool
            Whether others may be later.
        """
        one = self.reservation
        if one is None or not wish.number:
            return
        named = f"The capacity reservation {one.id} (CAPACITY_RESERVATION)"
        if not number and not may_wait:
            raise UsageError(
                f"{named} is for {one.type} in {one.zone}, and no node on demand is of that type"
                " and may be there.",
                "Name that type, and leave its bid out; or leave CAPACITY_RESERVATION out.",
            )
        if number > one.free:
            others = wish.number - number
            fits = wish.fits(one.free + others if one.free else 0)
            hint = f"{fits}leave CAPACITY_RESERVATION out."
            raise CapacityError(
                f"{named} has {one.free} free {one.type} in {one.zone}; {number} are needed.",
                hint[0].upper() + hint[1:],
                code="ReservationCapacityExceeded",
            )


def look(
    session: Session, cluster: str, template: Template, *, master: bool, inside: bool
) -> Surroundings:
    """Return what a template names that others have made.

    Parameters
    ----------
    master : bool
        Whether the master is among the nodes.
    inside : bool
        Whether we are on the master, whose role need not let it look at roles and keys.

    Raises
    ------
    UsageError
        Something is not there, or nodes cannot be launched with it.
    """
    if not inside:
        if template.instance_profile and master:
            instances.check_profile(
                session, template.instance_profile, "INSTANCE_PROFILE", _KEEPERS_POLICY
            )
        if template.node_instance_profile:
            instances.check_profile(
                session, template.node_instance_profile, "NODE_INSTANCE_PROFILE", ""
            )
        if template.kms_key:
            ebs.check_key(session, template.kms_key, "KMS_KEY")
    group = None
    if template.placement_group == placement_groups.OWN:
        group = placement_groups.own(session, cluster)
    elif template.placement_group:
        group = placement_groups.find(session, template.placement_group)
    reservation = None
    if template.capacity_reservation:
        reservation = reservations.find(session, template.capacity_reservation)
    return Surroundings(group, reservation)


def one_zone(wanted: Iterable[tuple[str | None, str]]) -> tuple[str | None, str]:
    """Return the zone that several things want, None for any, and what wants it last.

    Parameters
    ----------
    wanted : iterable of (zone, words)
        The words go before ``in us-east-1a``.

    Raises
    ------
    UsageError
        They want different ones.
    """
    told = [(zone, what) for zone, what in wanted if zone]
    if len({zone for zone, _ in told}) > 1:
        places = ", and ".join(f"{what} in {zone}" for zone, what in told)
        raise UsageError(
            f"All of this must be in one zone: {places}.",
            "Leave something of it out, or name others.",
        )
    return told[-1] if told else (None, "")


def check_disk(template: Template, gb: int) -> None:
    """Refuse a root disk of a size that is the image's own, where EC2 has none such."""
    kind, iops = template.root_volume_type, template.root_volume_iops
    for key, value, why in (
        ("ROOT_VOLUME_TYPE", kind, disks.wrong_size(kind, gb)),
        ("ROOT_VOLUME_IOPS", iops, disks.wrong_iops(kind, gb, iops)),
    ):
        if why:
            raise UsageError(
                f"{key} = {value} {why}; the image's disk has {gb} GiB.",
                "Name a size with ROOT_VOLUME_SIZE.",
            )


def home(
    session: Session,
    template: Template,
    groups: Mapping[str, NodeGroup],
    zones: Mapping[str, set[str]],
    around: Surroundings,
    told: Sequence[tuple[str | None, str]],
) -> network.Subnet:
    """Return the subnet of the master, or of nodes that are to be near others.

    Parameters
    ----------
    groups : mapping of str to NodeGroup
        A node of each kind, by its alias.
    told : sequence of (zone, words)
        What wants it to be in a zone; see `one_zone`.

    Raises
    ------
    UsageError
        It cannot be where all of that is.
    """
    usable = zones[groups[MASTER].type] if MASTER in groups else set().union(*zones.values())
    if around.in_one_zone:
        for alias in groups:
            usable = usable & set().union(
                *(zones[name] for name in kinds.types_of(template, alias))
            )
    else:
        told = [(zone, what) for zone, what in told if what != NEAR]
    placed = groups if around.in_one_zone else {MASTER} & groups.keys()
    if around.reservation and any(
        around.takes(groups[alias].type, spot=kinds.is_spot(template, alias)) for alias in placed
    ):
        told = [*told, (around.reservation.zone, "CAPACITY_RESERVATION is")]
    zone, what = one_zone(told)
    subnet = network.find_subnet(session, template.subnet_id, zone, usable)
    if zone not in (None, subnet.zone) and what != ZONE:
        raise UsageError(
            f"The subnet {subnet.id} is in {subnet.zone}, and {what} in {zone}.",
            "Name a subnet of that zone with SUBNET_ID, or leave it out.",
        )
    return subnet


def check_ipv6(subnet: network.Subnet, types: Iterable[InstanceType], template: Template) -> None:
    """Refuse what a subnet of IPv6 only cannot have: older machines, and what speaks none.

    ZeroMQ's sockets are of IPv4 unless they are told otherwise, and ipyparallel tells them nothing:
    neither controller nor engines could listen. Dask and Ray have not been tried.
    """
    silent = [one.name for one in template.plugins if one.setup_class.endswith(_IPV4_ONLY)]
    if subnet.ipv6 and silent:
        raise UsageError(
            f"The subnet {subnet.id} has IPv6 addresses only, which [plugin {silent[0]}] does not"
            " work with.",
            "Name a subnet that has both kinds, or leave the plugin out: `exec`, `run` and the rest"
            " do without it.",
        )
    wrong = sorted(one.name for one in types if subnet.ipv6 and not one.nitro)
    if wrong:
        raise UsageError(
            f"The subnet {subnet.id} has IPv6 addresses only, which {wording.listed(wrong)} cannot"
            " do without others.",
            "Choose types of AWS's Nitro machines, as m5 and all later ones.",
        )

"""Capacity reservations and capacity blocks: instances that somebody pays for already."""

from __future__ import annotations

from dataclasses import dataclass

from spotcluster.aws.calls import call
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

_PLATFORM = "Linux/UNIX"


@dataclass(frozen=True)
class Reservation:
    """A capacity reservation that can be launched into: a type in a zone, so many of it `free`.

    Attributes
    ----------
    block : bool
        Whether it is a capacity block, which is paid for in advance and ends at its time.
    """

    id: str
    type: str
    zone: str
    free: int
    block: bool = False


def find(session: Session, wanted: str) -> Reservation:
    """Return the reservation of an id.

    Raises
    ------
    UsageError
        There is none, or none of our nodes can be launched into it.
    """
    try:
        found = call(session.ec2.describe_capacity_reservations, CapacityReservationIds=[wanted])
        item = found["CapacityReservations"][0]
    except CloudError as error:
        if not error.code.startswith("InvalidCapacityReservationId"):
            raise
        raise UsageError(
            f"There is no capacity reservation '{wanted}' (CAPACITY_RESERVATION) in"
            f" {session.region}.",
            "`aws ec2 describe-capacity-reservations` shows those there are.",
        ) from None
    named = f"The capacity reservation {wanted} (CAPACITY_RESERVATION)"
    if item["State"] != "active":
        begins = f", from {item['StartDate']:%Y-%m-%d %H:%M} UTC" if item.get("StartDate") else ""
        raise UsageError(
            f"{named} is {item['State']}{begins}, and not active.",
            "Name one that is active, or leave it out.",
        )
    platform = item.get("InstancePlatform", _PLATFORM)
    if platform != _PLATFORM or item.get("Tenancy", "default") != "default":
        raise UsageError(
            f"{named} is for {platform}, tenancy {item.get('Tenancy', 'default')}; nodes are"
            f" {_PLATFORM}, tenancy default.",
            "Name another one, or leave it out.",
        )
    return Reservation(
        wanted,
        item["InstanceType"],
        item["AvailabilityZone"],
        int(item["AvailableInstanceCount"]),
        item.get("ReservationType") == "capacity-block",
    )

"""Placement groups and capacity reservations, of which moto has none.

Of a placement group there is its name, its tags, and that it is in use; of a reservation how many
instances it has free: those that were launched into it, and are there, take one each.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_id

from spotcluster.local import clock
from spotcluster.local.moto_private import know_prefix

know_prefix("placement-group", "pg")
know_prefix("capacity-reservation", "cr")

_STRATEGIES = ("cluster", "spread", "partition")


class PlaceAnswers(EC2Response):
    """Part of the EC2 API: placement groups and capacity reservations."""

    def create_placement_group(self) -> ActionResult:
        """Answer CreatePlacementGroup."""
        backend: Any = self.ec2_backend
        name, strategy = self._get_param("GroupName"), self._get_param("Strategy", "cluster")
        if not name:
            raise EC2ClientError("MissingParameter", "The request must contain GroupName")
        if strategy not in _STRATEGIES:
            raise EC2ClientError("InvalidParameterValue", f"Invalid strategy '{strategy}'.")
        if name in backend.placement_groups:
            raise EC2ClientError(
                "InvalidPlacementGroup.Duplicate",
                f"The Placement Group '{name}' already exists.",
            )
        own = self._parse_tag_specification("placement-group").get("placement-group", {})
        self.error_on_dryrun()
        made = {"GroupName": name, "GroupId": random_id("pg"), "Strategy": strategy}
        backend.placement_groups[name] = made
        if own:
            backend.create_tags([made["GroupId"]], own)
        return ActionResult({"PlacementGroup": self._placed(made)})

    def describe_placement_groups(self) -> ActionResult:
        """Answer DescribePlacementGroups."""
        backend: Any = self.ec2_backend
        names, ids = self._get_param("GroupNames", []), self._get_param("GroupIds", [])
        for name in names:
            _known(backend, name)
        found = [
            one
            for one in map(self._placed, backend.placement_groups.values())
            if (not names or one["GroupName"] in names) and (not ids or one["GroupId"] in ids)
        ]
        asked: Any = self._filters_from_querystring()
        return ActionResult({"PlacementGroups": [one for one in found if _passes(one, asked)]})

    def delete_placement_group(self) -> ActionResult:
        """Answer DeletePlacementGroup; one that an instance is in is refused."""
        backend: Any = self.ec2_backend
        name = self._get_param("GroupName")
        found = _known(backend, name)
        self.error_on_dryrun()
        if any(one.placement.group_name == name for one in backend.instances() if one.is_live):
            raise EC2ClientError(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{name}' is in use and may not be deleted.",
            )
        del backend.placement_groups[name]
        backend.tags.pop(found["GroupId"], None)
        return ActionResult({})

    def _placed(self, one: dict[str, Any]) -> dict[str, Any]:
        own = self.ec2_backend.tags.get(one["GroupId"], {})
        listed = [{"Key": key, "Value": value} for key, value in own.items()]
        return {**one, "State": "available", "Tags": listed}

    def create_capacity_reservation(self) -> ActionResult:
        """Answer CreateCapacityReservation; what it reserves is there."""
        backend: Any = self.ec2_backend
        kind, zone = self._get_param("InstanceType"), self._get_param("AvailabilityZone")
        if kind not in INSTANCE_TYPES:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{kind}'.")
        if backend.get_zone_by_name(zone) is None:
            raise EC2ClientError("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
        self.error_on_dryrun()
        made = {
            "CapacityReservationId": random_id("cr"),
            "InstanceType": kind,
            "InstancePlatform": self._get_param("InstancePlatform", "Linux/UNIX"),
            "AvailabilityZone": zone,
            "Tenancy": self._get_param("Tenancy", "default"),
            "TotalInstanceCount": int(self._get_param("InstanceCount", 1)),
            "State": "active",
            "StartDate": clock.stamp(),
            "ReservationType": "default",
        }
        backend.capacity_reservations[made["CapacityReservationId"]] = made
        return ActionResult({"CapacityReservation": self._reserved(made)})

    def describe_capacity_reservations(self) -> ActionResult:
        """Answer DescribeCapacityReservations."""
        backend: Any = self.ec2_backend
        ids = self._get_param("CapacityReservationIds", [])
        there = [reservation(backend, one) for one in ids]
        found = there or list(backend.capacity_reservations.values())
        return ActionResult({"CapacityReservations": [self._reserved(one) for one in found]})

    def cancel_capacity_reservation(self) -> ActionResult:
        """Answer CancelCapacityReservation; what runs in it goes on."""
        found = reservation(self.ec2_backend, self._get_param("CapacityReservationId"))
        found["State"] = "cancelled"
        return ActionResult({"Return": True})

    def _reserved(self, one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "AvailableInstanceCount": free(self.ec2_backend, one)}


def reservation(backend: Any, wanted: str) -> dict[str, Any]:
    """Return a capacity reservation."""
    found: dict[str, Any] | None = backend.capacity_reservations.get(wanted)
    if found is None:
        raise EC2ClientError(
            "InvalidCapacityReservationId.NotFound",
            f"The capacity reservation ID '{wanted}' does not exist.",
        )
    return found


def free(backend: Any, one: dict[str, Any]) -> int:
    """Return how many more instances may be launched into a reservation."""
    if one["State"] != "active":
        return 0
    own = one["CapacityReservationId"]
    there = [each for each in backend.instances() if each.state in ("pending", "running")]
    taken = sum(1 for each in there if each.capacity_reservation_id == own)
    return max(0, int(one["TotalInstanceCount"]) - taken)


def check(backend: Any, params: dict[str, Any], kind: str, zone: str) -> str | None:
    """Refuse a placement group or a reservation that a launch names and cannot have.

    Returns
    -------
    str or None
        The id of the reservation.
    """
    if name := params.get("Placement", {}).get("GroupName"):
        _known(backend, name)
        strategies = INSTANCE_TYPES[kind].get("PlacementGroupInfo", {}).get("SupportedStrategies")
        if backend.placement_groups[name]["Strategy"] not in (strategies or ()):
            raise EC2ClientError(
                "InvalidParameterCombination",
                f"Placement groups may not be used with instances of type '{kind}'.",
            )
        _check_zone(backend, name, zone)
    wanted: str | None = target(params)
    if wanted is None:
        return None
    found = reservation(backend, wanted)
    if (found["InstanceType"], found["AvailabilityZone"]) != (kind, zone):
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"The capacity reservation {wanted} is for other instances than {kind} in {zone}.",
        )
    return wanted


def target(params: dict[str, Any]) -> str | None:
    """Return the reservation that a launch names."""
    asked = params.get("CapacityReservationSpecification", {})
    found: str | None = asked.get("CapacityReservationTarget", {}).get("CapacityReservationId")
    return found


def _check_zone(backend: Any, name: str, zone: str) -> None:
    if backend.placement_groups[name]["Strategy"] != "cluster":
        return
    for one in backend.instances():
        if one.is_live and one.placement.group_name == name and one.availability_zone != zone:
            raise EC2ClientError(
                "InsufficientInstanceCapacity",
                f"The placement group '{name}' is in {one.availability_zone}, and not in {zone}.",
            )


def _known(backend: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = backend.placement_groups.get(name)
    if found is None:
        raise EC2ClientError(
            "InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown."
        )
    return found


def _passes(one: dict[str, Any], asked: dict[str, list[str]]) -> bool:
    own = {each["Key"]: each["Value"] for each in one["Tags"]}
    names = {"group-name": "GroupName", "strategy": "Strategy", "state": "State"}
    for key, values in asked.items():
        if key.startswith("tag:"):
            said = own.get(key.removeprefix("tag:"))
        elif key == "tag-key":
            said = next((each for each in own if each in values), None)
        elif key in names:
            said = str(one[names[key]])
        else:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{key}' is invalid")
        if said not in values:
            return False
    return True

"""What there is of fleets: DescribeFleets, their instances and history, and DeleteFleets.

Spot fleets, EC2's older kind, are moto's, where it fails on what may be left out or is unknown.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.responses import EC2Response
from moto.ec2.utils import convert_tag_spec, random_fleet_id

from . import clock
from .filters import matches
from .launches import LaunchAnswers, is_true

_EVENTS = 1000  # of a fleet that are kept

VISIBLE_AFTER_END = 2 * 24 * 3600.0
"""Seconds for which a deleted fleet is still told of."""


class Fleet(TaggedEC2Resource):
    """A fleet, as DescribeFleets tells it.

    Attributes
    ----------
    events : tuple of dict
        What has happened to it, the oldest first.
    """

    events: tuple[dict[str, Any], ...] = ()  # fleets of earlier versions have none

    def __init__(self, backend: Any, asked: dict[str, Any]) -> None:
        self.ec2_backend = backend
        self.id = random_fleet_id()
        self.asked = asked
        self.type: str = asked.get("Type", "maintain")
        self.state = "active"
        self.created = clock.stamp()
        self.ended = 0.0
        self.errors: list[dict[str, Any]] = []
        self.instances: list[dict[str, Any]] = []
        self._weights: dict[str, float] = {}
        self.add_tags(convert_tag_spec(asked.get("TagSpecifications", [])).get("fleet", {}))

    def add(self, group: dict[str, Any], weight: float) -> None:
        """Note instances that it has launched from one pool."""
        self.instances.append(group)
        self._weights.update(dict.fromkeys(group["InstanceIds"], weight))
        for one in group["InstanceIds"]:
            self.note("instance-change", "launched", one)

    def note(self, kind: str, what: str, instance: str = "", description: str = "") -> None:
        """Add to its history."""
        told = {
            "InstanceId": instance,
            "EventSubType": what,
            "EventDescription": description,
        }
        said = {name: value for name, value in told.items() if value}
        event = {"EventInformation": said, "EventType": kind, "Timestamp": clock.stamp()}
        self.events = (*self.events, event)[-_EVENTS:]

    def fail(self, errors: list[dict[str, Any]]) -> None:
        """Note why pools gave nothing; what is said again and again is there once."""
        known = [(one["ErrorCode"], one["ErrorMessage"]) for one in self.errors]
        self.errors = errors
        for one in errors:
            if (one["ErrorCode"], one["ErrorMessage"]) not in known:
                self.note("service-error", one["ErrorCode"], description=one["ErrorMessage"])

    @property
    def target(self) -> dict[str, Any]:
        """What it is to have."""
        found: dict[str, Any] = self.asked.get("TargetCapacitySpecification", {})
        return found

    def look(self) -> bool:
        """Note which instances have ended, and its own end with them; return whether any did."""
        there = {one.id: one for one in self.ec2_backend.instances()}
        live = {one.id for one in self.members()}
        gone = [one for one in self._weights if one not in live] if self.type != "instant" else []
        ended = [one for one in gone if one not in there or there[one].state == "terminated"]
        for one in ended:
            del self._weights[one]
            self._leave(one)
        over = self.state in ("deleted_running", "deleted_terminating")
        if over and not live and not (self.type != "instant" and self._weights):
            self.state = "deleted"
            self.note("fleet-change", "deleted")
        return bool(ended) or (over and self.state == "deleted")

    def _leave(self, instance: str) -> None:
        self.note("instance-change", "terminated", instance)
        for group in self.instances:
            group["InstanceIds"] = [one for one in group["InstanceIds"] if one != instance]
        self.instances = [group for group in self.instances if group["InstanceIds"]]

    def shrink(self, targets: dict[str, float]) -> None:
        """End what is there above its targets, the latest first, where its policy says so."""
        if self.asked.get("ExcessCapacityTerminationPolicy") == "no-termination":
            return
        for lifecycle, target in targets.items():
            left = self.capacity(lifecycle)
            for one in reversed(self.members(lifecycle)):
                if left - self._weights[one.id] >= target:
                    left -= self._weights[one.id]
                    self.ec2_backend.terminate_instances([one.id])

    def has_expired(self, now: datetime) -> bool:
        """Return whether it launches nothing any more, by what its maker said."""
        end = _when(self.asked.get("ValidUntil"))
        return end is not None and _naive(end) <= _naive(now)

    def members(self, lifecycle: str = "") -> list[Any]:
        """Return its instances that are neither ended nor ending."""
        wanted = {
            one
            for group in self.instances
            for one in group["InstanceIds"]
            if lifecycle in ("", group["Lifecycle"])
        }
        return [
            instance
            for instance in self.ec2_backend.instances()
            if instance.id in wanted and instance.state not in ("shutting-down", "terminated")
        ]

    def capacity(self, lifecycle: str = "") -> float:
        """Return how much of its target is there."""
        return sum(self._weights[one.id] for one in self.members(lifecycle))

    def answer(self) -> dict[str, Any]:
        """Return what CreateFleet says."""
        if self.type != "instant":
            return {"FleetId": self.id}
        return {"FleetId": self.id, "Errors": self.errors, "Instances": self.instances}

    def delete(self, *, terminate: bool) -> None:
        """Delete it, its instances too or not."""
        self.state = "deleted_terminating" if terminate else "deleted_running"
        self.note("fleet-change", self.state)
        self.ended = self.ended or clock.seconds()
        if terminate and (found := [one.id for one in self.members()]):
            self.ec2_backend.terminate_instances(found)

    def is_old(self, now: float) -> bool:
        """Return whether EC2 would no longer tell of it; an instant one's end is its instances'."""
        if self.type == "instant" and not self.ended and not self.members():
            self.ended = now
        return bool(self.ended) and now - self.ended > VISIBLE_AFTER_END and not self.members()

    def described(self) -> dict[str, Any]:
        """Return what DescribeFleets says."""
        asked = self.asked
        target = self.target
        instant = self.type == "instant"
        configs = [
            {**config, "Overrides": config.get("Overrides", [])}
            for config in asked.get("LaunchTemplateConfigs", [])
        ]
        said: dict[str, Any] = {
            "ActivityStatus": "fulfilled"
            if self.capacity() >= int(target.get("TotalTargetCapacity", 0))
            else "pending_fulfillment",
            "CreateTime": self.created,
            "FleetId": self.id,
            "FleetState": self.state,
            "ClientToken": asked.get("ClientToken", ""),
            "ExcessCapacityTerminationPolicy": asked.get(
                "ExcessCapacityTerminationPolicy", "termination"
            ),
            "FulfilledCapacity": self.capacity(),
            "FulfilledOnDemandCapacity": self.capacity("on-demand"),
            "LaunchTemplateConfigs": configs,
            "TargetCapacitySpecification": {
                "OnDemandTargetCapacity": 0,
                "SpotTargetCapacity": 0,
                "DefaultTargetCapacityType": "on-demand",
                **target,
            },
            "TerminateInstancesWithExpiration": asked.get(
                "TerminateInstancesWithExpiration", False
            ),
            "ReplaceUnhealthyInstances": asked.get("ReplaceUnhealthyInstances", False),
            "Type": self.type,
            "ValidFrom": _when(asked.get("ValidFrom")) or self.created,
            "ValidUntil": _when(asked.get("ValidUntil")),
            "SpotOptions": asked.get("SpotOptions"),
            "OnDemandOptions": asked.get("OnDemandOptions"),
            "Tags": self.get_tags(),
            "Errors": self.errors if instant else None,
            "Instances": self.instances if instant else None,
        }
        return {name: value for name, value in said.items() if value is not None}

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """Return what a filter compares."""
        said = self.described()
        values = {
            "activity-status": said["ActivityStatus"],
            "excess-capacity-termination-policy": said["ExcessCapacityTerminationPolicy"],
            "fleet-state": self.state,
            "replace-unhealthy-instances": str(said["ReplaceUnhealthyInstances"]).lower(),
            "type": self.type,
        }
        if filter_name in values:
            return values[filter_name]
        return super().get_filter_value(filter_name, method_name)


class FleetBooks(LaunchAnswers):
    """Part of the EC2 API: what there is of fleets."""

    def describe_fleets(self) -> ActionResult:
        """Answer DescribeFleets; an instant fleet is told of only to whoever names it."""
        fleets = self.ec2_backend.fleets
        ids = self._get_param("FleetIds", [])
        self.error_on_dryrun()
        if ids:
            found = [self._fleet(one) for one in ids]
        else:
            found = [one for one in fleets.values() if one.type != "instant"]
        for one in found:
            one.look()
        for name, wanted in self._filters_from_querystring().items():
            found = [one for one in found if matches(str(one.get_filter_value(name) or ""), wanted)]
        return ActionResult({"Fleets": [one.described() for one in found]})

    def describe_fleet_instances(self) -> ActionResult:
        """Answer DescribeFleetInstances."""
        fleet = self._fleet(self._get_param("FleetId"))
        self.error_on_dryrun()
        if fleet.type == "instant":
            raise EC2ClientError(
                "Unsupported",
                f"Fleet {fleet.id} is instant fleet. Describe fleet instances is not supported by "
                "this type of fleet",
            )
        return ActionResult(
            {
                "FleetId": fleet.id,
                "ActiveInstances": [
                    {
                        "InstanceId": one.id,
                        "InstanceType": one.instance_type,
                        "SpotInstanceRequestId": one.spot_instance_request_id,
                        "InstanceHealth": "healthy",
                    }
                    for one in fleet.members()
                ],
            }
        )

    def describe_fleet_history(self) -> ActionResult:
        """Answer DescribeFleetHistory."""
        fleet = self._fleet(self._get_param("FleetId"))
        start, kind = _when(self._get_param("StartTime")), self._get_param("EventType")
        if start is None:
            raise EC2ClientError(
                "MissingParameter", "The request must contain the parameter StartTime"
            )
        self.error_on_dryrun()
        fleet.look()
        return ActionResult(
            {
                "FleetId": fleet.id,
                "StartTime": start,
                "LastEvaluatedTime": clock.stamp(),
                "HistoryRecords": [
                    one
                    for one in fleet.events
                    if one["Timestamp"] >= _naive(start) and kind in (None, one["EventType"])
                ],
            }
        )

    def delete_fleets(self) -> ActionResult:
        """Answer DeleteFleets."""
        terminate = is_true(self._get_param("TerminateInstances"))
        self.error_on_dryrun()
        done, left = [], []
        for one in self._get_param("FleetIds", []):
            fleet = self.ec2_backend.fleets.get(one)
            if fleet is None:
                error = ("fleetIdDoesNotExist", f"The fleet ID '{one}' does not exist")
            elif fleet.type == "instant" and not terminate:
                error = (
                    "fleetNotInDeletableState",
                    "An instant fleet can be deleted only with its instances: "
                    "TerminateInstances must be true.",
                )
            else:
                before = fleet.state
                fleet.delete(terminate=terminate)
                done.append(
                    {
                        "FleetId": one,
                        "CurrentFleetState": fleet.state,
                        "PreviousFleetState": before,
                    }
                )
                continue
            left.append({"FleetId": one, "Error": {"Code": error[0], "Message": error[1]}})
        return ActionResult({"SuccessfulFleetDeletions": done, "UnsuccessfulFleetDeletions": left})

    def _fleet(self, fleet_id: str) -> Fleet:
        found: Fleet | None = self.ec2_backend.fleets.get(fleet_id)
        if found is None:
            raise EC2ClientError(
                "InvalidFleetId.NotFound", f"The fleet ID '{fleet_id}' does not exist"
            )
        return found


class SpotFleetAnswers(EC2Response):
    """Part of the EC2 API: RequestSpotFleet, and what refers to a spot fleet by its id."""

    def request_spot_fleet(self) -> ActionResult:
        """Answer RequestSpotFleet."""
        asked = self.params.get("SpotFleetRequestConfig", {})
        asked.setdefault("AllocationStrategy", "lowestPrice")
        self.error_on_dryrun()
        return super().request_spot_fleet()

    def modify_spot_fleet_request(self) -> ActionResult:
        """Answer ModifySpotFleetRequest."""
        self._known(self._get_param("SpotFleetRequestId"))
        if self._get_param("TargetCapacity") is None:
            raise EC2ClientError(
                "MissingParameter", "The request must contain the parameter TargetCapacity"
            )
        return super().modify_spot_fleet_request()

    def describe_spot_fleet_instances(self) -> ActionResult:
        """Answer DescribeSpotFleetInstances."""
        self._known(self._get_param("SpotFleetRequestId"))
        return super().describe_spot_fleet_instances()

    def cancel_spot_fleet_requests(self) -> ActionResult:
        """Answer CancelSpotFleetRequests."""
        backend: Any = self.ec2_backend
        asked = self._get_param("SpotFleetRequestIds", [])
        self.params["SpotFleetRequestIds"] = [
            one for one in asked if one in backend.spot_fleet_requests
        ]
        said: Any = super().cancel_spot_fleet_requests().result
        return ActionResult(
            {
                **said,
                "UnsuccessfulFleetRequests": [
                    {
                        "SpotFleetRequestId": one,
                        "Error": {
                            "Code": "fleetRequestIdDoesNotExist",
                            "Message": f"The spot fleet request ID '{one}' does not exist",
                        },
                    }
                    for one in asked
                    if one not in self.params["SpotFleetRequestIds"]
                ],
            }
        )

    def _known(self, request_id: str) -> None:
        if request_id not in self.ec2_backend.spot_fleet_requests:
            raise EC2ClientError(
                "InvalidSpotFleetRequestId.NotFound",
                f"The spot fleet request ID '{request_id}' does not exist",
            )


def _naive(when: datetime) -> datetime:
    """Return a time as `clock.stamp` gives it."""
    return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when


def _when(value: Any) -> datetime | None:
    if isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value if isinstance(value, datetime) else None

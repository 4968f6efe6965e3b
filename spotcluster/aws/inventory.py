"""What there is in a region, whoever made it: zones, images, instances and spot requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spotcluster.aws import blocks, tags
from spotcluster.aws.calls import call, every
from spotcluster.aws.session import LOCAL, Session


@dataclass(frozen=True)
class Zone:
    """An availability zone; `id` is the same for all accounts, `name` is not."""

    name: str
    id: str
    state: str


@dataclass(frozen=True)
class OwnImage:
    """An image of this account."""

    id: str
    name: str
    architecture: str
    created: str


@dataclass(frozen=True)
class AnyInstance:
    """An instance, of a cluster of ours or not."""

    id: str
    state: str
    type: str
    market: str
    zone: str
    address: str
    launched: datetime
    name: str
    cluster: str
    alias: str


@dataclass(frozen=True)
class SpotRequest:
    """A spot request; `bid` in USD per hour."""

    id: str
    state: str
    status: str
    type: str
    bid: float | None
    zone: str
    instance: str
    created: datetime | None


def regions(session: Session) -> list[str]:
    """Return the regions that this account may use, and the local cloud."""
    answer = call(session.ec2.describe_regions)
    return [LOCAL, *sorted(item["RegionName"] for item in answer["Regions"])]


def zones(session: Session) -> list[Zone]:
    """Return the availability zones of the region."""
    answer = call(session.ec2.describe_availability_zones)
    found = [
        Zone(item["ZoneName"], item.get("ZoneId", ""), item.get("State", ""))
        for item in answer["AvailabilityZones"]
    ]
    return sorted(found, key=lambda zone: zone.name)


def own_images(session: Session) -> list[OwnImage]:
    """Return the images of this account, the newest first."""
    answer = call(session.ec2.describe_images, Owners=["self"])
    found = [
        OwnImage(
            item["ImageId"],
            item.get("Name", ""),
            item.get("Architecture", ""),
            item.get("CreationDate", ""),
        )
        for item in answer["Images"]
    ]
    return sorted(found, key=lambda image: image.created, reverse=True)


def instances(session: Session) -> list[AnyInstance]:
    """Return all instances that EC2 still shows, the oldest first."""
    groups = every(session.ec2.describe_instances, "Reservations")
    items = {item["InstanceId"]: item for group in groups for item in group["Instances"]}
    named = {one: tags.mapping(item.get("Tags")) for one, item in items.items()}
    named |= {one: own for one, (own, _) in blocks.resolve(named).items()}
    found = [_any_instance(item, named[one]) for one, item in items.items()]
    return sorted(found, key=lambda one: (one.launched, one.id))


def _any_instance(item: Any, named: Mapping[str, str]) -> AnyInstance:
    return AnyInstance(
        item["InstanceId"],
        item["State"]["Name"],
        item["InstanceType"],
        item.get("InstanceLifecycle") or "on-demand",
        item.get("Placement", {}).get("AvailabilityZone", ""),
        item.get("PublicIpAddress") or item.get("PrivateIpAddress") or "",
        item["LaunchTime"],
        named.get("Name", ""),
        named.get(tags.CLUSTER, ""),
        named.get(tags.ALIAS, ""),
    )


def spot_requests(session: Session) -> list[SpotRequest]:
    """Return all spot requests that EC2 still shows, the newest first."""
    made = every(session.ec2.describe_spot_instance_requests, "SpotInstanceRequests")
    oldest = datetime.min.replace(tzinfo=None)
    return sorted(
        (_spot_request(item) for item in made),
        key=lambda one: one.created.replace(tzinfo=None) if one.created else oldest,
        reverse=True,
    )


def _spot_request(item: Any) -> SpotRequest:
    price = item.get("SpotPrice")
    return SpotRequest(
        item["SpotInstanceRequestId"],
        item["State"],
        item.get("Status", {}).get("Code", ""),
        item.get("LaunchSpecification", {}).get("InstanceType", ""),
        float(price) if price else None,
        item.get("LaunchedAvailabilityZone", ""),
        item.get("InstanceId", ""),
        item.get("CreateTime"),
    )

"""RunInstances as EC2 does it: what it refuses, how many it launches, that a token means once."""

from __future__ import annotations

import base64
import binascii
import contextlib
import copy
import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Reservation
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

from . import market, spot
from .capacity import places
from .instances import LocalInstance
from .moto_private import template_of
from .network import NetworkAnswers, check_addresses

MOST_INSTANCES = 200
"""Most live instances: each is a process of some 40 MB on the user's computer."""

_LONGEST_USER_DATA = 16384
_DEFAULT_TYPE = "m1.small"


class LaunchAnswers(NetworkAnswers):
    """Part of the EC2 API: RunInstances and RequestSpotInstances."""

    cloud: Any

    def run_instances(self) -> ActionResult:
        """Answer RunInstances."""
        asked = dict(self.params)
        token = asked.get("ClientToken")
        known = self.ec2_backend.tokens.recall("RunInstances", token, asked)
        if known is not None:
            return ActionResult(self._reservation(known))
        params = self._with_template(copy.deepcopy(asked))
        least, most = _counts(params)
        spec = self._check(params)
        is_spot = params.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
        if is_spot:  # a bid is looked at before the room that there is
            bid = _bid(params["InstanceMarketOptions"])
            spot.check_bid(bid, spec.instance_type, spec.zone)
        count = min(most, self._room(spec, least, "spot" if is_spot else "on-demand"))
        reservation = self.launch(params, spec, count)
        self.ec2_backend.tokens.remember("RunInstances", token, asked, reservation.id)
        return ActionResult(reservation)

    def launch(self, params: dict[str, Any], spec: Specification, count: int) -> Reservation:
        """Launch `count` instances of a checked request; all or, on error, none."""
        market_options = params.get("InstanceMarketOptions", {})
        is_spot = market_options.get("MarketType") == "spot"
        if is_spot:
            spot.check_bid(_bid(market_options), spec.instance_type, spec.zone)
        self.params = {**_with_plain_disks(params), "MinCount": count}
        # moto launches MinCount.
        reservation = cast(Reservation, super().run_instances().result)
        tags = self._parse_tag_specification()
        for instance in reservation.instances:
            ours = _complete(cast(LocalInstance, instance), params)
            if is_spot:
                options = market_options.get("SpotOptions", {})
                request = spot.LocalSpotRequest(
                    self.ec2_backend,
                    bid=_bid(market_options),
                    kind=options.get("SpotInstanceType", "one-time"),
                    interruption=options.get("InstanceInterruptionBehavior", "terminate"),
                    specification=spec.described(),
                    tags=tags.get("spot-instances-request", {}),
                    valid_until=options.get("ValidUntil"),
                )
                self.ec2_backend.spot_instance_requests[request.id] = request
                request.fulfil(ours)
        return reservation

    def _reservation(self, reservation_id: str) -> Reservation:
        reservation: Reservation | None = self.ec2_backend.reservations.get(reservation_id)
        if reservation is None:
            raise EC2ClientError(
                "InvalidParameterValue",
                "The instances of this client token were terminated long ago.",
            )
        return reservation

    def _with_template(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the request with what its launch template adds, the request's own values first."""
        template = params.get("LaunchTemplate")
        if not template:
            return params
        data = template_of(self.ec2_backend, template).data
        merged = {**data, **params}
        if merged.get("UserData"):
            merged["UserData"] = str(merged["UserData"])  # moto keeps an object in templates
        tags = [*data.get("TagSpecifications", []), *params.get("TagSpecifications", [])]
        if tags:
            merged["TagSpecifications"] = tags
        if "NetworkInterfaces" in merged:
            # Where the template has interfaces, subnet and groups stand in them.
            for name in ("SubnetId", "SecurityGroupIds"):
                if name not in params:
                    merged.pop(name, None)
        return merged

    # What is refused.

    def _check(self, params: dict[str, Any]) -> Specification:
        """Return what is to be launched where, and complete `params` with it.

        Raises
        ------
        EC2ClientError
            With EC2's own code for the first thing wrong.
        """
        backend = self.ec2_backend
        instance_type = params.get("InstanceType") or _DEFAULT_TYPE
        _check_user_data(params.get("UserData"))
        image = _image(backend, params.get("ImageId"))
        _check_type(instance_type, image)
        key_name = params.get("KeyName")
        backend.authorized_keys(key_name)
        subnet = self._subnet(params, instance_type)
        zone = subnet.availability_zone
        zones = market.zones_of(self.region, instance_type)
        if zone not in zones:
            raise EC2ClientError(
                "Unsupported",
                f"Your requested instance type ({instance_type}) is not supported in your "
                f"requested Availability Zone ({zone}). Please retry your request by not "
                f"specifying an Availability Zone or choosing {', '.join(zones) or 'another'}.",
            )
        self._check_profile(params.get("IamInstanceProfile", {}).get("Name"))
        check_addresses(subnet, [params, *params.get("NetworkInterfaces", [])])
        for group_id in _group_ids(params):
            if backend.get_security_group_from_id(group_id) is None:
                raise EC2ClientError(
                    "InvalidGroup.NotFound", f"The security group '{group_id}' does not exist"
                )
        market_type = params.get("InstanceMarketOptions", {}).get("MarketType", "spot")
        if market_type != "spot":
            raise EC2ClientError(
                "InvalidParameterValue", f"Invalid value '{market_type}' for MarketType."
            )
        places.check(backend, params, instance_type, zone)
        _complete_disks(params, image)
        return Specification(params, instance_type, image.id, key_name, subnet, zone)

    def _check_profile(self, name: str | None) -> None:
        with contextlib.suppress(NotFoundException):
            if name is None or iam_backends[DEFAULT_ACCOUNT_ID]["aws"].get_instance_profile(name):
                return
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance"
            " Profile name",
        )

    def _subnet(self, params: dict[str, Any], instance_type: str) -> Any:
        """Return the subnet to launch in; where none is asked for, the zone's default one."""
        backend = self.ec2_backend
        interfaces = params.get("NetworkInterfaces", [])
        if interfaces and (params.get("SubnetId") or params.get("SecurityGroupIds")):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "Network interfaces and an instance-level subnet ID or security groups may not be "
                "specified on the same request",
            )
        subnet_id = params.get("SubnetId") or next(
            (nic["SubnetId"] for nic in interfaces if "SubnetId" in nic), None
        )
        if subnet_id is None:
            attached = next(
                (n["NetworkInterfaceId"] for n in interfaces if "NetworkInterfaceId" in n), None
            )
            if attached:
                return backend.get_network_interface(attached).subnet
            subnet = self._default_subnet(
                params.get("Placement", {}).get("AvailabilityZone"), instance_type
            )
            if interfaces:
                interfaces[0]["SubnetId"] = subnet.id
            else:
                params["SubnetId"] = subnet.id
            return subnet
        return backend.get_subnet(subnet_id)

    def _default_subnet(self, zone: str | None, instance_type: str) -> Any:
        known = {z.name for z in self.ec2_backend.describe_availability_zones()}
        if zone is not None and zone not in known:
            raise EC2ClientError("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
        subnets = self.ec2_backend.get_default_subnets()
        offered = market.zones_of(self.region, instance_type)
        wanted = [zone] if zone is not None else [*offered, *sorted(subnets)]
        for name in wanted:
            if name in subnets:
                return subnets[name]
        raise EC2ClientError(
            "MissingInput",
            f"No default subnet for availability zone: '{zone or 'any'}'. Please specify a subnet.",
        )

    def _room(
        self,
        spec: Specification,
        least: int,
        lifecycle: str,
        reserved: Iterable[tuple[Specification, str, int]] = (),
    ) -> int:
        """Return how many instances there is room for; fewer than `least` are refused.

        `reserved` are instances that are to be launched in the same call: what, how, how many.
        """
        live = [one for one in self.cloud.instances() if one.is_live]
        reserved = list(reserved)
        free = int(spec.subnet.available_ip_address_count)
        free -= sum(n for place, _, n in reserved if place.subnet is spec.subnet)
        if free < least:
            raise EC2ClientError(
                "InsufficientFreeAddressesInSubnet",
                f"There are not enough free addresses in subnet '{spec.subnet.id}' to satisfy the "
                "requested number of instances.",
            )
        taken = [
            *(
                (one.instance_type, one.availability_zone, one.lifecycle or "on-demand")
                for one in live
                if one.state != "stopped"
            ),
            *(
                (place.instance_type, place.zone, cycle)
                for place, cycle, count in reserved
                for _ in range(count)
            ),
        ]
        held = self._held(spec, lifecycle, taken, reserved)
        if held < least:
            raise _insufficient(self.region, spec, lifecycle)
        quotas = self.cloud.quotas
        allowed = quotas.left(spec.instance_type, lifecycle, taken)
        quotas.check(allowed, least, lifecycle)
        room = self.cloud.most_instances - len(live) - sum(n for _, _, n in reserved)
        if room < least:
            raise EC2ClientError(
                "InsufficientInstanceCapacity",
                f"There is room for {room} more instances only: the local cloud runs at most "
                f"{self.cloud.most_instances}.",
            )
        return int(min(free, room, held, allowed))

    def _held(
        self,
        spec: Specification,
        lifecycle: str,
        taken: list[tuple[str, str, str]],
        reserved: Iterable[tuple[Specification, str, int]],
    ) -> float:
        """Return how many instances there are for a launch: of its reservation, or of the pool."""
        wanted = places.target(spec.params)
        if wanted is None:
            return self.cloud.capacity.left(spec.instance_type, spec.zone, lifecycle, taken)  # type: ignore[no-any-return]
        there = places.free(self.ec2_backend, places.reservation(self.ec2_backend, wanted))
        there -= sum(n for place, _, n in reserved if places.target(place.params) == wanted)
        if there < 1:
            raise EC2ClientError(
                "ReservationCapacityExceeded",
                "The requested reservation does not have sufficient compatible and available"
                " capacity for this request.",
            )
        return there

    def request_spot_instances(self) -> ActionResult:
        """Answer RequestSpotInstances."""
        asked = dict(self.params)
        token = asked.get("ClientToken")
        known = self.ec2_backend.tokens.recall("RequestSpotInstances", token, asked)
        requests = self.ec2_backend.spot_instance_requests
        if known is not None:
            return ActionResult({"SpotInstanceRequests": [requests[i] for i in known.split()]})
        tags = self._parse_tag_specification("spot-instances-request")
        launch = copy.deepcopy(asked.get("LaunchSpecification", {}))
        spec = self._check(launch)
        bid = asked.get("SpotPrice")
        if bid is not None:
            spot.amount(bid)
        self.error_on_dryrun()
        made = []
        for _ in range(int(asked.get("InstanceCount", 1))):
            request = spot.LocalSpotRequest(
                self.ec2_backend,
                bid=f"{float(bid):.6f}" if bid is not None else None,
                kind=asked.get("Type", "one-time"),
                interruption=asked.get("InstanceInterruptionBehavior", "terminate"),
                specification=spec.described(),
                tags=tags.get("spot-instances-request", {}),
                valid_until=asked.get("ValidUntil"),
            )
            requests[request.id] = request
            made.append(request)
            price = market.price_now(spec.instance_type, spec.zone)
            try:
                self._room(spec, 1, "spot")
            except EC2ClientError:
                request.become("open", "capacity-not-available")
                continue
            if bid is not None and float(bid) < price.usd:
                spot.too_low(request, bid, price)
            else:
                reservation = self.launch(dict(launch), spec, 1)
                request.fulfil(cast(LocalInstance, reservation.instances[0]))
        ids = " ".join(request.id for request in made)
        self.ec2_backend.tokens.remember("RequestSpotInstances", token, asked, ids)
        return ActionResult({"SpotInstanceRequests": made})


class Specification:
    """A checked launch: what and where."""

    def __init__(
        self,
        params: dict[str, Any],
        instance_type: str,
        image_id: str,
        key_name: str | None,
        subnet: Any,
        zone: str,
    ) -> None:
        self.params = params
        self.instance_type = instance_type
        self.image_id = image_id
        self.key_name = key_name
        self.subnet = subnet
        self.zone = zone

    def described(self) -> dict[str, Any]:
        """Return it as a spot request's LaunchSpecification."""
        return {
            "ImageId": self.image_id,
            "InstanceType": self.instance_type,
            "KeyName": self.key_name,
            "SubnetId": self.subnet.id,
            "Placement": {"AvailabilityZone": self.zone},
            "SecurityGroups": [{"GroupId": group} for group in _group_ids(self.params)],
            "Monitoring": {"Enabled": False},
        }


class Tokens:
    """Client tokens: a request repeated with its token means the first one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, str]] = {}

    def recall(self, action: str, token: str | None, params: dict[str, Any]) -> str | None:
        """Return what the first request with this token made, None if there was none.

        Raises
        ------
        EC2ClientError
            ``IdempotentParameterMismatch`` if that request was another one.
        """
        known = self._known.get((action, token or ""))
        if known is None:
            return None
        print_, made = known
        if print_ != _fingerprint(params):
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in "
                "previous request(s).",
            )
        return made

    def remember(self, action: str, token: str | None, params: dict[str, Any], made: str) -> None:
        """Remember what a request has made."""
        if token:
            self._known[action, token] = (_fingerprint(params), made)

    def forget(self, made: Iterable[str]) -> None:
        """Forget the requests whose results are gone."""
        gone = set(made)
        self._known = {key: value for key, value in self._known.items() if value[1] not in gone}


def _fingerprint(params: dict[str, Any]) -> str:
    text = json.dumps(params, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _complete(instance: LocalInstance, params: dict[str, Any]) -> LocalInstance:
    """Give an instance what moto leaves out."""
    instance.client_token = params.get("ClientToken")
    instance.disable_api_termination = is_true(params.get("DisableApiTermination"))
    instance.placement.group_name = params.get("Placement", {}).get("GroupName", "")
    instance.capacity_reservation_id = places.target(params)
    for disk in params.get("BlockDeviceMappings", []):
        there, asked = instance.block_device_mapping.get(disk.get("DeviceName")), disk.get("Ebs")
        if there is not None and asked:
            volume = instance.ec2_backend.get_volume(there.volume_id)
            volume.volume_type = asked.get("VolumeType") or volume.volume_type
            volume.iops, volume.throughput = asked.get("Iops"), asked.get("Throughput")
    for nic in params.get("NetworkInterfaces", []):
        # One that was there before stays, unless it is said that it should not.
        ends = nic.get("DeleteOnTermination", "NetworkInterfaceId" not in nic)
        instance.nics[int(nic.get("DeviceIndex", 0))].delete_on_termination = is_true(ends)
    return instance


def _with_plain_disks(params: dict[str, Any]) -> dict[str, Any]:
    """Return a request without the types of its disks: moto makes those of io2 without IOPS."""
    disks = copy.deepcopy(params.get("BlockDeviceMappings", []))
    for disk in disks:
        for name in ("VolumeType", "Iops", "Throughput"):
            disk.get("Ebs", {}).pop(name, None)
    return {**params, "BlockDeviceMappings": disks} if disks else params


def _insufficient(region: str, spec: Specification, lifecycle: str) -> EC2ClientError:
    if lifecycle == "spot":
        return EC2ClientError(
            "InsufficientInstanceCapacity",
            "There is no Spot capacity available that matches your request.",
        )
    others = [zone for zone in market.zones_of(region, spec.instance_type) if zone != spec.zone]
    return EC2ClientError(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {spec.instance_type} capacity in the Availability "
        f"Zone you requested ({spec.zone}). Our system will be working on provisioning additional "
        f"capacity. You can currently get {spec.instance_type} capacity by not specifying an "
        f"Availability Zone in your request or choosing {', '.join(others) or 'another'}.",
    )


def _counts(params: dict[str, Any]) -> tuple[int, int]:
    least, most = int(params.get("MinCount", 1)), int(params.get("MaxCount", 1))
    if least < 1 or most < 1:
        name, value = ("minCount", least) if least < 1 else ("maxCount", most)
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({value}) for parameter {name} is invalid. Value must be greater than 0.",
        )
    if least > most:
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"Value ({least}) for parameter minCount is invalid. It must not be greater than "
            f"maxCount ({most}).",
        )
    return least, most


def _check_user_data(value: object) -> None:
    if not value:
        return
    try:
        raw = base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise EC2ClientError(
            "InvalidParameterValue", "Invalid BASE64 encoding of user data."
        ) from None
    if len(raw) > _LONGEST_USER_DATA:
        raise EC2ClientError(
            "InvalidParameterValue", f"User data is limited to {_LONGEST_USER_DATA} bytes"
        )


def _image(backend: Any, image_id: str | None) -> Any:
    if not image_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    if not image_id.startswith("ami-"):
        raise EC2ClientError(
            "InvalidAMIID.Malformed",
            f'Invalid id: "{image_id}" (expecting "ami-...")',
        )
    image = backend.amis.get(image_id)
    if image is None:
        raise EC2ClientError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    return image


def _check_type(instance_type: str, image: Any) -> None:
    known = INSTANCE_TYPES.get(instance_type)
    if known is None:
        raise EC2ClientError(
            "InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType."
        )
    architectures = known.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if architectures and image.architecture not in architectures:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does "
            f"not match the architecture '{image.architecture}' of the specified AMI. Specify an "
            "instance type and an AMI that have matching architectures, and try again.",
        )


def _group_ids(params: dict[str, Any]) -> list[str]:
    groups = list(params.get("SecurityGroupIds", []))
    for nic in params.get("NetworkInterfaces", []):
        groups += nic.get("Groups", [])
    return groups


def _complete_disks(params: dict[str, Any], image: Any) -> None:
    """Give the root disk the image's size where the request leaves it out, as one may on EC2."""
    for disk in params.get("BlockDeviceMappings", []):
        ebs = disk.get("Ebs")
        if ebs is None or disk.get("DeviceName") != image.root_device_name:
            continue
        if not ebs.get("VolumeSize"):
            ebs["VolumeSize"] = image.root_size
        ebs.setdefault("DeleteOnTermination", True)


def _bid(market_options: dict[str, Any]) -> str | None:
    bid = market_options.get("SpotOptions", {}).get("MaxPrice")
    return None if bid in (None, "") else str(bid)


def is_true(value: object) -> bool:
    """Return whether a parameter says yes."""
    return value is True or str(value).lower() == "true"

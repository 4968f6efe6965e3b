"""EC2 of the local cloud: moto's, with the parts of this folder over it."""

from __future__ import annotations

from typing import Any, cast

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2 import urls
from moto.ec2.exceptions import (
    DependencyViolationError,
    EC2ClientError,
    InvalidInstanceIdError,
    InvalidVPCIdError,
    OperationNotPermitted4,
)
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
from moto.ec2.models.instances import Instance, InstanceState, Reservation, StateReason

from . import clock, images, spot
from .capacity.places import PlaceAnswers
from .disks import DiskAnswers
from .filters import passes
from .fleet_books import SpotFleetAnswers
from .fleets import FleetAnswers
from .instances import LocalInstance, live_addresses
from .launches import Tokens
from .requirements import RequirementAnswers

KEEP_TERMINATED = 3600.0
"""Seconds for which a terminated instance is still listed."""

_SHUT_DOWN = StateReason(
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    "Client.InstanceInitiatedShutdown",
)


class LocalEC2Backend(spot.SpotBackend, EC2Backend):  # type: ignore[misc]
    """One region of the local cloud."""

    cloud: Any
    fleets: dict[str, Any]

    def __init__(self, region_name: str, account_id: str) -> None:
        self.tokens = Tokens()
        self.placement_groups: dict[str, dict[str, Any]] = {}
        self.capacity_reservations: dict[str, dict[str, Any]] = {}
        super().__init__(region_name, account_id)
        self.amis.update(images.make_images(self))

    @property
    def _url_module(self) -> Any:
        # moto derives it from the module that a backend's class is in.
        return urls

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up what was saved, by an earlier version too."""
        self.__dict__.update({"placement_groups": {}, "capacity_reservations": {}, **state})

    def _load_amis(self) -> None:
        """Load nothing: moto's own images are many, old and slow to make; ours come last."""

    def matches_filters(self, offering: dict[str, Any], filters: Any, location_type: str) -> bool:
        # moto tries every filter on each of some thousand offerings; nearly all are of other types.
        types = (filters or {}).get("instance-type")
        if types is not None and offering["InstanceType"] not in types:
            return False
        return bool(super().matches_filters(offering, filters, location_type))

    def __getstate__(self) -> dict[str, Any]:
        """Return what is saved: all but the cloud, which the next daemon has anew."""
        return {name: value for name, value in self.__dict__.items() if name != "cloud"}

    # Instances.

    def run_instances(self, *args: Any, **kwargs: Any) -> Reservation:
        """Make instances of ours, whichever of moto's parts asks for them."""
        authorized = self.authorized_keys(kwargs.get("key_name"))
        zone = kwargs.get("placement")
        if zone and not kwargs.get("subnet_id") and self.get_zone_by_name(zone) is None:
            raise EC2ClientError("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
        reservation = super().run_instances(*args, **kwargs)
        for instance in reservation.instances:
            taken = live_addresses(self.cloud.instances())
            address = self.cloud.addresses.allocate(taken)
            ours = LocalInstance.adopt(instance, address, authorized)
            ours.snapshot = getattr(self.amis.get(ours.image_id), "snapshot", "")
            if not ours.security_groups:
                # moto knows the groups that came with the interface, or by default, there only.
                ours.security_groups = list(ours.nics[0].group_set)
        return reservation

    def authorized_keys(self, key_name: str | None) -> tuple[str, ...]:
        """Return the public key of a key pair; one that is not there is refused."""
        if not key_name:
            return ()
        key = self.key_pairs.get(key_name)
        if key is None:
            raise EC2ClientError(
                "InvalidKeyPair.NotFound", f"The key pair '{key_name}' does not exist"
            )
        return (key.material_public.decode().strip(),)

    def instances(self) -> list[LocalInstance]:
        """Return all instances, those that were terminated a short time ago too."""
        return [
            instance
            for reservation in self.reservations.values()
            for instance in cast(list[LocalInstance], reservation.instances)
        ]

    def all_reservations(self, filters: Any = None) -> list[Reservation]:
        found = super().all_reservations()
        return self._filtered(found, filters) if filters else found

    def get_reservations_by_instance_ids(
        self, instance_ids: list[str], filters: Any = None
    ) -> list[Reservation]:
        self._by_id(instance_ids)
        found = []
        for reservation in super().all_reservations():
            reservation.instances = [i for i in reservation.instances if i.id in instance_ids]
            if reservation.instances:
                found.append(reservation)
        return self._filtered(found, filters) if filters else found

    def _filtered(self, found: list[Reservation], filters: Any) -> list[Reservation]:
        for reservation in found:
            reservation.instances = [
                instance
                for instance in reservation.instances
                if passes(instance, reservation, filters)
            ]
        return [reservation for reservation in found if reservation.instances]

    def _by_id(self, instance_ids: list[str]) -> list[LocalInstance]:
        known = {instance.id: instance for instance in self.instances()}
        unknown = [i for i in instance_ids if i not in known]
        if unknown:
            raise InvalidInstanceIdError(unknown)
        return [known[i] for i in dict.fromkeys(instance_ids)]

    def stop_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        found = self._by_id(instance_ids)
        for instance in found:
            request = self.spot_request_of(instance)
            if request is not None and request.type == "one-time":
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance.id}' because it is associated "
                    "with a one-time Spot Instance request. You can only stop Spot Instances "
                    "associated with persistent Spot Instance requests.",
                )
        stopped = super().stop_instances([instance.id for instance in found])
        for instance in found:
            request = self.spot_request_of(instance)
            if request is not None and not request.is_over:
                request.become("disabled", "instance-stopped-by-user")
        return stopped

    def start_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        started = super().start_instances([i.id for i in self._by_id(instance_ids)])
        for instance, _ in started:
            request = self.spot_request_of(cast(LocalInstance, instance))
            if request is not None and request.state == "disabled":
                request.become("active", "fulfilled")
        return started

    def terminate_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        if not instance_ids:
            raise EC2ClientError("InvalidParameterCombination", "No instances specified")
        found = self._by_id(instance_ids)
        for instance in found:
            if instance.disable_api_termination is True:
                raise OperationNotPermitted4(instance.id)
        ended: list[tuple[Instance, InstanceState]] = []
        for instance in found:
            ended.append((instance, instance.terminate()))
            request = self.spot_request_of(instance)
            if request is not None:
                request.instance_ends()
        return ended

    def host_died(self, instance: LocalInstance) -> None:
        """Note that a host's server was killed: what EC2 shows when a machine fails.

        A one-time spot instance is terminated, as when EC2 takes it back; any other is stopped, as
        when its machine is retired, and can be started again with its files.
        """
        request = self.spot_request_of(instance)
        if instance.lifecycle == "spot" and (request is None or request.type == "one-time"):
            instance.terminate(spot.NO_CAPACITY)
            if request is not None:
                request.instance_ends("instance-terminated-no-capacity")
        else:
            instance.stop(spot.MACHINE_FAILED)
            if request is not None and not request.is_over:
                request.become("disabled", "instance-stopped-no-capacity")

    def host_shut_down(self, instance: LocalInstance) -> None:
        """Note that a host was shut down from inside: it is stopped or terminated, as it was asked.

        A one-time spot instance cannot be stopped, so it is terminated either way.
        """
        request = self.spot_request_of(instance)
        one_time = instance.lifecycle == "spot" and (request is None or request.type == "one-time")
        if one_time or instance.instance_initiated_shutdown_behavior == "terminate":
            instance.terminate(_SHUT_DOWN)
            if request is not None:
                request.instance_ends()
        else:
            instance.stop(_SHUT_DOWN)
            if request is not None and not request.is_over:
                request.become("disabled", "instance-stopped-by-user")

    def forget_old(self) -> bool:
        """Drop what EC2 no longer lists; return whether there was anything."""
        now = clock.seconds()
        gone = []
        for reservation_id, reservation in list(self.reservations.items()):
            members = cast(list[LocalInstance], reservation.instances)
            kept = [i for i in members if not i.ended or now - i.ended < KEEP_TERMINATED]
            if len(kept) < len(members):
                for instance in members:
                    if instance not in kept:
                        self.tags.pop(instance.id, None)
                reservation.instances = list(kept)
                if not kept:
                    del self.reservations[reservation_id]
                gone.append(reservation_id)
        self.tokens.forget(gone)
        old = [
            request.id
            for request in self.spot_instance_requests.values()
            if request.ended and now - request.ended > spot.VISIBLE_AFTER_END
        ]
        for request_id in old:
            del self.spot_instance_requests[request_id]
        fleets = [fleet.id for fleet in self.fleets.values() if fleet.is_old(now)]
        for fleet_id in fleets:
            del self.fleets[fleet_id]
        self.tokens.forget(fleets)
        return bool(gone or old or fleets)

    def keep_fleets(self) -> bool:
        """Launch what fleets have lost, as far as they maintain what they have."""
        if not self.fleets:
            return False
        answers = LocalEC2Response()  # as if somebody had asked; moto looks at the path too
        answers.cloud, answers.uri_match = self.cloud, {}
        answers.current_account, answers.region = self.account_id, self.region_name
        return answers.keep_fleets()

    def do_resources_exist(self, resource_ids: list[str]) -> bool:
        """Refuse tags for instances and spot requests that are not there, as for other things."""
        self._by_id([i for i in resource_ids if i.startswith("i-")])
        self._spot_requests([i for i in resource_ids if i.startswith("sir-")])
        return bool(super().do_resources_exist(resource_ids))

    # Disks.

    def create_volume(self, *args: Any, **kwargs: Any) -> Volume:
        volume = super().create_volume(*args, **kwargs)
        volume.create_time = clock.stamp()
        return volume

    def attach_volume(
        self,
        volume_id: str,
        instance_id: str,
        device_path: str,
        delete_on_termination: bool = False,  # noqa: FBT001, FBT002 - moto calls it so
    ) -> VolumeAttachment | None:
        volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
        if volume.attachment is not None:
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        if instance.state not in ("running", "stopped", "stopping"):
            raise EC2ClientError(
                "IncorrectState", f"Instance '{instance_id}' is not 'running' or 'stopped'."
            )
        if device_path in instance.block_device_mapping:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{device_path}' for unixDevice. Attachment point {device_path} is "
                "already in use",
            )
        # moto makes disks without a zone where a subnet is in one that is not there.
        if volume.zone is not None and volume.zone.name != instance.availability_zone:
            raise EC2ClientError(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume_id}' is not in the same availability zone as instance "
                f"'{instance_id}'",
            )
        made = super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)
        assert made  # None for a volume or an instance that is not there, which was refused above
        made.attach_time = clock.stamp()
        return made

    def detach_volume(
        self, volume_id: str, instance_id: str | None, device_path: str | None
    ) -> VolumeAttachment:
        attachment = self.get_volume(volume_id).attachment
        if attachment is not None:
            # moto wants the instance named; EC2 knows where the volume is.
            instance_id = instance_id or attachment.instance.id
        return super().detach_volume(volume_id, instance_id or "", device_path or "")

    # Security groups.

    def delete_vpc(self, vpc_id: str) -> Any:
        """Delete a network, with the group that came with it; nothing may be left in it."""
        if vpc_id not in self.vpcs:
            raise InvalidVPCIdError(vpc_id)
        groups = self.groups.get(vpc_id, {})
        own = next((group for group in groups.values() if group.name == "default"), None)
        if len(groups) > (own is not None):
            raise DependencyViolationError(
                f"The vpc '{vpc_id}' has dependencies and cannot be deleted."
            )
        if own is not None:
            del groups[own.id]
        try:
            return super().delete_vpc(vpc_id)
        except Exception:
            if own is not None:
                groups[own.id] = own
            raise

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        group = (
            self.get_security_group_from_id(group_id)
            if group_id
            else self.get_security_group_by_name_or_id(name or "")
        )
        if group is not None:
            if group.name == "default":
                raise EC2ClientError(
                    "CannotDelete",
                    f"the specified group: '{group.id}' name: 'default' cannot be deleted by a "
                    "user",
                )
            if self._is_used(group):
                raise DependencyViolationError(f"resource {group.id} has a dependent object")
        super().delete_security_group(name, group_id)

    def _is_used(self, group: Any) -> bool:
        if any(
            group in instance.security_groups for instance in self.instances() if instance.is_live
        ):
            return True
        if any(group in nic.group_set for nic in self.enis.values()):
            return True
        others = (g for groups in self.groups.values() for g in groups.values() if g is not group)
        return any(
            rule.source_group.get("GroupId") == group.id
            for other in others
            for rule in [*other.ingress_rules, *other.egress_rules]
        )


class LocalEC2Response(
    spot.SpotAnswers,
    SpotFleetAnswers,
    RequirementAnswers,
    FleetAnswers,
    DiskAnswers,
    PlaceAnswers,
):
    """The EC2 API of the local cloud."""

    cloud: Any

    @property
    def ec2_backend(self) -> LocalEC2Backend:
        return self.cloud.backend(self.current_account, self.region)  # type: ignore[no-any-return]

    def terminate_instances(self) -> ActionResult:
        """Answer TerminateInstances."""
        self.error_on_dryrun()
        ended = self.ec2_backend.terminate_instances(self._get_param("InstanceIds", []))
        return ActionResult(
            {
                "TerminatingInstances": [
                    {
                        "InstanceId": instance.id,
                        "CurrentState": instance.instance_state,
                        "PreviousState": previous,
                    }
                    for instance, previous in ended
                ]
            }
        )

    def stop_instances(self) -> ActionResult:
        """Answer StopInstances."""
        self.error_on_dryrun()
        stopped = self.ec2_backend.stop_instances(self._get_param("InstanceIds", []))
        return self._changes("StoppingInstances", stopped)

    def start_instances(self) -> ActionResult:
        """Answer StartInstances."""
        self.error_on_dryrun()
        started = self.ec2_backend.start_instances(self._get_param("InstanceIds", []))
        return self._changes("StartingInstances", started)

    def modify_instance_attribute(self) -> ActionResult:
        """Answer ModifyInstanceAttribute; moto takes this one for an empty list of groups."""
        behavior = self._get_param("InstanceInitiatedShutdownBehavior.Value")
        if behavior is None:
            return super().modify_instance_attribute()
        self.error_on_dryrun()
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        instance.instance_initiated_shutdown_behavior = behavior
        return ActionResult({})

    @staticmethod
    def _changes(name: str, changed: list[tuple[Instance, InstanceState]]) -> ActionResult:
        return ActionResult(
            {
                name: [
                    {
                        "InstanceId": instance.id,
                        "CurrentState": instance.instance_state,
                        "PreviousState": previous,
                    }
                    for instance, previous in changed
                ]
            }
        )

    def get_console_output(self) -> ActionResult:
        """Answer GetConsoleOutput with the end of the host's log."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        text = self.cloud.console(instance)
        return ActionResult(
            {
                "InstanceId": instance.id,
                "Timestamp": clock.stamp(),
                "Output": Base64EncodedString.from_raw_string(text),
            }
        )

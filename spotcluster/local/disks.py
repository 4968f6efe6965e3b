"""Disks as EC2 makes and changes them, and images of them.

A volume is made once per token, in a zone that is there, and is never made smaller. An image has a
snapshot of each disk of its instance, with what is on it at that moment.
"""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidTaggableResourceType
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_ami_id

from .images import MadeImage

_NAME = re.compile(r"[\w()\[\] ./'@-]{3,128}", re.ASCII)


class DiskAnswers(EC2Response):
    """Part of the EC2 API: volumes, their snapshots, and images."""

    cloud: Any

    def create_volume(self) -> ActionResult:
        """Answer CreateVolume; a request repeated with its token means the first one."""
        backend: Any = self.ec2_backend
        asked = dict(self.params)
        token = asked.get("ClientToken")
        known = backend.tokens.recall("CreateVolume", token, asked)
        if known is not None:
            if known not in backend.volumes:
                raise EC2ClientError(
                    "InvalidParameterValue", "The volume of this client token has been deleted."
                )
            return ActionResult(backend.volumes[known])
        zone = asked.get("AvailabilityZone")
        if backend.get_zone_by_name(zone) is None:
            raise EC2ClientError("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
        source, size = asked.get("SnapshotId"), asked.get("Size")
        if source and size is not None:
            least = backend.get_snapshot(source).volume_size
            if int(size) < least:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"The size of a volume cannot be smaller than the snapshot's, {least} GiB.",
                )
        made = super().create_volume()
        volume: Any = made.result
        backend.tokens.remember("CreateVolume", token, asked, volume.id)
        return made

    def describe_snapshots(self) -> ActionResult:
        """Answer DescribeSnapshots; moto does not ask whose are wanted."""
        found: Any = super().describe_snapshots().result
        wanted = self._get_param("OwnerIds", [])
        owners = {self.current_account if one == "self" else one for one in wanted}
        mine = [one for one in found["Snapshots"] if not owners or one.owner_id in owners]
        return ActionResult({**found, "Snapshots": mine})

    def modify_volume(self) -> ActionResult:
        """Answer ModifyVolume; a volume does not become smaller."""
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        size = self._get_param("Size")
        if size is not None and int(size) < volume.size:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"New size cannot be smaller than existing size: {volume.size} GiB.",
            )
        return super().modify_volume()

    def create_image(self) -> ActionResult:
        """Answer CreateImage; what is on the disks is taken before it is answered."""
        backend: Any = self.ec2_backend
        instance = backend.get_instance(self._get_param("InstanceId"))
        name = self._get_param("Name") or ""
        for one in self._get_param("TagSpecifications", []):
            if one.get("ResourceType") not in ("image", "snapshot"):
                raise InvalidTaggableResourceType(str(one.get("ResourceType")))
        if not _NAME.fullmatch(name):
            raise EC2ClientError(
                "InvalidAMIName.Malformed",
                f"AMI name '{name}' is not 3 to 128 letters, digits and ()[] ./-'@_.",
            )
        for one in backend.amis.values():
            if one.name == name and one.owner_id == backend.account_id:
                raise EC2ClientError(
                    "InvalidAMIName.Duplicate",
                    f"AMI name {name} is already in use by AMI {one.id}",
                )
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError(
                "IncorrectState",
                f"Instance '{instance.id}' is not in a state from which an image can be made.",
            )
        self.error_on_dryrun()
        left_out = {
            one["DeviceName"]
            for one in self._get_param("BlockDeviceMappings", [])
            if one.get("NoDevice") is not None
        }
        disks = {
            device: backend.get_volume(mapping.volume_id)
            for device, mapping in instance.block_device_mapping.items()
            if device not in left_out
        }
        made = MadeImage(
            backend,
            random_ami_id(),
            instance,
            disks,
            name=name,
            description=self._get_param("Description", ""),
        )
        self.cloud.keep(instance.id, made.snapshot)
        backend.amis[made.id] = made
        given = self._parse_tag_specification()
        for key, value in given.get("image", {}).items():
            made.add_tag(key, value)
        for snapshot in made.snapshots.values():
            for key, value in given.get("snapshot", {}).items():
                snapshot.add_tag(key, value)
        return ActionResult({"ImageId": made.id})

    def delete_snapshot(self) -> ActionResult:
        """Answer DeleteSnapshot; one that an image is made of is refused."""
        done = super().delete_snapshot()
        self.cloud.drop(self._get_param("SnapshotId"))
        return done

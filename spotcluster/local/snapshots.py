"""Images of instances as EC2 makes them: a snapshot of each disk, as it is at that moment."""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import random_ami_id

from .disks import DiskAnswers
from .images import MadeImage

_NAME = re.compile(r"[\w()\[\] ./'@-]{3,128}", re.ASCII)


class SnapshotAnswers(DiskAnswers):
    """Part of the EC2 API: CreateImage and DeleteSnapshot."""

    cloud: Any

    def create_image(self) -> ActionResult:
        """Answer CreateImage; what is on the disks is taken before it is answered."""
        backend: Any = self.ec2_backend
        instance = backend.get_instance(self._get_param("InstanceId"))
        name = self._get_param("Name") or ""
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

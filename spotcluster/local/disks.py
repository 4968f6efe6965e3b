"""Volumes as EC2 makes and changes them: once per token, never smaller, in a zone that is there."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response


class DiskAnswers(EC2Response):
    """Part of the EC2 API: CreateVolume and ModifyVolume."""

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

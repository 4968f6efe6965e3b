"""The machine images of the local cloud, and the public parameter that names the default one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter

from . import clock

UBUNTU = "ami-0a7f1c2d3e4b5a697"
"""The default image. A local host is what it is whatever image is named: the laptop's system."""

UBUNTU_ARM = "ami-0b8e2d3f4a5c6b7d8"
"""The default image of instance types with Graviton processors."""

_IMAGES: tuple[dict[str, Any], ...] = (
    {
        "ami_id": UBUNTU,
        "name": "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261101",
        "description": "Canonical, Ubuntu, 24.04, amd64 noble image (local host)",
        "owner_id": "099720109477",
        "creation_date": datetime(2026, 11, 1, 6, 12, 9, tzinfo=UTC),
    },
    {
        "ami_id": UBUNTU_ARM,
        "name": "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20261101",
        "description": "Canonical, Ubuntu, 24.04, arm64 noble image (local host)",
        "owner_id": "099720109477",
        "creation_date": datetime(2026, 11, 1, 6, 14, 2, tzinfo=UTC),
        "architecture": "arm64",
    },
    {
        # The image that StarCluster's own template names, so that such a config works as it is.
        "ami_id": "ami-5b3fb632",
        "name": "starcluster-base-ubuntu-12.04-x86_64",
        "description": "StarCluster base image (local host)",
        "owner_id": "342652561657",
        "creation_date": datetime(2012, 10, 4, 20, 3, 7, tzinfo=UTC),
    },
)

_PARAMETERS = {
    f"/aws/service/canonical/ubuntu/server/{release}/stable/current/{arch}/hvm/ebs-gp3/ami-id": ami
    for release in ("24.04", "noble")
    for arch, ami in (("amd64", UBUNTU), ("arm64", UBUNTU_ARM))
}

ROOT_SIZE = 8
"""GiB of the root disk of every image."""


class LocalImage(Ami):
    """An image with the root disk that Ubuntu's images have."""

    root_size = ROOT_SIZE

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        return [_mapped(self.root_device_name, self.ebs_snapshot, ROOT_SIZE, encrypted=False)]


class MadeImage(LocalImage):
    """An image of an instance, with a snapshot of each of its disks."""

    def __init__(
        self, backend: Any, image_id: str, instance: Any, disks: dict[str, Any], **more: Any
    ) -> None:
        root = instance.root_device_name
        super().__init__(
            backend,
            image_id,
            instance=instance,
            root_device_type="ebs",
            root_device_name=root,
            hypervisor="xen",
            region_name=instance.availability_zone,
            **more,
        )
        backend.snapshots.pop(self.ebs_snapshot.id)  # of an empty disk, which moto makes
        self.snapshots = {
            device: backend.create_snapshot(
                volume.id,
                f"Created by CreateImage({instance.id}) for {image_id}",
                self.owner_id,
                from_ami=image_id,
            )
            for device, volume in disks.items()
        }
        self.ebs_snapshot = self.snapshots[root]
        self.root_size = self.ebs_snapshot.volume_size
        self.snapshot = self.ebs_snapshot.id

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        return [
            _mapped(device, one, one.volume_size, encrypted=one.encrypted)
            for device, one in self.snapshots.items()
        ]


def _mapped(device: str, snapshot: Any, size: int, *, encrypted: bool) -> dict[str, Any]:
    return {
        "DeviceName": device,
        "Ebs": {
            "SnapshotId": snapshot.id,
            "VolumeSize": size,
            "DeleteOnTermination": True,
            "VolumeType": "gp3",
            "Encrypted": encrypted,
        },
    }


def make_images(backend: Any) -> dict[str, Ami]:
    """Return the images of a region, by id."""
    return {
        str(image["ami_id"]): LocalImage(
            backend,
            **{"architecture": "x86_64", **image},
            public=True,
            virtualization_type="hvm",
            image_type="machine",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name="/dev/sda1",
            region_name=f"{backend.region_name}a",
        )
        for image in _IMAGES
    }


def publish(parameters: Any, account_id: str) -> None:
    """Put the public parameters that name images where SSM keeps its own.

    PutParameter refuses names below ``/aws``, as the real one does, so this goes past it.
    """
    for name, image in _PARAMETERS.items():
        if not parameters.get(name):
            parameters[name] = [
                Parameter(  # type: ignore[abstract] # moto makes them just so
                    account_id=account_id,
                    name=name,
                    value=image,
                    parameter_type="String",
                    description=None,
                    allowed_pattern=None,
                    keyid=None,
                    last_modified_date=clock.stamp(),
                    version=1,
                    data_type="aws:ec2:image",
                )
            ]

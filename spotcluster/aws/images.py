"""The image that nodes boot from, and the user it lets in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spotcluster.aws import own_images, tags
from spotcluster.aws.calls import call
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError

DEFAULT = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id"
"""Canonical's public parameter with the current Ubuntu 24.04 image of a region."""

USUAL_GB = 8
"""The size of the default image's disk in GiB."""

_LOGINS = (
    ("ubuntu", "ubuntu"),
    ("al20", "ec2-user"),
    ("amzn", "ec2-user"),
    ("debian", "admin"),
    ("rhel", "ec2-user"),
    ("fedora", "fedora"),
    ("centos", "centos"),
)


@dataclass(frozen=True)
class Image:
    """An image: ``id``, ``name``, its ``root_device`` and the ``login`` user it lets in.

    Attributes
    ----------
    root_gb : int
        The size of the disk that it makes, in GiB, where nobody asks for a larger one.
    """

    id: str
    name: str
    root_device: str
    architecture: str
    login: str
    root_gb: int = USUAL_GB
    tags: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def baked(self) -> str:
        """What users call an image that `ebsimage` has made, as ``name:3``; empty for others."""
        if tags.VERSION not in self.tags:
            return ""
        return f"{self.tags.get(tags.IMAGE, '')}:{self.tags[tags.VERSION]}"

    @property
    def took(self) -> float:
        """How many seconds its packages took to install; 0 where it has none, or does not say."""
        return own_images.seconds(self.tags.get(tags.TOOK, ""))


def default_image_id(session: Session, architecture: str = "x86_64") -> str:
    """Return the id of the region's default image."""
    arch = "arm64" if architecture == "arm64" else "amd64"
    try:
        answer = call(session.client("ssm").get_parameter, Name=DEFAULT.format(arch=arch))
    except CloudError as error:
        raise type(error)(
            f"The default image of {session.region} cannot be looked up: {error.message}",
            error.hint or "Name an image with NODE_IMAGE_ID in the cluster's section.",
            code=error.code,
        ) from error
    return str(answer["Parameter"]["Value"])


def describe(session: Session, image_id: str) -> Image:
    """Return the image `image_id`.

    Raises
    ------
    CloudError
        The region has no such image.
    """
    images = call(session.ec2.describe_images, ImageIds=[image_id])["Images"]
    if not images:
        raise CloudError(
            f"The image {image_id} does not exist in {session.region}.",
            "Leave NODE_IMAGE_ID out to use the default image of the region.",
            code="InvalidAMIID.NotFound",
        )
    item = images[0]
    name = item.get("Name", "")
    plain = name.lower()
    own = tags.mapping(item.get("Tags"))
    login = next((user for part, user in _LOGINS if part in plain), "ec2-user")
    root_device = item.get("RootDeviceName", "/dev/sda1")
    sizes = [
        one["Ebs"]["VolumeSize"]
        for one in item.get("BlockDeviceMappings", [])
        if one.get("DeviceName") == root_device and "VolumeSize" in one.get("Ebs", {})
    ]
    return Image(
        image_id,
        name,
        root_device,
        item.get("Architecture", "x86_64"),
        own.get(tags.LOGIN) or login,
        sizes[0] if sizes else USUAL_GB,
        own,
    )

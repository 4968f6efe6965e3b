"""Images that `ebsimage` makes, by name and version; and what is left of the making of one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spotcluster.aws import tags
from spotcluster.aws.calls import call, call_soon, every
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

LATEST = "latest"
_POLL = 1.0
_LONGEST_POLL = 10.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_GONE = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")


@dataclass(frozen=True)
class OwnImage:
    """An image that `ebsimage` has made, or is making.

    Attributes
    ----------
    version : int or None
        Which one of its name; None for a raw copy of a node, which no cluster may have.
    bake : str
        The run that made it.
    snapshots : tuple of str
        What it is made of.
    """

    id: str
    name: str
    version: int | None
    state: str
    architecture: str
    size: int
    created: datetime | None
    bake: str
    snapshots: tuple[str, ...]
    encrypted: bool
    tags: Mapping[str, str] = field(repr=False)

    @property
    def full_name(self) -> str:
        """What users call it."""
        return f"{self.name}:{self.version}"

    @property
    def base(self) -> str:
        """The id of the image that it goes back to."""
        return self.tags.get(tags.BASE, "")

    @property
    def python(self) -> str:
        """The version of its environment's Python, as 3.12."""
        return self.tags.get(tags.PYTHON, "")

    @property
    def packages(self) -> tuple[str, ...]:
        """What is in its environment, as ``numpy==2.1.0``; of very many some are not told."""
        try:
            return tuple(json.loads(tags.join_text(self.tags, tags.PACKAGES) or "[]"))
        except ValueError:
            return ()

    @property
    def took(self) -> float:
        """How many seconds they took to install; 0 where that is not known."""
        return seconds(self.tags.get(tags.TOOK, ""))


def seconds(told: str) -> float:
    """Return what a tag says that something took; 0 where it does not."""
    try:
        return max(0.0, float(told))
    except ValueError:
        return 0.0


def check_name(name: str) -> None:
    """Refuse a name that the config or EC2 would not take."""
    if not _NAME.fullmatch(name) or name.startswith("ami-"):
        raise UsageError(
            f"'{name}' cannot be the name of an image.",
            "Use up to 64 small letters, digits, '.', '_' and '-', a letter or digit first; not"
            " 'ami-'. The version is given by itself.",
        )


def is_name(wanted: str) -> bool:
    """Tell whether an image is meant by its name."""
    return not wanted.startswith("ami-")


def all_of(session: Session, name: str | None = None) -> list[OwnImage]:
    """Return the images of a name, or of all names, raw copies too: by name, the newest first."""
    wanted = {"Name": f"tag:{tags.IMAGE}", "Values": [name]} if name else _any(tags.IMAGE)
    told = call(session.ec2.describe_images, Owners=["self"], Filters=[wanted])["Images"]
    found = [_image(item) for item in told if item.get("State") not in ("deregistered", "invalid")]
    return sorted(found, key=lambda one: (one.name, -(one.version or 0), one.id))


def published(session: Session, name: str | None = None) -> list[OwnImage]:
    """Return those that nodes may boot from, or soon may."""
    return [one for one in all_of(session, name) if one.version is not None]


def split(wanted: str) -> tuple[str, str]:
    """Return name and version of ``name:3``; without a version it is the latest."""
    name, _, version = wanted.partition(":")
    return name, version or LATEST


def find(session: Session, wanted: str) -> OwnImage:
    """Return the image of ``name:3``, ``name:latest`` or ``name``.

    Raises
    ------
    UsageError
        There is none, or it is not complete.
    """
    name, version = split(wanted)
    there = published(session, name)
    usable = [one for one in there if one.state == "available"]
    if version == LATEST and usable:
        return usable[0]
    for one in there:
        if str(one.version) == version and one.state == "available":
            return one
        if version in (LATEST, str(one.version)):
            raise UsageError(
                f"The image {one.full_name} ({one.id}) is not complete: EC2 says {one.state}.",
                "Repeat the command when `spotcluster listimages` shows it as available.",
            )
    if there:
        versions = ", ".join(str(one.version) for one in there)
        raise UsageError(
            f"There is no image '{wanted}' in {session.region}; '{name}' has the versions"
            f" {versions}.",
            f"`{name}:latest` is the newest.",
        )
    raise UsageError(
        f"There is no image '{name}' in {session.region}.",
        "`spotcluster listimages` shows those there are, and `spotcluster ebsimage` makes one.",
    )


def create(
    session: Session,
    instance_id: str,
    title: str,
    own: Mapping[str, str],
    *,
    without: Sequence[str] = (),
    description: str = "",
) -> str:
    """Begin an image of an instance, which goes on running; return its id.

    Parameters
    ----------
    title : str
        Its name in EC2, which no two images of an account and region have.
    own : mapping of str to str
        The tags of the image and its snapshots, from the call that makes them.
    without : sequence of str
        Devices that are left out.

    Raises
    ------
    CloudError
        EC2 refused; the code is ``InvalidAMIName.Duplicate`` where another run has that title.
    """
    try:
        answer = call(
            session.ec2.create_image,
            InstanceId=instance_id,
            Name=title,
            Description=description,
            NoReboot=True,
            BlockDeviceMappings=[{"DeviceName": one, "NoDevice": ""} for one in without] or None,
            TagSpecifications=tags.specifications(own, "image", "snapshot"),
        )
    except CloudError as error:
        if error.code != "InvalidAMIName.Duplicate":
            raise
        # Ours, if the call was repeated because its first answer did not arrive.
        for one in all_of(session, own[tags.IMAGE]):
            if one.bake == own[tags.BAKE] and str(one.version or "") == own.get(tags.VERSION, ""):
                return one.id
        raise
    return str(answer["ImageId"])


def wait(
    session: Session, image_id: str, *, timeout: float, look: Callable[[], None] = lambda: None
) -> None:
    """Wait until an image is complete.

    Parameters
    ----------
    look : callable
        Called at each look; raises where there is nothing to wait for any more.

    Raises
    ------
    CloudError
        EC2 could not make it, or not in that time.
    """
    end = time.monotonic() + timeout
    pause = _POLL
    while True:
        look()
        told = call_soon(session.ec2.describe_images, unknown=_GONE[:1], ImageIds=[image_id])
        item = told["Images"][0] if told["Images"] else {}
        state = item.get("State", "pending")
        if state == "available":
            return
        if state in ("failed", "error", "invalid", "deregistered"):
            why = item.get("StateReason", {}).get("Message", "")
            raise CloudError(f"EC2 could not make the image {image_id}: {why or state}.")
        if time.monotonic() > end:
            raise CloudError(
                f"After {timeout:.0f} s the image {image_id} is not complete: EC2 says {state}.",
                "Repeat the command; it clears away what this one has left.",
            )
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_POLL)


def deregister(session: Session, image_id: str) -> None:
    """Take an image away; its snapshots stay. One already gone is no error."""
    try:
        call(session.ec2.deregister_image, ImageId=image_id)
    except CloudError as error:
        if error.code not in _GONE:
            raise


def snapshots(session: Session, key: str, value: str) -> dict[str, Mapping[str, str]]:
    """Return the tags of the snapshots of ours that have a tag, by their ids."""
    told = every(
        session.ec2.describe_snapshots,
        "Snapshots",
        Filters=[{"Name": f"tag:{key}", "Values": [value]}, _any(tags.IMAGE)],
    )
    return {item["SnapshotId"]: tags.mapping(item.get("Tags")) for item in told}


def delete_snapshot(session: Session, snapshot_id: str) -> None:
    """Delete a snapshot; one already gone is no error."""
    try:
        call(session.ec2.delete_snapshot, SnapshotId=snapshot_id)
    except CloudError as error:
        if error.code != "InvalidSnapshot.NotFound":
            raise


def _any(key: str) -> dict[str, object]:
    return {"Name": "tag-key", "Values": [key]}


def _image(item: Any) -> OwnImage:
    own = tags.mapping(item.get("Tags"))
    disks = [one["Ebs"] for one in item.get("BlockDeviceMappings", ()) if "Ebs" in one]
    version = own.get(tags.VERSION, "")
    created = item.get("CreationDate") or ""
    return OwnImage(
        id=item["ImageId"],
        name=own.get(tags.IMAGE, ""),
        version=int(version) if version.isdecimal() else None,
        state=item.get("State", ""),
        architecture=item.get("Architecture", ""),
        size=sum(int(one.get("VolumeSize", 0)) for one in disks),
        created=datetime.fromisoformat(created) if created else None,
        bake=own.get(tags.BAKE, ""),
        snapshots=tuple(one["SnapshotId"] for one in disks if "SnapshotId" in one),
        encrypted=bool(disks) and all(one.get("Encrypted") for one in disks),
        tags=own,
    )

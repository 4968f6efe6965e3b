"""EBS volumes that outlive clusters: made, found, attached, made larger, deleted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spotcluster.aws import tags
from spotcluster.aws.calls import call, every
from spotcluster.aws.network import tag
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

UNKNOWN = "InvalidVolume.NotFound"
"""The code by which EC2 says that there is no such volume, or not yet."""

_POLL = 0.5
_LETTERS = "fghijklmnopqrstuvwxyz"  # of the names that EC2 recommends for data
_LARGEST = 65536  # GiB, of any type


@dataclass(frozen=True)
class Volume:
    """A volume as EC2 describes it.

    Attributes
    ----------
    name : str
        What it was called when it was made, or its Name tag; empty when it has none.
    size : int
        GiB.
    instance, device : str
        The instance that it is attached to, and as what; empty when it is attached to none.
    attachment : str
        How far attaching or detaching is; empty when it is attached to none.
    """

    id: str
    name: str
    size: int
    state: str
    zone: str
    type: str
    encrypted: bool
    snapshot: str
    created: datetime
    instance: str
    device: str
    attachment: str
    tags: Mapping[str, str] = field(repr=False)

    @property
    def ours(self) -> bool:
        """Whether `createvolume` made it."""
        return tags.VOLUME in self.tags

    @property
    def known_empty(self) -> bool:
        """Whether it was made by us, and nothing has been put on it since, as far as tags say."""
        return self.tags.get(tags.CONTENT) == tags.EMPTY

    @property
    def of_a_node(self) -> bool:
        """Whether it was made with a node, and ends with it."""
        return tags.CLUSTER in self.tags

    def __str__(self) -> str:
        return f"'{self.name}' ({self.id})" if self.name else self.id


def describe(session: Session, ids: Collection[str] = ()) -> list[Volume]:
    """Return the volumes of the region, or those of `ids`; an id that is not there is left out."""
    if ids:
        # By a filter: where ids are given, one that is not there would fail the whole call.
        return _described(session, tags.filters(volume_id=sorted(set(ids))))
    return _described(session, None)


def attached_to(session: Session, instance_ids: Sequence[str]) -> list[Volume]:
    """Return the volumes that any of the instances has, root disks too."""
    if not instance_ids:
        return []
    wanted = [{"Name": "attachment.instance-id", "Values": list(instance_ids)}]
    return _described(session, wanted)


def _described(session: Session, filters: list[dict[str, Any]] | None) -> list[Volume]:
    told = every(session.ec2.describe_volumes, "Volumes", Filters=filters)
    found = [_volume(item) for item in told if item["State"] != "deleting"]
    return sorted(found, key=lambda one: (one.name or one.id, one.created))


def find_all(session: Session, wanted: Sequence[str]) -> dict[str, list[Volume]]:
    """Return what there is by each of the names or ids; one that two volumes have gives both."""
    every = describe(session, () if any(map(is_name, wanted)) else wanted)
    return {one: [it for it in every if one in (it.id, it.name)] for one in wanted}


def find(session: Session, wanted: str) -> Volume:
    """Return the volume of an id or a name.

    Raises
    ------
    UsageError
        There is none, or there are several of that name.
    """
    found = find_all(session, [wanted])[wanted]
    if not found:
        raise UsageError(
            f"There is no volume '{wanted}' in {session.region}.",
            "`spotcluster listvolumes` shows those there are; -r looks in another region.",
        )
    if len(found) > 1:
        raise UsageError(
            f"There are {len(found)} volumes '{wanted}' in {session.region}:"
            f" {', '.join(one.id for one in found)}.",
            "Name one by its id.",
        )
    return found[0]


def is_name(wanted: str) -> bool:
    """Tell whether a volume is meant by its name."""
    return not wanted.startswith("vol-")


def create(
    session: Session,
    name: str,
    zone: str,
    *,
    size: int | None,
    snapshot: str | None,
    kind: str,
    token: str,
    key: str | None = None,
) -> Volume:
    """Make an encrypted volume, tagged in the creating call.

    Parameters
    ----------
    size : int or None
        GiB; None for the size of its snapshot.
    snapshot : str or None
        What is on it at first; None for nothing.
    token : str
        EC2 makes one volume for a token, however often it is asked.
    key : str or None
        The key of KMS that it is encrypted with; None for the account's usual one.
    """
    own = {tags.VOLUME: name, **({"Name": name} if name else {})}
    if snapshot is None:
        own[tags.CONTENT] = tags.EMPTY
    answer = call(
        session.ec2.create_volume,
        AvailabilityZone=zone,
        Size=size,
        SnapshotId=snapshot,
        VolumeType=kind,
        Encrypted=True,
        KmsKeyId=key,
        ClientToken=token,
        TagSpecifications=tags.specifications(own, "volume"),
    )
    return _volume({**answer, "Tags": tags.pairs(own)})


def check_key(session: Session, key: str, why: str) -> None:
    """Refuse a key of KMS that no disk can be encrypted with, as far as we may look at it.

    EC2 takes any name of a key: an instance whose disk has one that cannot be used ends again by
    itself, a volume vanishes.

    Parameters
    ----------
    why : str
        What names it.

    Raises
    ------
    UsageError
        There is no such key, or it is disabled, or not one that encrypts with.
    """
    try:
        told = call(session.client("kms").describe_key, KeyId=key)["KeyMetadata"]
    except CloudError as error:
        if error.code in ("NotFoundException", "InvalidArnException"):
            raise UsageError(
                f"There is no key '{key}' ({why}) in KMS of {session.region}.",
                f"`aws kms list-aliases --region {session.region}` shows those there are.",
            ) from None
        if error.code in ("AccessDenied", "AccessDeniedException"):
            return  # who may launch with it need not be one who may look at it
        raise
    usage = told.get("KeyUsage") or "ENCRYPT_DECRYPT"
    spec = told.get("KeySpec") or "SYMMETRIC_DEFAULT"
    if told.get("KeyState", "Enabled") != "Enabled":
        raise UsageError(
            f"The key '{key}' ({why}) of KMS is {told['KeyState']}.",
            "Enable it with `aws kms enable-key`, or name another one.",
        )
    if (usage, spec) != ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"):
        raise UsageError(
            f"The key '{key}' ({why}) of KMS is {spec}, for {usage}; disks need a symmetric one"
            " that encrypts.",
            "Name another one.",
        )


def snapshot_size(session: Session, snapshot_id: str) -> int:
    """Return how many GiB the volume had that a snapshot is of.

    Raises
    ------
    UsageError
        There is no such snapshot, or it is not complete.
    """
    wanted = tags.filters(snapshot_id=snapshot_id)
    found = call(session.ec2.describe_snapshots, Filters=wanted)["Snapshots"]
    if not found:
        raise UsageError(
            f"There is no snapshot '{snapshot_id}' in {session.region}.",
            "A snapshot is named by its id, as in snap-0123456789abcdef0.",
        )
    if found[0]["State"] != "completed":
        raise UsageError(
            f"The snapshot {snapshot_id} is not complete: it is {found[0]['State']},"
            f" {found[0].get('Progress') or '0%'}.",
            "Repeat the command when it is.",
        )
    return int(found[0]["VolumeSize"])


def attach(session: Session, volume_id: str, instance_id: str, device: str) -> None:
    """Attach a volume to an instance; one that this instance has already is no error.

    Raises
    ------
    CloudError
        EC2 refused; the code is ``VolumeInUse`` where another instance has it.
    """
    try:
        call(session.ec2.attach_volume, VolumeId=volume_id, InstanceId=instance_id, Device=device)
    except CloudError as error:
        # A call that got no answer was repeated, and had taken effect.
        found = describe(session, [volume_id]) if error.code == "VolumeInUse" else []
        if not found or found[0].instance != instance_id:
            raise


def detach(session: Session, volume_id: str, instance_id: str) -> None:
    """Detach a volume that is not in use there any more; one that is detached is no error."""
    try:
        call(session.ec2.detach_volume, VolumeId=volume_id, InstanceId=instance_id)
    except CloudError as error:
        if error.code not in ("IncorrectState", "InvalidAttachment.NotFound", UNKNOWN):
            raise


def free_device(taken: Collection[str]) -> str:
    """Return a device name that no volume of an instance has.

    Raises
    ------
    CloudError
        All are taken.
    """
    used = {name.removeprefix("/dev/").removeprefix("xvd").removeprefix("sd") for name in taken}
    for letter in _LETTERS:
        if letter not in used:
            return f"/dev/sd{letter}"
    raise CloudError(f"The instance has {len(used)} volumes; there is no name for another one.")


def wait(
    session: Session, volume_id: str, true: Callable[[Volume], bool], *, timeout: float
) -> Volume | None:
    """Return a volume as soon as something is true of it; None when that took too long."""
    end = time.monotonic() + timeout
    while True:
        found = describe(session, [volume_id])
        if found and true(found[0]):
            return found[0]
        if time.monotonic() > end:
            return None
        time.sleep(_POLL)


def enlarge(session: Session, volume: Volume, size: int) -> None:
    """Ask for a larger size; asking again for the same size is no error.

    Raises
    ------
    CloudError
        EC2 refused: a volume's size can be changed once in six hours, for one.
    """
    try:
        call(session.ec2.modify_volume, VolumeId=volume.id, Size=size)
    except CloudError as error:
        wanted = _wanted_size(session, volume.id)
        if wanted == size:  # asked for by a call that got no answer
            return
        if error.code == "VolumeModificationRateExceeded":
            raise CloudError(
                f"The volume {volume} was changed less than six hours ago, and EC2 waits so long"
                " between two changes.",
                "Repeat the command later.",
                code=error.code,
            ) from error
        raise


def wait_enlarged(session: Session, volume_id: str, size: int, *, timeout: float) -> bool:
    """Wait until the new size can be used, which is long before EC2 has done all of the change."""
    return wait(session, volume_id, lambda one: one.size >= size, timeout=timeout) is not None


def _wanted_size(session: Session, volume_id: str) -> int | None:
    answer = call(
        session.ec2.describe_volumes_modifications,
        Filters=[{"Name": "volume-id", "Values": [volume_id]}],
    )
    under_way = [
        item
        for item in answer["VolumesModifications"]
        if item.get("ModificationState") in ("modifying", "optimizing", "completed")
    ]
    return int(under_way[-1]["TargetSize"]) if under_way else None


def delete(session: Session, volume_id: str) -> None:
    """Delete a volume; one already gone is no error."""
    try:
        call(session.ec2.delete_volume, VolumeId=volume_id)
    except CloudError as error:
        if error.code != UNKNOWN:
            raise


def note_content(session: Session, volume: Volume, kind: str) -> None:
    """Write down which file system a volume of ours has now."""
    if not volume.ours or volume.tags.get(tags.CONTENT) == kind:
        return
    # Only what `start` says without asking the machine hangs on it.
    with contextlib.suppress(CloudError):
        tag(session, [volume.id], {tags.CONTENT: kind})


def check_size(size: int) -> None:
    """Refuse a size that no volume has."""
    if not 1 <= size <= _LARGEST:
        raise UsageError(f"A volume has 1 to {_LARGEST} GiB, not {size}.")


def _volume(item: Any) -> Volume:
    own = tags.mapping(item.get("Tags"))
    there = [one for one in item.get("Attachments") or () if one.get("State") != "detached"]
    attachment = there[0] if there else {}
    return Volume(
        id=item["VolumeId"],
        name=own.get(tags.VOLUME) or own.get("Name", ""),
        size=int(item["Size"]),
        state=item["State"],
        zone=item["AvailabilityZone"],
        type=item.get("VolumeType", ""),
        encrypted=bool(item.get("Encrypted")),
        snapshot=item.get("SnapshotId") or "",
        created=item["CreateTime"],
        instance=attachment.get("InstanceId", ""),
        device=attachment.get("Device", ""),
        attachment=attachment.get("State", ""),
        tags=own,
    )

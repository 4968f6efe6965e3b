"""A launch as EC2 takes it: by RunInstances, and in a launch template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from spotcluster.aws import tags
from spotcluster.aws.images import Image

# USD of us-east-1 for a month: a GiB, an operation per second, a MiB per second.
_GB = {"gp3": 0.08, "gp2": 0.10, "io1": 0.125, "io2": 0.125}
_IOPS = {"gp3": 0.005, "io1": 0.065, "io2": 0.065}
_MIB = 0.04
_FREE_IOPS, _FREE_MIB = 3_000, 125  # that gp3 has anyway


@dataclass(frozen=True)
class RootDisk:
    """The disk that an instance boots from; it is encrypted, whatever is said of it.

    Attributes
    ----------
    gb : int or None
        GiB; None for the size of the image.
    iops, throughput : int or None
        Operations and MiB per second; None for what its type has by itself.
    kms_key : str or None
        The key of KMS that it is encrypted with; None for the account's usual one.
    """

    gb: int | None = None
    kind: str = "gp3"
    iops: int | None = None
    throughput: int | None = None
    kms_key: str | None = None

    def as_gp3(self, gb: int) -> float:
        """Return how many GiB of plain gp3 cost as much as `gb` of it, by the prices of us-east-1.

        What is dearer in other regions is so by about the same part for all of them.
        """
        free_iops, free_mib = (_FREE_IOPS, _FREE_MIB) if self.kind == "gp3" else (0, 0)
        month = gb * _GB[self.kind]
        month += max(0, (self.iops or 0) - free_iops) * _IOPS.get(self.kind, 0.0)
        month += max(0, (self.throughput or 0) - free_mib) * _MIB
        return month / _GB["gp3"]

    def __str__(self) -> str:
        parts = [self.kind]
        if self.iops:
            parts.append(f"{self.iops} IOPS")
        if self.throughput:
            parts.append(f"{self.throughput} MiB/s")
        if self.kms_key:
            parts.append(f"encrypted with {self.kms_key}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Launch:
    """What to launch: one instance.

    Attributes
    ----------
    group_ids : tuple of str
        Its security groups.
    bid : float or None
        The highest price in USD per hour for a spot instance; None for the on-demand price.
    spot : bool
        Whether to ask for a spot instance.
    token : str
        EC2 makes one instance for a token, however often it is asked.
    ipv6 : bool
        Whether its subnet has IPv6 addresses only.
    on_shutdown : {"stop", "terminate"}
        What becomes of it when it shuts itself down: so a node needs no credentials to end itself.
    profile : str or None
        The IAM instance profile whose role programs on it have.
    placement_group : str or None
        The name of the group that it is placed in.
    reservation : str or None
        The id of the capacity reservation that it is launched into.
    block : bool
        Whether that is a capacity block, which is a market of its own.
    """

    image: Image
    type: str
    key_name: str
    subnet_id: str
    group_ids: tuple[str, ...]
    user_data: bytes = field(repr=False)
    tags: Mapping[str, str]
    spot: bool
    bid: float | None
    token: str
    public_ip: bool
    disk: RootDisk = RootDisk()
    ipv6: bool = False
    on_shutdown: Literal["stop", "terminate"] = "terminate"
    profile: str | None = None
    placement_group: str | None = None
    reservation: str | None = None
    block: bool = False


def settings(what: Launch, kinds: Iterable[str], subnet_id: str | None = None) -> dict[str, Any]:
    """Return what a launch and a launch template say in the same words.

    Parameters
    ----------
    kinds : iterable of str
        What gets the tags here, of all that a launch makes.
    """
    found: dict[str, Any] = {
        "ImageId": what.image.id,
        "KeyName": what.key_name,
        "NetworkInterfaces": [_interface(what, subnet_id)],
        "BlockDeviceMappings": [{"DeviceName": what.image.root_device, "Ebs": _disk(what.disk)}],
        "InstanceInitiatedShutdownBehavior": what.on_shutdown,
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "TagSpecifications": tags.specifications(what.tags, *kinds),
    }
    if what.ipv6:
        found["MetadataOptions"]["HttpProtocolIpv6"] = "enabled"
    if what.profile:
        found["IamInstanceProfile"] = {"Name": what.profile}
    if what.placement_group:
        found["Placement"] = {"GroupName": what.placement_group}
    if what.reservation:
        target = {"CapacityReservationId": what.reservation}
        found["CapacityReservationSpecification"] = {"CapacityReservationTarget": target}
    return found


def market(what: Launch) -> dict[str, Any] | None:
    """Return on which market it is launched by RunInstances; None for on demand."""
    if what.block:
        return {"MarketType": "capacity-block"}
    if not what.spot:
        return None
    options: dict[str, Any] = {"SpotInstanceType": "one-time"}
    if what.bid is not None:
        options["MaxPrice"] = price(what.bid)
    return {"MarketType": "spot", "SpotOptions": options}


def _interface(what: Launch, subnet_id: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "DeviceIndex": 0,
        "Groups": list(what.group_ids),
        "DeleteOnTermination": True,
    }
    if what.ipv6:  # where there is no public address beside it
        found["Ipv6AddressCount"] = 1
    else:
        found["AssociatePublicIpAddress"] = what.public_ip
    if subnet_id:
        found["SubnetId"] = subnet_id
    return found


def _disk(disk: RootDisk) -> dict[str, Any]:
    given = {
        "VolumeSize": disk.gb,
        "Iops": disk.iops,
        "Throughput": disk.throughput,
        "KmsKeyId": disk.kms_key,
    }
    return {
        "Encrypted": True,
        "DeleteOnTermination": True,
        "VolumeType": disk.kind,
        **{key: value for key, value in given.items() if value is not None},
    }


def beside(what: Launch) -> tuple[str, ...]:
    """Return what is made with an instance and its disk."""
    return ("network-interface", *(("spot-instances-request",) if what.spot else ()))


def price(usd: float) -> str:
    """Return a price per hour as EC2 takes it."""
    return f"{usd:.6f}"

"""Instance types: what they have, and in which zones they can be had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spotcluster import wording
from spotcluster.aws.calls import every
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

_LIST = "InstanceTypes"
_SPECIAL = (
    "BareMetal",
    "BurstablePerformanceSupported",
    "FpgaInfo",
    "GpuInfo",
    "InferenceAcceleratorInfo",
    "NeuronInfo",
)
_MOST = 100  # that EC2 takes by name in one call


@dataclass(frozen=True)
class InstanceType:
    """An instance type: virtual cores, memory in MiB, architecture.

    Attributes
    ----------
    spot : bool
        Whether it can be had as a spot instance.
    mac : bool
        Whether it is a Mac, which runs on a host of its own that is rented for a day.
    strategies : tuple of str
        Of which placement groups it may be.
    nitro : bool
        Whether it is of AWS's newer machines: others have no subnets of IPv6 only.
    """

    name: str
    vcpus: int
    memory_mb: int
    architecture: str
    spot: bool = True
    mac: bool = False
    strategies: tuple[str, ...] = ("cluster", "partition", "spread")
    nitro: bool = True


def describe(session: Session, names: Iterable[str]) -> dict[str, InstanceType]:
    """Return the instance types `names`.

    Raises
    ------
    UsageError
        The region has no such type.
    """
    wanted = sorted(set(names))
    found: dict[str, InstanceType] = {}
    for start in range(0, len(wanted), _MOST):
        some = wanted[start : start + _MOST]
        try:
            items = list(every(session.ec2.describe_instance_types, _LIST, InstanceTypes=some))
        except CloudError as error:
            if error.code not in ("InvalidInstanceType", "InvalidParameterValue"):
                raise
            items = [] if len(some) == 1 else _known(session, some)
        found |= {item["InstanceType"]: _read(item) for item in items}
    for name in wanted:
        if name not in found:
            raise UsageError(
                f"The region {session.region} has no instance type '{name}'."
                f"{wording.hint(name, _all(session))}",
                "See which there are with `aws ec2 describe-instance-types`.",
            )
    return found


def matching(
    session: Session,
    *,
    cpus: tuple[float, float],
    memory: tuple[float, float],
    architecture: str,
    spot: bool,
) -> list[str]:
    """Return the types of today that have so many virtual cores and GiB.

    Left out are those that are made for something else: bare metal, accelerators, and those whose
    cores are slowed down when they work for long.
    """
    wanted = {
        "processor-info.supported-architecture": architecture,
        "current-generation": "true",
        "supported-usage-class": "spot" if spot else "on-demand",
    }
    filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
    found = []
    for item in every(session.ec2.describe_instance_types, _LIST, Filters=filters):
        kind = _read(item)
        if (
            cpus[0] <= kind.vcpus <= cpus[1]
            and memory[0] <= kind.memory_mb / 1024 <= memory[1]
            and not any(item.get(mark) for mark in _SPECIAL)
        ):
            found.append(kind.name)
    return sorted(found)


def _known(session: Session, names: Iterable[str]) -> list[Any]:
    """Return those of some types that the region has: EC2 refuses all for one."""
    wanted = [{"Name": "instance-type", "Values": list(names)}]
    return list(every(session.ec2.describe_instance_types, _LIST, Filters=wanted))


def _all(session: Session) -> list[str]:
    """Return the names of all types that the region has, as far as EC2 tells them."""
    try:
        offered = every(session.ec2.describe_instance_type_offerings, "InstanceTypeOfferings")
        return sorted({item["InstanceType"] for item in offered})
    except CloudError:  # who is told that a name is wrong can do without
        return []


def _read(item: Any) -> InstanceType:
    architectures = item.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])
    return InstanceType(
        item["InstanceType"],
        item["VCpuInfo"]["DefaultVCpus"],
        item["MemoryInfo"]["SizeInMiB"],
        "arm64" if "arm64" in architectures else "x86_64",
        spot="spot" in item.get("SupportedUsageClasses", ["spot"]),
        mac=any(one.endswith("_mac") for one in architectures),
        strategies=tuple(item.get("PlacementGroupInfo", {}).get("SupportedStrategies", ())),
        nitro=item.get("Hypervisor", "nitro") == "nitro",
    )


def zones_of(session: Session, names: Iterable[str]) -> dict[str, set[str]]:
    """Return for each of the types `names` the zones of the region that offer it."""
    wanted = sorted(set(names))
    zones: dict[str, set[str]] = {name: set() for name in wanted}
    for item in every(
        session.ec2.describe_instance_type_offerings,
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": wanted}],
    ):
        zones.setdefault(item["InstanceType"], set()).add(item["Location"])
    return zones


def zones_with(session: Session, names: Iterable[str]) -> set[str]:
    """Return the zones of the region that offer every one of the types `names`."""
    zones = list(zones_of(session, names).values())
    return set.intersection(*zones) if zones else set()

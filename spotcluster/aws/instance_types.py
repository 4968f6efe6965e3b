"""Instance types: what they have, and in which zones they can be had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spotcluster.aws.calls import call
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError


@dataclass(frozen=True)
class InstanceType:
    """An instance type: virtual cores, memory in MiB, architecture."""

    name: str
    vcpus: int
    memory_mb: int
    architecture: str


def describe(session: Session, names: Iterable[str]) -> dict[str, InstanceType]:
    """Return the instance types `names`.

    Raises
    ------
    UsageError
        The region has no such type.
    """
    found: dict[str, InstanceType] = {}
    for name in sorted(set(names)):
        try:
            answer = call(session.ec2.describe_instance_types, InstanceTypes=[name])
        except CloudError as error:
            if error.code not in ("InvalidInstanceType", "InvalidParameterValue"):
                raise
            answer = {"InstanceTypes": []}
        if not answer["InstanceTypes"]:
            raise UsageError(
                f"The region {session.region} has no instance type '{name}'.",
                "See which there are with `aws ec2 describe-instance-types`.",
            )
        item = answer["InstanceTypes"][0]
        architectures = item.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])
        found[name] = InstanceType(
            name,
            item["VCpuInfo"]["DefaultVCpus"],
            item["MemoryInfo"]["SizeInMiB"],
            "arm64" if "arm64" in architectures else "x86_64",
        )
    return found


def zones_with(session: Session, names: Iterable[str]) -> set[str]:
    """Return the zones of the region that offer every one of the types `names`."""
    zones: set[str] | None = None
    for name in sorted(set(names)):
        answer = call(
            session.ec2.describe_instance_type_offerings,
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [name]}],
        )
        here = {item["Location"] for item in answer["InstanceTypeOfferings"]}
        zones = here if zones is None else zones & here
    return zones or set()

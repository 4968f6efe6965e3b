"""On-demand prices (USD per hour, Linux, us-east-1) of instance types."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

_LISTED = {
    "t1.micro": 0.02,
    "m1.small": 0.044,
    "m1.medium": 0.087,
    "m1.large": 0.175,
    "m1.xlarge": 0.35,
    "c1.medium": 0.13,
    "c1.xlarge": 0.52,
    "m2.xlarge": 0.245,
    "m2.2xlarge": 0.49,
    "m2.4xlarge": 0.98,
    "cc2.8xlarge": 2.0,
    "t2.nano": 0.0058,
    "t2.micro": 0.0116,
    "t2.small": 0.023,
    "t2.medium": 0.0464,
    "t2.large": 0.0928,
    "t2.xlarge": 0.1856,
    "t2.2xlarge": 0.3712,
    "t3.nano": 0.0052,
    "t3.micro": 0.0104,
    "t3.small": 0.0208,
    "t3.medium": 0.0416,
    "t3.large": 0.0832,
    "t3.xlarge": 0.1664,
    "t3.2xlarge": 0.3328,
    "t3a.medium": 0.0376,
    "t4g.medium": 0.0336,
}

_PER_VCPU = {
    "c4": 0.04975,
    "c5": 0.0425,
    "c5a": 0.0385,
    "c5n": 0.054,
    "c6a": 0.03825,
    "c6g": 0.034,
    "c6i": 0.0425,
    "c7a": 0.05132,
    "c7g": 0.03625,
    "c7i": 0.044625,
    "m4": 0.05,
    "m5": 0.048,
    "m5a": 0.043,
    "m6a": 0.0432,
    "m6g": 0.0385,
    "m6i": 0.048,
    "m7a": 0.05796,
    "m7g": 0.0408,
    "m7i": 0.0504,
    "r4": 0.0665,
    "r5": 0.063,
    "r5a": 0.0565,
    "r6a": 0.0567,
    "r6g": 0.0504,
    "r6i": 0.063,
    "r7i": 0.06615,
}

# What a vCPU and a GiB cost in families that are not listed: of the right size, not exact.
_OF_VCPU = 0.031
_OF_GIB = 0.0043


@lru_cache(maxsize=4096)
def on_demand_price(instance_type: str) -> float:
    """Return the price of an instance type in USD per hour.

    Raises
    ------
    KeyError
        If there is no such type.
    """
    type_info: dict[str, Any] = INSTANCE_TYPES[instance_type]
    if instance_type in _LISTED:
        return _LISTED[instance_type]
    vcpus = int(type_info["VCpuInfo"]["DefaultVCpus"])
    family = instance_type.partition(".")[0]
    if family in _PER_VCPU:
        return round(vcpus * _PER_VCPU[family], 6)
    gib = int(type_info["MemoryInfo"]["SizeInMiB"]) / 1024
    return round(vcpus * _OF_VCPU + gib * _OF_GIB, 4)

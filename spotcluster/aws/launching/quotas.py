"""How many virtual cores an account may have at once: EC2's quotas, by families of types.

The codes and names are those that `aws service-quotas list-service-quotas --service-code ec2`
lists. Families that are not here, as P5 and later on the spot market, are counted by quotas of
their own; EC2 says itself when those are used up.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from spotcluster.aws import instance_types, tags
from spotcluster.aws.calls import every, once
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError


@dataclass(frozen=True)
class Quota:
    """A quota of virtual cores.

    Attributes
    ----------
    families : tuple of str
        The letters that the names of its types begin with, up to a digit or a dash.
    """

    code: str
    name: str
    families: tuple[str, ...]
    spot: bool


_STANDARD = ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z")
_G = ("g", "gr", "vt")
_QUOTAS = (
    Quota(
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        _STANDARD,
        spot=True,
    ),
    Quota(
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        _STANDARD,
        spot=False,
    ),
    Quota("L-3819A6DF", "All G and VT Spot Instance Requests", _G, spot=True),
    Quota("L-DB2E81BA", "Running On-Demand G and VT instances", _G, spot=False),
    Quota("L-417A185B", "Running On-Demand P instances", ("p",), spot=False),
    Quota("L-E3A00192", "All X Spot Instance Requests", ("x",), spot=True),
    Quota("L-7295265B", "Running On-Demand X instances", ("x",), spot=False),
    Quota("L-B5D1601B", "All Inf Spot Instance Requests", ("inf",), spot=True),
    Quota("L-1945791B", "Running On-Demand Inf instances", ("inf",), spot=False),
    Quota("L-88CF9481", "All F Spot Instance Requests", ("f",), spot=True),
    Quota("L-74FC7D96", "Running On-Demand F instances", ("f",), spot=False),
    Quota("L-85EED4F7", "All DL Spot Instance Requests", ("dl",), spot=True),
    Quota("L-6E869C2A", "Running On-Demand DL instances", ("dl",), spot=False),
    Quota("L-6B0D517C", "All Trn Spot Instance Requests", ("trn",), spot=True),
    Quota("L-2C3B7624", "Running On-Demand Trn instances", ("trn",), spot=False),
)
_BY_FAMILY = {(family, one.spot): one for one in _QUOTAS for family in one.families}

_COUNTED = ("pending", "running")


def of(name: str, *, spot: bool) -> Quota | None:
    """Return the quota that counts instances of a type; None where we know of none."""
    return _BY_FAMILY.get((_family(name), spot))


def value(session: Session, quota: Quota) -> float | None:
    """Return how many virtual cores the account may have; None where we are not told."""
    from botocore.config import Config

    # Who may not ask, or is where the service does not answer, starts clusters all the same.
    soon = Config(connect_timeout=3, read_timeout=5)
    client = session.client("service-quotas", config=soon)
    try:
        answer = once(client.get_service_quota, ServiceCode="ec2", QuotaCode=quota.code)
    except CloudError:
        return None
    found: float | None = answer["Quota"].get("Value")
    return found


def used(session: Session, quota: Quota) -> int:
    """Return how many virtual cores of the account a quota counts now, whoever runs them."""
    wanted = tags.filters(
        instance_state_name=list(_COUNTED), instance_type=[f"{one}*" for one in quota.families]
    )
    found = (
        one
        for reservation in every(session.ec2.describe_instances, "Reservations", Filters=wanted)
        for one in reservation["Instances"]
    )
    kinds = Counter(
        one["InstanceType"]
        for one in found
        if of(one["InstanceType"], spot=one.get("InstanceLifecycle") == "spot") == quota
    )
    types = instance_types.describe(session, kinds) if kinds else {}
    return sum(types[name].vcpus * count for name, count in kinds.items())


def _family(name: str) -> str:
    """Return the letters before the generation: ``c`` of c7gd.large, ``u`` of u-6tb1.metal."""
    return re.split(r"[^a-z]", name, maxsplit=1)[0]

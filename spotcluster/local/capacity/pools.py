"""How much there is: pools hold so many instances, an account may have so many virtual cores.

A pool is an instance type in a zone. A rule is a mapping::

    {"instance_type": "c5.*",     which; "*" and "?" stand for any
     "zone": "us-east-1a",
     "lifecycle": "spot",         "spot" or "on-demand"; "*" counts both together
     "capacity": 3}               instances that it holds; none means any number

The first rule that is about a pool decides; a pool that none is about holds any number.

The quotas of virtual cores are those of Service Quotas, by their codes, and large until told.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from werkzeug.wrappers import Response

from spotcluster.local import answers

_LARGE = 100_000.0
_QUOTAS = {
    "L-34B43A08": (
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        ("a|c|d|h|im?|is|m|r|t|z", "spot"),
    ),
    "L-1216C47A": (
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        ("a|c|d|h|im?|is|m|r|t|z", "on-demand"),
    ),
    "L-3819A6DF": ("All G and VT Spot Instance Requests", ("gr?|vt", "spot")),
    "L-DB2E81BA": ("Running On-Demand G and VT instances", ("gr?|vt", "on-demand")),
    "L-417A185B": ("Running On-Demand P instances", ("p", "on-demand")),
    "L-E3A00192": ("All X Spot Instance Requests", ("x", "spot")),
    "L-7295265B": ("Running On-Demand X instances", ("x", "on-demand")),
    "L-B5D1601B": ("All Inf Spot Instance Requests", ("inf", "spot")),
    "L-1945791B": ("Running On-Demand Inf instances", ("inf", "on-demand")),
    "L-88CF9481": ("All F Spot Instance Requests", ("f", "spot")),
    "L-74FC7D96": ("Running On-Demand F instances", ("f", "on-demand")),
    "L-85EED4F7": ("All DL Spot Instance Requests", ("dl", "spot")),
    "L-6E869C2A": ("Running On-Demand DL instances", ("dl", "on-demand")),
    "L-6B0D517C": ("All Trn Spot Instance Requests", ("trn", "spot")),
    "L-2C3B7624": ("Running On-Demand Trn instances", ("trn", "on-demand")),
}
"""Their names; the letters that their types begin with, and what they count."""


@dataclass(frozen=True)
class Rule:
    """How many instances a pool holds."""

    instance_type: str = "*"
    zone: str = "*"
    lifecycle: str = "*"
    capacity: int | None = None

    def concerns(self, instance_type: str, zone: str, lifecycle: str) -> bool:
        """Return whether the rule is about instances of this kind."""
        return (
            fnmatch.fnmatchcase(instance_type, self.instance_type)
            and fnmatch.fnmatchcase(zone, self.zone)
            and self.lifecycle in ("*", lifecycle)
        )


class Capacity:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: tuple[Rule, ...] = ()

    def replace(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Put `rules` in the place of those in force.

        Raises
        ------
        ValueError
            If a rule has an unknown field.
        TypeError
            If it is no mapping.
        """
        known = {item.name for item in dataclasses.fields(Rule)}
        made = []
        for rule in rules:
            if unknown := set(rule) - known:
                raise ValueError(f"a rule has no field {sorted(unknown)[0]!r}")
            made.append(Rule(**rule))
        self._rules = tuple(made)

    def listed(self) -> list[dict[str, Any]]:
        """Return the rules in force."""
        return [dataclasses.asdict(rule) for rule in self._rules]

    def left(
        self, instance_type: str, zone: str, lifecycle: str, taken: Iterable[tuple[str, str, str]]
    ) -> float:
        """Return how many more instances a pool holds.

        Parameters
        ----------
        instance_type, zone, lifecycle : str
            The pool, and what is wanted of it.
        taken : iterable of (instance type, zone, lifecycle)
            What there is already.
        """
        for rule in self._rules:
            if rule.concerns(instance_type, zone, lifecycle):
                if rule.capacity is None:
                    return float("inf")
                there = sum(
                    (kind, place) == (instance_type, zone) and rule.lifecycle in ("*", cycle)
                    for kind, place, cycle in taken
                )
                return max(0, rule.capacity - there)
        return float("inf")


class Quotas:
    """How many virtual cores an account may have at once, in each region."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def replace(self, values: Mapping[str, float]) -> None:
        """Let quotas have these values, by their codes, and the others that which they had first.

        Raises
        ------
        ValueError
            There is no such quota, or a value is no number of virtual cores.
        """
        if unknown := sorted(set(values) - set(_QUOTAS)):
            raise ValueError(f"there is no quota {unknown[0]!r}")
        told = {code: float(value) for code, value in values.items()}
        if not all(value >= 0 for value in told.values()):
            raise ValueError("a quota is a number of virtual cores")
        self._told = told

    def left(
        self, instance_type: str, lifecycle: str, taken: Iterable[tuple[str, str, str]]
    ) -> float:
        """Return how many more instances of a type the account may have; see `Capacity.left`."""
        for code, (_, (families, counted)) in _QUOTAS.items():
            limit = self._told.get(code)
            if limit is not None and counted == lifecycle and _is_of(instance_type, families):
                used = sum(
                    _cores(kind)
                    for kind, _, cycle in taken
                    if cycle == lifecycle and _is_of(kind, families)
                )
                return max(0, limit - used) // _cores(instance_type)
        return float("inf")

    def check(self, left: float, least: int, lifecycle: str) -> None:
        """Refuse `least` instances where fewer are `left`, as EC2 does.

        Raises
        ------
        EC2ClientError
            They are more.
        """
        if left >= least:
            return
        if lifecycle == "spot":
            raise EC2ClientError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise EC2ClientError(
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit allows for the "
            "instance bucket that the specified instance type belongs to. Please visit "
            "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )

    def answer(self, action: str, params: Mapping[str, Any], region: str) -> Response:
        """Answer one call of Service Quotas, as far as those of virtual cores are concerned."""
        known = params.get("ServiceCode") == "ec2"
        if action == "ListServiceQuotas" and known:
            return answers.document(
                {"Quotas": [self._quota(one, region) for one in _QUOTAS]},
                content_type=answers.JSON_TYPE,
            )
        code = str(params.get("QuotaCode"))
        if action == "GetServiceQuota" and known and code in _QUOTAS:
            return answers.document(
                {"Quota": self._quota(code, region)}, content_type=answers.JSON_TYPE
            )
        why = "The request failed because the specified quota does not exist."
        return answers.error("servicequotas", "NoSuchResourceException", why)

    def _quota(self, code: str, region: str) -> dict[str, Any]:
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{region}:123456789012:ec2/{code}",
            "QuotaCode": code,
            "QuotaName": _QUOTAS[code][0],
            "Value": self._told.get(code, _LARGE),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def _is_of(instance_type: str, families: str) -> bool:
    return re.match(rf"({families})(?![a-z])", instance_type) is not None


def _cores(instance_type: str) -> int:
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])

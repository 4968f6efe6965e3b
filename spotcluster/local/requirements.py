"""InstanceRequirements: which instance types have what is asked for, as fleets may put it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.responses import EC2Response

from . import market
from .launches import is_true
from .prices import on_demand_price

_MAKERS = {"intel": "Intel", "amd": "AMD", "amazon-web-services": "AWS", "apple": "Apple"}
_OVER_ON_DEMAND = 20  # percent, where nothing is said
_USUAL = ("c", "m", "r")  # families by whose prices the others are measured
_PAGE = 1000


def _gpus(info: Mapping[str, Any]) -> float:
    return float(sum(one["Count"] for one in info.get("GpuInfo", {}).get("Gpus", ())))


_RANGES: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "VCpuCount": lambda info: info["VCpuInfo"]["DefaultVCpus"],
    "MemoryMiB": lambda info: info["MemoryInfo"]["SizeInMiB"],
    "MemoryGiBPerVCpu": lambda info: (
        info["MemoryInfo"]["SizeInMiB"] / 1024 / info["VCpuInfo"]["DefaultVCpus"]
    ),
    "NetworkInterfaceCount": lambda info: info["NetworkInfo"]["MaximumNetworkInterfaces"],
    "TotalLocalStorageGB": lambda info: info.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0),
    "AcceleratorCount": _gpus,
}
_SWITCHES = {  # and what holds where nothing is said
    "BareMetal": ("BareMetal", "excluded"),
    "BurstablePerformance": ("BurstablePerformanceSupported", "excluded"),
    "LocalStorage": ("InstanceStorageSupported", "included"),
}
_OTHERS = {
    *("CpuManufacturers", "InstanceGenerations", "AllowedInstanceTypes", "ExcludedInstanceTypes"),
    "LocalStorageTypes",
    *("SpotMaxPricePercentageOverLowestPrice", "OnDemandMaxPricePercentageOverLowestPrice"),
    *("MaxSpotPriceAsPercentageOfOptimalOnDemandPrice", "RequireHibernateSupport"),
}


class RequirementAnswers(EC2Response):
    """Part of the EC2 API: GetInstanceTypesFromInstanceRequirements."""

    def get_instance_types_from_instance_requirements(self) -> ActionResult:
        """Answer GetInstanceTypesFromInstanceRequirements."""
        asked = self.params
        for name in ("ArchitectureTypes", "VirtualizationTypes", "InstanceRequirements"):
            if not asked.get(name):
                raise _missing(name)
        found = types_with(
            asked["InstanceRequirements"],
            self.region,
            architectures=asked["ArchitectureTypes"],
            virtualizations=asked["VirtualizationTypes"],
        )
        self.error_on_dryrun()
        begin = _place(asked.get("NextToken"))
        end = begin + min(int(asked.get("MaxResults") or _PAGE), _PAGE)
        answer: dict[str, Any] = {
            "InstanceTypes": [{"InstanceType": name} for name in found[begin:end]]
        }
        if end < len(found):
            answer["NextToken"] = str(end)
        return ActionResult(answer)


def types_with(
    wanted: Mapping[str, Any],
    region: str,
    *,
    architectures: Iterable[str],
    virtualizations: Iterable[str] = ("hvm",),
) -> list[str]:
    """Return the types of a region that have what is wanted, by name; prices are not looked at.

    Raises
    ------
    EC2ClientError
        For what EC2 refuses, and for what is not known here.
    """
    _check(wanted)
    offered = market.types_of(region)
    return sorted(
        name
        for name, info in INSTANCE_TYPES.items()
        if name in offered
        and set(info["ProcessorInfo"].get("SupportedArchitectures", ())) & set(architectures)
        and set(info["SupportedVirtualizationTypes"]) & set(virtualizations)
        and all(_holds(name, info, wanted))
    )


def too_dear(wanted: Mapping[str, Any], region: str, names: Sequence[str]) -> dict[str, set[str]]:
    """Return which of the types that have what is wanted are over a price limit, by lifecycle.

    A type that is not sold on the spot market is over each of that.
    """
    dear: dict[str, set[str]] = {"spot": set(), "on-demand": set()}
    on_demand = {name: on_demand_price(name) for name in names}
    spots = {name: _spot_price(region, name) for name in names if "spot" in _usage(name)}
    dear["spot"] = set(names) - set(spots)
    over = wanted.get("OnDemandMaxPricePercentageOverLowestPrice")
    most = _reference(on_demand) * (1 + int(_OVER_ON_DEMAND if over is None else over) / 100)
    dear["on-demand"] = {name for name, usd in on_demand.items() if usd > most}
    over = wanted.get("SpotMaxPricePercentageOverLowestPrice")
    share = wanted.get("MaxSpotPriceAsPercentageOfOptimalOnDemandPrice")
    if over is not None or share is not None:
        most = (
            _reference(spots) * (1 + int(over) / 100)
            if over is not None
            else _reference(on_demand) * int(share or 0) / 100
        )
        dear["spot"] |= {name for name, usd in spots.items() if usd > most}
    return dear


def _check(wanted: Mapping[str, Any]) -> None:
    for name in ("VCpuCount", "MemoryMiB"):
        if wanted.get(name, {}).get("Min") is None:
            raise _missing(f"{name}.Min")
    for name in wanted:
        if name not in {*_RANGES, *_SWITCHES, *_OTHERS}:
            raise EC2ClientError(
                "UnsupportedOperation", f"The instance requirement {name} is not supported."
            )
    _check_together(wanted)
    _check_values(wanted)


def _check_together(wanted: Mapping[str, Any]) -> None:
    for one, other in (
        ("AllowedInstanceTypes", "ExcludedInstanceTypes"),
        (
            "SpotMaxPricePercentageOverLowestPrice",
            "MaxSpotPriceAsPercentageOfOptimalOnDemandPrice",
        ),
    ):
        if wanted.get(one) is not None and wanted.get(other) is not None:
            raise EC2ClientError(
                "InvalidParameterCombination",
                f"You can specify either {one} or {other}, but not both.",
            )
    for name in _RANGES:
        limits = wanted.get(name, {})
        least, most = limits.get("Min"), limits.get("Max")
        if least is not None and most is not None and float(least) > float(most):
            raise _invalid(f"{name}.Min", least, f"It must not be greater than {name}.Max.")


def _check_values(wanted: Mapping[str, Any]) -> None:
    for name in _SWITCHES:
        if wanted.get(name, "included") not in ("included", "required", "excluded"):
            raise _invalid(name, wanted[name])
    for name, known in (
        ("CpuManufacturers", set(_MAKERS)),
        ("InstanceGenerations", {"current", "previous"}),
        ("LocalStorageTypes", {"hdd", "ssd"}),
    ):
        for one in set(wanted.get(name, ())) - known:
            raise _invalid(name, one)


def _holds(name: str, info: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[bool]:
    for what, value_of in _RANGES.items():
        limits = wanted.get(what, {})
        if limits:
            value = value_of(info)
            yield float(limits.get("Min") or 0) <= value <= float(limits.get("Max", "inf"))
    for what, (field, usual) in _SWITCHES.items():
        said = wanted.get(what, usual)
        yield said == "included" or bool(info.get(field)) is (said == "required")
    if makers := wanted.get("CpuManufacturers"):
        yield info["ProcessorInfo"].get("Manufacturer") in {_MAKERS[one] for one in makers}
    if generations := wanted.get("InstanceGenerations"):
        yield ("current" if info.get("CurrentGeneration") else "previous") in generations
    if (kinds := wanted.get("LocalStorageTypes")) and info.get("InstanceStorageSupported"):
        yield any(disk["Type"] in kinds for disk in info["InstanceStorageInfo"]["Disks"])
    if allowed := wanted.get("AllowedInstanceTypes"):
        yield any(fnmatch.fnmatchcase(name, one) for one in allowed)
    yield not any(fnmatch.fnmatchcase(name, one) for one in wanted.get("ExcludedInstanceTypes", ()))
    if is_true(wanted.get("RequireHibernateSupport")):
        yield bool(info.get("HibernationSupported"))


def _reference(prices: Mapping[str, float]) -> float:
    """Return the price that a limit is measured by: the lowest of what is usual, or else of all."""
    current = {n: usd for n, usd in prices.items() if INSTANCE_TYPES[n].get("CurrentGeneration")}
    usual = {n: usd for n, usd in current.items() if n.startswith(_USUAL)}
    return min((usual or current or prices).values(), default=0.0)


def _spot_price(region: str, name: str) -> float:
    return min(market.price_now(name, zone).usd for zone in market.zones_of(region, name))


def _usage(name: str) -> list[str]:
    found: list[str] = INSTANCE_TYPES[name].get("SupportedUsageClasses", ["on-demand", "spot"])
    return found


def _place(token: Any) -> int:
    if token is None or (isinstance(token, str) and token.isdecimal()):
        return int(token or 0)
    raise EC2ClientError("InvalidNextToken", f"The token '{token}' is invalid")


def _missing(name: str) -> EC2ClientError:
    return EC2ClientError("MissingParameter", f"The request must contain the parameter {name}")


def _invalid(name: str, value: object, why: str = "") -> EC2ClientError:
    return EC2ClientError(
        "InvalidParameterValue", f"Invalid value '{value}' for {name}. {why}".strip()
    )

"""The spot market: what an instance type costs in a zone at a time.

Prices are a function of type, zone and time, so that everybody who asks sees the same history and
nothing needs to be kept. They move around 30% of the on-demand price, each pool at its own level,
as EC2's have done since it smoothed them: by a few percent, a few times a day. A pool whose price
was told has that one until it is told another.
"""

from __future__ import annotations

import fnmatch
import hashlib
import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

from . import clock
from .prices import on_demand_price

PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
"""What prices are for: EC2 answers to both names of the one product."""

DAYS = 90
"""How far back prices are told."""

_STEP = 6 * 3600


@dataclass(frozen=True)
class Price:
    """A price of a pool, from `since` on."""

    instance_type: str
    zone: str
    usd: float
    since: datetime

    @property
    def text(self) -> str:
        """The price as EC2 writes it."""
        return f"{self.usd:.6f}"


@dataclass(frozen=True)
class Told:
    """A price that was told, from `since` on; without `usd` the one of that time, which stays."""

    instance_type: str
    zone: str
    usd: float | None
    since: datetime

    def concerns(self, instance_type: str, zone: str) -> bool:
        """Return whether it is about a pool; ``*`` and ``?`` stand for any."""
        return fnmatch.fnmatchcase(instance_type, self.instance_type) and fnmatch.fnmatchcase(
            zone, self.zone
        )


told: list[Told] = []
"""What was told, the oldest first."""


def tell(rules: Iterable[Mapping[str, Any]]) -> None:
    """Set prices from now on: ``{"instance_type": "c5.*", "zone": "*", "usd": 0.04}``.

    Without ``usd`` prices stay as they are now. No rules at all make prices move by themselves
    again, and what was told is forgotten.

    Raises
    ------
    ValueError
        If a rule is none, or no price.
    """
    now, made = clock.now(), []
    for rule in rules:
        unknown = set(rule) - {"instance_type", "zone", "usd"}
        if unknown:
            raise ValueError(f"a rule has no field {sorted(unknown)[0]!r}")
        usd = rule.get("usd")
        if usd is not None and not 0 < float(usd) < 10_000:
            raise ValueError(f"{usd!r} is no price")
        kind, zone = str(rule.get("instance_type", "*")), str(rule.get("zone", "*"))
        made.append(Told(kind, zone, None if usd is None else float(usd), now))
    if not made:
        told.clear()
    told.extend(made)


def price_at(instance_type: str, zone: str, when: datetime) -> Price:
    """Return the price of a pool at a time.

    Raises
    ------
    KeyError
        If there is no such instance type.
    """
    for one in reversed(told):
        if one.since <= when and one.concerns(instance_type, zone):
            if one.usd is not None:
                return Price(instance_type, zone, one.usd, one.since)
            when = one.since
    phase = _phase(instance_type, zone)
    step = math.floor((when.timestamp() - phase) / _STEP)
    return _price(instance_type, zone, step)


def price_now(instance_type: str, zone: str) -> Price:
    """Return the price of a pool now."""
    return price_at(instance_type, zone, clock.now())


def history(pools: Iterable[tuple[str, str]], start: datetime, end: datetime) -> Iterator[Price]:
    """Yield the prices of `pools` (type, zone) from `start` to `end`, the newest first.

    As on EC2, the price that was in force at `start` is among them, with its own earlier time.
    """
    start = max(start, clock.now() - timedelta(days=DAYS))
    if end < start:
        return iter(())
    return heapq.merge(
        *(_pool_history(instance_type, zone, start, end) for instance_type, zone in pools),
        key=lambda price: price.since,
        reverse=True,
    )


def _pool_history(instance_type: str, zone: str, start: datetime, end: datetime) -> Iterator[Price]:
    for one in reversed(told):
        if one.since <= end and one.concerns(instance_type, zone):
            if one.usd is not None:
                yield Price(instance_type, zone, one.usd, one.since)
                if one.since <= start:
                    return
            end = one.since
    phase = _phase(instance_type, zone)
    step = math.floor((end.timestamp() - phase) / _STEP)
    while True:
        price = _price(instance_type, zone, step)
        yield price
        if price.since <= start:
            return
        step -= 1


def pools(
    region: str, instance_types: Sequence[str] = (), zones: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Return the pools (type, zone) of a region; empty sequences mean all."""
    found = _offered(region)
    return [
        (instance_type, zone)
        for instance_type in dict.fromkeys(instance_types or found)
        for zone in found.get(instance_type, ())
        if not zones or zone in zones
    ]


def types_of(region: str) -> Collection[str]:
    """Return the instance types that are offered in a region."""
    return _offered(region).keys()


def zones_of(region: str, instance_type: str) -> list[str]:
    """Return the zones of a region in which an instance type is offered."""
    return sorted(_offered(region).get(instance_type, ()))


@lru_cache(maxsize=64)
def _offered(region: str) -> dict[str, list[str]]:
    """Return the zones of each instance type: of two thousand pools most calls are about one."""
    found: dict[str, list[str]] = {}
    for offer in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, []):
        found.setdefault(offer["InstanceType"], []).append(offer["Location"])
    return found


def _fraction(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts only."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


@lru_cache(maxsize=16384)
def _phase(instance_type: str, zone: str) -> int:
    return int(_fraction("phase", instance_type, zone) * _STEP)


def _price(instance_type: str, zone: str, step: int) -> Price:
    level = 0.26 + 0.08 * _fraction("level", instance_type, zone)
    slow = math.sin(2 * math.pi * (step / 56 + _fraction("slow", instance_type, zone)))
    jitter = _fraction("jitter", instance_type, zone, step) - 0.5
    usd = on_demand_price(instance_type) * level * (1 + 0.08 * slow + 0.03 * jitter)
    since = datetime.fromtimestamp(step * _STEP + _phase(instance_type, zone), UTC)
    return Price(instance_type, zone, max(round(usd, 4), 0.0001), since)

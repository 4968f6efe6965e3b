"""The pools that workers may come from: each a type in a subnet, with what it costs now."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spotcluster import threads, wording
from spotcluster.aws import prices
from spotcluster.aws.fleets import Pool
from spotcluster.aws.instance_types import InstanceType
from spotcluster.aws.network import Subnet
from spotcluster.aws.session import Session
from spotcluster.errors import CapacityError, UsageError

_MOST = 300  # that a fleet may draw from
_HIGH = 3  # times the price on demand


@dataclass(frozen=True)
class Offer:
    """A pool, and what an instance of it costs now.

    Attributes
    ----------
    price : float or None
        In USD per hour; None when AWS does not tell us.
    """

    pool: Pool
    type: InstanceType
    price: float | None

    @property
    def per_vcpu(self) -> float:
        """The price of a virtual core, which is what a search pays for."""
        return float("inf") if self.price is None else self.price / self.type.vcpus

    @property
    def least_bid(self) -> str:
        """The bid that is enough for it now, in hundredths of a cent."""
        return f"{math.ceil(round((self.price or 0) * 10_000, 6)) / 10_000:g}"

    @property
    def order(self) -> tuple[float, str, str]:
        """What offers are sorted by."""
        return self.per_vcpu, self.pool.type, self.pool.zone

    @property
    def chosen(self) -> bool:
        """Whether nodes may come from it: its price is not above the bid, as far as we know."""
        bid = self.pool.bid
        return bid is None or self.price is None or self.price <= bid


@dataclass(frozen=True)
class Ranked:
    """An offer, and what the same costs on demand, in USD per hour; None when not told."""

    offer: Offer
    on_demand: float | None

    @property
    def saving(self) -> float | None:
        """What part of the price on demand is saved."""
        if not self.on_demand or self.offer.price is None:
            return None
        return 1 - self.offer.price / self.on_demand


def offers(
    session: Session,
    types: Sequence[InstanceType],
    zones: Mapping[str, set[str]],
    subnets: Sequence[Subnet],
    *,
    spot: bool,
    bid: float | None,
) -> tuple[Offer, ...]:
    """Return the pools of some types, the cheapest virtual core first; some of them are chosen.

    Parameters
    ----------
    zones : mapping of str to set of str
        The zones that offer each type.

    Raises
    ------
    CapacityError
        The bid is below the price of each.
    UsageError
        None of the subnets is in a zone that offers one of the types, or a type has no spot market.
    """
    names = [one.name for one in types]
    told = prices.spot_pools(session, names) if spot else {}
    fixed = {} if spot else {name: prices.on_demand(session, name) for name in names}
    found = [
        Offer(
            Pool(kind.name, subnet.id, subnet.zone, bid if spot else None),
            kind,
            told.get((kind.name, subnet.zone)) if spot else fixed[kind.name],
        )
        for kind in types
        for subnet in subnets
        if subnet.zone in zones[kind.name]
    ]
    if not found:
        raise UsageError(
            f"No subnet that may be used is in a zone that offers {', '.join(names)}.",
            "Choose another type, or another subnet with SUBNET_ID.",
        )
    found.sort(key=lambda one: one.order)
    if bid is not None and not any(one.chosen for one in found):
        raise _below(found, bid)
    return tuple(found)


def chosen(found: Sequence[Offer]) -> tuple[Offer, ...]:
    """Return those that nodes may come from, as many as a fleet takes."""
    return tuple(one for one in found if one.chosen)[:_MOST]


def ranked(session: Session, found: Sequence[Offer]) -> list[Ranked]:
    """Return offers with the prices on demand, which are asked for once a type, side by side."""
    told: dict[str, float | None] = {}

    def ask(name: str) -> None:
        told[name] = prices.on_demand(session, name)

    threads.on_each(dict.fromkeys(one.type.name for one in found), ask)
    return [Ranked(one, told.get(one.type.name)) for one in found]


def high_bid(session: Session, bids: Mapping[str, float]) -> str:
    """Return a remark on a bid that lets a spot node cost far more than one on demand, or "".

    Parameters
    ----------
    bids : mapping of str to float
        The bids in USD per hour, by type.
    """
    for name, bid in bids.items():
        on_demand = prices.on_demand(session, name)
        if on_demand and bid > _HIGH * on_demand:
            return (
                f"The bid of {wording.usd(bid)}/h is {bid / on_demand:.0f} times what {name} costs"
                f" on demand, {wording.usd(on_demand)}/h: nodes may come to cost that much."
            )
    return ""


def remark_high_bid(
    session: Session, bids: Mapping[str, float], note: Callable[[str], None]
) -> None:
    """Remark a bid that is far above the price on demand, before anything is launched at it."""
    if remark := high_bid(session, bids):
        note(remark)


def _below(found: Sequence[Offer], bid: float) -> CapacityError:
    least = min(found, key=lambda one: one.price or 0.0)
    others = f", the cheapest of {len(found)} pools" if len(found) > 1 else ""
    return CapacityError(
        f"The bid of {wording.usd(bid)}/h is below the spot price of {least.pool.type} in"
        f" {least.pool.zone}{others}, which is {wording.usd(least.price or 0.0)}/h now.",
        f"Raise the bid (-b {least.least_bid} or more), or name more types in NODE_INSTANCE_TYPES.",
    )


def check(kind: InstanceType, *, spot: bool) -> None:
    """Refuse a type that could not become a node, before anything is made."""
    if kind.mac:
        raise UsageError(
            f"{kind.name} is a Mac, which no Linux image boots on.", "Choose another type."
        )
    if spot and not kind.spot:
        raise UsageError(
            f"{kind.name} cannot be had as a spot instance.",
            "Choose another type, or leave the bid (-b, SPOT_BID) out.",
        )

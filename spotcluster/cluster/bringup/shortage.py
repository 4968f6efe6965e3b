"""What is said when EC2 has too few instances: by each pool, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spotcluster import wording
from spotcluster.aws import fleets, instance_types, prices
from spotcluster.aws.fleets import Pool, Refusal
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup.places.pools import Offer
from spotcluster.errors import CapacityError, CloudError, SpotclusterError

_MOST = 3  # pools that would help, which are named
_TIMES = 4  # as much memory as was asked for, at most
_PASSING = ("InsufficientInstanceCapacity", "SpotMaxPriceTooLow")


def why(refusals: Sequence[Refusal]) -> CloudError:
    """Return the error of what no pool had: that of a pool whose capacity may come back, if any."""
    passing = [one.error for one in refusals if one.error.code == "InsufficientInstanceCapacity"]
    for error in [*passing, *(one.error for one in refusals)]:
        return error
    return CapacityError(
        "EC2 launched fewer instances than were asked for, and does not say why.",
        code="InsufficientInstanceCapacity",
    )


@dataclass(frozen=True)
class Lack:
    """Workers that could not be had.

    Attributes
    ----------
    adding : bool
        Whether they were for an `addnode`; a `start` is repeated with what it has.
    """

    session: Session
    cluster: str
    number: int
    spot: bool
    adding: bool

    def again(self, *more: str) -> str:
        """Return the words that ask for them again."""
        if self.adding:
            return self.added(*more)
        return " ".join(["spotcluster", "-r", self.session.region, "start", self.cluster, *more])

    def added(self, *more: str) -> str:
        """Return the words that ask for them by an `addnode`."""
        words = ("-r", self.session.region, "addnode", self.cluster, "-s", str(self.number))
        return " ".join(["spotcluster", *words, *more])


def told(lack: Lack, refusals: Sequence[Refusal], offers: Sequence[Offer]) -> str:
    """Return what each pool said, in a table, what would help, and the words to type.

    Parameters
    ----------
    offers : sequence of Offer
        All that the nodes might have come from.
    """
    said = {one.pool: one.error.code for one in refusals}
    market = "spot" if lack.spot else "on-demand"
    parts = [f"no room for {lack.number} {market} worker(s) of '{lack.cluster}'; each pool said:"]
    scores = _scores(lack, list(said))
    columns = ("type", "zone", "answer", *(["placement score"] if scores else []))
    rows = [
        (pool.type, pool.zone, code, f"{scores[pool.zone]} of 10" if pool.zone in scores else "")
        for pool, code in said.items()
    ]
    parts += wording.columns([columns, *(row[: len(columns)] for row in rows)])
    if any(code in _PASSING for code in said.values()):  # a quota is full whatever the pool
        parts += _would_help(lack, list(said), offers)
    return "\n".join(parts)


def _would_help(lack: Lack, said: Sequence[Pool], offers: Sequence[Offer]) -> list[str]:
    if not lack.spot:
        return [f"Another type, or zone: `{lack.added('-I TYPE')}`, or `-z ZONE`."]
    others = _others(lack, said, offers)
    now = _now(lack, [*offers, *others])
    asked = {one.pool for one in offers}
    above = [one for one in now if one.pool in asked and not one.chosen]
    below = [one for one in now if one.pool not in asked and one.pool.bid and one.chosen]
    parts: list[str] = []
    if above:
        parts += ["A higher bid would have had:", *_table(above)]
        parts.append(f"Type `{lack.again('-b', above[0].least_bid)}`.")
    if below and not above:
        parts += ["Others like these that the bid is enough for:", *_table(below)]
        bid = f"{below[0].pool.bid:g}"
        parts.append(f"Type `{lack.added('-I', below[0].type.name, '-b', bid)}`.")
    return parts or [f"When there may be room again, type `{lack.again()}`."]


def _table(found: Sequence[Offer]) -> list[str]:
    rows = [
        (one.type.name, one.pool.zone, f"${one.price:.4f}/h", f"${one.per_vcpu:.4f}")
        for one in found[:_MOST]
    ]
    return wording.columns([("type", "zone", "price now", "per vCPU"), *rows])


def _now(lack: Lack, found: Sequence[Offer]) -> list[Offer]:
    """Return pools with what they cost by now, the cheapest virtual core first."""
    try:
        told = prices.spot_pools(lack.session, sorted({one.type.name for one in found}))
    except CloudError:
        told = {}
    known = [
        replace(one, price=told.get((one.type.name, one.pool.zone), one.price)) for one in found
    ]
    return sorted((one for one in known if one.price is not None), key=lambda one: one.order)


def _others(lack: Lack, said: Sequence[Pool], offers: Sequence[Offer]) -> list[Offer]:
    """Return pools of types that were not asked for, and are as large as one that was."""
    kinds = {one.type.name: one.type for one in offers}
    asked = [kinds[pool.type] for pool in said if pool.type in kinds]
    if not asked:
        return []
    like = min(asked, key=lambda one: (one.vcpus, one.memory_mb, one.name))
    memory = like.memory_mb / 1024
    try:
        names = instance_types.matching(
            lack.session,
            cpus=(like.vcpus, like.vcpus),
            memory=(memory, memory * _TIMES),
            architecture=like.architecture,
            spot=True,
        )
    except SpotclusterError:
        return []
    places = {pool.zone: pool for pool in said}
    return [
        Offer(replace(pool, type=name), replace(like, name=name), None)
        for name in names
        if name not in kinds
        for pool in places.values()
    ]


def _scores(lack: Lack, pools: Sequence[Pool]) -> dict[str, int]:
    types = sorted({one.type for one in pools})
    return fleets.placement_scores(lack.session, types, lack.number) if lack.spot else {}

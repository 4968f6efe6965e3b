"""Whether so many nodes fit: in the subnets, and into the account's quota of virtual cores.

Both are looked at before any node has a name, so that a slip of the finger is refused at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spotcluster import wording
from spotcluster.aws.launching import quotas
from spotcluster.aws.launching.quotas import Quota
from spotcluster.aws.network import Subnet
from spotcluster.aws.session import LOCAL, Session
from spotcluster.cluster.bringup.places.pools import Offer
from spotcluster.config import Template
from spotcluster.errors import CapacityError


@dataclass(frozen=True)
class Wish:
    """How many nodes are wanted.

    Attributes
    ----------
    number : int
        Those that are to be launched.
    there : int
        Those that the command line's ``-s`` counts too, and that are there already.
    """

    number: int
    there: int = 0

    def fits(self, room: int) -> str:
        """Return what to say in place of the size that was given, where so many fit."""
        most = self.there + max(room, 0)
        return f"Say -s {most} or less, or " if room > 0 else ""


def check_addresses(
    session: Session, template: Template, subnets: Sequence[Subnet], wish: Wish
) -> None:
    """Refuse more nodes than the subnets that may be used have addresses for.

    Raises
    ------
    CapacityError
        They have fewer.
    """
    free = sum(one.free for one in subnets)
    if free >= wish.number or any(one.ipv6 for one in subnets):
        return
    zones = wording.listed(sorted({one.zone for one in subnets}))
    if len(subnets) == 1:
        where = f"The subnet {subnets[0].id} in {zones} has"
    else:
        where = f"The {len(subnets)} subnets of {session.region} that may be used, in {zones}, have"
    others = (
        "leave AVAILABILITY_ZONE (-a, -z) out"
        if template.availability_zone and not template.subnet_id
        else "name a subnet with more room with SUBNET_ID"
    )
    hint = f"{wish.fits(free)}{others}."
    raise CapacityError(
        f"{where} {free} free addresses; {wish.number} are needed.",
        hint[0].upper() + hint[1:],
        code="InsufficientFreeAddressesInSubnet",
    )


@dataclass(frozen=True)
class Need:
    """So many nodes of one kind, and where each of them may come from."""

    number: int
    spot: bool
    offers: tuple[Offer, ...]

    @property
    def least(self) -> Offer:
        """The smallest that one of them may be."""
        return min(self.offers, key=lambda one: (one.type.vcpus, one.type.name))

    @property
    def quota(self) -> Quota | None:
        """The quota that counts them; None where there may be several, or none that we know."""
        found = {quotas.of(one.type.name, spot=self.spot) for one in self.offers}
        return found.pop() if len(found) == 1 else None


def check_quota(session: Session, template: Template, needs: Sequence[Need], wish: Wish) -> None:
    """Refuse more virtual cores than the account may have at once, where EC2 says how many.

    One quota is asked for, that of which most is wanted; EC2 looks after the others itself.

    Raises
    ------
    CapacityError
        What is wanted and what runs already is more.
    """
    wanted: Counter[Quota] = Counter()
    for one in needs:
        if one.quota is not None and one.number:
            wanted[one.quota] += one.number * one.least.type.vcpus
    if not wanted:
        return
    ((quota, cores),) = wanted.most_common(1)
    spare = _on_demand_instead(template) if quota.spot else 0.0
    alike = [one for one in needs if one.quota == quota and one.number]
    number = sum(one.number for one in alike)
    if spare >= number:
        return
    cores -= int(spare) * min(one.least.type.vcpus for one in alike)
    limit = quotas.value(session, quota)
    if limit is None:
        return
    runs = quotas.used(session, quota)
    if cores + runs <= limit:
        return
    room = _first(alike, limit - runs) + int(spare)
    # Nodes that another quota counts are counted by -s too.
    fits = wish.fits(room + wish.number - number if room else 0) or "Choose smaller types, or "
    place = "" if session.region == LOCAL else f" --region {session.region}"
    larger = any(one.type.vcpus > need.least.type.vcpus for need in alike for one in need.offers)
    raise CapacityError(
        f"{number - int(spare)} {'spot ' if quota.spot else ''}node(s) of"
        f" {wording.listed(dict.fromkeys(one.least.type.name for one in alike))}"
        f"{' or larger' if larger else ''} need {cores} vCPUs; the quota '{quota.name}'"
        f" ({quota.code}) of {session.region} is {limit:g}, of which {runs} run already.",
        f"{fits}raise the quota: `aws service-quotas request-service-quota-increase{place}"
        f" --service-code ec2 --quota-code {quota.code} --desired-value {cores + runs}`.",
        code="MaxSpotInstanceCountExceeded" if quota.spot else "VcpuLimitExceeded",
    )


def _first(needs: Sequence[Need], cores: float) -> int:
    """Return how many nodes, the first first, so many virtual cores are enough for."""
    count = 0
    for one in needs:
        some = min(one.number, int(max(cores, 0)) // one.least.type.vcpus)
        count += some
        if some < one.number:
            break
        cores -= some * one.least.type.vcpus
    return count


def _on_demand_instead(template: Template) -> float:
    """Return how many spot workers may be on demand instead."""
    allowed = template.on_demand_fallback
    return float("inf") if allowed == "all" else float(allowed or 0)

"""How long a cluster may run until its ceiling: BUDGET, MAX_HOURS.

It is counted by the highest price that each node can cost, so that it holds whatever the market
does, and carried by every node as a timer of its own: nobody else need be there when it is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from spotcluster import templates
from spotcluster.aws import instances, tags
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup.plans import PlannedNode
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.records import Record
from spotcluster.cluster.status import costs
from spotcluster.config import Template
from spotcluster.errors import UsageError

LEAST = 900.0
"""Seconds that a ceiling must leave: a cluster takes some of them to be of use."""


@dataclass(frozen=True)
class Spending:
    """What counts against a ceiling.

    Attributes
    ----------
    spent : float
        What the cluster has cost in USD.
    age : float
        Seconds since its oldest node was started.
    rate : float
        The most that all its nodes can cost together, in USD per hour.
    """

    spent: float = 0.0
    age: float = 0.0
    rate: float = 0.0


def seconds_left(template: Template, now: Spending) -> float | None:
    """Return how long a cluster may still run; None where it has no ceiling.

    Raises
    ------
    UsageError
        It is so little that it would be of no use.
    """
    found: list[tuple[float, str]] = []
    if template.budget is not None and now.rate > 0:
        left = (template.budget - now.spent) / now.rate * 3600
        why = (
            f"BUDGET = {template.budget:g}: ${now.spent:.2f} are spent, and the nodes cost up to"
            f" ${now.rate:.4g} per hour"
        )
        found.append((left, why))
    if template.max_hours is not None:
        left = template.max_hours * 3600 - now.age
        found.append((left, f"MAX_HOURS = {template.max_hours:g}"))
    if not found:
        return None
    left, why = min(found)
    if left < LEAST:
        raise UsageError(
            f"{why}: that leaves {max(0.0, left) / 3600:.2f} hours, too few to begin anything.",
            "Ask for fewer or cheaper nodes, or for a higher ceiling: --budget of `start`.",
        )
    return left


def of(
    session: Session,
    template: Template,
    new: Sequence[PlannedNode],
    there: Iterable[Instance] = (),
    record: Record | None = None,
    found: Sequence[Instance] = (),
) -> float | None:
    """Return how long a cluster may still run with the nodes that there are and those to make.

    Parameters
    ----------
    there : iterable of Instance
        Those that run, or are to run again.
    found : sequence of Instance
        All of the cluster's that EC2 shows, ended ones too.

    Raises
    ------
    UsageError
        That is too little, or a price that BUDGET needs is not known.
    """
    if template.budget is None and template.max_hours is None:
        return None
    there = list(there)
    begun = min((one.launched for one in there if one.state == "running"), default=None)
    age = 0.0 if begun is None else (datetime.now(UTC) - begun).total_seconds()
    if template.budget is None:
        return seconds_left(template, Spending(age=age))
    tariff = costs.Tariff(session)
    spent = costs.so_far(session, record, found, tariff) if record else 0.0
    rates = [_most(tariff, template, one) for one in new]
    rates += [_most_of(tariff, one) for one in there]
    known = [one for one in rates if one is not None]
    gb = sum(one.priced_gb for one in new) + sum(one.priced_gb for one in there)
    disks = tariff.disk_hour * gb
    if spent is None or len(known) < len(rates):
        raise UsageError(
            f"BUDGET = {template.budget:g} cannot be kept: AWS does not tell what these types cost"
            f" in {session.region}.",
            "Give MAX_HOURS instead, or let the credentials read prices (pricing:GetProducts).",
        )
    return seconds_left(template, Spending(spent, age, sum(known) + disks))


def anew(cluster: Cluster, template: Template) -> float | None:
    """Return a cluster's deadline by what it has really cost so far; None where it has no ceiling.

    Raises
    ------
    UsageError
        That is too soon, or a price that BUDGET needs is not known.
    """
    if template.budget is None and template.max_hours is None:
        return None
    begin = time.monotonic()
    found = cluster.record.own(instances.describe(cluster.session, cluster.name))
    mine = {node.instance.id for node in cluster.nodes}
    there = [one for one in instances.present(found) if one.id in mine]
    left = of(cluster.session, template, (), there, cluster.record, found)
    return None if left is None else begin + left


def move_on(cluster: Cluster) -> None:
    """Count a cluster's ceiling anew, for `autostop.tell`; where that fails it stays as it is."""
    try:
        cluster.deadline = anew(cluster, cluster.record.template)
    except UsageError as error:
        cluster.note(f"the ceiling of '{cluster.name}' stays as it is: {error.message}")


def boot_script(seconds: float) -> bytes:
    """Return the part of a node's user data that sets its timer, at every boot; see ceiling.sh."""
    return templates.read("ceiling.sh").replace("@SECONDS@", f"{max(60, int(seconds))}").encode()


def _most(tariff: costs.Tariff, template: Template, one: PlannedNode) -> float | None:
    """Return the most that a node to make can cost per hour, whichever pool it comes from."""
    if one.reservation and one.reservation.block:
        return 0.0  # paid for in advance
    kinds = {one.type.name, *(pool.type for pool in one.pools)}
    if one.bid is not None and not template.on_demand_fallback:
        return one.bid
    found = [tariff.on_demand(kind) for kind in sorted(kinds)]
    if any(price is None for price in found):
        return None
    return max([one.bid or 0.0, *(price for price in found if price is not None)])


def _most_of(tariff: costs.Tariff, one: Instance) -> float | None:
    """Return the most that a node can cost per hour."""
    if one.spot and tags.BID in one.tags:
        return float(one.tags[tags.BID])
    return 0.0 if one.prepaid else tariff.on_demand(one.type)

"""What has happened to a cluster that the user's hook is to be told of, by what is seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from spotcluster.aws import instances
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster.reporter import Event, Teller, lost
from spotcluster.cluster.status.listing import Listed

NEARLY = 0.8
"""Of a ceiling, from where on it is said."""


class Looked(Protocol):
    """A cluster as `listclusters` or `status` sees it."""

    @property
    def name(self) -> str: ...
    @property
    def cost(self) -> float | None: ...
    @property
    def budget(self) -> float | None: ...
    @property
    def max_hours(self) -> float | None: ...
    @property
    def up_since(self) -> datetime | None: ...
    @property
    def taken(self) -> Sequence[Instance]: ...


def near_ceiling(seen: Looked, now: datetime | None = None) -> list[Event]:
    """Return which of a running cluster's ceilings are used up by 80% or more."""
    if seen.up_since is None:
        return []
    found = []
    if seen.cost and seen.budget and seen.cost >= NEARLY * seen.budget:
        text = (
            f"{seen.cost / seen.budget:.0%} of the BUDGET of ${seen.budget:g} of '{seen.name}' is"
            " spent; at 100% it ends by itself, whatever runs;"
            f" `spotcluster autostop {seen.name} --budget` raises it."
        )
        facts = {"usd": round(seen.cost, 2), "budget_usd": seen.budget}
        found.append(Event("budget", f"budget {seen.budget!r}", text, facts))
    hours = ((now or datetime.now(UTC)) - seen.up_since).total_seconds() / 3600
    if seen.max_hours and hours >= NEARLY * seen.max_hours:
        text = (
            f"{hours / seen.max_hours:.0%} of the MAX_HOURS of {seen.max_hours:g} of '{seen.name}'"
            " have passed; at 100% it ends by itself, whatever runs."
        )
        facts = {"hours": round(hours, 2), "max_hours": seen.max_hours}
        key = f"hours {seen.max_hours!r} {seen.up_since.isoformat()}"
        found.append(Event("budget", key, text, facts))
    return found


def ended(seen: Listed) -> list[Event]:
    """Return that a cluster has ended by itself, if it has."""
    if seen.ended is None:
        return []
    text = f"'{seen.name}' has ended by itself."
    if any(one.state in instances.STOPPED for one in seen.nodes):
        text = f"'{seen.name}' has stopped by itself; only disks cost money."
    return [Event("stopped", f"ended {seen.ended.id} {seen.ended.launched.isoformat()}", text)]


def taken(seen: Looked, leaving: Iterable[Instance] = ()) -> list[Event]:
    """Return which nodes EC2 has taken back, as far as it still shows them, or takes back."""
    return [
        *(lost(seen.name, one.alias, one.id, "EC2 takes it back") for one in leaving),
        *(lost(seen.name, one.alias, one.id, "EC2 has taken it back") for one in seen.taken),
    ]


def tell_all(sessions: Sequence[Session], found: Iterable[Listed], hook: str | None) -> None:
    """Tell what is seen of clusters of several regions."""
    by_region = {one.region: one for one in sessions}
    for one in found:
        Teller(by_region[one.region], one.name, hook).tell(
            [*near_ceiling(one), *taken(one), *ended(one)]
        )

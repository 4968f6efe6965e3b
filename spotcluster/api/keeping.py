"""A cluster whose size this process keeps, or its master."""

from __future__ import annotations

from collections.abc import Callable

from spotcluster.api.scope import Scope
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.lifecycle.keeping.acting import Acting
from spotcluster.cluster.lifecycle.keeping.decision import Rules
from spotcluster.cluster.lifecycle.keeping.keeper import Keeper
from spotcluster.cluster.lifecycle.keeping.observation import Observation, Over
from spotcluster.config.names import MOST_NODES
from spotcluster.errors import ClusterError, UsageError

_MINUTES = 60.0


def rules_of(
    cluster: Cluster,
    least: int | None,
    most: int | None,
    target: float | None,
    idle: float,
    pause: float,
    step: int | None,
) -> Rules:
    """Return what a keeper is told; `target` and `idle` are in minutes."""
    within = cluster.record.template.target_seconds if target is None else target * _MINUTES
    return Rules(least, most, within, idle * _MINUTES, pause, step)


def check(least: int | None, most: int | None) -> None:
    """Refuse sizes that cannot be."""
    for name, number in (("min", least), ("max", most)):
        if number is not None and number > MOST_NODES:
            raise UsageError(f"{name} {number} is more than any account may have ({MOST_NODES}).")
    if least is not None and most is not None and least > most:
        raise UsageError(f"min {least} is more than max {most}.")


def keep(
    scope: Scope, cluster: Cluster, rules: Rules, say: Callable[[str], None], *, once: bool
) -> Over:
    """Keep a cluster's size until it ends, or once; `say` gets a line for each thing done."""
    name = cluster.name
    if cluster.record.keeps_itself:
        raise ClusterError(
            f"The master of '{name}' keeps its size already; two would set up the same nodes.",
            f"`spotcluster keep --log {name}` says what it does; `spotcluster keep --off {name}`"
            " ends that.",
        )
    hook = scope.hook
    hands = Acting(cluster, lambda: scope.cluster(name, region=cluster.region), say, hook=hook)
    with Observation(cluster) as seen_by:
        over = Keeper(rules, say, hands, hook=hook, once=once).run(cluster, seen_by)
    assert over  # nobody else goes on
    say(over.message)
    return over

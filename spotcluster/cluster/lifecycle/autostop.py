"""When a cluster that is idle ends by itself: said anew, or put off."""

from __future__ import annotations

from spotcluster.cluster import records
from spotcluster.cluster.bringup import autostop, ceiling
from spotcluster.cluster.cluster import Cluster, is_ending
from spotcluster.config import durations
from spotcluster.errors import ClusterError, UsageError


def change(cluster: Cluster, time: str | None, budget: float | None = None) -> int:
    """Count a cluster's idle time anew, by another limit if one is given; return it in seconds.

    Its ceiling is counted anew too, by what it has really cost.

    Parameters
    ----------
    time : str or None
        As AUTOSTOP in a template.
    budget : float or None
        Another BUDGET.

    Raises
    ------
    UsageError
        That is no duration, or a budget that is spent.
    ClusterError
        The cluster has no autostop, is no more, or its master does not take it.
    """
    name, record = cluster.name, cluster.record
    try:
        wanted = None if time is None else durations.canonical(time)
    except ValueError as error:
        raise UsageError(f"'{time}' {error}.") from None
    if record.ending:
        raise is_ending(name)
    if record.template.autostop is None:
        raise ClusterError(
            f"'{name}' was started by a version of spotcluster that had no autostop.",
            f"`spotcluster terminate {name}`, then `start`, makes one that has it.",
        )
    master = cluster.master
    template = record.template.with_overrides(autostop=wanted, budget=budget)
    deadline = None if budget is None else ceiling.anew(cluster, template)
    if template != record.template:
        cluster.record = records.amend(cluster.session, record, template)
    if budget is None:
        ceiling.move_on(cluster)
    else:
        cluster.deadline = deadline
    failed = autostop.tell(cluster)
    for alias, why in failed.items():
        if alias != master.alias:
            cluster.note(f"{alias} goes by what it knew: {why}")
    if master.alias in failed:
        raise ClusterError(
            f"The master of '{name}' was not told: {failed[master.alias]}",
            f"Repeat it; until then '{name}' ends by what it knew before.",
        )
    return cluster.record.template.idle_limit

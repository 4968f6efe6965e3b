"""When a cluster that is idle ends by itself: said anew, or put off."""

from __future__ import annotations

from spotcluster.cluster import records
from spotcluster.cluster.bringup import autostop, ceiling
from spotcluster.cluster.cluster import Cluster, is_ending
from spotcluster.config import durations
from spotcluster.errors import ClusterError, UsageError


def change(cluster: Cluster, time: str | None) -> int:
    """Count a cluster's idle time anew, by another limit if one is given; return it in seconds.

    Parameters
    ----------
    time : str or None
        As AUTOSTOP in a template.

    Raises
    ------
    UsageError
        That is no duration.
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
    if wanted is not None and wanted != record.template.autostop:
        template = record.template.model_copy(update={"autostop": wanted})
        cluster.record = records.amend(cluster.session, record, template)
    ceiling.move_on(cluster)
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

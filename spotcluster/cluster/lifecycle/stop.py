"""Stopping a cluster: what is on demand keeps its disk, spot workers end.

The cluster's record says that it is to be stopped before anything happens to a node, so that an
`addnode` under way ends its nodes again; each node that was set up is marked as one that comes
back before the plugins do anything to it. Cut off anywhere, `stop` goes on with the rest, and
`start` brings back what there is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from spotcluster.aws import instances, tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import records
from spotcluster.cluster.cluster import Cluster, is_ending, mark_returning
from spotcluster.cluster.lifecycle import shutdown
from spotcluster.cluster.records import Record
from spotcluster.errors import ClusterError

_POLL = 1.0


@dataclass(frozen=True)
class Parts:
    """What becomes of the nodes of a cluster that stops.

    Attributes
    ----------
    kept : tuple of Instance
        Those that stop, or have stopped, and keep their disks.
    ended : tuple of Instance
        Those that are terminated: one-time spot instances cannot stop.
    """

    kept: tuple[Instance, ...]
    ended: tuple[Instance, ...]

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.ended and all(one.state == "stopped" for one in self.kept)


def parts(cluster: Cluster) -> Parts:
    """Return what `stop` would do; does nothing.

    Raises
    ------
    ClusterError
        The master could not be kept: it is a spot instance, or there is none.
    """
    name = cluster.name
    if cluster.record.ending:
        raise is_ending(name)
    found = instances.live(instances.describe(cluster.session, name))
    masters = [one for one in found if one.is_master and one.state in instances.PRESENT]
    if not masters:
        raise ClusterError(
            f"The cluster '{name}' has no master whose disk could be kept.",
            f"`spotcluster terminate {name}` ends it; `spotcluster start {name}` makes a new"
            " master.",
        )
    if any(one.spot for one in masters):
        raise ClusterError(
            f"The master of '{name}' is a spot instance, which cannot stop: it would be terminated"
            " with its disk.",
            f"Copy from it what you need, then `spotcluster terminate {name}`; a cluster that is"
            " started with --no-spot-master can stop.",
        )
    return Parts(
        tuple(one for one in found if not one.spot and one.state in instances.PRESENT),
        tuple(one for one in found if one.spot),
    )


def stop(cluster: Cluster) -> Parts:
    """Stop a cluster: run the plugins' `shutdown`, then end or stop every node; return which.

    A plugin that fails, or a node that cannot be reached, is noted and holds nothing up.

    Raises
    ------
    ClusterError
        It was started or ended from elsewhere meanwhile, or something still ran after the limit.
    """
    whole = parts(cluster)
    session = cluster.session
    bids = [float(one.tags[tags.BID]) for one in whole.ended if tags.BID in one.tags]
    cluster.record = records.mark_stopped(session, cluster.record, bids)
    mark_returning(session, [one for one in (*whole.kept, *whole.ended) if one.ready])
    limit = cluster.record.template.stop_timeout
    if cluster.nodes:
        shutdown.run(cluster, shutdown.wanted(cluster), limit, "STOP_TIMEOUT")
    cluster.close()
    ended = _until_stopped(cluster, limit)
    return Parts(whole.kept, tuple(ended))


def _until_stopped(cluster: Cluster, limit: float) -> list[Instance]:
    """End or stop every node, until EC2 shows none that runs; return those that have ended."""
    session, name = cluster.session, cluster.name
    end = time.monotonic() + limit
    pause = _POLL / 4
    ended: dict[str, Instance] = {}
    shown: dict[str, str] = {}
    quiet = 0
    while quiet < 2:  # a call of somebody else's that was under way has shown by then
        _check(cluster.record, records.find(session, name))
        # Spot requests first: one that is fulfilled late would make an instance nobody sees.
        instances.cancel_spot_requests(session, instances.open_spot_requests(session, name))
        found = instances.live(instances.describe(session, name))
        leaving = [one for one in found if one.spot]
        awake = [one for one in found if not one.spot and one.state != "stopped"]
        instances.terminate(session, [one.id for one in leaving if one.state != "shutting-down"])
        instances.stop(session, [one.id for one in awake if one.state in ("pending", "running")])
        ended.update({one.id: one for one in leaving})
        for one in found:
            stage = "terminating" if one.spot else one.state.replace("running", "stopping")
            if shown.get(one.id) != stage:
                shown[one.id] = stage
                cluster.reporter.stage(one.alias, stage)
        quiet = 0 if leaving or awake else quiet + 1
        if quiet:
            continue
        if time.monotonic() > end:
            left = ", ".join(f"{one.id} ({one.alias}, {one.state})" for one in (*leaving, *awake))
            raise ClusterError(
                f"After {limit:.0f} s (STOP_TIMEOUT) EC2 still shows {left} of '{name}'.",
                f"They are stopping; repeat `spotcluster stop {name}` to see it done.",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 2 * _POLL)
    for one in ended.values():
        cluster.reporter.stage(one.alias, "terminated")
    return list(ended.values())


def _check(record: Record, now: Record | None) -> None:
    """Refuse to go on when somebody wants something else of the cluster meanwhile."""
    if now is None or now.id != record.id or now.ending:
        raise ClusterError(
            f"'{record.name}' has been terminated from elsewhere meanwhile.",
            "`spotcluster listclusters` shows what there is.",
        )
    if not now.stopped and now.stops >= record.stops:
        raise ClusterError(
            f"'{record.name}' has been started from elsewhere meanwhile.",
            f"`spotcluster stop {record.name}` stops it again.",
        )

"""What a cluster's master says at once, for who is about to stop or to end the cluster.

A master that does not answer within some seconds is asked no more: it must not hold that up.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from spotcluster.aws.session import Session
from spotcluster.cluster import cluster as clusters
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.status.vitals import Examiner, RunningJob, Vitals
from spotcluster.errors import SpotclusterError

log = logging.getLogger("spotcluster.quick")

_LIMIT = 4.0  # seconds to connect, and to answer


def ask(cluster: Cluster) -> Vitals | None:
    """Return how the machine of a master that was set up does; None where it does not say."""
    master = next((node for node in cluster.nodes if node.is_master), None)
    if master is None or not master.instance.ready:
        return None
    examiner = Examiner(master)
    try:
        return examiner.ask(_LIMIT)
    except (SpotclusterError, OSError) as error:
        log.info("the master of %s: %s", cluster.name, error)
        return None
    finally:
        examiner.close()


def running_jobs(session: Session, name: str, keys: Mapping[str, Path]) -> tuple[RunningJob, ...]:
    """Return the jobs that run on the master of the cluster `name`, if it can be asked."""
    try:
        cluster = clusters.find(session, name, keys)
        return () if cluster is None else jobs_of(cluster)
    except (SpotclusterError, OSError) as error:
        log.info("the jobs of %s: %s", name, error)
        return ()


def jobs_of(cluster: Cluster) -> tuple[RunningJob, ...]:
    """Return the jobs that run on the master of a cluster, if it can be asked."""
    said = ask(cluster)
    return said.jobs if said else ()

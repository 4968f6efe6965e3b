"""Ending a cluster: everything that was made for it, and a look whether anything is left."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from spotcluster import files
from spotcluster.aws import instances, network
from spotcluster.aws.session import Session
from spotcluster.cluster.progress import Reporter
from spotcluster.errors import ClusterError

_POLL = 1.0


@dataclass(frozen=True)
class Remains:
    """What EC2 still has of a cluster.

    Attributes
    ----------
    instances, volumes, groups, spot_requests : tuple of str
        Ids, and for instances the alias and state.
    """

    instances: tuple[str, ...]
    volumes: tuple[str, ...]
    groups: tuple[str, ...]
    spot_requests: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.instances or self.volumes or self.groups or self.spot_requests)

    def __str__(self) -> str:
        parts = {
            "instances": self.instances,
            "volumes": self.volumes,
            "security groups": self.groups,
            "spot requests": self.spot_requests,
        }
        return "; ".join(f"{name}: {', '.join(ids)}" for name, ids in parts.items() if ids)


def remains(session: Session, name: str) -> Remains:
    """Ask EC2 what it has that is tagged as the cluster's."""
    live = instances.live(instances.describe(session, name))
    return Remains(
        tuple(f"{one.id} ({one.alias}, {one.state})" for one in live),
        tuple(instances.volumes(session, name)),
        tuple(group.id for group in network.find_groups(session, name)),
        tuple(instances.open_spot_requests(session, name)),
    )


def terminate(session: Session, name: str, reporter: Reporter, *, timeout: float) -> int:
    """End every node and delete everything that was made for a cluster; return how many nodes.

    Needs neither the config nor the key nor a node that answers: all is found by its tags.

    Raises
    ------
    ClusterError
        There is no such cluster, or something was still there after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    left = remains(session, name)
    if not left:
        raise ClusterError(
            f"There is no cluster '{name}' in {session.region}.",
            "`spotcluster listclusters` shows those there are; -r chooses another region.",
        )
    ended = _end_instances(session, name, reporter, timeout=timeout)
    for volume in instances.volumes(session, name):
        instances.delete_volume(session, volume)
    for group in network.find_groups(session, name):
        network.delete_group(session, group.id, timeout=max(30.0, end - time.monotonic()))
    for path in (
        files.known_hosts_file(session.region, name),
        files.connection_file(session.region, name),
    ):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    if left := remains(session, name):
        raise ClusterError(
            f"'{name}' was ended, but EC2 still shows {left}.",
            f"Repeat `spotcluster terminate {name}`.",
        )
    return ended


def _end_instances(session: Session, name: str, reporter: Reporter, *, timeout: float) -> int:
    """Terminate until EC2 shows no live instance of the cluster; return how many there were."""
    end = time.monotonic() + timeout
    ended: set[str] = set()
    while True:
        # Spot requests first: one that is fulfilled late would make an instance nobody sees.
        instances.cancel_spot_requests(session, instances.open_spot_requests(session, name))
        live = instances.live(instances.describe(session, name))
        if not live:
            return len(ended)
        instances.terminate(session, [one.id for one in live if one.state != "shutting-down"])
        for one in live:
            if one.id not in ended:
                reporter.stage(one.alias, "terminating")
                ended.add(one.id)
        if time.monotonic() > end:
            raise ClusterError(
                f"After {timeout:.0f} s '{name}' still has {remains(session, name)}.",
                f"They are ending; repeat `spotcluster terminate {name}` to see it done.",
            )
        time.sleep(_POLL)

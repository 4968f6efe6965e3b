"""Ending a cluster: everything that was made for it, and a look whether anything is left."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spotcluster import files
from spotcluster.aws import fleets, instances, network
from spotcluster.aws.launching import placement_groups
from spotcluster.aws.session import Session
from spotcluster.cluster import cluster as clusters
from spotcluster.cluster import records
from spotcluster.cluster.lifecycle import bake, shutdown
from spotcluster.cluster.reporter import Reporter
from spotcluster.cluster.status import costs, quick, receipts
from spotcluster.cluster.status.receipts import Receipt
from spotcluster.cluster.volumes import release
from spotcluster.config import Template
from spotcluster.config.settings import PluginSection
from spotcluster.errors import CloudError, ClusterError, NoSuchCluster, SpotclusterError

log = logging.getLogger("spotcluster.terminate")

_POLL = 1.0
_RECEIPT = 20.0  # seconds that the receipt may delay the end
_HOOKS = 30.0  # seconds for all plugins' `shutdown` together: the bill runs on meanwhile


@dataclass(frozen=True)
class Remains:
    """What EC2 still has of a cluster.

    Attributes
    ----------
    instances, volumes, groups, spot_requests, templates, fleets, copies, places : tuple of str
        Ids, and for instances the alias and state; the names of placement groups.
    """

    instances: tuple[str, ...]
    volumes: tuple[str, ...]
    groups: tuple[str, ...]
    spot_requests: tuple[str, ...]
    templates: tuple[str, ...]
    fleets: tuple[str, ...]
    copies: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(self._parts.values())

    def __str__(self) -> str:
        return "; ".join(f"{name}: {', '.join(ids)}" for name, ids in self._parts.items() if ids)

    @property
    def _parts(self) -> dict[str, tuple[str, ...]]:
        return {
            "instances": self.instances,
            "volumes": self.volumes,
            "security groups": self.groups,
            "spot requests": self.spot_requests,
            "launch templates": self.templates,
            "fleets": self.fleets,
            "copies of disks": self.copies,
            "placement groups": self.places,
        }


@dataclass(frozen=True)
class Ended:
    """What `terminate` has done: how many nodes it ended, and what the cluster has cost."""

    nodes: int
    receipt: Receipt | None


def remains(session: Session, name: str) -> Remains:
    """Ask EC2 what it has that is tagged as the cluster's."""
    live = instances.live(instances.describe(session, name, copies=True))
    tagged = network.tagged(session, name, "fleet", "placement-group")
    return Remains(
        tuple(f"{one.id} ({one.alias}, {one.state})" for one in live),
        tuple(instances.volumes(session, name)),
        tuple(group.id for group in network.find_groups(session, name)),
        tuple(instances.open_spot_requests(session, name)),
        tuple(one.id for one in fleets.moulds(session, name)),
        tuple(fleets.left(session, tagged["fleet"])),
        tuple(bake.raw_of(session, name)),
        # Asked for only where there may be one: not every policy of earlier times lets us.
        tuple(placement_groups.of_cluster(session, name) if tagged["placement-group"] else ()),
    )


def terminate(
    session: Session,
    name: str,
    reporter: Reporter,
    *,
    timeout: float | None = None,
    keys: Mapping[str, Path] | None = None,
    plugins: Mapping[str, PluginSection] | None = None,
) -> Ended:
    """End every node and delete everything that was made for a cluster; return what it cost.

    Needs neither the config nor the key nor a node that answers: all is found by its tags. What
    another process makes meanwhile is ended too, as it looks again until nothing is left. Volumes
    of the user's are kept.

    Parameters
    ----------
    timeout : float, optional
        Seconds until it gives up looking; by default what the cluster's template says.
    keys : mapping of str to Path
        Where this computer has private keys, by which plugins are told, and volumes unmounted,
        before the end.
    plugins : mapping of str to PluginSection
        The plugins of this computer's config.

    Raises
    ------
    NoSuchCluster
    ClusterError
        Something was still there after `timeout` seconds.
    """
    begin = time.monotonic()
    left = remains(session, name)
    if not left:
        raise NoSuchCluster([name], [session.region])
    if timeout is None:
        timeout = _limit(session, name)
    end = begin + timeout
    _announce(session, left)
    _shut_down(session, name, keys or {}, plugins or {}, reporter)
    release.release(session, name, keys or {}, reporter)
    ended: set[str] = set()
    receipt: Receipt | None = None
    pause = _POLL / 4
    while left:
        receipt = _end(session, name, left, ended, reporter) or receipt
        left = remains(session, name)
        if not left:  # a call of somebody else's that was under way has shown by now
            left = remains(session, name)
        elif time.monotonic() > end:
            raise ClusterError(
                f"After {timeout:.0f} s EC2 still shows {left} of '{name}'.",
                f"They are ending; repeat `spotcluster terminate {name}` to see it done.",
            )
        else:
            time.sleep(pause)
            pause = min(pause * 1.5, 2 * _POLL)
    files.forget_cluster(session.region, name)
    return Ended(len(ended), receipt)


def _shut_down(
    session: Session,
    name: str,
    keys: Mapping[str, Path],
    plugins: Mapping[str, PluginSection],
    reporter: Reporter,
) -> None:
    """Run the plugins' `shutdown` where the master can be reached; it keeps no cluster."""
    try:
        cluster = clusters.find(session, name, keys, reporter, plugins)
        if cluster is None:
            return
        cluster.record = replace(cluster.record, ending=True)  # which EC2 may not show yet
        try:
            wanted = shutdown.wanted(cluster)
            if wanted and quick.ask(cluster):
                shutdown.run(cluster, wanted, _HOOKS)
        finally:
            cluster.close()
    except (SpotclusterError, OSError) as error:
        log.warning("the plugins of %s: %s", name, error)
        reporter.note(f"the plugins are not told of the end: {error}")


def _limit(session: Session, name: str) -> float:
    with contextlib.suppress(SpotclusterError):  # a template that cannot be read keeps no cluster
        if record := records.find(session, name):
            return record.template.terminate_timeout
    return float(Template.model_fields["terminate_timeout"].default)


def _announce(session: Session, left: Remains) -> None:
    for group in left.groups:
        # Not being able to say so must not keep the cluster: the loop ends what others make.
        with contextlib.suppress(CloudError):
            records.mark_ending(session, group)


def _end(
    session: Session, name: str, left: Remains, ended: set[str], reporter: Reporter
) -> Receipt | None:
    """Make every call once that ends something of what is left; return what it has cost."""
    # First what could still make instances: late ones are seen by nobody.
    for template in left.templates:
        fleets.delete_mould(session, template)
    instances.cancel_spot_requests(session, left.spot_requests)
    live = instances.live(instances.describe(session, name, copies=True))
    if any(one.state == "stopped" for one in live):  # when they ran EC2 tells no more afterwards
        with contextlib.suppress(SpotclusterError):
            costs.settle_stopped(session, name)
    instances.terminate(session, [one.id for one in live if one.state != "shutting-down"])
    for one in live:
        if one.id not in ended:
            reporter.stage(one.alias, "terminating")
            ended.add(one.id)
    if live:
        return None  # their volumes go with them, and the group stays while they use it
    fleets.delete(session, left.fleets)
    # before the group, by which a repetition finds the cluster
    receipt = _receipt(session, name, reporter) if left.groups else None
    files.forget_cluster(session.region, name)
    for volume in left.volumes:
        instances.delete_volume(session, volume)
    if left.copies:
        bake.clear_raw(session, name)
    for place in left.places:
        placement_groups.delete(session, place)
    for group in left.groups:
        network.delete_group(session, group)
    return receipt


def _receipt(session: Session, name: str, reporter: Reporter) -> Receipt | None:
    """Draw up the receipt and keep it; that it cannot be kept fails and delays nothing."""
    told: list[Receipt] = []
    failed: list[str] = []

    def write() -> None:
        try:
            receipt = receipts.close(session, name)
            if receipt is not None:
                told.append(receipt)
                receipts.keep(session, receipt)
        except SpotclusterError as error:
            failed.append(str(error))
        except Exception as error:  # of a tag that nobody foresaw: the group is yet to be deleted
            log.exception("the receipt of %s", name)
            failed.append(f"{type(error).__name__}: {error}")

    writing = threading.Thread(target=write, name=f"receipt of {name}", daemon=True)
    writing.start()
    writing.join(_RECEIPT)
    if writing.is_alive():
        failed.append(f"AWS has not taken it within {_RECEIPT:.0f} s")
    for why in failed[:1]:
        reporter.note(f"the receipt is not kept in the account: {why}")
    return told[0] if told else None

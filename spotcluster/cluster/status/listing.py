"""Clusters as a list: what runs, since when, at what price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from spotcluster import files, wording
from spotcluster.aws import instances, regions
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.cluster.status import costs, notices, receipts
from spotcluster.cluster.status.receipts import Receipt
from spotcluster.errors import CloudError


@dataclass(frozen=True)
class Listed:
    """A cluster in a list.

    Attributes
    ----------
    id : str
        Its own, see `records.Record`; empty where nothing is left of its record.
    price : float or None
        What its instances and their disks cost now, in USD per hour, what is stopped by its disk
        alone; None when AWS does not tell us.
    size : int
        How many nodes it should have.
    cost : float or None
        What its instances have cost so far in USD, about; see `spotcluster.cluster.status.costs`.
    up_since : datetime or None
        Since when it runs, see `up_since`.
    idle_limit : int
        After how many seconds idle it ends by itself; 0 for never.
    ended : Instance or None
        Its master, where that has done so and nothing of the cluster runs any more.
    budget : float or None
        The most in USD that it may cost.
    max_hours : float or None
        The most that it may run for.
    taken : tuple of Instance
        Nodes that EC2 has taken back, as far as it still shows them.
    receipt : Receipt or None
        What it has cost, where it has ended by itself and nothing of it costs money any more.
    keeps_itself : bool
        Whether its master is to keep its size.
    copies : tuple of Instance
        Copies of its nodes that are to become images, or are left of that.
    """

    name: str
    region: str
    state: str
    created: datetime
    up_since: datetime | None
    size: int
    price: float | None
    cost: float | None
    nodes: tuple[Instance, ...]
    idle_limit: int = 0
    ended: Instance | None = None
    budget: float | None = None
    max_hours: float | None = None
    receipt: Receipt | None = None
    id: str = ""
    taken: tuple[Instance, ...] = ()
    keeps_itself: bool = False
    copies: tuple[Instance, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values for ``--json``."""
        return {
            "name": self.name,
            "region": self.region,
            "state": self.state,
            "created": self.created.isoformat(),
            "size": self.size,
            "uptime_seconds": seconds_since(self.up_since),
            "autostop_seconds": self.idle_limit or None,
            "budget_usd": self.budget,
            "keeps_itself": self.keeps_itself,
            "image_copies": [one.id for one in self.copies],
            "ended_by_itself": self.ended is not None,
            "ended": self.ended.ended.isoformat() if self.ended and self.ended.ended else None,
            "usd_per_hour": self.price,
            "usd_so_far": None if self.cost is None else round(self.cost, 6),
            "at_most": (self.receipt.at_most if self.receipt else "") or None,
            "nodes": [
                {
                    "alias": one.alias,
                    "id": one.id,
                    "state": one.state,
                    "ready": one.ready,
                    "type": one.type,
                    "zone": one.zone,
                    "spot": one.spot,
                    "spot_request": one.spot_request or None,
                    "public_ip": one.public_ip or None,
                    "private_ip": one.private_ip or None,
                    "ssh_port": one.ssh_port,
                    "launched": one.launched.isoformat(),
                }
                for one in self.nodes
            ],
        }


def clusters(session: Session) -> list[Listed]:
    """Return every cluster of the region, also what is left of half-made ones."""
    whole = instances.describe(session, copies=True)
    everything = [one for one in whole if not one.is_copy]
    by_name: dict[str, list[Instance]] = {}
    for one in instances.live(everything):
        by_name.setdefault(one.cluster, []).append(one)
    copies = instances.live(one for one in whole if one.is_copy)
    known = {record.name: record for record in records.find_all(session)}
    tariff = costs.Tariff(session)
    tariff.know(everything)
    found = []
    for name in sorted({*by_name, *known}):
        nodes = tuple(by_name.get(name, ()))
        record = known.get(name)
        created = record.created if record else min(one.launched for one in nodes)
        size = record.size if record else len(nodes)
        price = tariff.rate_of_all(nodes)
        cost, receipt = None, None
        own = [one for one in everything if one.cluster == name]
        if record:
            cost = costs.so_far(session, record, own, tariff)
            receipt = receipts.settle(session, record, own)
        state = state_of(nodes, size, stopped=record is not None and record.stopped)
        since = up_since(nodes)
        limit = record.template.idle_limit if record else 0
        ended = ended_by_itself(record.own(own) if record else own)
        found.append(
            Listed(
                name,
                session.region,
                state,
                created,
                since,
                size,
                price,
                receipt.usd if receipt else cost,
                nodes,
                limit,
                ended,
                record.template.budget if record else None,
                record.template.max_hours if record else None,
                receipt,
                record.id if record else "",
                notices.taken(costs.own(record, own)) if record else (),
                record is not None and record.keeps_itself,
                tuple(one for one in copies if one.cluster == name),
            )
        )
    return found


def everywhere(sessions: Sequence[Session]) -> tuple[list[Listed], dict[str, CloudError]]:
    """Return the clusters of several regions, and of those that cannot be looked in the reason.

    A region without credentials hides no cluster of another one. What this computer keeps for
    clusters that others have ended is removed.
    """
    found, refused = regions.each(sessions, clusters)
    for session, there in found:
        names = {one.name for one in there}
        for region, name in files.reached():
            if region == session.region and name not in names:
                files.forget_cluster(region, name)
    return [one for _, there in found for one in there], refused


def ended_by_itself(found: Iterable[Instance]) -> Instance | None:
    """Return the master that has ended its cluster by itself; None where something of it runs.

    Parameters
    ----------
    found : iterable of Instance
        All of the cluster's that EC2 shows, ended ones too.
    """
    own = list(found)
    masters = [one for one in own if one.is_master]
    if not masters or any(one.state in ("pending", "running") for one in own):
        return None
    last = max(masters, key=lambda one: one.launched)
    return last if last.shut_itself_down else None


def counted(nodes: Iterable[Instance], size: int) -> str:
    """Return how many nodes run, of how many that should: ``2 of 3 nodes``.

    What an interrupted `removenode` has left is not among them: it runs on, and is to go.
    """
    running = [one for one in nodes if one.state == "running"]
    leaving = sum(one.leaving for one in running)
    besides = f" and {leaving} to be removed" if leaving else ""
    return f"{len(running) - leaving} of {size} nodes{besides}"


def up_since(nodes: Iterable[Instance]) -> datetime | None:
    """Return since when something of a cluster runs without a break; None where nothing does.

    A stop ends it, as EC2 gives a stopped instance a new time of launch when it is started again.
    """
    launched = [one.launched for one in nodes if one.state in ("pending", "running")]
    return min(launched, default=None)


def seconds_since(when: datetime | None) -> int | None:
    """Return the whole seconds that have passed since `when`, None where there is no such time."""
    return None if when is None else max(0, int((datetime.now(UTC) - when).total_seconds()))


def uptime(since: datetime) -> str:
    """Return how long ago `since` is, in words: ``2 h 05 min``."""
    return wording.uptime((datetime.now(UTC) - since).total_seconds())


def what_mends(name: str, region: str) -> str:
    """Return what brings a cluster that is incomplete to its size, in a sentence."""
    return (
        "Nodes are lacking or not set up; where no command is at it any more,"
        f" `spotcluster -r {region} start {name}` goes on."
    )


def state_of(nodes: tuple[Instance, ...], size: int, *, stopped: bool = False) -> str:
    """Return in a word how a cluster is that should have `size` nodes."""
    states = {one.state for one in nodes}
    if not nodes:
        return "empty"
    if states == {"stopped"}:
        return "stopped"
    if stopped or states == {"stopping", "stopped"}:
        return "stopping"
    if not any(one.is_master for one in nodes):
        return "no master"
    runs = all(one.state in ("pending", "running") for one in nodes)
    if len(nodes) < size or not runs or not all(one.ready for one in nodes):
        return "incomplete"
    return "running"

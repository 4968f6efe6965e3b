"""What a cluster has cost so far.

An instance costs its price times the time that it ran: on demand the price of today, on the spot
market each price for as long as it held. Its disk costs for as long as it is there, also while it
is stopped. EC2 tells when an instance that is there was started, and shows one that has ended for
about an hour; after that nobody knows of it. So what ended instances
have cost is kept in tags of the cluster: the sum, and which runs are in it. A run is an instance
from one start to its end, as a stopped one is started again; the time in between, in which its disk
costs, is one too. Whoever looks counts the runs that have ended and are not in the sum yet. Two who
do so at once may write over each other; then the runs of one are missing in the list too, and the
next look counts them.

It is "about", as what nobody looked at within an hour of its end is missing, and because volumes,
addresses, traffic and taxes are not in it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from spotcluster.aws import instances, network, prices, tags
from spotcluster.aws.instances import Instance
from spotcluster.aws.launching.asked import RootDisk
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.cluster.records import Record
from spotcluster.errors import CloudError

if TYPE_CHECKING:
    from spotcluster.config import Template

_MINIMUM = timedelta(seconds=60)  # that EC2 charges
_DIGEST = 6  # characters that stand for a run
_PER_TAG = 42  # runs in a tag, of 256 characters
_TAGS = 4  # with runs; of more, those that ended first are not shown by EC2 any more


@dataclass(frozen=True)
class Counted:
    """What is written down of runs that have ended.

    Attributes
    ----------
    usd : float
        What they have cost.
    runs : tuple of str
        Those that EC2 may still show, see `run_of`.
    """

    usd: float = 0.0
    runs: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Counted:
        """Read it from the cluster's tags."""
        try:
            usd, number = given.get(tags.SPENT, "0 0").split()
            text = "".join(given.get(f"{tags.SPENT}:{n}", "") for n in range(int(number)))
            runs = tuple(text[at : at + _DIGEST] for at in range(0, len(text), _DIGEST))
            return cls(float(usd), runs)
        except ValueError:
            return cls()

    def as_tags(self) -> dict[str, str]:
        """Return it as tags, all of which are written in one call."""
        runs = self.runs[-_PER_TAG * _TAGS :]
        parts = [runs[at : at + _PER_TAG] for at in range(0, len(runs), _PER_TAG)]
        return {
            # In full: a sum that is rounded would be less than what was shown before.
            tags.SPENT: f"{self.usd!r} {len(parts)}",
            **{f"{tags.SPENT}:{n}": "".join(part) for n, part in enumerate(parts)},
        }


def root_disk(template: Template) -> RootDisk:
    """Return what the own disks of a cluster's nodes are."""
    return RootDisk(
        template.root_volume_size,
        template.root_volume_type,
        template.root_volume_iops,
        template.root_volume_throughput,
        template.kms_key,
    )


class Tariff:
    """Prices of instance types, each asked for once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._disk: float | None = None
        self._on_demand: dict[str, float | None] = {}
        self._since: dict[str, datetime] = {}
        self._asked: dict[str, datetime] = {}
        self._spot: dict[tuple[str, str], Sequence[tuple[datetime, float]]] = {}

    def know(self, found: Iterable[Instance]) -> None:
        """Ask in one call for the spot prices of instances, where they are not known yet."""
        lacking = [one for one in found if one.spot and self._lacks(one)]
        if lacking:
            self._ask({one.type for one in lacking}, min(one.launched for one in lacking))

    def cost(self, one: Instance, now: datetime, *, on_demand: bool = False) -> float | None:
        """Return what an instance has cost in USD since it was started last, with its disk.

        None where it is not known. With `on_demand`: what it would have cost so.
        """
        begin, end = _paid(one, now)
        disk = self.disk(one, begin, end)
        if on_demand or not one.spot:
            price = 0.0 if one.prepaid and not on_demand else self.on_demand(one.type)
            return None if price is None else price * _hours(end - begin) + disk
        changes = self._changes(one)
        return integral(changes, begin, end) + disk if changes else None

    def rate(self, one: Instance) -> float | None:
        """Return what an instance and its disk cost now in USD per hour; None: not known.

        One that has stopped is charged for its disk, one that is ending for nothing.
        """
        if one.state not in instances.PRESENT:
            return 0.0
        disk = one.priced_gb * self.disk_hour
        if one.state in instances.STOPPED:
            return disk
        machine: float | None = 0.0
        if one.spot:
            changes = self._changes(one)
            machine = changes[-1][1] if changes else None
        elif not one.prepaid:
            machine = self.on_demand(one.type)
        return None if machine is None else machine + disk

    def rate_of_all(self, found: Iterable[Instance]) -> float | None:
        """Return what instances cost now in USD per hour; None when one's price is not known."""
        every = list(found)
        self.know(every)  # or each that was launched before another would be a call of its own
        rates = [self.rate(one) for one in every]
        known = [one for one in rates if one is not None]
        return sum(known) if len(known) == len(rates) else None

    def disk(self, one: Instance, begin: datetime, end: datetime) -> float:
        """Return what the disk of an instance costs in USD from `begin` to `end`."""
        return self.disk_of(one.priced_gb, begin, end)

    def disk_of(self, size: float, begin: datetime, end: datetime) -> float:
        """Return what a node's disk of so many GiB of gp3 costs in USD from `begin` to `end`."""
        return max(0.0, size * self.disk_hour * _hours(end - begin))

    @property
    def disk_hour(self) -> float:
        """What a GiB of a disk costs in USD per hour."""
        if self._disk is None:
            self._disk = prices.disk_hour(self._session)
        return self._disk

    def on_demand(self, name: str) -> float | None:
        """Return the on-demand price of a type."""
        if name not in self._on_demand:
            self._on_demand[name] = prices.on_demand(self._session, name)
        return self._on_demand[name]

    def _changes(self, one: Instance) -> Sequence[tuple[datetime, float]]:
        if self._lacks(one):
            self._ask({one.type}, one.launched)
        return self._spot.get((one.type, one.zone), ())

    def _lacks(self, one: Instance) -> bool:
        since = self._since.get(one.type)
        if since is None or one.launched < since:
            return True
        # What has ended is written down for good: by all prices until then, not those of before.
        over = one.state not in ("pending", "running")
        return over and self._asked[one.type] < (one.ended or datetime.now(UTC) - _MINIMUM)

    def _ask(self, names: AbstractSet[str], since: datetime) -> None:
        now = datetime.now(UTC)
        self._spot |= prices.spot_changes(self._session, sorted(names), since)
        self._since |= dict.fromkeys(names, since)
        self._asked |= dict.fromkeys(names, now)


def integral(changes: Sequence[tuple[datetime, float]], begin: datetime, end: datetime) -> float:
    """Return what a spot instance costs from `begin` to `end`.

    Parameters
    ----------
    changes : sequence of (datetime, float)
        From when each price per hour held, the oldest first; before the first, that one is taken.
    """
    total = 0.0
    for number, (since, price) in enumerate(changes):
        start = begin if number == 0 else max(begin, since)
        following = changes[number + 1][0] if number + 1 < len(changes) else end
        stop = min(end, following)
        if stop > start:
            total += price * _hours(stop - start)
    return total


def run_of(one: Instance, *, stopped: bool = False) -> str:
    """Return what stands for an instance since it was started last, or for its stop after that."""
    text = f"{one.id} {one.launched.isoformat()}{' stopped' if stopped else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def own(record: Record, found: Iterable[Instance]) -> list[Instance]:
    """Leave out what EC2 may still show of an earlier cluster of the same name."""
    # After a stop the id that nodes have says so too.
    return [one for one in found if one.tags.get(tags.ID, record.id).partition(".")[0] == record.id]


def hours_of(one: Instance, now: datetime) -> float:
    """Return the hours that are paid of an instance since it was started last."""
    begin, end = _paid(one, now)
    return _hours(end - begin)


def so_far(
    session: Session,
    record: Record,
    found: Iterable[Instance],
    tariff: Tariff | None = None,
    now: datetime | None = None,
    *,
    waking: bool = False,
    also: Mapping[str, str] | None = None,
    more: float = 0.0,
) -> float | None:
    """Return what a cluster has cost so far in USD; None when a price is not known.

    Runs that have ended are written down, if they are not yet and EC2 lets us.

    Parameters
    ----------
    found : iterable of Instance
        All of the cluster's that EC2 shows, ended ones too.
    waking : bool
        Whether those that are stopped are about to be started, so that their stop ends.
    also : mapping of str to str, optional
        Tags to write in the same call.
    more : float
        What was spent besides, of which EC2 shows nothing, to be written down too.
    """
    now = now or datetime.now(UTC)
    tariff = tariff or Tariff(session)
    there = own(record, found)
    counted = Counted.read(record.tags)
    total, ended, known = counted.usd + more, list[tuple[str, float]](), True
    for one in there:
        over = one.state not in ("pending", "running")
        stop = run_of(one, stopped=True)
        if one.state == "stopped" and one.ended and stop not in counted.runs:
            disk = tariff.disk(one, one.ended, now)
            total += disk
            if waking:
                ended.append((stop, disk))
        if over and run_of(one) in counted.runs:
            continue
        cost = tariff.cost(one, now)
        if cost is None:
            known = False
            continue
        total += cost
        if over and (one.ended or one.state in ("stopped", "terminated")):
            ended.append((run_of(one), cost))
    if ended or also or more:
        shown = {run_of(one, stopped=stopped) for one in there for stopped in (False, True)}
        kept = [run for run in counted.runs if run in shown]
        now_counted = Counted(
            counted.usd + more + sum(cost for _, cost in ended),
            (*kept, *(run for run, _ in ended)),
        )
        # Who may only look sees the right sum as well, as long as EC2 shows the instances.
        with contextlib.suppress(CloudError):
            network.tag(session, [record.group_id], {**now_counted.as_tags(), **(also or {})})
    return total if known else None


def settle(session: Session, record: Record) -> None:
    """Write down what instances that have ended have cost, if EC2 lets us."""
    with contextlib.suppress(CloudError):
        now = records.look(session, record.name)  # others may have written since it was read
        if now.record is not None and now.record.id == record.id:
            so_far(session, now.record, now.instances)


def settle_stopped(session: Session, name: str) -> None:
    """Write down what stopped instances have cost that are about to be ended."""
    now = records.look(session, name)
    if now.record is not None:
        wake(session, now.record, now.instances)


def wake(session: Session, record: Record, found: Iterable[Instance]) -> None:
    """Write that down by what has been read a moment ago, and what the stop has cost.

    To be called before stopped instances are started, as EC2 then forgets when they were before.
    """
    with contextlib.suppress(CloudError):
        so_far(session, record, found, waking=True)


def _paid(one: Instance, now: datetime) -> tuple[datetime, datetime]:
    """Return from when to when an instance is paid since it was started last."""
    end = now
    if one.state not in ("pending", "running"):
        end = min(one.ended or now, now)
    return one.launched, max(end, one.launched + _MINIMUM)


def _hours(length: timedelta) -> float:
    return length / timedelta(hours=1)

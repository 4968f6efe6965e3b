"""What a keeper sees, of all who know something of its cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from spotcluster.aws import instances, tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import records
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.lifecycle.keeping.decision import Phase, Pool, Queue, Seen, Worker
from spotcluster.cluster.records import Record, Snapshot
from spotcluster.cluster.reporter import Event
from spotcluster.cluster.status import events, searches
from spotcluster.cluster.status.controller import Answer
from spotcluster.cluster.status.observer import LIMIT, Observer, Status
from spotcluster.errors import ClusterError

LOST = "lost "
"""What the tag `LEAVING` of a node begins with that a keeper has given up; then comes when."""
_OFTEN = 4.0  # seconds between two questions to machines, whose watchers ask EC2 every five
_SELDOM = 10.0  # and to EC2
_NO_MASTER = 60.0  # seconds without a master after which it is not about to come
_MEASURED = 300.0  # seconds over which the duration of a task is measured


@dataclass(frozen=True)
class Over:
    """There is nothing to keep any more.

    Attributes
    ----------
    by_will : bool
        Whether somebody wanted it so.
    """

    message: str
    by_will: bool = True


class Observation:
    """Looks at a cluster for its keeper; a context manager.

    Parameters
    ----------
    clock : callable
        As `time.monotonic`.
    look : callable, optional
        Returns the cluster as EC2 shows it, where it is not to be asked in the usual way.
    priced : bool
        Whether to ask what it costs, too.
    memory : mapping, optional
        What another process remembered that has looked before.

    Attributes
    ----------
    happened : list of Event
        What the last look has shown besides what there is.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Callable[[], float] = time.monotonic,
        *,
        look: Callable[[], Snapshot] | None = None,
        priced: bool = True,
        memory: Mapping[str, Any] | None = None,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._look = look or (lambda: records.look(cluster.session, cluster.name))
        self._observer = Observer(
            cluster, watching=True, often=_OFTEN, look=self._look, priced=priced
        )
        self._snapshot = Snapshot(None, (), -1e9)
        known = memory or {"since": (), "marked": {}, "done": ()}
        self._since: dict[tuple[str, str], float] = {
            (node, what): when for node, what, when in known["since"]
        }
        self._marked: dict[str, float] = dict(known["marked"])
        self._drained: set[str] = set()
        self._meter = Meter(known["done"])
        self.happened: list[Event] = []

    def __enter__(self) -> Self:
        self._observer.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._observer.close()

    def wait(self) -> None:
        """Wait until every machine and the controller have answered once, or been given up."""
        self._observer.wait(LIMIT + 3.0)

    def mark(self, ids: Sequence[str]) -> None:
        """Remember that nodes do not count any more: EC2 may show their tag later."""
        self._marked |= dict.fromkeys(ids, self._clock())

    def shows(self, alias: str) -> bool:
        """Return whether EC2 shows a node of that name, ended or not."""
        return any(one.alias == alias for one in self._snapshot.instances)

    def forget(self) -> None:
        """Ask EC2 again when it is looked at next."""
        self._snapshot = Snapshot(None, (), -1e9)

    @property
    def answered(self) -> bool:
        """Whether every machine and the controller have answered once, or been given up."""
        return self._observer.wait(0)

    @property
    def memory(self) -> dict[str, Any]:
        """What whoever looks next is to know, as JSON has it; times are those of the clock."""
        since = [(node, what, when) for (node, what), when in self._since.items()]
        return {"since": since, "marked": self._marked, "done": self._meter.ends}

    @property
    def instances(self) -> Sequence[Instance]:
        """All of it that EC2 has shown."""
        return self._snapshot.instances

    @property
    def record(self) -> Record | None:
        """What EC2 remembers of the cluster."""
        return self._snapshot.record

    def look(self, asked: int = 0) -> Seen | Over:
        """Return what there is now.

        Parameters
        ----------
        asked : int
            Workers that were asked for and that EC2 does not show yet.
        """
        try:
            status = self._observer.look()
        except ClusterError:
            if over := self._over(self._look()):
                return over
            raise
        self.happened = events.near_ceiling(status)
        draining = {
            one.instance.id
            for one in status.nodes
            if one.vitals and one.vitals.draining and not one.problem
        }
        # Who drains a node has written down before that it leaves, unless it is EC2's watcher.
        if draining - self._drained or self._snapshot.age > _SELDOM:
            self._snapshot = self._look()
            self._drained = draining
        record = self._snapshot.record
        if over := self._over(self._snapshot):
            return over
        assert record
        own = record.own(self._snapshot.instances)
        found = [one for one in instances.present(own) if not one.is_master]
        answer = None if status.problem else status.controller
        master = next(one for one in instances.present(own) if one.is_master)
        if not master.ready:  # being started again
            answer, draining = None, set()
        told = searches.of(status) if answer else []
        queue = self._queue(answer, told) if answer else None
        engines = [one.node for one in answer.engines] if answer else []
        return Seen(
            size=record.size,
            workers=[
                self._worker(one, status, answer, draining, early=record.template.replace_early)
                for one in found
            ],
            asked=asked,
            cut_off=sum(one.number for one in record.cut_off) if master.ready else 0,
            queue=queue,
            engines_on_master=engines.count(master.alias),
            engines_each=max((engines.count(one.alias) for one in found), default=0)
            or _cores(status),
            ended=_ended(own),
        )

    def _over(self, seen: Snapshot) -> Over | None:
        name, record, first = self._cluster.name, seen.record, self._cluster.record
        if record is None or record.id != first.id:
            return Over(f"'{name}' has been terminated; there is nothing to keep any more.")
        if record.ending:
            return Over(f"'{name}' is being terminated; there is nothing to keep any more.")
        masters = [one for one in instances.present(record.own(seen.instances)) if one.is_master]
        if record.stopped or any(one.state in instances.STOPPED for one in masters):
            return Over(
                f"'{name}' is stopped; `spotcluster start {name}` brings it back, and"
                f" `spotcluster keep {name}` keeps it then."
            )
        if masters:
            self._since.pop(("", "master"), None)
            return None
        # Not made anew: one that ended by itself was to end, and its workers are to as well.
        if self._clock() - self._since.setdefault(("", "master"), self._clock()) < _NO_MASTER:
            raise NoMaster
        return Over(
            f"The master of '{name}' is gone, and nothing can be kept without one;"
            f" `spotcluster start {name}` makes a new one, `spotcluster terminate {name}` ends"
            " what is left.",
            by_will=False,
        )

    def _worker(
        self,
        one: Instance,
        status: Status,
        answer: Answer | None,
        draining: set[str],
        *,
        early: bool,
    ) -> Worker:
        machine = next((node for node in status.nodes if node.instance.id == one.id), None)
        mine = [each for each in answer.engines if each.node == one.alias] if answer else []
        idle = bool(mine) and not any(each.message or each.waiting for each in mine)
        ready = one.ready and one.state == "running"
        dead = ready and answer is not None and not mine and bool(machine and machine.problem)
        untold = status.controller is None and not status.problem  # as we have just begun
        unseen = machine is not None and machine.vitals is None and not machine.problem
        lost = self._lost(one)
        vitals = machine.vitals if machine and not machine.problem else None
        said = {notice.kind for notice in vitals.notices} if vitals else set()
        early = early and "rebalance" in said and "interruption" not in said
        if one.leaving or lost is not None:
            phase = Phase.LEAVING
        elif ready and one.spot and (one.id in draining or early):
            phase = Phase.TAKEN
        else:
            phase = Phase.READY if ready else Phase.COMING
        return Worker(
            one.alias,
            one.id,
            (one.type, one.zone),
            phase,
            _bid(one),
            idle=self._for(one.id, "idle", holds=None if untold else ready and idle),
            silent=self._for(one.id, "silent", holds=None if untold or unseen else dead),
            lost=lost,
            early=early,
            drains=vitals is None or vitals.draining,
        )

    def _lost(self, one: Instance) -> float | None:
        """Return how many seconds ago a keeper wrote down that a node is lost."""
        if one.id in self._marked:
            return self._clock() - self._marked[one.id]
        word = one.tags.get(tags.LEAVING, "")
        if not word.startswith(LOST):
            return None
        try:
            when = datetime.fromisoformat(word.removeprefix(LOST))
            return max(0.0, (datetime.now(UTC) - when).total_seconds())
        except (ValueError, TypeError):
            return None

    def _for(self, node: str, what: str, *, holds: bool | None) -> float:
        """Return for how many seconds something has held without a break; None: not known yet."""
        if holds is None:
            return 0.0
        if not holds:
            self._since.pop((node, what), None)
            return 0.0
        now = self._clock()
        return now - self._since.setdefault((node, what), now)

    def _queue(self, answer: Answer, told: Sequence[Mapping[str, Any]]) -> Queue:
        """Return what waits: of searches as they say it, or else the tasks of other clients."""
        running = [one for one in told if one["state"] == "running" and one["total"] > one["done"]]
        self._meter.take(self._clock(), {one.id: one.done for one in answer.engines})
        if not running:
            count = answer.waiting + answer.running
            return Queue(count, self._meter.seconds() if count else None)
        share = len(answer.engines) / len(running)
        rates = [(one["total"] - one["done"], _rate(one, time.time())) for one in running]
        known = [(left, share / rate) for left, rate in rates if rate]
        all_left = sum(left for left, _ in rates)
        if not known:
            return Queue(all_left, None)
        seconds = sum(left * each for left, each in known) / sum(left for left, _ in known)
        return Queue(all_left, seconds)


class NoMaster(Exception):
    """EC2 shows no master at this moment."""


class Meter:
    """Measures how long a task takes an engine, by how many each has done.

    Parameters
    ----------
    ends : sequence
        The `ends` of another one.
    """

    def __init__(self, ends: Sequence[tuple[float, Sequence[tuple[int, int]]]] = ()) -> None:
        self._taken = deque((when, dict(done)) for when, done in ends)

    @property
    def ends(self) -> list[tuple[float, list[tuple[int, int]]]]:
        """The first and the last of what was taken in, as JSON has it."""
        found = [self._taken[0], self._taken[-1]][: len(self._taken)] if self._taken else []
        return [(when, list(done.items())) for when, done in found]

    def take(self, now: float, done: dict[int, int]) -> None:
        """Take in how many tasks each engine has done by now."""
        if not self._taken or now > self._taken[-1][0]:
            self._taken.append((now, done))
        while len(self._taken) > 2 and now - self._taken[0][0] > _MEASURED:
            self._taken.popleft()

    def seconds(self) -> float | None:
        """Return seconds; None where none has been done."""
        if len(self._taken) < 2:
            return None
        (begin, before), (end, after) = self._taken[0], self._taken[-1]
        done = sum(number - before.get(engine, 0) for engine, number in after.items())
        return (end - begin) * len(after) / done if done > 0 else None


def _rate(search: Mapping[str, Any], now: float) -> float | None:
    if rate := search.get("per_second"):
        return float(rate)
    passed = now - float(search["started"])
    done = float(search["done"])
    return done / passed if done and passed > 0 else None


def _ended(found: Sequence[Instance]) -> list[tuple[Pool | None, float | None]]:
    """Return the workers that ended lately and whom nobody took out, the latest first."""
    ended = [
        one
        for one in found
        if one.state in ("shutting-down", "terminated") and not one.is_master and one.ready
    ]
    lost = [one for one in ended if not one.leaving or one.tags[tags.LEAVING].startswith(LOST)]
    lost.sort(key=lambda one: one.ended or one.launched, reverse=True)
    return [((one.type, one.zone) if _by_ec2(one) else None, _bid(one)) for one in lost]


def _by_ec2(one: Instance) -> bool:
    return one.spot and (one.leaving or one.reason.startswith("Server."))


def _bid(one: Instance) -> float | None:
    if not one.spot or tags.BID not in one.tags:
        return None
    return float(one.tags[tags.BID])


def _cores(status: Status) -> int:
    """Return how many engines a worker may be taken to have, while there is none to tell."""
    return next((one.vitals.cores for one in status.nodes if one.vitals), 1)

"""A cluster at one moment, as plain data: what every page is made of."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spotcluster import wording
from spotcluster.cluster.status import notices

if TYPE_CHECKING:
    from spotcluster.cluster.on_master.jobs import Job
    from spotcluster.cluster.status.observer import NodeStatus, Status
    from spotcluster.dashboard.scores import Scores
    from spotcluster.dashboard.work import Work


@dataclass(frozen=True)
class NodeRow:
    """A node.

    Attributes
    ----------
    load : float or None
        Processes that ran or waited to, on average over a minute.
    price, cost : float or None
        USD per hour, and USD so far.
    engines, busy : int or None
        How many it has, and how many of them compute; None when nobody knows.
    answered : float or None
        When its machine said that, in seconds since 1970.
    """

    alias: str
    state: str
    type: str
    zone: str
    spot: bool
    is_master: bool
    cores: int | None
    load: float | None
    memory_used_mb: int | None
    memory_total_mb: int | None
    price: float | None
    cost: float | None
    uptime: float | None
    engines: int | None
    busy: int | None
    problem: str
    answered: float | None


@dataclass(frozen=True)
class EngineRow:
    """An engine: where it is, what it does, and for how many seconds it has done so."""

    id: int
    node: str
    number: int
    busy: bool
    does: str
    seconds: float | None
    done: int


@dataclass(frozen=True)
class SearchRow:
    """A search.

    Attributes
    ----------
    state : str
        ``running``, ``silent``, ``finished`` or ``stopped``.
    updated : float or None
        When it said so, in seconds since 1970; None where only the controller tells of it.
    bests : sequence of mapping
        As in `spotcluster.published`.
    ledger : str
        The file with all that it has found; empty where nobody knows.
    here, on_master : bool
        Whether its files are on this computer, or on the master.
    """

    id: str
    kind: str
    state: str
    done: int
    total: int
    per_second: float | None
    seconds_left: float | None
    started: float
    updated: float | None
    bests: Sequence[Mapping[str, Any]]
    remarks: Sequence[str]
    ledger: str = ""
    here: bool = False
    on_master: bool = False


@dataclass(frozen=True)
class JobRow:
    """A job; times in seconds since 1970, by our clock."""

    id: int
    state: str
    command: str
    started: float | None
    seconds: float | None
    status: int | None


@dataclass(frozen=True)
class Happening:
    """Something that happened; `tone` is "good", "bad", "warn" or empty."""

    at: float
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Doing:
    """What was asked for from a page: a command of ours, and what it has printed."""

    number: int
    title: str
    command: str
    started: float
    ended: float | None
    status: int | None
    output: str


@dataclass(frozen=True)
class Snapshot:
    """A cluster.

    Attributes
    ----------
    taken_at : float
        When this was made, in seconds since 1970.
    answered : mapping
        When EC2, the controller and the master said last what is shown of them.
    ends_in : float or None
        Seconds until it ends by itself if it stays idle.
    busy_with : tuple of str
        Why it is not idle.
    hours_left : float or None
        Until it has run for MAX_HOURS.
    problem : str
        Why the controller says nothing.
    gone : str
        That there is no such cluster any more, and since when; empty while there is.
    """

    name: str
    region: str
    taken_at: float
    state: str = "being asked"
    size: int = 0
    price: float | None = None
    cost: float | None = None
    budget: float | None = None
    hours_left: float | None = None
    ends_in: float | None = None
    busy_with: tuple[str, ...] = ()
    keeper: bool | None = None
    waiting: int | None = None
    running: int | None = None
    done: int | None = None
    nodes: tuple[NodeRow, ...] = ()
    engines: tuple[EngineRow, ...] = ()
    searches: tuple[SearchRow, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    events: tuple[Happening, ...] = ()
    doings: tuple[Doing, ...] = ()
    leaving: tuple[str, ...] = ()
    taken: tuple[tuple[str, float | None], ...] = ()
    remarks: tuple[str, ...] = ()
    answered: Mapping[str, float | None] = field(default_factory=dict)
    problem: str = ""
    gone: str = ""
    scores: Mapping[str, Scores] = field(default_factory=dict)
    work: Work | None = None

    @property
    def budget_left(self) -> float | None:
        """USD that it may still cost."""
        if self.budget is None or self.cost is None:
            return None
        return max(0.0, self.budget - self.cost)


def of(
    seen: Status,
    told: Sequence[Mapping[str, Any]],
    jobs: Sequence[Job] = (),
    now: float | None = None,
) -> Snapshot:
    """Return what `status` knows of a cluster and its searches as plain data."""
    now = time.time() if now is None else now
    answer, master = seen.controller, seen.of_master
    own = Counter(one.node for one in answer.engines) if answer else None
    busy = Counter(one.node for one in answer.engines if one.message) if answer else Counter()
    differ = set(seen.other_packages)
    vitals = {one.alias: one.vitals for one in seen.nodes}
    hours = None
    if seen.max_hours and seen.up_since:
        hours = max(0.0, seen.max_hours - (now - seen.up_since.timestamp()) / 3600)
    return Snapshot(
        name=seen.name,
        region=seen.region,
        taken_at=now,
        state=seen.state,
        size=seen.size,
        price=seen.price,
        cost=seen.cost,
        budget=seen.budget,
        hours_left=hours,
        ends_in=master.idle_left if master else None,
        busy_with=seen.busy,
        keeper=master.keeper_runs if master and seen.keeps_itself else None,
        waiting=answer.waiting if answer else None,
        running=answer.running if answer else None,
        done=answer.done if answer else None,
        nodes=tuple(
            _node(one, own, busy, seen.problem_of(one) if one.alias in differ else one.problem, now)
            for one in seen.nodes
        ),
        engines=tuple(_engines(seen, now)),
        searches=tuple(search(one) for one in told),
        jobs=_jobs(seen, jobs, now),
        leaving=tuple(one.alias for one in seen.leaving),
        taken=tuple((o.alias, o.ended.timestamp() if o.ended else None) for o in seen.taken),
        remarks=tuple(notices.sentences(seen.taken, vitals)),
        answered={
            "EC2": seen.cloud_answered,
            "the controller": seen.controller_answered,
            "the master": next((n.answered for n in seen.nodes if n.instance.is_master), None),
        },
        problem=seen.problem,
    )


def _node(
    node: NodeStatus, engines: Counter[str] | None, busy: Counter[str], problem: str, now: float
) -> NodeRow:
    one, vitals = node.instance, node.vitals
    runs = one.state in ("pending", "running")
    return NodeRow(
        alias=one.alias,
        state=node.state,
        type=one.type,
        zone=one.zone,
        spot=one.spot,
        is_master=one.is_master,
        cores=vitals.cores if vitals else None,
        load=vitals.load[0] if vitals and vitals.load else None,
        memory_used_mb=vitals.memory_used_mb if vitals else None,
        memory_total_mb=vitals.memory_total_mb if vitals else None,
        price=node.price if runs else None,
        cost=node.cost,
        uptime=max(0.0, now - one.launched.timestamp()) if runs else None,
        engines=None if engines is None else engines[one.alias],
        busy=None if engines is None else busy[one.alias],
        problem=problem,
        answered=node.answered,
    )


def _engines(seen: Status, now: float) -> list[EngineRow]:
    rows = []
    for one in seen.controller.engines if seen.controller else ():
        message = one.message
        since = message.since.timestamp() - seen.clock_ahead if message and message.since else None
        rows.append(
            EngineRow(
                id=one.id,
                node=one.node or "elsewhere",
                number=one.number,
                busy=message is not None,
                does=_does(message.label) if message else "idle",
                seconds=None if since is None else max(0.0, now - since),
                done=one.done,
            )
        )
    return rows


def _does(label: Mapping[str, Any]) -> str:
    if not label:
        return "a task"
    more = label["evaluations"] - 1
    and_more = f" and {more} more" if more else ""
    return f"{label['kind']}: {params(label['params'])}, split {label['split']}{and_more}"


def params(given: Mapping[str, Any]) -> str:
    """Return parameters in words."""
    return ", ".join(f"{name}={short(value)}" for name, value in given.items()) or "no parameters"


def short(value: Any) -> str:
    """Return a parameter's value as it is shown."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def search(one: Mapping[str, Any]) -> SearchRow:
    """Return a search as it has told of itself; see `spotcluster.published`."""
    left = one.get("seconds_left")
    return SearchRow(
        id=one["id"],
        kind=one["kind"],
        state=one["state"],
        done=one["done"],
        total=one["total"],
        per_second=one.get("per_second"),
        seconds_left=left if left is not None and math.isfinite(left) else None,
        started=one["started"],
        updated=one["updated"],
        bests=tuple(one["bests"]),
        remarks=tuple(one["remarks"]),
        ledger=str(one.get("ledger") or ""),
        here=bool(one.get("here")),
        on_master=bool(one.get("on_master")),
    )


def _jobs(seen: Status, jobs: Sequence[Job], now: float) -> tuple[JobRow, ...]:
    """Return the jobs that there ever were, as far as known; those that run, in any case."""
    rows = {}
    for one in jobs:
        shift = one.now - now if one.ended is None else seen.clock_ahead
        started = None if one.started is None else one.started - shift
        words = wording.visible(" ".join(one.command))
        rows[one.id] = JobRow(one.id, one.state, words, started, one.duration, one.status)
    running = {one.id for one in seen.jobs or ()}
    for job in seen.jobs or ():
        started = job.started - seen.clock_ahead
        words = wording.visible(" ".join(job.command))
        rows[job.id] = JobRow(job.id, "running", words, started, max(0.0, now - started), None)
    if seen.jobs is not None:
        ended = [n for n, one in rows.items() if one.state == "running" and n not in running]
        for number in ended:  # the list of all is asked for seldom
            old = rows[number]
            rows[number] = JobRow(old.id, "ended", old.command, old.started, old.seconds, None)
    return tuple(sorted(rows.values(), key=lambda row: -row.id))


def clock(when: float) -> str:
    """Return a moment as the time of the day, by this computer's clock."""
    return datetime.fromtimestamp(when, UTC).astimezone().strftime("%H:%M:%S")

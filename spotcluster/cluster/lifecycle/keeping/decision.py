"""What a keeper does, by what it sees: a function of its arguments and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from spotcluster import wording

Pool = tuple[str, str]
"""A type and a zone."""

SILENT = 180.0
"""Seconds after which a node has failed that answers nobody and has no engine, while others do."""
LINGERS = 600.0
"""Seconds after which a node that EC2 was to take back, and did not, is terminated."""


_SAID = {False: "EC2 takes it back", True: "EC2 says that it may take it back soon"}


class Phase(Enum):
    """Where a worker is in its life."""

    COMING = auto()
    """It is being made or set up, by whomever."""
    READY = auto()
    TAKEN = auto()
    """EC2 has said that it takes it back, or may, and nobody has written that down yet."""
    LEAVING = auto()
    """It does not count any more."""


@dataclass(frozen=True)
class Worker:
    """A worker that EC2 shows.

    Attributes
    ----------
    bid : float or None
        Its highest price in USD per hour; None on demand.
    idle : float
        Seconds for which its engines have had nothing to do; 0 where one has, or it is not known.
    silent : float
        Seconds for which nobody has heard of it: neither its machine answers nor has it an engine.
    lost : float or None
        Seconds since a keeper wrote down that it is lost; None where none did.
    early : bool
        Whether EC2 has only said that it may take it back, and that is to do.
    drains : bool
        Whether it is known to begin nothing new, or cannot be told so.
    """

    alias: str
    id: str
    pool: Pool
    phase: Phase
    bid: float | None = None
    idle: float = 0.0
    silent: float = 0.0
    lost: float | None = None
    early: bool = False
    drains: bool = True


@dataclass(frozen=True)
class Queue:
    """What waits to be computed.

    Attributes
    ----------
    evaluations : int
        Evaluations of searches that are not done, and tasks of others that no engine has begun.
    seconds : float or None
        How long one of them takes an engine; None where none has been done yet.
    """

    evaluations: int
    seconds: float | None


@dataclass(frozen=True)
class Seen:
    """What a keeper sees.

    Attributes
    ----------
    size : int
        How many nodes the cluster should have by its record, the master included.
    asked : int
        Workers that were asked for and that EC2 does not show yet.
    cut_off : int
        Workers of additions that nobody runs any more.
    queue : Queue or None
        None where nobody says what waits.
    engines_on_master, engines_each : int
        How many engines the master has, and a worker.
    ended : sequence of (Pool or None, float or None)
        Of workers that ended lately, the latest first: the pool if EC2 took it back, and the bid.
    """

    size: int
    workers: Sequence[Worker]
    asked: int = 0
    cut_off: int = 0
    queue: Queue | None = None
    engines_on_master: int = 0
    engines_each: int = 1
    ended: Sequence[tuple[Pool | None, float | None]] = ()


@dataclass(frozen=True)
class Rules:
    """What a keeper was told.

    Attributes
    ----------
    least, most : int or None
        Nodes, the master included. Without `most` the queue does not matter: what is lost is
        replaced.
    target : float
        Seconds in which what waits is to be done.
    idle : float
        Seconds after which a worker that has nothing to do leaves.
    pause : float
        Seconds after a change of size in which the queue changes it no more.
    step : int or None
        How many nodes the queue adds at once at most.
    """

    least: int | None = None
    most: int | None = None
    target: float = 900.0
    idle: float = 300.0
    pause: float = 180.0
    step: int | None = None

    def within(self, size: int) -> int:
        """Return the nearest size that may be."""
        if self.most is not None:
            size = min(size, self.most)
        return max(size, self.least or 1)


@dataclass(frozen=True)
class Past:
    """What a keeper remembers: how many seconds ago the queue changed the size; how long to wait.

    Attributes
    ----------
    changed : float
        Seconds since the size was changed by the queue.
    wait : float
        Seconds until EC2 is asked for nodes again, since it had none or they failed.
    """

    changed: float = math.inf
    wait: float = 0.0


@dataclass(frozen=True)
class Decision:
    """What is to be done.

    Attributes
    ----------
    lost : tuple of (Worker, str)
        Workers that do not count any more, and why.
    failed : tuple of Worker
        Those to terminate at once, as they do nothing.
    drain : tuple of str
        Those to be told to begin nothing new.
    size : int or None
        Bring the cluster to that many nodes; None to leave it.
    avoid : frozenset of Pool
        Pools that new nodes come from only where there are no others.
    bid : float or None
        The bid of those that are replaced; None for that of the template.
    leave : tuple of str
        Idle workers to remove.
    record : int or None
        Only write down that the cluster should have so many nodes.
    why : str
        In words, for the log.
    """

    lost: tuple[tuple[Worker, str], ...] = ()
    failed: tuple[Worker, ...] = ()
    drain: tuple[str, ...] = ()
    size: int | None = None
    avoid: AbstractSet[Pool] = frozenset()
    bid: float | None = None
    leave: tuple[str, ...] = ()
    record: int | None = None
    why: str = ""
    by_queue: bool = field(default=False)

    @property
    def does_nothing(self) -> bool:
        """Whether there is nothing to do."""
        return self == Decision(why=self.why, avoid=self.avoid, bid=self.bid)


def decide(seen: Seen, rules: Rules, past: Past | None = None) -> Decision:
    """Return what is to be done about what is seen."""
    past = past or Past()
    lost = [(one, _SAID[one.early]) for one in seen.workers if one.phase is Phase.TAKEN]
    dead = [
        (one, f"it has answered nobody for {wording.duration(one.silent)}")
        for one in seen.workers
        if one.phase is Phase.READY and one.silent >= SILENT
    ]
    gone = {one.id for one, _ in (*lost, *dead)}
    lingering = tuple(
        one
        for one in seen.workers
        if one.phase is Phase.LEAVING and one.lost is not None and one.lost >= LINGERS
    )
    staying = [
        one
        for one in seen.workers
        if one.phase in (Phase.COMING, Phase.READY) and one.id not in gone
    ]
    there = 1 + len(staying) + seen.asked
    base = Decision(
        lost=(*lost, *dead),
        failed=(*(one for one, _ in dead), *lingering),
        # Also those of a keeper that was killed before it told them.
        drain=tuple(
            one.alias
            for one in seen.workers
            if not one.drains and (one.phase is Phase.TAKEN or one.lost is not None)
        ),
        avoid=_pools_lost(seen, [one for one, _ in (*lost, *dead)]),
        bid=_bid(seen, [one for one, _ in (*lost, *dead)], seen.size - there),
    )
    wanted, why, by_queue = _wanted(seen, rules, past, there)
    if past.wait <= 0 and (wanted > there or (seen.cut_off and not seen.asked)):
        if wanted <= there:
            why = f"{seen.cut_off} node(s) of an addition that was cut off are gone on with"
        return replace(base, size=max(wanted, there), why=why, by_queue=by_queue)
    leave = _leaving(seen, rules, past, staying, wanted if by_queue else there)
    if leave:
        idle = min(one.idle for one in leave)
        why = f"nothing to do for {wording.duration(idle)}, and the queue needs {wanted} node(s)"
        return replace(base, leave=tuple(one.alias for one in leave), why=why, by_queue=True)
    if by_queue and wanted <= there < seen.size:
        return replace(base, record=there, why=why)
    return replace(base, why=why)


def _wanted(seen: Seen, rules: Rules, past: Past, there: int) -> tuple[int, str, bool]:
    """Return how many nodes there should be, why, and whether the queue says so."""
    kept = rules.within(seen.size)
    asked = f"{kept} nodes are wanted, {there} are there"
    if rules.most is None or seen.queue is None:
        return kept, asked, False
    needed, why = _needed(seen, rules, seen.queue, there)
    needed = rules.within(needed)
    if needed > max(there, seen.size) and past.changed < rules.pause:
        return min(kept, needed), asked, False  # what was added last has not shown its effect yet
    if needed > there and rules.step is not None:
        needed = min(needed, there + rules.step)
    return needed, why, True


def _needed(seen: Seen, rules: Rules, queue: Queue, there: int) -> tuple[int, str]:
    """Return how many nodes do what waits within the target."""
    count = queue.evaluations
    if not count:
        return 1, "nothing waits"
    if queue.seconds is None:
        return there + 1, f"{count} evaluation(s) wait, and none has been done yet"
    engines = min(count, math.ceil(count * queue.seconds / rules.target))
    more = max(0, engines - seen.engines_on_master)
    return 1 + math.ceil(more / max(1, seen.engines_each)), (
        f"{count} evaluation(s) of {queue.seconds:.3g} s wait, to be done in"
        f" {wording.duration(rules.target)}"
    )


def _leaving(
    seen: Seen, rules: Rules, past: Past, staying: Sequence[Worker], wanted: int
) -> list[Worker]:
    """Return the workers that are not needed: those that have been idle the longest."""
    if rules.most is None or seen.queue is None or seen.asked or past.changed < rules.pause:
        return []
    too_many = 1 + len(staying) - max(wanted, rules.least or 1)
    idle = [one for one in staying if one.phase is Phase.READY and one.idle >= rules.idle]
    return sorted(idle, key=lambda one: (-one.idle, one.alias))[: max(0, too_many)]


def _pools_lost(seen: Seen, lost: Iterable[Worker]) -> AbstractSet[Pool]:
    leaving = [one.pool for one in seen.workers if one.lost is not None]
    return {*(one.pool for one in lost), *leaving, *(pool for pool, _ in seen.ended if pool)}


def _bid(seen: Seen, lost: Sequence[Worker], number: int) -> float | None:
    """Return the highest bid of those that are replaced."""
    leaving = [one.bid for one in seen.workers if one.lost is not None]
    ended = [bid for _, bid in seen.ended[: max(0, number)]]
    return max(
        (bid for bid in (*(one.bid for one in lost), *leaving, *ended) if bid is not None),
        default=None,
    )


def said(pools: Mapping[Pool, object] | Iterable[Pool]) -> str:
    """Return pools in words."""
    return wording.listed(f"{kind} in {zone}" for kind, zone in sorted(pools))

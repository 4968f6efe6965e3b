"""What a keeper does by itself: nodes are asked for, set up, drained, removed, and counted.

What takes long, setting nodes up and draining them, is done in threads of their own, so that a node
that is lost meanwhile is replaced all the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from spotcluster import notify, threads, wording
from spotcluster.aws import instances, network, tags
from spotcluster.cluster import records
from spotcluster.cluster.bringup import autostop, ceiling
from spotcluster.cluster.bringup.member import LAUNCH, READY
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.lifecycle import add, remove
from spotcluster.cluster.lifecycle.keeping import decision
from spotcluster.cluster.lifecycle.keeping.decision import Decision, Past, Seen
from spotcluster.cluster.lifecycle.keeping.keeper import Backoff
from spotcluster.cluster.lifecycle.keeping.observation import LOST, Observation
from spotcluster.cluster.status import costs
from spotcluster.errors import SpotclusterError
from spotcluster.node_layout import DRAIN

log = logging.getLogger("spotcluster.keeper")

COUNTED = 600.0
"""Seconds for which a ceiling stands as it was counted."""
_LAST_LAUNCH = 15.0  # seconds that an interrupt waits for launches under way
_LAST_NODES = 120.0  # and the end of a cluster for nodes that are being set up
_SHOWN = 20.0  # seconds in which EC2 shows what it has launched
_STAYS = 30.0  # seconds for which it is there at least before another process goes on


class Flight:
    """Nodes that were asked for, and what is heard of them; see `reporter.Reporter`."""

    def __init__(self, number: int, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.number = number
        self.failed_nodes: list[str] = []
        self._say = say
        self._clock = clock
        self._launched: dict[str, float] = {}

    @property
    def is_launching(self) -> bool:
        """Whether EC2 is being asked for some of its nodes."""
        return self.number > len({*self._launched, *self.failed_nodes})

    def unseen(self, shows: Callable[[str], bool]) -> int:
        """Return how many of its nodes EC2 does not show yet."""
        now = self._clock()
        known = {
            alias for alias, when in self._launched.items() if shows(alias) or now - when > _SHOWN
        }
        return max(0, self.number - len(known | set(self.failed_nodes)))

    def stage(self, alias: str, stage: str) -> None:
        """Say when a node is ready."""
        log.info("%s: %s", alias, stage)
        if stage != LAUNCH:
            self._launched.setdefault(alias, self._clock())
        if stage == READY:
            self._say(f"{alias} is ready")

    def failed(self, alias: str, message: str) -> None:
        """Say it."""
        self.failed_nodes.append(alias)
        self._say(f"{alias} failed: {message.removeprefix(f'{alias}: ')}")

    def note(self, message: str) -> None:
        """Say it."""
        self._say(message)


class Acting:
    """Does what a keeper decides; see `keeper.Hands`.

    Parameters
    ----------
    find : callable
        Returns the cluster as it is now, with the credentials and the key that hold now.
    say : callable
        Gets a line for each thing that is done, with the reason.
    hook : str, optional
        Who is told of nodes that are replaced, see `spotcluster.notify`.
    rests : bool
        Whether another process is to go on where there is nothing to do.
    changed : float, optional
        When the queue changed the size, by `time.monotonic`.
    counted : float, optional
        When the ceiling is counted next.
    """

    def __init__(
        self,
        cluster: Cluster,
        find: Callable[[], Cluster],
        say: Callable[[str], None],
        *,
        hook: str | None = None,
        rests: bool = False,
        changed: float | None = None,
        counted: float | None = None,
    ) -> None:
        self._cluster = cluster
        self._find = find
        self._say = say
        self._hook = hook
        self._rests = rests
        self._clock = time.monotonic
        self._begun = self._clock()
        self._asking = Backoff(self._clock)
        self._flights: list[Flight] = []
        self._removing = 0
        self._draining: set[str] = set()
        self._counting = False
        self.changed = changed
        self.counted = self._begun + COUNTED if counted is None else counted

    @property
    def adding(self) -> bool:
        """Whether nodes are being made."""
        return bool(self._flights)

    @property
    def busy(self) -> bool:
        """Whether anything is being done, or will be tried again."""
        tries = 0 < self._asking.failures <= self._cluster.record.template.replacements
        return bool(self._flights or self._removing or tries)

    @property
    def failed(self) -> bool:
        """Whether the last nodes that were asked for could not be had."""
        return bool(self._asking.failures)

    @property
    def past(self) -> Past:
        """What there is to remember of what was done."""
        changed = float("inf") if self.changed is None else self._clock() - self.changed
        return Past(changed, self._asking.left)

    def asked(self, shows: Callable[[str], bool]) -> int:
        """Return how many workers were asked for that EC2 does not show yet."""
        return sum(one.unseen(shows) for one in list(self._flights))

    def finish(self, *, launches_only: bool) -> None:
        """Wait for nodes that are being made, or only until EC2 has launched them."""
        end = self._clock() + (_LAST_LAUNCH if launches_only else _LAST_NODES)
        while self._clock() < end and any(
            one.is_launching or not launches_only for one in list(self._flights)
        ):
            time.sleep(0.1)

    def act(self, seen_by: Observation, seen: Seen, done: Decision) -> bool:
        """Do it; return whether another process is to go on."""
        self._do(seen_by, seen, done)
        self._move_on(seen_by, seen)
        return self._rests and done.does_nothing and self._is_at_rest(seen_by, seen)

    def _is_at_rest(self, seen_by: Observation, seen: Seen) -> bool:
        works = self._flights or self._removing or self._draining or self._counting
        record = seen_by.record
        return (
            not works
            and not self._asking.left  # or more may be wanted than is asked for
            and _at_rest(seen)
            and record is not None
            and not record.additions
            and seen_by.answered
            # Not for a moment: losses come together, and to begin anew costs a second of a core.
            and self._clock() - self._begun >= _STAYS
        )

    def _move_on(self, seen_by: Observation, seen: Seen) -> None:
        """Count the ceiling anew, now and then, as the nodes' timers go by the highest prices."""
        record = seen_by.record
        if record is None or record.template.budget is None or self._clock() < self.counted:
            return
        # Who adds nodes has counted them, and has set the timers by that.
        if self._flights or self._removing or record.additions or not _at_rest(seen):
            return
        self.counted = self._clock() + COUNTED
        self._counting = True
        threads.begin(self._count, "counting")

    def _count(self) -> None:
        try:
            cluster = self._find()
            try:
                ceiling.move_on(cluster)
                failed = {}
                if cluster.deadline is not None:
                    failed = autostop.tell(cluster, postpones=False)
                for alias, why in failed.items():  # it ends by what it knew, which is sooner
                    log.warning("%s is not told its ceiling: %s", alias, why)
                now = records.find(cluster.session, cluster.name)
                if now is None or now.additions:  # whose nodes were not counted
                    self.counted = self._clock()
            finally:
                cluster.close()
        except Exception:
            log.warning("counting the ceiling", exc_info=True)
        finally:
            self._counting = False

    def _do(self, seen_by: Observation, seen: Seen, done: Decision) -> None:
        session, cluster = self._cluster.session, self._cluster
        if done.lost:
            ids = [one.id for one, _ in done.lost]
            now = datetime.now(UTC).isoformat(timespec="seconds")
            network.tag(session, ids, {tags.LEAVING: f"{LOST}{now}"})
            seen_by.mark(ids)
            for one, why in done.lost:
                self._say(f"{one.alias} ({decision.said([one.pool])}) counts no more: {why}")
        for alias in sorted({*done.drain} - self._draining):
            self._draining.add(alias)
            threads.begin(lambda alias=alias: self._drain(alias), "draining")  # type: ignore[misc]
        if done.failed:
            instances.terminate(session, [one.id for one in done.failed])
            names = wording.listed(one.alias for one in done.failed)
            self._say(f"terminated {names}, which did nothing any more")
        if done.by_queue and (done.leave or (done.size or 0) > seen.size):
            self.changed = self._clock()
        if done.record is not None:
            records.resize(session, cluster.record, done.record)
            self._say(f"'{cluster.name}' is to have {done.record} node(s) from now on: {done.why}")
            seen_by.forget()
        if done.size is not None:
            self._ask(seen_by, seen, done)
        if done.leave and not self._removing:
            self._removing += 1
            self._say(f"removing {wording.listed(done.leave)}: {done.why}")
            threads.begin(lambda: self._remove(done.leave, seen_by), "removing")

    def _ask(self, seen_by: Observation, seen: Seen, done: Decision) -> None:
        assert done.size is not None
        there = (
            1
            + seen.asked
            + sum(
                one.phase in (decision.Phase.COMING, decision.Phase.READY)
                and one.id not in {lost.id for lost, _ in done.lost}
                for one in seen.workers
            )
        )
        number = done.size - there
        away = f", not from {decision.said(done.avoid)} where there are others"
        what = f"asking for {number} node(s)" if number else "going on"
        self._say(f"{what}: {done.why}{away if done.avoid and number else ''}")
        flight = Flight(max(number, 0), self._say, self._clock)
        self._flights.append(flight)
        threads.begin(lambda: self._fill(flight, seen_by, done), "adding")

    def _fill(self, flight: Flight, seen_by: Observation, done: Decision) -> None:
        try:
            assert done.size is not None
            cluster = self._find()
            try:
                result = add.fill(
                    cluster, done.size, bid=done.bid, avoid=done.avoid, reporter=flight
                )
                if result is not None:
                    result.conclude()
                    costs.settle(cluster.session, cluster.record)
                    if not result.failed:
                        self._asking.worked()
                        self._tell_replaced(cluster.name, len(result.nodes), done)
                    else:
                        self._failed_to_add(f"{len(result.failed)} node(s) did not get ready.")
            finally:
                cluster.close()
        except SpotclusterError as error:
            self._failed_to_add(error.message)
        except Exception as error:
            log.exception("not foreseen")
            self._failed_to_add(f"{type(error).__name__}: {error}")
        finally:
            seen_by.forget()
            self._flights.remove(flight)

    def _tell_replaced(self, name: str, number: int, done: Decision) -> None:
        if number and not done.by_queue:
            text = f"{number} node(s) of '{name}' that were lost are replaced."
            notify.tell(self._hook, "replaced", name, text, nodes=number)

    def _failed_to_add(self, message: str) -> None:
        pause = self._asking.failed()
        self._say(f"{message} More is asked for in {wording.duration(pause)}.")

    def _drain(self, alias: str) -> None:
        """Have a node begin nothing new; where that fails it is asked again later."""
        try:
            cluster = self._find()
            try:
                cluster.node(alias).account.run(f"touch {DRAIN}", what="draining", timeout=30)
            finally:
                cluster.close()
            time.sleep(_SHOWN)  # until it is seen
        except Exception:
            log.warning("draining %s", alias, exc_info=True)
        finally:
            self._draining.discard(alias)

    def _remove(self, aliases: tuple[str, ...], seen_by: Observation) -> None:
        try:
            cluster = self._find()
            try:
                cluster.reporter = Flight(0, self._say, self._clock)
                gone = remove.remove_nodes(cluster, aliases)
                self._say(f"{wording.listed(gone)} left; '{cluster.name}' is smaller by that")
            finally:
                cluster.close()
        except Exception as error:
            log.warning("removing %s", aliases, exc_info=True)
            self._say(f"{wording.listed(aliases)} could not be removed: {error}")
        finally:
            seen_by.forget()
            self._removing -= 1


def _at_rest(seen: Seen) -> bool:
    phases = (decision.Phase.READY, decision.Phase.LEAVING)
    return not seen.asked and all(one.phase in phases for one in seen.workers)

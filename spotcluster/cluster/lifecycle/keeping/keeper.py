"""Keeping a cluster's size: look, decide, act, and say what was done and why.

What takes long, setting nodes up and draining them, is done in threads of their own, so that a node
that is lost meanwhile is replaced all the same. Nothing that is done here is remembered here only:
a keeper that is killed leaves what an `addnode` leaves that is killed, and who comes next goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from spotcluster import notify, threads, wording
from spotcluster.aws import instances, network, tags
from spotcluster.cluster import records
from spotcluster.cluster.bringup import autostop, ceiling
from spotcluster.cluster.bringup.member import LAUNCH, READY
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.lifecycle import add, remove
from spotcluster.cluster.lifecycle.keeping import decision
from spotcluster.cluster.lifecycle.keeping.decision import Decision, Past, Rules, Seen, decide
from spotcluster.cluster.lifecycle.keeping.observation import LOST, NoMaster, Observation, Over
from spotcluster.cluster.reporter import Event, Teller, lost
from spotcluster.cluster.status import costs
from spotcluster.errors import SpotclusterError
from spotcluster.node_layout import DRAIN

log = logging.getLogger("spotcluster.keeper")

_TICK = 1.0
_FIRST, _LONGEST = 5.0, 300.0
"""Seconds that are waited after a failure; each time twice as long, up to the second."""
_LAST_LAUNCH = 15.0  # seconds that an interrupt waits for launches under way
_LAST_NODES = 120.0  # and the end of a cluster for nodes that are being set up
_COUNTED = 600.0  # seconds for which a ceiling stands as it was counted
_SHOWN = 20.0  # seconds in which EC2 shows what it has launched


class Backoff:
    """How long to wait after failures in a row."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.failures = 0
        self._until = 0.0

    @property
    def left(self) -> float:
        """Seconds that are still to be waited."""
        return max(0.0, self._until - self._clock())

    def failed(self) -> float:
        """Count a failure; return how long is waited."""
        self.failures += 1
        pause = min(_LONGEST, _FIRST * 2.0 ** min(self.failures - 1, 20))
        self._until = self._clock() + pause
        return pause

    def worked(self) -> None:
        """Begin anew."""
        self.failures, self._until = 0, 0.0


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


class Keeper:
    """Keeps a cluster's size until it is interrupted, or the cluster ends.

    Parameters
    ----------
    find : callable
        Returns the cluster as it is now, with the credentials and the key that hold now.
    say : callable
        Gets a line for each thing that is done, with the reason.
    hook : str, optional
        Who is told of nodes that are lost and replaced, see `spotcluster.notify`.
    once : bool
        Whether to do what is to be done now, and end.
    beat : callable
        Called each time that it has looked.
    """

    def __init__(
        self,
        find: Callable[[], Cluster],
        rules: Rules,
        say: Callable[[str], None],
        *,
        hook: str | None = None,
        once: bool = False,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._find = find
        self._hook = hook
        self._rules = rules
        self._say = say
        self._once = once
        self._beat = beat
        self._clock = time.monotonic
        self._asking = Backoff(self._clock)
        self._looking = Backoff(self._clock)
        self._flights: list[Flight] = []
        self._removing = 0
        self._draining: set[str] = set()
        self._changed: float | None = None
        self._trouble = ""
        self._noted: set[str] = set()
        self._counted = self._clock() + _COUNTED  # when it is counted next
        self._teller: Teller | None = None

    def run(self, cluster: Cluster) -> Over:
        """Keep it; return why there is nothing to keep any more, or to do."""
        self._teller = Teller(cluster.session, cluster.name, self._hook)
        with Observation(cluster, self._clock) as seen_by:
            self._say(f"keeping '{cluster.name}' at {self._described(cluster.record.size)}")
            try:
                return self._keep(cluster, seen_by)
            except KeyboardInterrupt:
                # So that whoever asks EC2 now is told of what it makes at this moment.
                self._await(lambda one: one.is_launching, _LAST_LAUNCH)
                raise

    def _keep(self, cluster: Cluster, seen_by: Observation) -> Over:
        seen_by.wait()
        while True:
            try:
                over = self._step(cluster, seen_by)
            except NoMaster:
                over = None
            except SpotclusterError as error:
                if self._once:
                    raise
                over = None
                self._failed_to_look(error.message, getattr(error, "code", ""))
            except Exception as error:  # a keeper that ends keeps nothing
                if self._once:
                    raise
                over = None
                log.exception("not foreseen")
                self._failed_to_look(f"{type(error).__name__}: {error}")
            else:
                if self._trouble:
                    self._say("EC2 and the cluster can be asked again")
                self._trouble = ""
                self._looking.worked()
            if over is not None:
                # What is being made for a cluster that has ended is ended by who makes it.
                self._await(lambda _: True, _LAST_NODES)
                return over
            self._beat()
            time.sleep(max(_TICK, self._looking.left))

    def _await(self, which: Callable[[Flight], bool], limit: float) -> None:
        """Wait until none of some nodes that were asked for is on its way."""
        end = self._clock() + limit
        while any(which(one) for one in list(self._flights)) and self._clock() < end:
            time.sleep(0.1)

    def _described(self, size: int) -> str:
        rules = self._rules
        if rules.most is None:
            return f"{rules.within(size)} nodes"
        return f"{rules.least or 1} to {rules.most} nodes, by what waits"

    def _failed_to_look(self, message: str, code: str = "") -> None:
        pause = self._looking.failed()
        kind = code or message
        if kind != self._trouble:  # once, whichever call it is that meets it
            self._say(f"nothing is done for now: {message} It is tried again and again.")
        self._trouble = kind
        log.warning("waiting %.0f s: %s", pause, message)

    def _step(self, cluster: Cluster, seen_by: Observation) -> Over | None:
        asked = sum(one.unseen(seen_by.shows) for one in list(self._flights))
        seen = seen_by.look(asked)
        if isinstance(seen, Over):
            return seen
        if self._flights:  # they go on with what was cut off
            seen = replace(seen, cut_off=0)
        changed = float("inf") if self._changed is None else self._clock() - self._changed
        done = decide(seen, self._rules, Past(changed, self._asking.left))
        tries = 0 < self._asking.failures <= cluster.record.template.replacements
        busy = bool(self._flights or self._removing or tries)
        is_over = self._once and done.does_nothing and not busy
        if not is_over:
            self._act(cluster, seen_by, seen, done)
            self._move_on(seen_by, seen)
        gone = [lost(cluster.name, one.alias, one.id, why) for one, why in done.lost]
        self._note(seen_by.happened, gone)  # what is to be done comes first: this takes a moment
        return self._at_the_end(cluster, seen, done) if is_over else None

    def _move_on(self, seen_by: Observation, seen: Seen) -> None:
        """Count the ceiling anew, now and then, as the nodes' timers go by the highest prices."""
        record = seen_by.record
        if record is None or record.template.budget is None or self._clock() < self._counted:
            return
        # Who adds nodes has counted them, and has set the timers by that.
        if self._flights or self._removing or record.additions or not _at_rest(seen):
            return
        self._counted = self._clock() + _COUNTED
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
                    self._counted = self._clock()
            finally:
                cluster.close()
        except Exception:
            log.warning("counting the ceiling", exc_info=True)

    def _note(self, happened: Sequence[Event], gone: Sequence[Event]) -> None:
        for one in happened:
            if one.key not in self._noted:
                self._say(one.text)
            self._noted.add(one.key)
        if self._teller:
            self._teller.tell([*happened, *gone])

    def _at_the_end(self, cluster: Cluster, seen: Seen, done: Decision) -> Over:
        if self._asking.failures:
            return Over(
                f"'{cluster.name}' does not have the nodes that it should: {done.why};"
                f" `spotcluster keep {cluster.name}` goes on trying.",
                by_will=False,
            )
        return Over(f"'{cluster.name}' has the nodes that it should, {seen.size}.")

    def _act(self, cluster: Cluster, seen_by: Observation, seen: Seen, done: Decision) -> None:
        session = cluster.session
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
            self._changed = self._clock()
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

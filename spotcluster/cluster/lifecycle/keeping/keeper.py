"""Keeping a cluster's size: look, decide, have it done, and say what was done and why.

Who does it is given: `acting` does it by itself, `watching` leaves it to another process. Nothing
that is done is remembered here only: a keeper that is killed leaves what an `addnode` leaves that
is killed, and who comes next goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.lifecycle.keeping.decision import Decision, Past, Rules, Seen, decide
from spotcluster.cluster.lifecycle.keeping.observation import NoMaster, Observation, Over
from spotcluster.cluster.reporter import Event, Teller, lost
from spotcluster.errors import SpotclusterError

log = logging.getLogger("spotcluster.keeper")

_TICK = 1.0
_FIRST, _LONGEST = 5.0, 300.0
"""Seconds that are waited after a failure; each time twice as long, up to the second."""


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


class Hands(Protocol):
    """Who does what a keeper has decided."""

    @property
    def adding(self) -> bool:
        """Whether nodes are being made."""

    @property
    def busy(self) -> bool:
        """Whether anything is being done, or will be tried again."""

    @property
    def failed(self) -> bool:
        """Whether the last nodes that were asked for could not be had."""

    @property
    def past(self) -> Past:
        """What there is to remember of what was done."""

    def asked(self, shows: Callable[[str], bool]) -> int:
        """Return how many workers were asked for that EC2 does not show yet."""

    def act(self, seen_by: Observation, seen: Seen, done: Decision) -> bool:
        """Do it; return whether another process is to go on."""

    def finish(self, *, launches_only: bool) -> None:
        """Wait for nodes that are being made, or only until EC2 has launched them."""


class Keeper:
    """Keeps a cluster's size until it is interrupted, or the cluster ends.

    Parameters
    ----------
    say : callable
        Gets a line for each thing that is done, with the reason.
    hook : str, optional
        Who is told of nodes that are lost and replaced, see `spotcluster.notify`.
    once : bool
        Whether to do what is to be done now, and end.
    beat : callable
        Called each time that it has looked.
    noted : iterable of str, optional
        What another process has said already that goes on with this one; None where there is none.
    """

    def __init__(
        self,
        rules: Rules,
        say: Callable[[str], None],
        hands: Hands,
        *,
        hook: str | None = None,
        once: bool = False,
        beat: Callable[[], object] = lambda: None,
        noted: Iterable[str] | None = None,
    ) -> None:
        self._hook = hook
        self._rules = rules
        self._say = say
        self._hands = hands
        self._once = once
        self._beat = beat
        self._goes_on = noted is not None
        self.noted = set(noted or ())
        self._looking = Backoff(time.monotonic)
        self._trouble = ""
        self._teller: Teller | None = None

    def run(self, cluster: Cluster, seen_by: Observation) -> Over | None:
        """Keep it.

        Returns
        -------
        Over or None
            Why there is nothing to keep any more, or to do; None where another process goes on.
        """
        self._teller = Teller(cluster.session, cluster.name, self._hook)
        if not self._goes_on:
            self._say(f"keeping '{cluster.name}' at {self._described(cluster.record.size)}")
            seen_by.wait()
        try:
            return self._keep(cluster, seen_by)
        except KeyboardInterrupt:
            # So that whoever asks EC2 now is told of what it makes at this moment.
            self._hands.finish(launches_only=True)
            raise

    def _keep(self, cluster: Cluster, seen_by: Observation) -> Over | None:
        while True:
            over = self._round(cluster, seen_by)
            if isinstance(over, Over):
                # What is being made for a cluster that has ended is ended by who makes it.
                self._hands.finish(launches_only=False)
                return over
            self._beat()
            if over:
                return None
            time.sleep(max(_TICK, self._looking.left))

    def _round(self, cluster: Cluster, seen_by: Observation) -> Over | bool:
        """Do one step; it fails nobody, unless it is the only one."""
        try:
            over = self._step(cluster, seen_by)
        except NoMaster:
            return False
        except SpotclusterError as error:
            if self._once:
                raise
            self._failed_to_look(error.message, getattr(error, "code", ""))
            return False
        except Exception as error:  # a keeper that ends keeps nothing
            if self._once:
                raise
            log.exception("not foreseen")
            self._failed_to_look(f"{type(error).__name__}: {error}")
            return False
        if self._trouble:
            self._say("EC2 and the cluster can be asked again")
        self._trouble = ""
        self._looking.worked()
        return over

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

    def _step(self, cluster: Cluster, seen_by: Observation) -> Over | bool:
        """Return why it was the last one, or whether another process has the next."""
        hands = self._hands
        seen = seen_by.look(hands.asked(seen_by.shows))
        if isinstance(seen, Over):
            return seen
        if hands.adding:  # they go on with what was cut off
            seen = replace(seen, cut_off=0)
        done = decide(seen, self._rules, hands.past)
        is_over = self._once and done.does_nothing and not hands.busy
        passes = False if is_over else hands.act(seen_by, seen, done)
        gone = [lost(cluster.name, one.alias, one.id, why) for one, why in done.lost]
        self._note(seen_by.happened, gone)  # what is to be done comes first: this takes a moment
        return self._at_the_end(cluster, seen, done) if is_over else passes

    def _note(self, happened: Sequence[Event], gone: Sequence[Event]) -> None:
        for one in happened:
            if one.key not in self.noted:
                self._say(one.text)
            self.noted.add(one.key)
        if self._teller:
            self._teller.tell([*happened, *gone])

    def _at_the_end(self, cluster: Cluster, seen: Seen, done: Decision) -> Over:
        if self._hands.failed:
            return Over(
                f"'{cluster.name}' does not have the nodes that it should: {done.why};"
                f" `spotcluster keep {cluster.name}` goes on trying.",
                by_will=False,
            )
        return Over(f"'{cluster.name}' has the nodes that it should, {seen.size}.")

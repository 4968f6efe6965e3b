"""Gives engines evaluations: as many as keep them busy; and to others what fails or is late."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from spotcluster.search.data.evaluations import Key, Retry
from spotcluster.search.dispatch import pace
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.detector import LossDetector
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.forecast import Forecast
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.roster import Roster
from spotcluster.search.dispatch.sender import Sender
from spotcluster.search.dispatch.suspicions import Suspicions
from spotcluster.search.dispatch.verdicts import DEATHS, Verdicts
from spotcluster.wording import listed

COLD = 5.0  # seconds that the first evaluation of an engine may take longer, for its imports
NEW = 1.0  # seconds in which an engine that has become ready is heard to begin its first message
LOOK = 0.2  # seconds between two looks at what is late
NEAR = 10.0  # seconds before the end, at least, from which on what takes longest goes first
ORDER = 0.2  # seconds between two such orders, and
EACH = 1e-4  # for each evaluation in it, which is a hundred times what its place costs


class Feeder:
    """Decides what is sent, when and to whom; `sent` is called with each message."""

    def __init__(
        self,
        backlog: Backlog,
        roster: Roster,
        sender: Sender,
        durations: Durations,
        detector: LossDetector,
        forecast: Forecast,
        suspicions: Suspicions,
        verdicts: Verdicts,
        timeout: float | None,
        sent: Callable[[Message], None],
        *,
        more: bool,
    ) -> None:
        self._backlog = backlog
        self._roster = roster
        self._sender = sender
        self._durations = durations
        self._detector = detector
        self._forecast = forecast
        self._pace = pace.Pace(durations, forecast, more=more)
        self._suspicions = suspicions
        self._verdicts = verdicts
        self._timeout = timeout
        self._sent = sent
        self._looked = self._order_next = 0.0
        self._ready: Sequence[int] = ()  # those that there were at the last look
        self._came: list[tuple[float, int]] = []  # when how many had become ready
        self._guesses = True  # whether messages were sent of which nothing was known

    def send_more(self) -> None:
        """Send as much of what waits as there is room for."""
        # What waits here can go to an engine that joins, or be left out on abort.
        engines = self._suspicions.ready()
        ready, new = len(engines), self._new(engines)
        if self._guesses and self._durations.measured >= max(1, min(ready, pace.FEWEST)):
            self._know_better()
        waiting, under_way = self._backlog.waiting, len(self._backlog.under_way())
        room = self._pace.messages(ready, new, waiting) - under_way if ready else 0
        if room > 0 and waiting:
            self._order(ready)
        soon = ready + self._roster.asked()
        while room > 0 and self._backlog.waiting:
            room -= 1
            wanted = self._pace.wanted(soon, self._backlog.waiting)
            untried = self._pace.untried(
                soon, self._backlog.waiting, len(self._backlog.under_way())
            )
            keys = self._backlog.next(self._durations, wanted, untried)
            if not keys or not (message := self._send(keys)):
                self._backlog.put_back(keys)
                return
            self._pace.goes(message)

    def is_ahead(self, seconds: float) -> bool:
        """Return whether no engine will want for work in so many seconds, whatever is answered."""
        ready, waiting = len(self._suspicions.ready()), self._backlog.waiting
        if self._guesses or not (ready and waiting):
            return False
        if self._pace.left(ready, waiting) < pace.LEAD:
            return False
        idle = max(0, ready - self._forecast.running)
        return self._forecast.waiting(seconds) >= idle + self._forecast.due(seconds)

    def _know_better(self) -> int:
        """Have messages count for what they take, by what is known now; return how much that is."""
        messages = list(self._backlog.under_way())
        for message in messages:
            self._forecast.is_known(message, self._durations.work(message.keys))
        self._guesses = False
        return sum(len(message.keys) for message in messages)

    def _new(self, ready: Sequence[int]) -> int:
        """Return how many engines have become ready just now."""
        now = time.monotonic()
        if ready is not self._ready:
            number = len(set(ready).difference(self._ready))
            self._came.append((now, number))
            self._ready = ready
        self._came = [one for one in self._came if now - one[0] < NEW]
        return sum(number for _, number in self._came)

    def _order(self, ready: int) -> None:
        """Near the end have what takes longest go first, and all count for what it takes."""
        now = time.monotonic()
        if not self._durations.mean:  # nothing tells how near it is
            return
        near = max(NEAR, 2 * self._durations.longest_left, 3 * pace.length(ready))
        if now < self._order_next or self._pace.left(ready, self._backlog.waiting) > near:
            return
        self._pace.waits(self._backlog.waiting, self._backlog.longest_first(self._durations))
        number = self._backlog.waiting + self._know_better()
        self._order_next = now + ORDER + number * EACH

    def ask_others(self) -> None:
        """Have what has failed on a host tried on another one, where it may be the host's doing."""
        for keys, nodes in self._suspicions.in_doubt():
            engines = self._suspicions.ready(nodes)
            while engines and keys:
                some = keys[: self._durations.batch(keys, pace.SHORT)]
                if not self._send(some, engines):
                    break
                del keys[: len(some)]
                why = f"it failed on {listed(sorted(nodes))}, another tried it too"
                self._verdicts.news += [Retry(*key, why, lost=False) for key in some]

    def duplicate(self) -> None:
        """Have idle engines try what is late elsewhere; the first result wins."""
        now = time.monotonic()
        if self._backlog.waiting or not self._backlog.live or now - self._looked < LOOK:
            return
        self._looked = now
        if any(message.engine is None for message in self._backlog.under_way()):
            return
        busy = {message.engine for message in self._backlog.live}
        idle = [engine for engine in self._suspicions.ready() if engine not in busy]
        if not idle:
            return
        for message in sorted(self._backlog.under_way(), key=lambda message: message.begun):
            seconds = now - message.begun - (0 if message.uuid in self._verdicts.warm else COLD)
            # What has had its time is ended, with its engine if need be, and would be elsewhere.
            if self._timeout and now - message.begun > self._timeout * len(message.keys):
                continue
            if message.vanished or not self._durations.late(message.keys, seconds):
                continue
            # Once only, and nothing that may kill engines.
            alone = self._backlog.only_in(message)
            for key in [key for key in alone if not self._verdicts.deaths[key]][: len(idle)]:
                if self._send([key], idle):
                    idle.pop()
                    why = f"{self._roster.name(message.uuid)} was slow, another tried it too"
                    self._verdicts.news.append(Retry(*key, why, lost=False))

    def _send(self, keys: Sequence[Key], engines: Sequence[int] = ()) -> Message | None:
        # Only to those that are ready: one that is still at its imports would keep it waiting.
        apart = any(self._verdicts.deaths[key] >= DEATHS - 1 for key in keys)  # the last try
        message = self._sender.send(keys, engines or self._suspicions.ready(), apart=apart)
        if message is None:
            return None
        self._backlog.count_on(message)
        self._detector.sent(message)
        self._forecast.waits(message)
        self._sent(message)
        return message

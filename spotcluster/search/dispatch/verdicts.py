"""What comes of messages: results that count, evaluations that are sent again, those given up.

What fails before an evaluation's own code runs is its host's fault, and so is what only one host
fails at: see `suspicions`.

When an engine dies, what its message had left may be what killed it: each of these evaluations then
travels alone. Its other messages had waited there, or had ended; see `detector.LossDetector.blame`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from spotcluster.search.backends.protocol import Backend, Fate, said
from spotcluster.search.data.evaluations import Evaluation, Key, Retry
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.detector import Loss, LossDetector
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.forecast import Forecast
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.roster import Roster
from spotcluster.search.dispatch.sender import Sender
from spotcluster.search.dispatch.suspicions import Failure, Suspicions
from spotcluster.search.engine import batch

DEATHS = 3  # engines that an evaluation may kill
HINT = 2.0  # seconds that it may take to hear of the beginning of an evaluation

News = Evaluation | Retry


class Verdicts:
    """Concludes from answers, hints and losses what has become of each evaluation.

    Attributes
    ----------
    deaths : Counter of Key
        How many engines each evaluation has killed.
    warm : set of str
        The uuids of engines that have finished an evaluation.
    news : list
        What nobody was told yet: finished evaluations and retries.
    hints_arrive : bool
        Whether engines' hints have been heard.
    """

    def __init__(
        self,
        backend: Backend,
        backlog: Backlog,
        roster: Roster,
        sender: Sender,
        durations: Durations,
        detector: LossDetector,
        forecast: Forecast,
        suspicions: Suspicions,
        error_score: float,
        deaths: Mapping[Key, int],
        timeout: float | None,
    ) -> None:
        self.deaths = Counter(deaths)
        self.warm: set[str] = set()
        self.news: list[News] = []
        self.hints_arrive = False
        self._backend = backend
        self._backlog = backlog
        self._roster = roster
        self._sender = sender
        self._durations = durations
        self._detector = detector
        self._forecast = forecast
        self._suspicions = suspicions
        self._error_score = error_score
        self._timeout = timeout

    # --- what comes back --------------------------------------------------------------------------

    def take(self, message: Message) -> None:
        """Take the answer to a message."""
        error = message.pending.exception()
        if error is not None:
            self.hear(message)  # first of all who has refused it, and why
        self._backlog.live.pop(message, None)
        if error is None:
            who, raw = message.pending.result()
            for key, result in message.results(raw):
                self._arrived(message, key, who, result)
            self._backlog.give_up(message)  # what it had no time for
        elif keys := self._backlog.open(message):
            self._failed(message, keys, error)
        self._ended(message)
        self._backend.forget(message.pending)

    def hear(self, message: Message) -> None:
        """Take the hints that engines have published about a message: what can be known earlier."""
        if message not in self._backlog.live:
            return
        for name, note in message.hints(self._backend.notes(message.pending)):
            self.hints_arrive = True
            if name == "started":
                message.starts(note["who"], note["clock"])
                self._roster.works(note["who"])
                self._detector.begins(message)
                self._forecast.begins(message)
            elif name == "taken":
                self._roster.is_taken(note)
            elif name.startswith("results"):
                for key, result in message.results(note, int(name.split()[1])):
                    self._arrived(message, key, message.who, result)
            else:
                message.refused(note)
                if message.engine is None:
                    self._forecast.waits(message)
                self._roster.refused(note, note["reason"], note["why"])

    def count(self, key: Key, failure: Failure) -> None:
        """Have a failure be the evaluation's own."""
        self._roster.proved(failure.node)
        self._done(key, failure.who, failure.result)

    def _arrived(
        self, message: Message, key: Key, who: dict[str, Any], result: dict[str, Any]
    ) -> None:
        if key not in self._backlog.unfinished:
            return
        self.warm.add(who["uuid"])
        if not result["error"]:
            self._suspicions.went_well(key, who["node"])
            self._done(key, who, result)
        elif key in self._backlog.open(message):  # if not, it is run again
            for one, failure in self._suspicions.judge(message, key, Failure(who, result)):
                self.count(one, failure)

    def _done(self, key: Key, who: dict[str, Any], result: dict[str, Any]) -> None:
        result = {**who, **result}
        self._durations.add(key, result.pop("took"))
        self._finish(Evaluation.from_engine(key, result, self._error_score))

    def _finish(self, evaluation: Evaluation) -> None:
        self.news.append(evaluation)
        self._suspicions.forget(evaluation.key)
        # What brings nothing else any more need not run; another message may have been first.
        unneeded = [
            message
            for message in self._backlog.finish(evaluation.key)
            if message.engine is None and not self._backlog.expects(message)
        ]
        if unneeded:  # which is seldom
            self._sender.withdraw(unneeded)

    # --- what does not ----------------------------------------------------------------------------

    def lost(self, message: Message, loss: Loss) -> None:
        """Take a message as lost: what it should have brought is sent again, or given up."""
        keys, alone = self._backlog.open(message), self._backlog.only_in(message)
        uuid = message.uuid or self._backend.engine_of(message.pending)
        if loss.death:
            self._backlog.isolate(keys)
        for key in keys:
            self.deaths[key] += loss.death
            if key not in alone:  # another engine is at it
                self.news.append(Retry(*key, loss.why, lost=loss.death))
            elif loss.death and len(keys) == 1 and self._timed_out(message):
                text = f"TimeoutError: It took longer than timeout={self._timeout:g} s, could not"
                self._fail(key, message, f"{text} be interrupted, and was ended with its engine.")
            elif self.deaths[key] >= DEATHS:
                text = f"It was running on {DEATHS} engines that died or were interrupted"
                self._fail(key, message, f"{text}; in the end {loss.why}.", killed=True)
            else:
                self.news.append(Retry(*key, loss.why, lost=loss.death and not loss.passing))
                self._roster.lost(uuid)
        self._backlog.give_up(message)
        self._ended(message)

    def send_again(self, message: Message) -> None:
        """Take a message back that waits: a new one will do better."""
        self._sender.withdraw([message])
        self._backlog.give_up(message)
        self._ended(message)

    def _failed(self, message: Message, keys: list[Key], error: BaseException) -> None:
        fate = self._backend.fate(error)
        if fate in (Fate.REFUSED, Fate.EXPIRED):
            if fate is Fate.REFUSED:
                if not self._roster.hopeless():  # which is told otherwise
                    refused = "every engine refused it"
                    self.news += [Retry(*key, refused, lost=False) for key in keys]
                if not message.refused_by:  # the hints that say who and why were lost
                    self._roster.doubt()
            self._backlog.give_up(message)
        elif fate in (Fate.DIED, Fate.DROPPED, Fate.INTERRUPTED):
            uuid = message.uuid or self._backend.engine_of(message.pending)
            name = self._roster.name(uuid)
            if fate is Fate.DIED and message.engine is None and self._roster.drained(uuid):
                self._backlog.give_up(message)  # it was about to be refused when the engine left
                return
            why = {
                Fate.DIED: f"{name} died",
                Fate.DROPPED: f"{name} was told to drop it",
                Fate.INTERRUPTED: f"it was interrupted on {name}",
            }
            # One that interrupts its engine itself would be sent again for ever.
            loss = Loss(
                why[fate],
                death=fate is not Fate.DROPPED,
                passing=fate is Fate.INTERRUPTED and not self._backend.interrupts_count,
            )
            if fate is Fate.DIED:
                loss = self._detector.blame(message, loss, self._backlog.live)
            self.lost(message, loss)
        else:  # something around the evaluations: they themselves have not raised it
            uuid = message.uuid or self._backend.engine_of(message.pending)
            self._suspicions.leave_out(self._roster.node(uuid), said(error))
            self._backlog.give_up(message)

    def _ended(self, message: Message) -> None:
        """Count on a message for nothing more."""
        self._detector.ended(message)
        self._forecast.ended(message)

    def _fail(self, key: Key, message: Message, error: str, *, killed: bool = False) -> None:
        score, who = self._error_score, message.who
        self._finish(Evaluation(*key, score, train_score=score, error=error, killed=killed, **who))

    def _timed_out(self, message: Message) -> bool:
        """Return whether an engine has ended itself because an evaluation did not end.

        An engine that is killed in the same moment, or a host that was frozen for as long, looks
        the same but for the others of its host, which are still there; or it happens again.
        """
        if self._timeout is None or not message.begun or len(message.keys) > 1:
            return False
        seconds = (message.vanished or time.monotonic()) - message.begun
        engines = self._roster.engines.values()
        others = any(engine.node == message.who.get("node") for engine in engines)
        again = self.deaths[message.keys[0]] > 1
        return seconds > self._timeout + batch.GRACE - HINT and (others or again)

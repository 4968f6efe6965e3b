"""Keeps the engines busy with a search's evaluations, and loses none of them.

Evaluations travel in messages of about a second of work. What ipyparallel's scheduler does with one
(its ``controller/task_scheduler.py``):

- It waits in the scheduler until an engine is free, at most for the time that we give it: then it
  comes back as ``TaskTimeout`` and is sent again, if we still count on it.
- It goes to one of the engines that were ready when it was sent. One that refuses it
  (``UnmetDependency``) is not asked again for this message; when all have refused it, or have gone,
  it comes back as ``ImpossibleDependency`` and is sent again in a new message.
- When its engine dies it comes back as ``EngineError``, 5 s after the controller has noticed.

Engines publish a hint when they start or refuse a message, and results of a message that takes
long. With them what is lost is sent again as soon as its engine is gone. Hints may be lost:
everything works without, only later.

What fails before an evaluation's own code runs is its host's fault, and so is what only one host
fails at: see `suspicions`.

When an engine dies, what its message had left may be what killed it: each of these evaluations then
travels alone. Its other messages had waited there, or had ended; see `detector.LossDetector.blame`.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.ipyparallel_private import is_closed
from spotcluster.search.data.evaluations import Evaluation, Key, Presence, Retry
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.detector import Loss, LossDetector
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.hope import Hope
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.roster import Roster
from spotcluster.search.dispatch.sender import Sender, Work
from spotcluster.search.dispatch.suspicions import Failure, Suspicions
from spotcluster.search.engine import batch, prune
from spotcluster.search.results.progress import Progress
from spotcluster.wording import listed

TICK = 0.1  # seconds between two looks at what has changed; a result is seen at once
DEATHS = 3  # engines that an evaluation may kill
COLD = 5.0  # seconds that the first evaluation of an engine may take longer, for its imports
HINT = 2.0  # seconds that it may take to hear of the beginning of an evaluation

_LOST = {"EngineError", "TaskAborted", "KeyboardInterrupt"}
_NOT_RUN = {"TaskTimeout", "DependencyTimeout", "ImpossibleDependency", "UnmetDependency"}

_CLOSED = (
    "The ipyparallel client of the search was closed.",
    "Make a new client and resume the search from its ledger.",
)

News = Evaluation | Retry


class Dispatcher(threading.Thread):
    """Sends evaluations until all are finished.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView
    bundle : Bundle
    keys : iterable of Key
        The evaluations to do, in this order.
    common : dict
        What `engine.batch.perform` needs for all evaluations.
    work : callable
        Gives the digest of an evaluation's split, and what is needed for it beside `common`.
    record : callable
        Called, by this thread, with what is new: finished evaluations and retries.
    ended : callable
        Called, by this thread, when nothing more will come.
    error_score : float
        The score of what could not be evaluated.
    deaths : mapping
        How many engines an evaluation has killed before.
    timeout : float, optional
        Seconds that an evaluation may take.
    progress : Progress, optional
        Tells others how far the search is.
    open : bool
        Whether to wait for more evaluations when all are finished, until `close_intake` is called.
    """

    def __init__(
        self,
        view: Any,
        bundle: Bundle,
        keys: Iterable[Key],
        common: dict[str, Any],
        work: Work,
        record: Callable[[list[News]], None],
        ended: Callable[[], None],
        error_score: float,
        deaths: Mapping[Key, int],
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
        open: bool = False,  # noqa: A002 - what it is
    ) -> None:
        super().__init__(name="spotcluster search", daemon=True)
        self.remarks: list[str] = []
        self.failure: BaseException | None = None
        self._client = view.client
        self._bundle = bundle.digest
        self._digests = [split.digest for split in bundle.splits]
        self._timeout = timeout
        self._progress = progress
        self._record = record
        self._ended = ended
        self._error_score = error_score
        self._deaths = Counter(deaths)
        self._intake = threading.Lock()
        self._added: deque[tuple[list[Key], bool]] = deque()
        self._open = open
        self._over = False
        self._backlog = Backlog(keys)
        self._backlog.isolate(deaths)
        self._answered: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._gone = threading.Event()
        self._durations = Durations()
        self._sender = Sender(
            *(view, bundle, common, work, self._durations), timeout=timeout, progress=progress
        )
        self._roster = Roster(self._client, self._sender.engines, bundle, self._wake.set)
        self._detector = LossDetector(self._client, self._roster, self._durations)
        self._warm: set[str] = set()  # engines that have finished an evaluation
        self._suspicions = Suspicions(self._roster, self._backlog)
        self._hope = Hope(self._roster, self._backlog)
        self._hints_arrive = False
        self._news: list[News] = []

    def stop(self) -> None:
        """Send nothing more, and take back what no engine has started."""
        self._stopped.set()
        self._wake.set()

    def add(self, keys: Iterable[Key], *, first: bool = False) -> None:
        """Take in more evaluations; any thread may, `record` too.

        Parameters
        ----------
        keys : iterable of Key
            Those that it was given before are passed over.
        first : bool
            Whether they go before what is waiting.

        Raises
        ------
        SearchError
            If the search has ended.
        """
        with self._intake:
            if self._over:
                raise SearchError("The search has ended and takes no more evaluations.")
            self._added.append((list(keys), first))
        self._wake.set()

    def close_intake(self) -> None:
        """End when all evaluations are finished: nothing will be added from outside any more."""
        with self._intake:
            self._open = False
        self._wake.set()

    @property
    def over(self) -> bool:
        """Whether it takes no more evaluations; it may still be letting go of its engines."""
        with self._intake:
            return self._over

    def engines(self) -> Counter[str]:
        """Return how many engines each host has now, as far as they are known."""
        known = list(self._roster.engines.values())
        return Counter(engine.node for engine in known if engine.node)

    def delivered(self) -> dict[str, tuple[int, int]]:
        """Return the bytes that came to each host from the client, and from elsewhere."""
        return {host.name: (host.sent, host.fetched) for host in self._roster.hosts.values()}

    def presence(self) -> list[Presence]:
        """Return when engines were there, those that have gone too."""
        return self._roster.presence()

    def run(self) -> None:
        try:
            while self._goes_on():
                self._step()
                if not self._added:
                    self._wake.wait(TICK if self._backlog.unfinished or self._open else 0)
                    self._wake.clear()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the search
            # A client that is closed in the middle of a step may fail with anything.
            closed = isinstance(error, Exception) and is_closed(self._client)
            self.failure = SearchError(*_CLOSED) if closed else error
        finally:
            with self._intake:
                self._over = True
            # Nobody must wait for ever: a client that is closed now may fail anywhere.
            with contextlib.suppress(Exception):
                self._roster.close()
            with contextlib.suppress(OSError):
                prune.prune()
            with contextlib.suppress(Exception):
                self._sender.withdraw(self._backlog.live)
            self.remarks = self._roster.remarks()
            try:
                self._ended()
            finally:
                self._gone.set()

    # Before Python 3.13 a Ctrl-C in Thread.join has the thread seem ended, while it goes on.

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended; an interrupt ends the waiting only."""
        if threading.current_thread() is self:
            raise SearchError("What a search calls (on_result) cannot wait for its end.")
        self._gone.wait(timeout)

    def is_alive(self) -> bool:
        """Return whether it was started and has not ended."""
        return self.ident is not None and not self._gone.is_set()

    def _goes_on(self) -> bool:
        """Take in what was added; return whether there is anything to do or to wait for."""
        with self._intake:
            while self._added:
                keys, first = self._added.popleft()
                self._backlog.add(keys, first=first)
            self._over = self._stopped.is_set() or not (self._backlog.unfinished or self._open)
            return not self._over

    def _step(self) -> None:
        if is_closed(self._client):
            raise SearchError(*_CLOSED)
        prune.used(self._bundle, self._digests)
        self._collect()
        arrived = self._roster.refresh()
        for message in list(self._backlog.live):
            self._hear(message)
        self._unstick(arrived)
        for message in list(self._backlog.live):
            if not self._backlog.open(message):
                continue
            loss = self._detector.look_after(message, hints_arrive=self._hints_arrive)
            if loss:
                self._lost(message, self._detector.blame(message, loss, self._backlog.live))
        self._ask_others()
        self._send_more()
        self._duplicate()
        self.remarks = self._remarks()
        if self._news:
            news, self._news = self._news, []
            self._record(news)
        self._hope.check(known=bool(self._warm))
        if self._progress is not None:
            self._progress.pulse()

    # --- sending ----------------------------------------------------------------------------------

    def _send_more(self) -> None:
        # One message running and one waiting for each engine, and two on their way. No more: what
        # waits here can go to an engine that joins, or be left out on abort.
        ready = len(self._suspicions.ready())
        room = 2 * ready + 2 - len(self._backlog.under_way()) if ready else 0
        while room > 0 and (keys := self._backlog.next(self._durations, ready)):
            room -= 1
            if not self._send(keys):
                self._backlog.put_back(keys)
                return

    def _ask_others(self) -> None:
        """Have what has failed on a host tried on another one, where it may be the host's doing."""
        for keys, nodes in self._suspicions.in_doubt():
            engines = self._suspicions.ready(nodes)
            while engines and keys:
                some = keys[: self._durations.batch(keys, len(engines))]
                if not self._send(some, engines):
                    break
                del keys[: len(some)]
                why = f"it failed on {listed(sorted(nodes))}, another tried it too"
                self._news += [Retry(*key, why, lost=False) for key in some]
        for key, failure in self._suspicions.unanswered():
            self._count(key, failure)

    def _send(self, keys: Sequence[Key], engines: Sequence[int] = ()) -> bool:
        # Only to those that are ready: one that is still at its imports would keep it waiting.
        message = self._sender.send(keys, engines or self._suspicions.ready())
        if message is None:
            return False
        self._backlog.count_on(message)
        message.pending.add_done_callback(lambda _: self._answer(message))
        return True

    def _duplicate(self) -> None:
        """Have idle engines try what is late elsewhere; the first result wins."""
        if self._backlog.waits or not self._backlog.live:
            return
        if any(message.engine is None for message in self._backlog.under_way()):
            return
        busy = {message.engine for message in self._backlog.live}
        idle = [engine for engine in self._suspicions.ready() if engine not in busy]
        now = time.monotonic()
        for message in sorted(self._backlog.live, key=lambda message: message.begun):
            # Once only, and nothing that may kill engines.
            keys = [key for key in self._backlog.only_in(message) if not self._deaths[key]]
            seconds = now - message.begun - (0 if message.uuid in self._warm else COLD)
            # What has had its time is ended, with its engine if need be, and would be elsewhere.
            if self._timeout and now - message.begun > self._timeout * len(message.keys):
                continue
            if message.vanished or not self._durations.late(message.keys, seconds):
                continue
            for key in keys[: len(idle)]:
                if self._send([key], idle):
                    idle.pop()
                    why = f"{self._roster.name(message.uuid)} was slow, another tried it too"
                    self._news.append(Retry(*key, why, lost=False))

    def _answer(self, message: Message) -> None:
        # ipyparallel's thread
        self._answered.put(message)
        self._wake.set()

    # --- what comes back --------------------------------------------------------------------------

    def _collect(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(self._answered.get_nowait())

    def _take(self, message: Message) -> None:
        self._backlog.live.pop(message, None)
        error = message.pending.exception()
        if error is None:
            who, raw = message.pending.result()
            for key, result in message.results(raw):
                self._arrived(message, key, who, result)
            self._backlog.give_up(message)  # what it had no time for
        elif keys := self._backlog.open(message):
            self._failed(message, keys, error)
        with contextlib.suppress(RuntimeError):  # the client would keep it for ever
            self._client.purge_local_results([message.id])

    def _failed(self, message: Message, keys: list[Key], error: BaseException) -> None:
        kind = getattr(error, "ename", type(error).__name__)
        if kind in _NOT_RUN:
            if kind != "TaskTimeout":
                if not self._roster.hopeless():  # which is told otherwise
                    refused = "every engine refused it"
                    self._news += [Retry(*key, refused, lost=False) for key in keys]
                if not message.refused_by:  # the hints that say who and why were lost
                    self._roster.doubt()
            self._backlog.give_up(message)
        elif kind in _LOST:
            uuid = message.uuid or message.pending.metadata.get("engine_uuid")
            name = self._roster.name(uuid)
            if kind == "EngineError" and message.engine is None and self._roster.drained(uuid):
                self._backlog.give_up(message)  # it was about to be refused when the engine left
                return
            why = {
                "EngineError": f"{name} died",
                "TaskAborted": f"{name} was told to drop it",
                "KeyboardInterrupt": f"it was interrupted on {name}",
            }
            # One that interrupts its engine itself would be sent again for ever.
            loss = Loss(why[kind], death=kind != "TaskAborted")
            if kind == "EngineError":
                loss = self._detector.blame(message, loss, self._backlog.live)
            self._lost(message, loss)
        else:  # something around the evaluations: they themselves have not raised it
            uuid = message.uuid or message.pending.metadata.get("engine_uuid")
            self._suspicions.leave_out(
                self._roster.node(uuid), f"{kind}: {getattr(error, 'evalue', error)}"
            )
            self._backlog.give_up(message)

    def _arrived(
        self, message: Message, key: Key, who: dict[str, Any], result: dict[str, Any]
    ) -> None:
        if key not in self._backlog.unfinished:
            return
        self._warm.add(who["uuid"])
        if not result["error"]:
            self._suspicions.went_well(key, who["node"])
            self._done(key, who, result)
        elif key in self._backlog.open(message):  # if not, it is run again
            for one, failure in self._suspicions.judge(message, key, Failure(who, result)):
                self._count(one, failure)

    def _count(self, key: Key, failure: Failure) -> None:
        """Have a failure be the evaluation's own."""
        self._roster.proved(failure.node)
        self._done(key, failure.who, failure.result)

    def _done(self, key: Key, who: dict[str, Any], result: dict[str, Any]) -> None:
        result = dict(result)
        self._durations.add(key, result.pop("took"))
        self._finish(Evaluation.from_engine(key, {**who, **result}, self._error_score))

    def _finish(self, evaluation: Evaluation) -> None:
        self._news.append(evaluation)
        self._suspicions.forget(evaluation.key)
        # What brings nothing else any more need not run; another message may have been first.
        unneeded = self._backlog.finish(evaluation.key)
        self._sender.withdraw(
            message
            for message in unneeded
            if message.engine is None and not self._backlog.open(message)
        )

    def _fail(self, key: Key, message: Message, error: str, *, killed: bool = False) -> None:
        score, who = self._error_score, message.who
        self._finish(Evaluation(*key, score, train_score=score, error=error, killed=killed, **who))

    def _lost(self, message: Message, loss: Loss) -> None:
        keys, alone = self._backlog.open(message), self._backlog.only_in(message)
        uuid = message.uuid or message.pending.metadata.get("engine_uuid")
        if loss.death:
            self._backlog.isolate(keys)
        for key in keys:
            self._deaths[key] += loss.death
            if key not in alone:  # another engine is at it
                self._news.append(Retry(*key, loss.why, lost=loss.death))
            elif loss.death and len(keys) == 1 and self._timed_out(message):
                text = f"TimeoutError: It took longer than timeout={self._timeout:g} s, could not"
                self._fail(key, message, f"{text} be interrupted, and was ended with its engine.")
            elif self._deaths[key] >= DEATHS:
                text = f"It was running on {DEATHS} engines that died or were interrupted"
                self._fail(key, message, f"{text}; in the end {loss.why}.", killed=True)
            else:
                self._news.append(Retry(*key, loss.why, lost=loss.death))
                self._roster.lost(uuid)
        self._backlog.give_up(message)

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
        again = self._deaths[message.keys[0]] > 1
        return seconds > self._timeout + batch.GRACE - HINT and (others or again)

    # --- what can be known earlier ----------------------------------------------------------------

    def _hear(self, message: Message) -> None:
        """Take the hints that engines have published about a message."""
        for name, note in message.hints(self._client):
            self._hints_arrive = True
            if name == "started":
                message.starts(note["who"], note["clock"])
                self._roster.works(note["who"])
            elif name == "taken":
                self._roster.is_taken(note)
            elif name.startswith("results"):
                for key, result in message.results(note, int(name.split()[1])):
                    self._arrived(message, key, message.who, result)
            else:
                message.refused(note)
                self._roster.refused(note, note["reason"], note["why"])

    def _unstick(self, arrived: list[str]) -> None:
        """Send again what has been refused, where a new message changes something."""
        engines = self._roster.engines
        served = {engine.id for engine in engines.values() if engine.node in arrived}
        for message in list(self._backlog.live):
            if message.engine is not None or not message.refused_by:
                continue
            if self._backlog.open(message) and message.refused_by & served:
                self._sender.withdraw([message])
                self._backlog.give_up(message)

    def _remarks(self) -> list[str]:
        remarks = self._roster.remarks()
        if not self._roster.engines:
            remarks.append("Waiting for engines: none is registered.")
        elif not self._roster.ready() and not self._backlog.travels:
            remarks.append(
                "Waiting for engines: the split files are on their way, or all are draining."
            )
        return remarks

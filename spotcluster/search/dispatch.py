"""Keeps the engines busy with a search's evaluations, and loses none of them.

What ipyparallel's scheduler does with an evaluation (its ``controller/task_scheduler.py``):

- It waits in the scheduler until an engine is free. We give it a time limit there, after which it
  comes back as ``TaskTimeout`` and is sent again: nothing can wait there for ever, and a message
  that we no longer count on disappears.
- An engine that refuses it (``UnmetDependency``) is not asked again for this message, ever. It is
  offered to the other engines as they become free, and to new ones. When all have refused it waits
  for one that is new, so we send it again in a new message.
- When its engine dies it comes back as ``EngineError``, 5 s after the controller has noticed.

Engines publish a hint when they start or refuse an evaluation. With it a lost evaluation is sent
again as soon as its engine is gone. Hints may be lost: everything works without, only later.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ipyparallel

from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.evaluations import Evaluation, Key, Retry
from spotcluster.search.roster import Roster
from spotcluster.search.splits import Bundle

TICK = 0.1  # seconds between two looks at what has changed; a result is seen at once
GRACE = 1.0  # seconds for the result of an engine that has gone, which may still be on its way
DEATHS = 3  # engines that an evaluation may kill
QUEUE_LIMIT = 10.0  # seconds in the scheduler's queue, at least
SILENCE = 15.0  # seconds after which a running evaluation is asked after
SETTLE = 5.0  # seconds for a result after its engine has turned to something else

_LOST = {"EngineError", "TaskAborted", "KeyboardInterrupt"}
_NOT_RUN = {"TaskTimeout", "DependencyTimeout", "ImpossibleDependency", "UnmetDependency"}

News = Evaluation | Retry
Work = Callable[[Key], tuple[str, bytes]]


@dataclass(eq=False)
class Attempt:
    """A message with an evaluation in it.

    Attributes
    ----------
    engine : int or None
        Where it is known to run.
    refused_by : set of int
        The engines known to have refused it.
    vanished : float
        When its engine was first seen to be gone.
    """

    key: Key
    pending: Any
    sent: float
    limit: float
    engine: int | None = None
    uuid: str | None = None
    heard: set[str] = field(default_factory=set)
    refused_by: set[int] = field(default_factory=set)
    vanished: float = 0.0
    call: Any = None
    call_at: float = 0.0
    answered: float = 0.0

    @property
    def message(self) -> str:
        return str(self.pending.msg_ids[0])


class Dispatcher(threading.Thread):
    """Sends evaluations until all are finished.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView
    bundle : Bundle
    keys : iterable of Key
        The evaluations to do, in this order.
    work : callable
        Gives the digest of an evaluation's split and what `engine.evaluate` needs.
    record : callable
        Called, by this thread, with what is new: finished evaluations and retries.
    ended : callable
        Called, by this thread, when nothing more will come.
    error_score : float
        The score of what could not be evaluated.
    deaths : mapping
        How many engines an evaluation has killed before.
    open : bool
        Whether to wait for more evaluations when all are finished, until `close_intake` is called.
    """

    def __init__(
        self,
        view: Any,
        bundle: Bundle,
        keys: Iterable[Key],
        work: Work,
        record: Callable[[list[News]], None],
        ended: Callable[[], None],
        error_score: float,
        deaths: Mapping[Key, int],
        *,
        open: bool = False,  # noqa: A002 - what it is
    ) -> None:
        super().__init__(name="spotcluster search", daemon=True)
        self.remarks: list[str] = []
        self.failure: BaseException | None = None
        self._client = view.client
        self._targets = view.targets
        self._view = view.client.load_balanced_view()
        self._view.set_flags(block=False, track=False, retries=0)
        self._roster = Roster(self._client, self._ids, bundle)
        self._bundle = bundle.digest
        self._work = work
        self._record = record
        self._ended = ended
        self._error_score = error_score
        self._deaths = Counter(deaths)
        self._intake = threading.Lock()
        self._added: deque[tuple[list[Key], bool]] = deque()
        self._open = open
        self._over = False
        self._waiting = deque(keys)
        self._unfinished = set(self._waiting)
        self._known = set(self._waiting)
        self._current: dict[Key, Attempt] = {}
        self._live: set[Attempt] = set()  # current ones, and superseded ones that may still answer
        self._answered: queue.SimpleQueue[Attempt] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._longest = 0.0
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

    def run(self) -> None:
        try:
            while self._goes_on():
                self._step()
                if not self._added:
                    self._wake.wait(TICK if self._unfinished or self._open else 0)
                    self._wake.clear()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the search
            self.failure = error
        finally:
            with self._intake:
                self._over = True
            self._roster.close()
            self._withdraw(self._live)
            self.remarks = []
            self._ended()

    def _goes_on(self) -> bool:
        """Take in what was added; return whether there is anything to do or to wait for."""
        with self._intake:
            while self._added:
                keys, first = self._added.popleft()
                keys = [key for key in keys if key not in self._known]
                self._known.update(keys)
                self._unfinished.update(keys)
                if first:
                    self._waiting.extendleft(reversed(keys))
                else:
                    self._waiting.extend(keys)
            self._over = self._stopped.is_set() or not (self._unfinished or self._open)
            return not self._over

    def _step(self) -> None:
        if getattr(self._client, "_closed", False):  # there is no public way to ask
            raise SearchError(
                "The ipyparallel client of the search was closed.",
                "Make a new client and resume the search from its ledger.",
            )
        self._collect()
        arrived = self._roster.refresh()
        for attempt in list(self._live):
            self._hear(attempt)
        self._unstick(arrived)
        for attempt in list(self._current.values()):
            self._look_after(attempt)
        self._send_more()
        self.remarks = self._remarks()
        if self._news:
            news, self._news = self._news, []
            self._record(news)

    # --- sending ----------------------------------------------------------------------------------

    def _ids(self) -> list[int]:
        ids: list[int] = list(self._client.ids)
        if self._targets is None or isinstance(self._targets, str):
            return ids
        wanted = [self._targets] if isinstance(self._targets, int) else self._targets
        return [engine for engine in ids if engine in wanted]

    def _send_more(self) -> None:
        # One running and one waiting for each engine, and two to bridge the way there and back. No
        # more: what waits here can go to an engine that joins, or be left out on abort.
        ready = len(self._roster.ready())
        room = 2 * ready + 2 - len(self._current) if ready else 0
        while room > 0 and self._waiting:
            key = self._waiting.popleft()
            if key in self._unfinished and key not in self._current:
                room -= 1
                if not self._send(key):
                    self._waiting.appendleft(key)
                    return

    def _send(self, key: Key) -> bool:
        limit = max(QUEUE_LIMIT, 3 * self._longest)
        work = self._work(key)
        targets = None if self._targets is None else self._ids()
        if targets == []:  # which would mean any engine
            return False
        try:
            self._view.set_flags(timeout=limit, targets=targets)
            pending = shipping.send(self._view, "evaluate", self._bundle, *work)
        except (ipyparallel.error.IPythonError, KeyError, IndexError):
            return False  # a target has gone in this moment
        attempt = Attempt(key, pending, time.monotonic(), limit)
        self._current[key] = attempt
        self._live.add(attempt)
        pending.add_done_callback(lambda _: self._answer(attempt))
        return True

    def _answer(self, attempt: Attempt) -> None:
        # ipyparallel's thread
        self._answered.put(attempt)
        self._wake.set()

    def _again(self, attempt: Attempt) -> None:
        """Count on this message no longer, and send the evaluation in a new one."""
        if self._current.get(attempt.key) is attempt:
            del self._current[attempt.key]
            self._waiting.appendleft(attempt.key)

    def _withdraw(self, attempts: Iterable[Attempt]) -> None:
        """Have the engines drop messages that they have not started."""
        messages = [attempt.message for attempt in attempts if not attempt.pending.done()]
        if messages:
            with contextlib.suppress(ipyparallel.error.IPythonError, OSError, RuntimeError):
                self._client.abort(messages, block=False)

    # --- what comes back --------------------------------------------------------------------------

    def _collect(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(self._answered.get_nowait())

    def _take(self, attempt: Attempt) -> None:
        self._live.discard(attempt)
        if attempt.key not in self._unfinished:
            return
        error = attempt.pending.exception()
        if error is None:
            answer = dict(attempt.pending.result())
            self._longest = max(self._longest, answer["ended"] - answer["started"])
            self._finish(Evaluation.from_engine(attempt.key, answer, self._error_score))
            return
        if self._current.get(attempt.key) is not attempt:
            return  # it was sent again already
        kind = getattr(error, "ename", type(error).__name__)
        if kind in _NOT_RUN:
            self._again(attempt)
        elif kind in _LOST:
            name = self._roster.name(attempt.uuid or attempt.pending.metadata.get("engine_uuid"))
            why = {
                "EngineError": f"{name} died",
                "TaskAborted": f"{name} was told to drop it",
                "KeyboardInterrupt": f"it was interrupted on {name}",
            }
            self._lost(attempt, why[kind], death=kind == "EngineError")
        else:
            text = "\n".join(getattr(error, "render_traceback", lambda: [str(error)])())
            self._fail(attempt.key, text or str(error))

    def _finish(self, evaluation: Evaluation) -> None:
        self._unfinished.discard(evaluation.key)
        self._current.pop(evaluation.key, None)
        self._news.append(evaluation)
        self._withdraw([attempt for attempt in self._live if attempt.key == evaluation.key])

    def _fail(self, key: Key, error: str, *, killed: bool = False) -> None:
        score = self._error_score
        self._finish(Evaluation(*key, score, train_score=score, error=error, killed=killed))

    def _lost(self, attempt: Attempt, why: str, *, death: bool) -> None:
        self._deaths[attempt.key] += death
        if self._deaths[attempt.key] >= DEATHS:
            text = f"It was running on {DEATHS} engines that died; in the end {why}."
            self._fail(attempt.key, text, killed=True)
            return
        self._news.append(Retry(*attempt.key, why, lost=death))
        self._again(attempt)

    # --- what can be known earlier ----------------------------------------------------------------

    def _hear(self, attempt: Attempt) -> None:
        """Take the hints that engines have published about a message."""
        data = (self._client.metadata.get(attempt.message) or {}).get("data") or {}
        for name in set(data) - attempt.heard:
            note = data[name]
            attempt.heard.add(name)
            self._hints_arrive = True
            if name == "started":
                attempt.engine, attempt.uuid = note["engine"], note["uuid"]
                self._roster.works(note)
            else:
                attempt.refused_by.add(note["engine"])
                self._roster.refused(note, note["reason"])

    def _unstick(self, arrived: list[str]) -> None:
        """Send again what has been refused, where a new message changes something."""
        engines = self._roster.engines
        served = {engine.id for engine in engines.values() if engine.node in arrived}
        for attempt in list(self._current.values()):
            if attempt.engine is not None or not attempt.refused_by:
                continue
            by_all = bool(engines) and attempt.refused_by >= engines.keys()
            if by_all or attempt.refused_by & served:
                if by_all:
                    self._news.append(Retry(*attempt.key, "every engine refused it", lost=False))
                self._withdraw([attempt])
                self._again(attempt)

    def _look_after(self, attempt: Attempt) -> None:
        now = time.monotonic()
        if attempt.engine is None:
            # The scheduler returns what waits too long, unless the message is lost, with the
            # controller for example. Without hints it could be running, and nothing can be said.
            if self._hints_arrive and now - attempt.sent > 3 * attempt.limit + QUEUE_LIMIT:
                self._news.append(Retry(*attempt.key, "its message was lost", lost=False))
                self._again(attempt)
        elif attempt.engine not in self._roster.engines:
            attempt.vanished = attempt.vanished or now
            if now - attempt.vanished > GRACE:
                self._lost(attempt, f"{self._roster.name(attempt.uuid)} died", death=True)
        else:
            attempt.vanished = 0.0
            self._ask_after(attempt, now)

    def _ask_after(self, attempt: Attempt, now: float) -> None:
        """Notice a result that was lost on its way.

        An engine does one thing after the other: when it answers a call that was sent after the
        evaluation had begun, the evaluation is over.
        """
        if attempt.answered:
            if now - attempt.answered > SETTLE:
                self._lost(attempt, "its result did not arrive", death=False)
        elif attempt.call is not None and attempt.call.done():
            attempt.answered = now if attempt.call.exception() is None else 0.0
            attempt.call = None
        elif now - attempt.sent > max(SILENCE, 3 * self._longest, 2 * attempt.call_at):
            attempt.call_at = now - attempt.sent
            with contextlib.suppress(ipyparallel.error.IPythonError, KeyError, IndexError):
                attempt.call = shipping.send(self._client[attempt.engine], "identity")

    def _remarks(self) -> list[str]:
        remarks = self._roster.remarks()
        if not self._roster.engines:
            remarks.append("Waiting for engines: none is registered.")
        elif not self._roster.ready() and not self._current:
            remarks.append(
                "Waiting for engines: the split files are on their way, or all are draining."
            )
        return remarks

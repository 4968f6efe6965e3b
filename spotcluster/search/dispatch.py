"""Keeps the engines busy with a search's evaluations, and loses none of them.

Evaluations travel in messages, as many in each as make a fraction of a second of work. What
ipyparallel's scheduler does with a message (its ``controller/task_scheduler.py``):

- It waits in the scheduler until an engine is free. We give it a time limit there, after which it
  comes back as ``TaskTimeout`` and is sent again: nothing can wait there for ever, and a message
  that we no longer count on disappears.
- It goes to one of the engines that were ready when it was sent. One that refuses it
  (``UnmetDependency``) is not asked again for this message; when all have refused it, or have gone,
  it comes back as ``ImpossibleDependency`` and is sent again in a new message.
- When its engine dies it comes back as ``EngineError``, 5 s after the controller has noticed.

Engines publish a hint when they start or refuse a message, and results of a message that takes
long. With them an evaluation that is lost is sent again as soon as its engine is gone. Hints may be
lost: everything works without, only later.

When an engine dies, what its message had left may be what killed it. Each of these evaluations then
travels alone, so that the next death is told from bad luck.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipyparallel

from spotcluster.errors import SearchError
from spotcluster.search import engine_prune, shipping
from spotcluster.search.durations import Durations
from spotcluster.search.evaluations import Evaluation, Key, Retry
from spotcluster.search.messages import Message
from spotcluster.search.progress import Progress
from spotcluster.search.roster import Presence, Roster
from spotcluster.search.splits import Bundle

TICK = 0.1  # seconds between two looks at what has changed; a result is seen at once
GRACE = 1.0  # seconds for the result of an engine that has gone, which may still be on its way
DEATHS = 3  # engines that an evaluation may kill
QUEUE_LIMIT = 10.0  # seconds in the scheduler's queue, at least
SILENCE = 15.0  # seconds after which a running evaluation is asked after
COLD = 5.0  # seconds that the first evaluation of an engine may take longer, for its imports
SETTLE = 5.0  # seconds for a result after its engine has turned to something else

_LOST = {"EngineError", "TaskAborted", "KeyboardInterrupt"}
_NOT_RUN = {"TaskTimeout", "DependencyTimeout", "ImpossibleDependency", "UnmetDependency"}

_CLOSED = (
    "The ipyparallel client of the search was closed.",
    "Make a new client and resume the search from its ledger.",
)

News = Evaluation | Retry
Work = Callable[[Key], tuple[str, dict[str, Any]]]


class Dispatcher(threading.Thread):
    """Sends evaluations until all are finished.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView
    bundle : Bundle
    keys : iterable of Key
        The evaluations to do, in this order.
    common : dict
        What `engine_batch.perform` needs for all evaluations.
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
        self._targets = view.targets
        self._view = view.client.load_balanced_view()
        self._view.set_flags(block=False, track=False, retries=0)
        self._bundle = bundle.digest
        self._digests = [split.digest for split in bundle.splits]
        self._common = shipping.pack(common)
        self._work = work
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
        self._waiting = deque(keys)
        self._unfinished = set(self._waiting)
        self._known = set(self._waiting)
        self._alone: set[Key] = set()  # those that were in a message whose engine died
        self._counted: dict[Key, list[Message]] = {}  # the messages that should bring each
        self._live: set[Message] = set()  # counted ones, and others that may still answer
        self._answered: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._roster = Roster(self._client, self._ids, bundle, self._wake.set)
        self._durations = Durations()
        self._warm: set[str] = set()  # engines that have finished an evaluation
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
                    self._wake.wait(TICK if self._unfinished or self._open else 0)
                    self._wake.clear()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the search
            # A client that is closed in the middle of a step may fail with anything.
            closed = isinstance(error, Exception) and self._client_is_closed()
            self.failure = SearchError(*_CLOSED) if closed else error
        finally:
            with self._intake:
                self._over = True
            self._roster.close()
            with contextlib.suppress(OSError):
                engine_prune.prune()
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

    def _client_is_closed(self) -> bool:
        return bool(getattr(self._client, "_closed", False))  # there is no public way to ask

    def _step(self) -> None:
        if self._client_is_closed():
            raise SearchError(*_CLOSED)
        engine_prune.used(self._bundle, self._digests)
        self._collect()
        arrived = self._roster.refresh()
        for message in list(self._live):
            self._hear(message)
        self._unstick(arrived)
        for message in list(self._live):
            if self._open_keys(message):
                self._look_after(message)
        self._send_more()
        self._duplicate()
        self.remarks = self._remarks()
        if self._news:
            news, self._news = self._news, []
            self._record(news)
        if self._progress is not None:
            self._progress.pulse()

    # --- sending ----------------------------------------------------------------------------------

    def _ids(self) -> list[int]:
        ids: list[int] = list(self._client.ids)
        if self._targets is None or isinstance(self._targets, str):
            return ids
        wanted = [self._targets] if isinstance(self._targets, int) else self._targets
        return [engine for engine in ids if engine in wanted]

    def _open_keys(self, message: Message) -> list[Key]:
        """Return what a message should still bring."""
        return [key for key in message.keys if message in self._counted.get(key, ())]

    def _send_more(self) -> None:
        # One message running and one waiting for each engine, and two to bridge the way there and
        # back. No more: what waits here can go to an engine that joins, or be left out on abort.
        ready = len(self._roster.ready())
        under_way = sum(1 for message in self._live if self._open_keys(message))
        room = 2 * ready + 2 - under_way if ready else 0
        while room > 0 and (keys := self._next(ready)):
            room -= 1
            if not self._send(keys):
                self._waiting.extendleft(reversed(keys))
                return

    def _next(self, engines: int) -> list[Key]:
        """Take the evaluations of the next message from those that wait."""
        while self._waiting and not self._to_send(self._waiting[0]):
            self._waiting.popleft()
        if not self._waiting:
            return []
        if self._waiting[0] in self._alone:
            return [self._waiting.popleft()]
        keys: list[Key] = []
        for _ in range(self._durations.batch(self._waiting, engines)):
            if self._waiting[0] in self._alone:
                break
            key = self._waiting.popleft()
            if self._to_send(key) and key not in keys:
                keys.append(key)
        return keys

    def _to_send(self, key: Key) -> bool:
        return key in self._unfinished and key not in self._counted

    def _send(self, keys: Sequence[Key], engines: list[int] | None = None) -> bool:
        limit = max(QUEUE_LIMIT, 3 * self._durations.longest)
        items = shipping.pack([self._work(key) for key in keys])
        budget = 2 * self._durations.work(keys)
        # Only to those that are ready: one that is still at its imports would keep it waiting.
        targets = engines or self._roster.ready()
        if not targets:  # which would mean any engine
            return False
        try:
            label = self._progress.label(keys) if self._progress else None
            self._view.set_flags(timeout=limit, targets=targets, label=label)
            pending = shipping.send(
                self._view,
                "engine_batch.perform",
                *(self._bundle, self._common, items, budget, self._timeout),
            )
        except (ipyparallel.error.IPythonError, KeyError, IndexError):
            return False  # a target has gone in this moment
        message = Message(tuple(keys), pending, time.monotonic(), limit)
        for key in keys:
            self._counted.setdefault(key, []).append(message)
        self._live.add(message)
        pending.add_done_callback(lambda _: self._answer(message))
        return True

    def _duplicate(self) -> None:
        """Have idle engines try what is late elsewhere; the first result wins."""
        if self._waiting or not self._live:
            return
        if any(message.engine is None for message in self._live if self._open_keys(message)):
            return
        busy = {message.engine for message in self._live}
        idle = [engine for engine in self._roster.ready() if engine not in busy]
        now = time.monotonic()
        for message in sorted(self._live, key=lambda message: message.begun):
            keys = [
                key
                for key in self._open_keys(message)  # once only, and nothing that may kill engines
                if len(self._counted[key]) == 1 and not self._deaths[key]
            ]
            seconds = now - message.begun - (0 if message.uuid in self._warm else COLD)
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

    def _again(self, message: Message, keys: Iterable[Key] | None = None) -> None:
        """Count on this message no longer, and send what it should bring in a new one."""
        for key in reversed(list(self._open_keys(message) if keys is None else keys)):
            others = [other for other in self._counted.pop(key) if other is not message]
            if others:
                self._counted[key] = others
            else:
                self._waiting.appendleft(key)

    def _withdraw(self, messages: Iterable[Message]) -> None:
        """Have the engines drop messages that they have not started."""
        ids = [message.id for message in messages if not message.pending.done()]
        if ids:
            with contextlib.suppress(ipyparallel.error.IPythonError, OSError, RuntimeError):
                self._client.abort(ids, block=False)

    # --- what comes back --------------------------------------------------------------------------

    def _collect(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(self._answered.get_nowait())

    def _take(self, message: Message) -> None:
        self._live.discard(message)
        error = message.pending.exception()
        if error is None:
            who, raw = message.pending.result()
            for key, result in message.results(raw):
                self._arrived(key, who, result)
            self._again(message)  # what it had no time for
        elif keys := self._open_keys(message):
            self._failed(message, keys, error)
        with contextlib.suppress(RuntimeError):  # the client would keep it for ever
            self._client.purge_local_results([message.id])

    def _failed(self, message: Message, keys: list[Key], error: BaseException) -> None:
        kind = getattr(error, "ename", type(error).__name__)
        if kind in _NOT_RUN:
            if kind != "TaskTimeout":
                self._news += [Retry(*key, "every engine refused it", lost=False) for key in keys]
                if not message.refused_by:  # the hints that say who and why were lost
                    self._roster.doubt()
            self._again(message)
        elif kind in _LOST:
            uuid = message.uuid or message.pending.metadata.get("engine_uuid")
            name = self._roster.name(uuid)
            if kind == "EngineError" and message.engine is None and self._roster.drained(uuid):
                # It was about to be refused when the engine left, which was not its doing.
                self._again(message)
                return
            why = {
                "EngineError": f"{name} died",
                "TaskAborted": f"{name} was told to drop it",
                "KeyboardInterrupt": f"it was interrupted on {name}",
            }
            self._lost(message, why[kind], death=kind == "EngineError")
        elif len(message.keys) > 1:  # one of them cannot be sent there and back
            self._alone.update(keys)
            self._again(message)
        else:
            text = "\n".join(getattr(error, "render_traceback", lambda: [str(error)])())
            self._fail(keys[0], text or str(error))

    def _arrived(self, key: Key, who: dict[str, Any], result: dict[str, Any]) -> None:
        if key in self._unfinished:
            self._warm.add(who["uuid"])
            self._durations.add(key, result.pop("took"))
            self._finish(Evaluation.from_engine(key, {**who, **result}, self._error_score))

    def _finish(self, evaluation: Evaluation) -> None:
        self._unfinished.discard(evaluation.key)
        self._news.append(evaluation)
        # What brings nothing else any more need not run; another message may have been first.
        unneeded = self._counted.pop(evaluation.key, [])
        self._withdraw(
            message
            for message in unneeded
            if message.engine is None and not self._open_keys(message)
        )

    def _fail(self, key: Key, error: str, *, killed: bool = False) -> None:
        score = self._error_score
        self._finish(Evaluation(*key, score, train_score=score, error=error, killed=killed))

    def _lost(self, message: Message, why: str, *, death: bool) -> None:
        keys = self._open_keys(message)
        if death and len(message.keys) > 1:
            self._alone.update(keys)
        for key in keys:
            self._deaths[key] += death
            if death and len(keys) == 1 and self._timed_out(message):
                text = f"TimeoutError: It took longer than timeout={self._timeout:g} s, could not"
                self._fail(key, f"{text} be interrupted, and was ended with its engine.")
            elif self._deaths[key] >= DEATHS:
                text = f"It was running on {DEATHS} engines that died; in the end {why}."
                self._fail(key, text, killed=True)
            else:
                self._news.append(Retry(*key, why, lost=death))
        self._again(message)

    def _timed_out(self, message: Message) -> bool:
        """Return whether an engine has ended itself because an evaluation did not end."""
        if self._timeout is None or not message.begun:
            return False
        return (message.vanished or time.monotonic()) - message.begun > self._timeout

    # --- what can be known earlier ----------------------------------------------------------------

    def _hear(self, message: Message) -> None:
        """Take the hints that engines have published about a message."""
        for name, note in message.hints(self._client):
            self._hints_arrive = True
            if name == "started":
                message.engine, message.uuid = note["engine"], note["uuid"]
                message.who, message.begun = note, time.monotonic()
                self._roster.works(note)
            elif name.startswith("results"):
                for key, result in message.results(note, int(name.split()[1])):
                    self._arrived(key, message.who, result)
            else:
                message.refused_by.add(note["engine"])
                self._roster.refused(note, note["reason"])

    def _unstick(self, arrived: list[str]) -> None:
        """Send again what has been refused, where a new message changes something."""
        engines = self._roster.engines
        served = {engine.id for engine in engines.values() if engine.node in arrived}
        for message in list(self._live):
            if message.engine is not None or not message.refused_by:
                continue
            if self._open_keys(message) and message.refused_by & served:
                self._withdraw([message])
                self._again(message)

    def _look_after(self, message: Message) -> None:
        now = time.monotonic()
        if message.engine is None:
            # The scheduler returns what waits too long, unless the message is lost, with the
            # controller for example. Without hints it could be running, and nothing can be said.
            if self._hints_arrive and now - message.sent > 3 * message.limit + QUEUE_LIMIT:
                self._lost(message, "its message was lost", death=False)
        elif message.engine not in self._roster.engines:
            message.vanished = message.vanished or now
            if now - message.vanished > GRACE:
                self._lost(message, f"{self._roster.name(message.uuid)} died", death=True)
        else:
            message.vanished = 0.0
            self._ask_after(message, now)

    def _ask_after(self, message: Message, now: float) -> None:
        """Notice a result that was lost on its way.

        An engine does one thing after the other: when it answers a call that was sent after the
        evaluation had begun, the evaluation is over.
        """
        if message.answered:
            if now - message.answered > SETTLE:
                self._lost(message, "its result did not arrive", death=False)
        elif message.call is not None and message.call.done():
            message.answered = now if message.call.exception() is None else 0.0
            message.call = None
        elif now - message.sent > max(SILENCE, 3 * self._durations.longest, 2 * message.call_at):
            message.call_at = now - message.sent
            with contextlib.suppress(ipyparallel.error.IPythonError, KeyError, IndexError):
                message.call = shipping.send(self._client[message.engine], "identity")

    def _remarks(self) -> list[str]:
        remarks = self._roster.remarks()
        if not self._roster.engines:
            remarks.append("Waiting for engines: none is registered.")
        elif not self._roster.ready() and not self._counted:
            remarks.append(
                "Waiting for engines: the split files are on their way, or all are draining."
            )
        return remarks

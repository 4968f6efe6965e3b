"""Keeps the engines busy with a search's evaluations, and loses none of them.

Evaluations travel in messages of about a second of work. Each waits until one of the engines is
free that were ready when it was sent, and comes back when it has waited too long, when all of these
have refused it, or when its engine has died; then it is sent again, if we still count on it. See
`backends.protocol`.

Engines give a hint when they start or refuse a message, and results of a message that takes long.
With them what is lost is sent again as soon as its engine is gone. Hints may be lost: everything
works without, only later.

What a step does is what has happened since the last one: other threads put answers and messages
with new hints in queues, and messages that may be lost are looked at when it is time to.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search.backends.protocol import Backend
from spotcluster.search.data.evaluations import Key, Presence
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.detector import LossDetector
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.feeder import Feeder
from spotcluster.search.dispatch.forecast import Forecast
from spotcluster.search.dispatch.hope import Hope
from spotcluster.search.dispatch.likeness import Params
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.roster import Roster
from spotcluster.search.dispatch.sender import Sender, Work
from spotcluster.search.dispatch.suspicions import Suspicions
from spotcluster.search.dispatch.verdicts import News, Verdicts
from spotcluster.search.engine import prune
from spotcluster.search.results.progress import Progress

TICK = 0.1  # seconds between two looks at what has changed; a result is seen at once if it matters
_STEP = 0.5  # seconds after which a Ctrl-C is heard that was not at once


class Dispatcher(threading.Thread):
    """Sends evaluations until all are finished.

    Parameters
    ----------
    backend : Backend
        The engines.
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
    params : callable
        What is known of a candidate beforehand, by its number.
    took : pair of arrays, optional
        What evaluations are known to have taken before: their candidates, and seconds.
    timeout : float, optional
        Seconds that an evaluation may take.
    progress : Progress, optional
        Tells others how far the search is.
    open : bool
        Whether to wait for more evaluations when all are finished, until `close_intake` is called.
    """

    def __init__(
        self,
        backend: Backend,
        bundle: Bundle,
        keys: Iterable[Key],
        common: dict[str, Any],
        work: Work,
        record: Callable[[list[News]], None],
        ended: Callable[[], None],
        error_score: float,
        deaths: Mapping[Key, int],
        *,
        params: Callable[[int], Params] = lambda _: {},
        took: tuple[Any, Any] | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
        open: bool = False,  # noqa: A002 - what it is
    ) -> None:
        super().__init__(name="spotcluster search", daemon=True)
        self.remarks: list[str] = []
        self.failure: BaseException | None = None
        self._backend = backend
        self._bundle = bundle.digest
        self._digests = [split.digest for split in bundle.splits]
        self._progress = progress
        self._record = record
        self._ended = ended
        self._intake = threading.Lock()
        self._added: deque[tuple[list[Key], bool]] = deque()
        self._open = open
        self._over = False
        self._backlog = Backlog(keys)
        self._backlog.isolate(deaths)
        self._answered: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._spoken_of: queue.SimpleQueue[Message] = queue.SimpleQueue()  # in new hints
        self._wake = threading.Event()
        self._calm = False  # whether what is answered can wait for the next look
        self._stopped = threading.Event()
        self._gone = threading.Event()
        self._durations = Durations(params)
        if took is not None:
            self._durations.recall(*took)
        self._sender = Sender(
            *(backend, bundle, common, work, self._durations), timeout=timeout, progress=progress
        )
        self._roster = Roster(backend, bundle, self._sender.needed, self._wake.set)
        self._detector = LossDetector(backend, self._roster, self._durations)
        self._suspicions = Suspicions(self._roster, self._backlog)
        self._hope = Hope(self._roster, self._backlog)
        forecast = Forecast()
        self._verdicts = Verdicts(
            backend,
            self._backlog,
            self._roster,
            self._sender,
            self._durations,
            self._detector,
            forecast,
            self._suspicions,
            error_score,
            deaths,
            timeout,
        )
        self._feeder = Feeder(
            self._backlog,
            self._roster,
            self._sender,
            self._durations,
            self._detector,
            forecast,
            self._suspicions,
            self._verdicts,
            timeout,
            self._listen,
            more=open,
        )

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
            why = self._backend.closed() if isinstance(error, Exception) else None
            self.failure = SearchError(*why) if why else error
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
            with contextlib.suppress(Exception):
                self._backend.close()
            self.remarks = self._roster.remarks()
            try:
                self._ended()
            finally:
                self._gone.set()

    # Before Python 3.13 a Ctrl-C in Thread.join has the thread seem ended, while it goes on. One
    # that comes just before a lock is waited for is heard when that wait ends: so it is short.

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended; an interrupt ends the waiting only."""
        if threading.current_thread() is self:
            raise SearchError("What a search calls (on_result) cannot wait for its end.")
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._gone.wait(min(_STEP, max(0.0, end - time.monotonic()))):
            if time.monotonic() >= end:
                break

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
        prune.used(self._bundle, self._digests)
        closed = self._backend.closed()  # what was answered before has come by now
        for message in _all_of(self._answered):
            self._verdicts.take(message)
        if closed:
            self._tell()
            raise SearchError(*closed)
        arrived = self._roster.refresh()
        for message in dict.fromkeys(_all_of(self._spoken_of)):
            self._verdicts.hear(message)
        if arrived:
            self._unstick(arrived)
        for message, loss in self._detector.losses(
            *(self._roster.gone, self._backlog.expects), hints_arrive=self._verdicts.hints_arrive
        ):
            self._verdicts.lost(message, self._detector.blame(message, loss, self._backlog.live))
        self._feeder.ask_others()
        for key, failure in self._suspicions.unanswered():
            self._verdicts.count(key, failure)
        self._feeder.send_more()
        self._feeder.duplicate()
        self._tell()
        self._hope.check(known=bool(self._verdicts.warm))
        if self._progress is not None:
            self._progress.pulse()
        self._calm = not self._open and self._feeder.is_ahead(2 * TICK)
        if not self._answered.empty():  # it came before this was decided
            self._wake.set()

    def _tell(self) -> None:
        """Have others know what is new."""
        self.remarks = self._remarks()
        if self._verdicts.news:
            news, self._verdicts.news = self._verdicts.news, []
            self._record(news)

    def _listen(self, message: Message) -> None:
        """Have what becomes of a message known; other threads tell."""

        def answered(_: Any) -> None:
            self._answered.put(message)
            if not self._calm:
                self._wake.set()

        self._backend.listen(message.pending, lambda: self._spoken_of.put(message))
        self._spoken_of.put(message)  # what was published before we listened
        message.pending.add_done_callback(answered)

    def _unstick(self, arrived: list[str]) -> None:
        """Send again what has been refused, where a new message changes something."""
        engines = self._roster.engines
        served = {engine.id for engine in engines.values() if engine.node in arrived}
        for message in list(self._backlog.under_way()):
            if message.engine is None and message.refused_by & served:
                self._verdicts.send_again(message)

    def _remarks(self) -> list[str]:
        remarks = self._roster.remarks()
        if not self._roster.engines:
            remarks.append("Waiting for engines: none is registered.")
        elif not self._roster.ready() and not self._backlog.travels:
            remarks.append(
                "Waiting for engines: the split files are on their way, or all are draining."
            )
        return remarks


def _all_of(messages: queue.SimpleQueue[Message]) -> list[Message]:
    """Take all that is in a queue."""
    found: list[Message] = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(messages.get_nowait())
    return found

"""The look: one thread that asks what there is to know, for all pages that are open."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.on_master.jobs import Job, Jobs
from spotcluster.cluster.status import events, searches
from spotcluster.cluster.status.observer import Observer, Status
from spotcluster.dashboard import changes, snapshot
from spotcluster.dashboard.actions import Asked, Runner
from spotcluster.dashboard.ledgers import Ledgers
from spotcluster.dashboard.scores import Scores
from spotcluster.dashboard.snapshot import Happening, SearchRow, Snapshot
from spotcluster.dashboard.work import Work
from spotcluster.errors import ClusterError, SpotclusterError
from spotcluster.published import SILENT

log = logging.getLogger("spotcluster.dashboard")

_OFTEN = 1.0  # seconds between two looks
_JOBS = 20.0  # seconds between two questions for the jobs that have ended
_LOG = 3.0  # and for what a job has printed, while somebody reads it
_LINES = 400
_EVENTS = 500


class Source(Protocol):
    """What pages ask; a test may have one of its own."""

    @property
    def snapshot(self) -> Snapshot:
        """How it is; the same object as long as nothing was looked at anew."""

    def want(self, page: str, *, search: str | None, job: int | None) -> None:
        """Say which search's results and which job's output a page shows."""

    def leave(self, page: str) -> None:
        """Say that a page was closed."""

    def printed(self, job: int) -> str | None:
        """Return the end of what a job has printed; None where that is not known yet."""

    def carry_out(self, what: Asked) -> None:
        """Start a command."""


class Look:
    """Looks at a cluster until it is closed.

    Parameters
    ----------
    observer : Observer
        Of the cluster, and watching; it is left when the look is closed.
    """

    def __init__(self, cluster: Cluster, observer: Observer, runner: Runner) -> None:
        self._observer, self._runner = observer, runner
        self._over = threading.Event()
        self._wanted: dict[str, tuple[str | None, int | None]] = {}
        self._known: dict[str, SearchRow] = {}
        self._heard: dict[str, float] = {}  # when each search was told of last
        self._events: deque[Happening] = deque(maxlen=_EVENTS)
        self._told: set[str] = set()
        self._printer = _Printer(cluster)
        self._reader = _Reader(cluster)
        self._work = Work()
        self._seen_at: float | None = None
        self._snapshot = Snapshot(cluster.name, cluster.region, time.time())
        self._last: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def want(self, page: str, *, search: str | None, job: int | None) -> None:
        self._wanted[page] = (search, job)
        self._tell_printer()

    def leave(self, page: str) -> None:
        self._wanted.pop(page, None)
        self._tell_printer()  # or the master would be asked for what nobody reads

    def _tell_printer(self) -> None:
        self._printer.wanted = {job for _, job in self._wanted.values() if job is not None}

    def printed(self, job: int) -> str | None:
        return self._printer.printed.get(job)

    def carry_out(self, what: Asked) -> None:
        self._events.appendleft(Happening(time.time(), f"{what.title}: asked for from a page."))
        self._runner.run(what)

    def start(self) -> None:
        """Begin."""
        own = threading.Thread(target=self._run, name="dashboard's look", daemon=True)
        for thread in (own, self._printer, self._reader):
            thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                self._snapshot = self._once()
            except Exception:  # a page that goes on with what it knows says how old that is
                log.exception("a look has failed")
            self._over.wait(max(_OFTEN, 2 * (time.monotonic() - begun)))

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._printer.over.set()
        self._reader.over.set()
        self._observer.close()

    def _once(self) -> Snapshot:
        try:
            seen = self._observer.look()
        except ClusterError as error:
            return self._gone(error)
        now = time.time()
        told = searches.of(seen, ended_too=True)
        for one in told:
            self._known[one["id"]] = snapshot.search(one)
            self._heard[one["id"]] = now
        self._age(now)
        found = snapshot.of(seen, (), self._printer.jobs, now)
        known = tuple(self._known.values())
        found = replace(found, searches=known)
        self._remember(seen, found, now)
        self._reader.wanted = {search for search, _ in list(self._wanted.values()) if search}
        self._reader.searches = known
        found = replace(
            found,
            events=tuple(self._events),
            doings=self._runner.doings(),
            scores=self._reader.scores,
            work=self._work,
        )
        self._last = found
        return found

    def _age(self, now: float) -> None:
        """Have a search be silent that nobody tells of any more.

        Its controller was replaced, or it ran elsewhere and has nothing more to send.
        """
        for number, one in self._known.items():
            if one.state == "running" and now - self._heard[number] > SILENT:
                self._known[number] = replace(one, state="silent")

    def _remember(self, seen: Status, found: Snapshot, now: float) -> None:
        when = seen.controller_answered
        if seen.controller is not None and when is not None and when != self._seen_at:
            self._seen_at = when
            self._work.see(seen.controller.engines, when, seen.clock_ahead)
        for alias in found.leaving:
            self._work.take(alias, now)
        for alias, when in found.taken:
            self._work.take(alias, when or now)
        said = [*events.near_ceiling(seen)]
        for one in [*changes.between(self._last, found), *changes.told(said, self._told, now)]:
            self._events.appendleft(one)

    def _gone(self, error: SpotclusterError) -> Snapshot:
        now = time.time()
        before = self._last or self._snapshot
        found = replace(
            before, taken_at=now, gone=error.message, state="terminated", engines=(), nodes=()
        )
        for one in changes.between(before, found):
            self._events.appendleft(one)
        self._last = found
        return replace(found, events=tuple(self._events), doings=self._runner.doings())


class _Reader(threading.Thread):
    """Reads the ledgers of searches; apart from the look, as they may be large, or far away."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(name="dashboard's ledgers", daemon=True)
        self.over = threading.Event()
        self.searches: Sequence[SearchRow] = ()
        self.wanted: set[str] = set()
        self.scores: Mapping[str, Scores] = {}
        self._ledgers = Ledgers(cluster)

    def run(self) -> None:
        while not self.over.wait(_OFTEN):
            try:
                self.scores = self._ledgers.look(self.searches, self.wanted)
            except Exception:  # of one ledger, which must not hide the others for good
                log.exception("ledgers: not foreseen")


class _Printer(threading.Thread):
    """Asks the master for its jobs, and for what those print that somebody reads.

    Apart from the look, as this waits for the master.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(name="dashboard's jobs", daemon=True)
        self.over = threading.Event()
        self.wanted: set[int] = set()
        self.printed: dict[int, str] = {}
        self.jobs: list[Job] = []
        self._cluster = cluster
        self._jobs: Jobs | None = None
        self._next = 0.0

    def run(self) -> None:
        while not self.over.wait(0.5):
            now = time.monotonic()
            try:
                if now >= self._next:
                    self._next = now + _JOBS
                    self.jobs = self._of_master().all()
                for job in list(self.wanted):
                    self.printed[job] = self._output(job)
            except SpotclusterError as error:
                log.info("jobs: %s", error)
                self._jobs = None
            except Exception:
                log.exception("jobs: not foreseen")
                self._jobs = None
            if self.wanted:
                self.over.wait(_LOG)

    def _of_master(self) -> Jobs:
        if self._jobs is None:
            self._jobs = Jobs(self._cluster)
        return self._jobs

    def _output(self, job: int) -> str:
        pieces: list[bytes] = []
        self._of_master().follow(job, pieces.append, lines=_LINES, on=False)
        text = b"".join(pieces).decode(errors="replace")
        return text or "(It has printed nothing yet.)"

"""One run of a search: from its launch until all its evaluations are finished, or it is aborted."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import shorten
from typing import Any

from spotcluster import notify
from spotcluster.errors import SearchError
from spotcluster.search.backends.protocol import Backend
from spotcluster.search.cloudpickle_private import loads
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.evaluations import Evaluation, Key, Presence, Retry
from spotcluster.search.data.folds import Dataset
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch.dispatcher import Dispatcher
from spotcluster.search.dispatch.verdicts import News
from spotcluster.search.outcome import Outcome
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.page import Showing
from spotcluster.search.results.progress import LEADERS, Progress
from spotcluster.search.results.record import Header
from spotcluster.search.results.results import Best, Results

STOP_LIMIT = 30.0
BROKEN_SCORERS = ("number", "scorer")  # what of a scorer no `error_score` stands for


@dataclass(frozen=True)
class Plan:
    """What a run does, beside its candidates.

    Attributes
    ----------
    model : estimator
    scorer : callable
        Gives a score, or a dictionary of scores.
    metrics : list of str
        The names of the scores, where they are known before.
    task : dict
        What all evaluations have in common, as the engines need it.
    timeout : float or None
        Seconds that an evaluation may take.
    """

    model: Any
    scorer: Any
    metrics: list[str]
    task: dict[str, Any]
    timeout: float | None

    @property
    def raises(self) -> bool:
        """Whether the first evaluation that fails ends the run."""
        return bool(self.task["error_score"] == "raise")

    def is_ended_by(self, evaluation: Evaluation) -> bool:
        """Return whether an evaluation ends the run: as in scikit-learn, a scorer may too."""
        return bool(evaluation.error) and (self.raises or evaluation.failed_in in BROKEN_SCORERS)

    @property
    def error_score(self) -> float:
        score: float = float("nan") if self.raises else self.task["error_score"]
        return score


class Run:
    """A search under way.

    Parameters
    ----------
    plan : Plan
    candidates : sequence of Candidate
    bundle : Bundle
    ledger : Ledger
        Locked; when there is something in it, the run goes on with that.
    header : Header
    data : Dataset, optional
        All data, for the refit.
    told : callable
        Called with each finished evaluation, on the dispatcher's thread and outside of locks.
    """

    launched = True
    dispatcher: Dispatcher | None = None
    running = False
    remark = ""  # what else the user should know
    warned = False  # of what engines have warned of
    seen: tuple[int, Outcome] | None = None  # after so many evaluations and findings
    cluster = ""  # that it runs on, where that is known
    showing: Showing | None = None  # in a notebook
    space: Any = None  # what is tried, where that is known here

    def __init__(
        self,
        plan: Plan,
        candidates: Sequence[Candidate],
        bundle: Bundle,
        ledger: Ledger,
        header: Header,
        data: Dataset | None,
        told: Callable[[Evaluation], None],
    ) -> None:
        self.plan = plan
        self.bundle = bundle
        self.path = ledger.path
        self.data = data
        self.changed = threading.Condition()
        trained = bool(plan.task["return_train_score"])
        self.results = Results(
            *(candidates, len(bundle.splits), plan.metrics),
            trained=trained,
            error_score=plan.error_score,
        )
        self.retried: list[Retry] = []
        self.id, self.kind = header.id, header.kind
        self._progress: Progress | None = None
        self._told = told
        self._raised: BaseException | None = None
        self._given: tuple[int, dict[str, Any]] = (-1, {})  # a candidate, as engines get it
        self._deaths: Counter[Key] = Counter()
        self._ledger, record = ledger, ledger.record
        if record is None:
            ledger.begin(header)
        else:
            ledger.go_on()
        if record is None or not record.candidates:
            ledger.add(candidates)
        if record is not None:
            self.results.finished = record.evaluations
            self.retried = list(record.retries)
            self._deaths.update(retry.key for retry in record.retries if retry.lost)

    def prepare(self, backend: Backend, *, open: bool) -> None:  # noqa: A002 - as the dispatcher's
        """Make ready to start; candidates may be added from now on."""
        self._client = backend.client
        self.cluster = getattr(backend.client, "cluster_name", "")
        self._progress = Progress(
            *(self.id, self.kind, self.path, backend.controller()),
            *(self._look, self._rank, self._describe, self._told_to_end),
        )
        self.dispatcher = Dispatcher(
            backend,
            self.bundle,
            self.results.unfinished(),
            self.plan.task,
            self._work,
            self._record,
            self._ended,
            self.plan.error_score,
            self._deaths,
            params=self._known_beforehand,
            took=self.results.took(),
            timeout=self.plan.timeout,
            progress=self._progress,
            open=open,
        )
        self.running = True

    def start(self) -> None:
        """Start sending evaluations."""
        assert self.dispatcher is not None
        self.dispatcher.start()

    def discard(self) -> None:
        """Let go of what was made ready, when something prevents the start."""
        if self.dispatcher is not None and self.dispatcher.is_alive():
            self.abort()
        else:
            self._ended()

    def add(self, candidates: Sequence[Candidate], *, first: bool) -> list[Key]:
        """Take more candidates, and send their evaluations; return these."""
        if self.dispatcher is None or not candidates:
            return []
        keys = self.enlist(candidates)
        self.dispatcher.add(keys, first=first)
        return keys

    def close_intake(self) -> None:
        """End when all evaluations are finished: nothing will be added any more."""
        if self.dispatcher is not None:
            self.dispatcher.close_intake()

    def enlist(self, candidates: Sequence[Candidate]) -> list[Key]:
        """Take more candidates, and send nothing yet; return their evaluations."""
        with self.changed:
            self._ledger.add(candidates)
            return self.results.extend(candidates)

    def leave_out(self, evaluations: Sequence[Evaluation]) -> None:
        """Take evaluations that were not sent, and will not be, as finished with what they say."""
        self._record(list(evaluations))

    # --- what the dispatcher asks and tells -------------------------------------------------------

    def _work(self, key: Key) -> tuple[str, dict[str, Any]]:
        number, given = self._given
        if key[0] != number:
            candidate = self.results.candidates[key[0]]
            given = {"params": candidate.params}
            if candidate.part is None:  # all its splits are given the same, and it is sent once
                self._given = key[0], given
            else:
                given["part"] = candidate.part.of(key[1])
        return self.bundle.splits[key[1]].digest, given

    def _known_beforehand(self, number: int) -> dict[str, Any]:
        """Return what may tell how long the evaluations of a candidate take."""
        candidate = self.results.candidates[number]
        part = candidate.part
        if part is None:
            return candidate.params
        return {**candidate.params, "rows": part.n_samples or part.train_fraction}

    def _record(self, news: list[News]) -> None:
        # One that ends the run is not finished: when the cause is removed, it is run again.
        evaluations = [item for item in news if isinstance(item, Evaluation)]
        ending = next(filter(self.plan.is_ended_by, evaluations), None)
        news = [x for x in news if isinstance(x, Retry) or not self.plan.is_ended_by(x)]
        self._ledger.append(news)  # nothing is told before it is on the disk
        evaluations = [item for item in news if isinstance(item, Evaluation)]
        with self.changed:
            self.results.add(*evaluations)
            self.retried += [item for item in news if isinstance(item, Retry)]
            self.changed.notify_all()
        for item in evaluations:
            self._told(item)
        if ending is not None:
            self._raised = error_of(ending)
            raise self._raised

    def _ended(self) -> None:
        with self.changed:
            self.running = False
            self.changed.notify_all()
            self._ledger.close()
        if self._progress is not None:
            self._progress.end()
        self._say_so()

    def _say_so(self) -> None:
        """Tell the hook of the cluster's user, but not of what that user has ended."""
        done, total = len(self.results), self.results.total
        failure = self.dispatcher.failure if self.dispatcher else None
        if done < total and failure is None:
            return
        end = "is done" if failure is None else f"has stopped: {type(failure).__name__}"
        text = f"The {self.kind} {end}; {done} of {total} evaluations are finished."
        notify.tell_for(self._client, "search done", text, done=done, total=total)

    def _look(self) -> tuple[int, int, list[str]]:
        with self.changed:
            return len(self.results), self.results.total, self.remarks()

    def _rank(self) -> list[Best]:
        with self.changed:
            return self.results.bests(LEADERS)

    def _describe(self, key: Key) -> tuple[dict[str, Any], int]:
        return self.results.candidates[key[0]].shown, key[1]

    def _told_to_end(self) -> None:
        """End, as another process wants it; who waits for the search learns why."""
        self.remark = "It was aborted from elsewhere; it can be resumed from its ledger."
        assert self.dispatcher is not None
        self.dispatcher.stop()

    # --- following --------------------------------------------------------------------------------

    def completed(self) -> int:
        with self.changed:
            return len(self.results)

    def evaluations(self) -> list[Evaluation]:
        with self.changed:
            return self.results.evaluations

    def having(self, name: str) -> list[Evaluation]:
        """Return the evaluations that have something that most do not, such as an `error`."""
        with self.changed:
            return self.results.finished.having(name)

    def wait(self, timeout: float | None) -> bool:
        """Return whether the run has ended within `timeout` seconds."""
        if self.dispatcher is None:
            return True
        self.dispatcher.join(timeout)
        self.raise_failure()
        return not self.dispatcher.is_alive()

    def as_completed(self, timeout: float | None) -> Iterator[Evaluation]:
        """Yield evaluations when they are finished."""
        seen = 0
        while True:
            with self.changed:
                arrived = self.changed.wait_for(partial(self._more_than, seen), timeout)
                new = self.results.finished.since(seen)
            self.raise_failure()
            if not arrived:
                raise SearchError(
                    f"No evaluation was finished in {timeout:.0f} s"
                    f" ({self.completed()} of {self.results.total} are). "
                    + " ".join(self.remarks())
                )
            yield from new
            seen += len(new)
            if not new and not self.running:
                return

    def _more_than(self, seen: int) -> bool:
        return len(self.results) > seen or not self.running

    def abort(self) -> None:
        """Stop sending, and wait until that is so."""
        if self.dispatcher is None:
            return
        self.dispatcher.stop()
        if threading.current_thread() is self.dispatcher:  # on_result may: this step is the last
            return
        self.dispatcher.join(STOP_LIMIT)
        if self.dispatcher.is_alive():
            raise SearchError(
                f"The search did not stop within {STOP_LIMIT:.0f} s: the controller does not"
                " answer, or the disk with the ledger does not."
            )

    def raise_failure(self) -> None:
        """Raise what has ended the run, if it did not come to its end."""
        failure = self.dispatcher.failure if self.dispatcher else None
        if failure is None:
            return
        if isinstance(failure, SearchError) or failure is self._raised:
            raise failure
        raise SearchError(
            f"The search has stopped: {type(failure).__name__}: {failure}.",
            f"Resume it from its ledger {self.path}.",
        ) from failure

    def presence(self) -> list[Presence]:
        """Return when engines were there, as far as this client has seen it."""
        return self.dispatcher.presence() if self.dispatcher else []

    def delivered(self) -> dict[str, tuple[int, int]]:
        """Return the bytes that came to each host from this client, and from elsewhere."""
        return self.dispatcher.delivered() if self.dispatcher else {}

    def engines(self) -> Counter[str]:
        """Return how many engines each host has now."""
        return self.dispatcher.engines() if self.dispatcher and self.running else Counter()

    def remarks(self) -> list[str]:
        """Return what the user should know, a sentence each."""
        remarks = [self.remark] if self.remark else []
        with self.changed:
            failed = self.results.finished.seldom("error")
            if failed:
                first = next(iter(failed.values())).strip().splitlines()[-1]
                text = shorten(first, 200, placeholder="...")
                remarks.append(f"Failed: {len(failed)}, the first with: {text}")
        lost = sum(retry.lost for retry in self.retried)
        if lost:
            remarks.append(f"Lost with their engines and run again: {lost}")
        if self.dispatcher is None:
            return remarks
        if self.dispatcher.failure is not None:
            remarks.append(f"It has stopped: {self.dispatcher.failure}")
        return remarks + list(self.dispatcher.remarks)


class NotLaunched(Run):
    """The run of a search that has none: it has ended before anything was evaluated."""

    launched = False
    warned = True  # there is nothing to warn of, and all searches that have none share this one

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.results = Results([], 0)
        self.retried = []


NOT_LAUNCHED = NotLaunched()


def error_of(evaluation: Evaluation) -> BaseException:
    """Return the exception that an evaluation ended with on its engine."""
    if evaluation.exception is not None:
        # What an engine of ours has sent; it may be of a class that is not known here.
        with contextlib.suppress(Exception):
            error = loads(evaluation.exception)
            if isinstance(error, tuple):  # see `engine.fit.pickled`
                kind, args, state = error
                error = kind.__new__(kind, *args)
                error.args = args
                vars(error).update(state)
            if isinstance(error, BaseException):
                error.add_note(f"It was raised on {evaluation.node}:\n{evaluation.error}")
                return error
    return SearchError(f"An evaluation failed: {evaluation.error}")

"""Searches as runs of MLflow: a parent for the search, a child for each candidate.

What is written follows from the search's results, by a thread of its own, and each run is known by
tags. So a tracker that fails costs the search nothing, what it missed is written when it answers
again, and a search that is resumed finds what is there already.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import math
import re
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any, Protocol

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import plain
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.results.results import Results

log = logging.getLogger("spotcluster.mlflow")

SEARCH, CANDIDATE = "spotcluster.search", "spotcluster.candidate"
"""The tags by which runs are found again: the search's id, the candidate's number."""
_PARENT = "mlflow.parentRunId"

_LOOK = 0.5  # seconds between two looks at what is complete, and whether the search has ended
_PAUSES = (1.0, 60.0)  # seconds: the first pause after a failure, and the longest
_AT_EXIT = 15.0  # seconds that the end of the program waits for what is still to be written
_SAID = "MLflow does not take what is found: "
_PARAMS = 100  # that the tracker takes at once
_LONGEST = 6000  # characters of a parameter
_PASSWORD = re.compile(r"//[^/\s]*@")  # with the user, in the address of a server or a database


class Run(Protocol):
    """A run of a search, as `spotcluster.search.runs` has it."""

    id: str
    kind: str
    path: Path
    plan: Any
    results: Results
    changed: threading.Condition
    dispatcher: Any
    running: bool
    remark: str


@dataclass(eq=False)
class mlflow:  # noqa: N801 - called as a function is, and named by what it writes to
    """Write a search to MLflow while it runs: ``GridSearch(..., on_result=mlflow("digits"))``.

    The search is a run, and each candidate one below it when all its splits are finished: with its
    parameters, scores and times, what it cost, and which nodes did it. It is written by a thread
    of its own. Whatever the tracking server does, the search goes on; what it missed is written
    when it answers again. A search that is resumed goes on with its run, and nothing is written
    twice.

    Parameters
    ----------
    experiment : str
        The experiment, made where there is none of that name.
    tracking_uri : str, optional
        A server or a database (``sqlite:///mlflow.db``); as MLflow is set up by default
        (``MLFLOW_TRACKING_URI``).
    run_name : str, optional
        The name of the search's run; its kind and model by default.
    usd_per_hour : float or mapping of str to float, optional
        What an hour of an engine costs; by node where they differ. Without, no cost is written.
    tags : mapping of str to str
        More tags for the search's run.

    Raises
    ------
    SearchError
        If MLflow is not installed.
    """

    experiment: str = "spotcluster"
    tracking_uri: str | None = field(default=None, repr=False)  # it may have a password
    run_name: str | None = None
    usd_per_hour: float | Mapping[str, float] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    _writers: list[_Writer] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        _mlflow()

    def __call__(self, _: Evaluation) -> None:
        """Do nothing: this is the thread that keeps engines busy, and another one looks."""

    def __reduce__(self) -> Any:
        return type(self), (
            *(self.experiment, self.tracking_uri, self.run_name),
            *(self.usd_per_hour, dict(self.tags)),
        )

    def follow(self, run: Run) -> None:
        """Begin to write a run; the search calls it when it starts."""
        self._writers = [one for one in self._writers if one.thread.is_alive()]
        self._writers.append(_Writer(self, run))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is written of the searches that have ended.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether it is; `problem` says what keeps it from that.
        """
        end = None if timeout is None else time.monotonic() + timeout
        for one in self._writers:
            one.wake.set()
            one.thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(one.thread.is_alive() for one in self._writers)

    @property
    def problem(self) -> str:
        """What the tracker said when it was asked last, and failed; "" where all is well."""
        return next((one.problem for one in self._writers if one.problem), "")

    def cost(self, evaluations: Sequence[Evaluation]) -> float | None:
        """Return what evaluations cost in USD; None where it is not known of one."""
        prices = self.usd_per_hour
        if prices is None:
            return None
        whole = 0.0
        for one in evaluations:
            price = prices.get(one.node) if isinstance(prices, Mapping) else prices
            if price is None:
                return None
            whole += price * max(0.0, one.ended - one.started) / 3600
        return whole


class _Writer:
    """Writes one run of a search."""

    def __init__(self, settings: mlflow, run: Run) -> None:
        self.wake = threading.Event()
        self.problem = ""
        self._settings = settings
        self._run = run
        self._client: Any = None
        self._experiment = self._parent = ""
        self._written: set[int] = set()
        self._seen = self._news = -1  # evaluations: of which all is written, and there were
        self.thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self.thread.start()
        _writers.add(self)

    def _work(self) -> None:
        pause = _PAUSES[0]
        while True:
            self.wake.wait(_LOOK)
            self.wake.clear()
            # Asked first: what is finished when it has ended is there by then.
            running = self._run.running
            try:
                self._write()
                if not running:
                    self._end()
                    self._tell("")
                    return
                self._tell("")
                pause = _PAUSES[0]
            except Exception as error:  # noqa: BLE001 - whatever a tracker raises
                said = _PASSWORD.sub("//", f"{type(error).__name__}: {error}")
                log.debug("MLflow: %s", said)
                self._tell(shorten(said, 300, placeholder="..."))
                self._parent = ""  # what it was at may be there in part: look at what is
                time.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])

    def _tell(self, problem: str) -> None:
        """Have the search's report say what the tracker says, or that no more."""
        before, self.problem = self.problem, problem
        if problem:
            self._run.remark = _SAID + problem
        elif before and self._run.remark.startswith(_SAID):
            self._run.remark = ""

    def _write(self) -> None:
        """Write what is complete and not written yet."""
        if not self._parent:
            self._begin()
        for number in self._complete():
            if number not in self._written:
                self._child(number)
                self._written.add(number)
        self._seen = self._news

    def _complete(self) -> list[int]:
        """Return the candidates that are complete, if there is news: there may be very many."""
        with self._run.changed:
            results = self._run.results
            if self._seen == len(results):
                return []
            self._news = len(results)
            return results.complete()

    # --- the parent -------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Find the run of this search, or make it, and which candidates are there."""
        settings, run = self._settings, self._run
        if self._client is None:
            self._client = _mlflow().MlflowClient(tracking_uri=settings.tracking_uri)
        self._experiment = _experiment(self._client, settings.experiment)
        model = type(run.plan.model).__name__
        found = list(self._runs(f"tags.`{SEARCH}` = '{run.id}' and tags.`{CANDIDATE}` = ''"))
        if found:
            parent = found[0].info.run_id
            self._client.update_run(parent, status="RUNNING")
        else:
            made = self._client.create_run(
                self._experiment,
                run_name=settings.run_name or f"{run.kind} of {model}",
                tags={
                    **settings.tags,
                    SEARCH: run.id,
                    CANDIDATE: "",
                    "spotcluster.ledger": str(run.path),
                },
            )
            parent = made.info.run_id
        given = {"search": run.kind, "model": model, "splits": run.results.n_splits}
        self._log(parent, params=given)
        for one in self._runs(f"tags.`{_PARENT}` = '{parent}' and tags.`{SEARCH}` = '{run.id}'"):
            if one.info.status == "RUNNING":  # its writer has gone in the middle of it
                self._client.delete_run(one.info.run_id)
            else:
                self._written.add(int(one.data.tags[CANDIDATE]))
        self._parent = parent

    def _end(self) -> None:
        """Say of the search's run what came of it."""
        run = self._run
        with run.changed:
            results = run.results
            evaluations, best = results.evaluations, results.bests(1)
            whole = len(results) == results.total
        failed = run.dispatcher is not None and run.dispatcher.failure is not None
        cost = self._settings.cost(evaluations)
        found = {
            "candidates": len(self._written),
            "evaluations": len(evaluations),
            "failed": sum(bool(one.error) for one in evaluations),
            **({} if cost is None else {"cost_usd": cost}),
            **({"best_score": best[0].validation} if best else {}),
        }
        tags = {
            name: str(value)
            for one in best
            for name, value in {
                "spotcluster.best": one.candidate,
                **{f"best.{key}": value for key, value in one.params.items()},
            }.items()
        }
        self._log(self._parent, metrics=found, tags=tags)
        status = "FAILED" if failed else "FINISHED" if whole else "KILLED"
        self._client.set_terminated(self._parent, status=status)

    # --- candidates -------------------------------------------------------------------------------

    def _child(self, number: int) -> None:
        with self._run.changed:
            candidate = self._run.results.candidates[number]
            done = self._run.results.of(number)
        nodes = sorted({one.node for one in done if one.node})
        failed = [one for one in done if one.error]
        made = self._client.create_run(
            self._experiment,
            run_name=f"candidate {number}",
            start_time=_milliseconds(min(one.started for one in done)),
            tags={
                _PARENT: self._parent,
                SEARCH: self._run.id,
                CANDIDATE: str(number),
                "spotcluster.nodes": ", ".join(nodes),
                **({"spotcluster.error": failed[0].error[-_LONGEST:]} if failed else {}),
            },
        )
        child = made.info.run_id
        params = {**candidate.more, **plain(dict(candidate.params))}
        self._log(child, params=params, metrics=self._figures(done))
        for one in done:  # a step for each split
            self._log(child, metrics=_scores(one), step=one.split)
        self._client.set_terminated(
            child,
            status="FAILED" if failed else "FINISHED",
            end_time=_milliseconds(max(one.ended for one in done)),
        )

    def _figures(self, done: Sequence[Evaluation]) -> dict[str, float]:
        """Return what is known of a candidate: means of its scores, and sums of its times."""
        names = {name for one in done for name in _scores(one)}
        means = {
            f"mean_{name}": math.fsum(scores) / len(scores)
            for name in sorted(names)
            if (scores := [found[name] for one in done if name in (found := _scores(one))])
        }
        cost = self._settings.cost(done)
        return {
            **means,
            "fit_seconds": math.fsum(one.fit_time for one in done),
            "score_seconds": math.fsum(one.score_time for one in done),
            **({} if cost is None else {"cost_usd": cost}),
        }

    # --- calls ------------------------------------------------------------------------------------

    def _runs(self, wanted: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], wanted, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _log(
        self,
        run: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        kinds = importlib.import_module("mlflow.entities")
        now = _milliseconds(time.time())
        given = [
            kinds.Param(_name(key), str(value)[:_LONGEST]) for key, value in (params or {}).items()
        ]
        noted = [kinds.RunTag(_name(key), value[:_LONGEST]) for key, value in (tags or {}).items()]
        while len(given) + len(noted) > _PARAMS:
            some, given = given[:_PARAMS], given[_PARAMS:]
            rest, noted = noted[: _PARAMS - len(some)], noted[_PARAMS - len(some) :]
            self._client.log_batch(run, params=some, tags=rest)
        self._client.log_batch(
            run,
            metrics=[
                kinds.Metric(_name(key), float(value), now, step)
                for key, value in (metrics or {}).items()
            ],
            params=given,
            tags=noted,
        )


def _scores(one: Evaluation) -> dict[str, float]:
    """Return the scores of an evaluation by their names."""
    found = {f"test_{name}": score for name, score in one.test_scores.items()}
    found |= {f"train_{name}": score for name, score in one.train_scores.items()}
    if not found:
        found = {"test_score": one.test_score}
        if one.train_score is not None:
            found["train_score"] = one.train_score
    return found


def _name(key: str) -> str:
    """Return a name as the tracker takes them."""
    return "".join(one if one.isalnum() or one in "_-. /:" else "_" for one in key)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _mlflow() -> Any:
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise SearchError(
            "To write a search to MLflow needs MLflow, which is not installed here.",
            "Run: pip install 'spotcluster[mlflow]'",
        ) from error


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


_writers: weakref.WeakSet[_Writer] = weakref.WeakSet()


@atexit.register
def _finish() -> None:
    """Give what is still to be written of searches that have ended a moment."""
    end = time.monotonic() + _AT_EXIT
    for one in list(_writers):
        if not one._run.running:
            one.wake.set()
            one.thread.join(max(0.0, end - time.monotonic()))

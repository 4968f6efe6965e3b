"""A cluster of any size, made up, where a dashboard looks for one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from spotcluster.cluster.status.controller import Engine, Message
from spotcluster.dashboard.actions import Asked
from spotcluster.dashboard.scores import Bar, Failure, Scores, Spread
from spotcluster.dashboard.server import Served
from spotcluster.dashboard.snapshot import (
    Doing,
    EngineRow,
    Happening,
    JobRow,
    NodeRow,
    SearchRow,
    Snapshot,
)
from spotcluster.dashboard.work import Work

GAMMAS = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
TRACEBACK = 'Traceback (most recent call last):\n  File "svm.py", line 1\nValueError: gamma < 0'


def node(number: int, *, now: float, **more: Any) -> NodeRow:
    """Return a node; the master is number 0."""
    share = (number * 37 % 100) / 100
    given = NodeRow(
        alias=f"node{number:03d}" if number else "master",
        state="ready",
        type="c5.2xlarge",
        zone=f"us-east-1{'abc'[number % 3]}",
        spot=number > 0,
        is_master=number == 0,
        cores=8,
        load=8 * share,
        memory_used_mb=int(16000 * share),
        memory_total_mb=16000,
        price=0.1231,
        cost=0.4,
        uptime=3600.0 + number,
        engines=5,
        busy=4,
        problem="",
        answered=now,
    )
    return replace(given, **more)


def scores(candidates: int, now: float) -> Scores:
    """Return the results of a search that has been running for ten minutes."""
    rng = np.random.default_rng(0)
    found = 0.9 + 0.09 * rng.random(candidates)
    spreads = tuple(
        Spread(
            value,
            f"{value:g}",
            candidates,
            0.93 + 0.01 * at,
            0.02,
            0.98,
            (0.9, 0.92, 0.93 + 0.01 * at, 0.97, 0.99),
        )
        for at, value in enumerate(GAMMAS)
    )
    kernels = tuple(replace(spreads[at], value=k, text=k) for at, k in enumerate(("rbf", "poly")))
    bars = tuple(
        Bar(f"node{n:03d}", f"node{n:03d}_1_77-1", now - 90 + 9 * k, now - 82 + 9 * k, k == 3)
        for n in range(1, 4)
        for k in range(9)
    )
    failures = tuple(
        Failure(now - n, f"gamma=-1, kernel=rbf, C={n}", n, "node001", n, TRACEBACK)
        for n in range(20)
    )
    times = now - 600 + np.linspace(1, 595, candidates)
    names = tuple(f"C={n}, gamma=0.01" for n in range(candidates))
    return Scores(times, found, names, {"gamma": spreads, "kernel": kernels}, failures, 20, bars)


# With a word that is longer than a line of a telephone.
_REMARK = (
    "Failed: 20, the first with: sklearn.utils._param_validation.InvalidParameterError: gamma < 0"
)


@dataclass
class MadeUp:
    """A source of snapshots; it looks anew every half second once it is served.

    Attributes
    ----------
    busy : int
        How many engines of each node are said to do something; nothing else of a node changes.
    asked : list of Asked
        What pages have asked for.
    """

    nodes: int = 4
    engines_per_node: int = 2
    name: str = "mycluster"
    busy: int = 4
    asked: list[Asked] = field(default_factory=list)
    seen: Snapshot = field(init=False)
    looks: int = 0
    asleep: bool = False
    frozen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._work = Work()
        self._begun = time.time()
        self._gone: set[str] = set()
        self._first = Happening(self._begun, "node003 has joined (ready).", "good")
        self._events: list[Happening] = []
        self._scores = scores(60, self._begun)
        for second in range(600, 0, -10):
            self._see(self._begun - second)
        self.look()

    @property
    def snapshot(self) -> Snapshot:
        return self.seen

    def want(self, page: str, *, search: str | None, job: int | None) -> None:
        pass

    def leave(self, page: str) -> None:
        pass

    def printed(self, job: int) -> str | None:
        return f"fold 1 of job {job}\nfold 2 <script>alert(1)</script>"

    def carry_out(self, what: Asked) -> None:
        self.asked.append(what)

    def lose(self, alias: str) -> None:
        """Have EC2 take a node back."""
        self._gone.add(alias)
        self._work.take(alias, time.time())
        self._events.insert(0, Happening(time.time(), f"{alias} was taken back by EC2.", "bad"))

    def _see(self, now: float) -> Sequence[Engine]:
        self.looks += 1
        engines = []
        for number in range(self.nodes):
            alias = f"node{number:03d}" if number else "master"
            if alias in self._gone:
                continue
            for place in range(1, self.engines_per_node + 1):
                busy = (number + place + self.looks) % 5 > 0
                since = datetime.fromtimestamp(now - 3, UTC)
                label = {
                    "search": "s1",
                    "kind": "GridSearch",
                    "params": {"C": 0.1 * place, "gamma": 1e-4},
                    "split": place,
                    "evaluations": 1,
                }
                message = Message(since, label) if busy else None
                engines.append(Engine(len(engines), alias, place, self.looks, 1, message))
        self._work.see(engines, now)
        return engines

    def look(self) -> None:
        """Look anew."""
        if self.asleep:
            return
        now = time.time()
        engines = self._see(now)
        rows = tuple(
            EngineRow(
                one.id,
                one.node,
                one.number,
                one.message is not None,
                "GridSearch: C=0.1, gamma=0.0001, split 3" if one.message else "idle",
                float(one.id % 50) if one.message else None,
                one.done,
            )
            for one in engines
        )
        nodes = [
            node(number, now=now, busy=self.busy)
            for number in range(self.nodes)
            if f"node{number:03d}" not in self._gone
        ]
        if len(nodes) > 3:
            wrong = "it does not answer; its instance may be overloaded"
            nodes[3] = replace(nodes[3], state="unreachable", problem=wrong)
        done = min(200, 40 + self.looks)
        best = {"validation": 0.99022, "validation_error": 0.0012, "train": 1.0}
        best |= {"train_error": 0.0, "finished": 5, "splits": 5}
        bests = [{**best, "params": {"C": 10.0**n, "gamma": 0.001}} for n in range(5)]
        self.seen = replace(
            Snapshot(
                name=self.name,
                region="us-east-1",
                taken_at=now,
                state="running",
                size=self.nodes,
                price=0.1231 * len(nodes),
                cost=3.21,
                budget=20.0,
                ends_in=1260.0,
                busy_with=("an evaluation",),
                waiting=120,
                running=sum(one.busy for one in rows),
                done=1000 + self.looks,
                nodes=tuple(nodes),
                engines=rows,
                searches=(
                    SearchRow(
                        *("s1", "GridSearch", "running", done, 200, 2.5, 61.0, self._begun - 600),
                        *(now, bests, (_REMARK,)),
                        here=True,
                    ),
                    SearchRow(
                        *("s0", "RandomizedSearch", "finished", 90, 90, None, None),
                        *(self._begun - 9000, self._begun - 8000, bests[:2], ()),
                        here=True,
                    ),
                ),
                jobs=(
                    JobRow(2, "running", "python search.py --folds 5", now - 300, 300.0, None),
                    JobRow(1, "failed", "python <b>first.py</b>", now - 4000, 12.0, 1),
                ),
                events=(*self._events, self._first),
                doings=tuple(
                    Doing(n, one.title, " ".join(one.words), now, now, 0, "It is done.")
                    for n, one in enumerate(self.asked)
                ),
                answered={"EC2": now - 8, "the controller": now, "the master": now},
                scores={"s1": self._scores},
                work=self._work,
            ),
            **self.frozen,
        )


@contextmanager
def served(source: MadeUp) -> Iterator[Served]:
    """Serve a dashboard of it, in a thread."""
    ready, over = threading.Event(), threading.Event()
    found: list[Served] = []

    def serve() -> None:
        found.append(Served(source))
        ready.set()
        found[0].run()
        found[0].close()

    def look() -> None:
        while not over.wait(0.5):
            source.look()

    threads = [threading.Thread(target=serve), threading.Thread(target=look)]
    for one in threads:
        one.start()
    try:
        assert ready.wait(60)
        yield found[0]
    finally:
        over.set()
        if found:
            found[0].stop()
        for one in threads:
            one.join(30)

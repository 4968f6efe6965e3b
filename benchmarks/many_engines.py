"""A search on many engines of this computer, against the ideal and against peers in turn.

Usage: python benchmarks/many_engines.py [ENGINES 32] [EVALUATIONS 1600] [SECONDS 0.2]
           [--rounds 3] [--no-peers] [--beside]

Evaluations sleep, so that it does not matter how many cores there are. Each way has workers of its
own, which import what is needed before the clock runs. The ideal is the work divided by the
engines. With --beside, as many processes as there are cores calculate at the same time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import joblib
from _bench import Engines, against, engines, say, seconds, show, spread, until, verdict
from _models import Sleeper, evaluate_split
from _peers import dask_client, ray_module
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, ShuffleSplit

from spotcluster.search import GridSearch, persist_cv_splits

HOST = 16  # engines of a host
CHUNKS = 10  # of an engine, where view.map is told how many there are to be
FOLDS = 5
CV = ShuffleSplit(FOLDS, test_size=0.25, random_state=0)
LIMITS = {(32, 0.2): (1.05, 0.04), (32, 1.0): (1.05, 0.02), (64, 0.2): (1.04, 0.04)}
"""Limits of the time against the ideal and of the client's share of a core, where some are set."""


@dataclass(frozen=True)
class Work:
    """What all ways do."""

    engines: int
    evaluations: int
    pace: float

    @property
    def ideal(self) -> float:
        """The shortest time that it can take."""
        return self.evaluations * self.pace / self.engines

    def grid(self, evaluations: int) -> dict[str, list[int]]:
        """Return candidates for so many evaluations."""
        return {"n": list(range(evaluations // FOLDS))}


_IMPORTS = "import joblib, sklearn.metrics, sklearn.model_selection, sklearn.utils, _models"

Way = Callable[[int], Any]
"""Does so many evaluations."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="?", type=int, default=32)
    parser.add_argument("evaluations", nargs="?", type=int, default=1600)
    parser.add_argument("seconds", nargs="?", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--beside", action="store_true")
    given = parser.parse_args()
    work = Work(given.engines, given.evaluations, given.seconds)
    ways: dict[str, Callable[[Work], AbstractContextManager[Way]]] = {"spotcluster": ours}
    if not given.no_peers:
        ways |= {
            f"view.map, {CHUNKS} chunks for each engine": view_map,
            "dask futures": dask_futures,
            "ray tasks": ray_tasks,
            "GridSearchCV, joblib's ipyparallel backend": ipyparallel_backend,
        }
    measure(work, ways, given.rounds, beside=given.beside)


def measure(
    work: Work,
    ways: dict[str, Callable[[Work], AbstractContextManager[Way]]],
    rounds: int,
    *,
    beside: bool,
) -> None:
    """Measure each way once a round, and print the table."""
    taken: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    missing: set[str] = set()
    for _ in range(rounds):
        for name, start in ways.items():
            try:
                with start(work) as way:
                    way(work.engines * FOLDS)  # imports
                    with other_work(beside):
                        own = time.process_time()
                        took = seconds(lambda: way(work.evaluations))
                        own = time.process_time() - own
            except ImportError as error:
                missing.add(f"left out: {error.name} is not installed")
                continue
            taken.setdefault(name, []).append(took / work.ideal)
            shares.setdefault(name, []).append(100 * own / took)
            say(f"{name}: {taken[name][-1]:.3f} of the ideal, {shares[name][-1]:.1f}% of a core")
    middle = {name: statistics.median(values) for name, values in taken.items()}
    mine = middle.pop("spotcluster")
    remarks = sorted(missing)
    if middle:
        remarks.insert(0, against(mine, middle))
    if (work.engines, work.pace) in LIMITS:
        time_limit, share_limit = LIMITS[work.engines, work.pace]
        share = statistics.median(shares["spotcluster"]) / 100
        remarks[:0] = [
            verdict("against the ideal", mine, time_limit),
            verdict("the client's share of a core", share, share_limit),
        ]
    show(
        f"{work.evaluations} evaluations of {work.pace:g} s on {work.engines} engines"
        f"{' beside other work' if beside else ''}: times the ideal; the client, % of a core",
        [(name, f"{spread(taken[name])}; {spread(shares[name])}") for name in taken],
        *remarks,
    )


@contextmanager
def other_work(wanted: bool) -> Iterator[None]:
    """Have all cores calculate something else meanwhile, if that is wanted."""
    busy = [
        multiprocessing.get_context("spawn").Process(target=_calculate, daemon=True)
        for _ in range((os.cpu_count() or 1) if wanted else 0)
    ]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def _calculate() -> None:
    while True:
        pass


@contextmanager
def hosts(work: Work) -> Iterator[Engines]:
    """Give engines on hosts."""
    with engines() as cluster:
        for first in range(0, work.engines, HOST):
            here = min(HOST, work.engines - first)
            cluster.start(f"node{1 + first // HOST:03d}", here, wait=False)
        until(lambda: len(cluster.client.ids) == work.engines, 300)
        # On each: a first search may be over before the last of them has imported anything.
        cluster.client[:].execute(_IMPORTS, block=True)
        yield cluster


@contextmanager
def ours(work: Work) -> Iterator[Way]:
    """Our search."""
    with hosts(work) as cluster:
        files = persist_cv_splits(*load_iris(return_X_y=True), cv=CV, folder=cluster.folder)
        search = GridSearch(cluster.client, return_train_score=False)

        def run(evaluations: int) -> None:
            model = Sleeper(work.pace)
            search.launch_for_splits(model, work.grid(evaluations), files).wait(3600)
            assert search.completed() == evaluations

        yield run


@contextmanager
def split_files() -> Iterator[list[str]]:
    """Give mapped splits to ways that have no folder of their own."""
    with tempfile.TemporaryDirectory(prefix="scb-") as folder:
        yield persist_cv_splits(*load_iris(return_X_y=True), cv=CV, folder=folder)


def tasks(work: Work, evaluations: int, files: list[str]) -> tuple[list[Any], ...]:
    """Return the arguments of `evaluate_split`, a list for each."""
    calls = [(file, Sleeper(work.pace, n)) for n in work.grid(evaluations)["n"] for file in files]
    return tuple(map(list, zip(*calls, strict=True)))


@contextmanager
def view_map(work: Work) -> Iterator[Way]:
    """ipyparallel's own map, in chunks whose number follows that of the engines."""
    with hosts(work) as cluster, split_files() as files:
        view = cluster.client.load_balanced_view()

        def run(evaluations: int) -> None:
            chunk = max(1, evaluations // (CHUNKS * work.engines))
            done = view.map(
                evaluate_split, *tasks(work, evaluations, files), chunksize=chunk, block=True
            )
            assert len(done) == evaluations

        yield run


@contextmanager
def dask_futures(work: Work) -> Iterator[Way]:
    """dask's futures, one for each evaluation."""
    with dask_client(work.engines) as client, split_files() as files:

        def run(evaluations: int) -> None:
            futures = client.map(evaluate_split, *tasks(work, evaluations, files), pure=False)
            assert len(client.gather(futures)) == evaluations

        yield run


@contextmanager
def ray_tasks(work: Work) -> Iterator[Way]:
    """ray's tasks, one for each evaluation."""
    with ray_module(work.engines) as ray, split_files() as files:
        remote = ray.remote(evaluate_split)

        def run(evaluations: int) -> None:
            calls = zip(*tasks(work, evaluations, files), strict=True)
            assert len(ray.get([remote.remote(*call) for call in calls])) == evaluations

        yield run


@contextmanager
def ipyparallel_backend(work: Work) -> Iterator[Way]:
    """scikit-learn's search on engines like ours."""
    import ipyparallel

    ipyparallel.register_joblib_backend()
    data = load_iris(return_X_y=True)
    with hosts(work) as cluster:
        view = cluster.client.load_balanced_view()

        def run(evaluations: int) -> None:
            model = Sleeper(work.pace)
            search = GridSearchCV(model, work.grid(evaluations), cv=CV, refit=False)
            with joblib.parallel_config("ipyparallel", view=view, n_jobs=work.engines):
                search.fit(*data)

        yield run


if __name__ == "__main__":
    main()

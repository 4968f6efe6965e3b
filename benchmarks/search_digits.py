"""The digits search: 100 evaluations on 2 engines against two bare processes, and against peers.

Usage: python benchmarks/search_digits.py [ROUNDS]

Every way does the same: 20 settings of an SVC on 5 mapped splits. Each is started for itself, with
nothing of the others running, and imports what it needs before the clock runs. Half the serial time
is the limit; it is measured before and after each of the first two ways, because the machine's pace
changes. Peers that are not installed (``pip install spotcluster[bench]``) are left out, and the
output says so.
"""

from __future__ import annotations

import multiprocessing
import operator
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from _bench import against, engines, say, seconds, show, spread, verdict
from _peers import dask_client, ray_module
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, ParameterGrid, ShuffleSplit
from sklearn.svm import SVC

from spotcluster.search import GridSearch, persist_cv_splits

Grid = dict[str, Any]
Way = Callable[[Grid], float]
"""Does the evaluations of a grid, and says how many seconds that took."""

GRID: Grid = {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-4, 0, 5)}
PAIRED = 2  # ways that the serial time is measured before and after


def evaluate(file: str, params: dict[str, Any]) -> float:
    """Do one evaluation on a mapped split."""
    import joblib
    from sklearn.svm import SVC

    X_train, y_train, X_test, y_test = joblib.load(file, mmap_mode="r")
    return float(SVC(**params).fit(X_train, y_train).score(X_test, y_test))


def main() -> None:
    """Measure, and print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    X, y = load_digits(return_X_y=True)
    folder = Path(tempfile.mkdtemp(prefix="scb-"))
    try:
        job = Job(X, y, persist_cv_splits(X, y, name="digits", random_state=42, folder=folder))
        measure(job, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Job:
    """What all ways do."""

    X: Any
    y: Any
    files: list[str]

    def tasks(self, grid: Grid) -> list[tuple[str, dict[str, Any]]]:
        """Return the evaluations one by one."""
        return [(file, params) for params in ParameterGrid(grid) for file in self.files]


def measure(job: Job, rounds: int) -> None:
    """Measure all ways, and print the table."""
    busy: list[float] = []
    remarks: list[str] = []
    ways: dict[str, Callable[[], AbstractContextManager[Way]]] = {
        "spotcluster": lambda: spotcluster(job, busy),
        "two bare processes": lambda: two_processes(job),
        "GridSearchCV, warm loky": lambda: nullcontext(grid_search(job, "loky")),
        "joblib's ipyparallel backend": lambda: ipyparallel_backend(job),
        "dask futures": lambda: dask_futures(job),
        "joblib's dask backend": lambda: dask_backend(job),
        "ray tasks": lambda: ray_tasks(job),
    }
    taken: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    halves: list[float] = []
    for _ in range(rounds):
        before = serial(job)
        for number, (name, start) in enumerate(ways.items()):
            try:
                with start() as way:
                    way({"C": [1.0], "gamma": [0.001]})  # imports, and whatever else happens once
                    took = way(GRID)
            except ImportError as error:
                remarks.append(f"left out: {error.name} is not installed")
                continue
            after = serial(job) if number < PAIRED else before
            half = (before + after) / 4
            taken.setdefault(name, []).append(took)
            ratios.setdefault(name, []).append(took / half)
            halves.append(half)
            before = after
            say(f"{name}: {took:.2f} s, {took / half:.3f} of half the serial time")
    middle = {name: statistics.median(values) for name, values in ratios.items()}
    rows = [("half the serial time", spread(halves))]
    rows += [(name, f"{spread(taken[name])}, {middle[name]:.3f}") for name in taken]
    mine, bare = middle.pop("spotcluster"), ratios.pop("two bare processes")
    ours = ratios.pop("spotcluster")
    del middle["two bare processes"]
    in_rounds = statistics.median(one / other for one, other in zip(ours, bare, strict=True))
    ahead = [sum(map(operator.lt, ours, theirs)) for theirs in ratios.values()]
    show(
        "100 evaluations on 2 engines: seconds, and times half the serial time",
        rows,
        f"against half the serial time: {mine:.3f}",
        verdict("against two bare processes, which are the limit, in each round", in_rounds, 1.01),
        against(mine, middle),
        *(
            f"ahead of {name} in {rounds_ahead} of {rounds} rounds"
            for name, rounds_ahead in zip(ratios, ahead, strict=True)
        ),
        f"our engines were at work for {statistics.median(busy):.1%} of the time",
        *sorted(set(remarks)),
    )


def serial(job: Job) -> float:
    """One process, one evaluation after the other."""
    return seconds(lambda: [evaluate(*task) for task in job.tasks(GRID)])


@contextmanager
def spotcluster(job: Job, busy: list[float]) -> Iterator[Way]:
    """Our search."""
    with engines(node001=2) as cluster:
        view = cluster.client.load_balanced_view()

        def run(grid: Grid) -> float:
            search = GridSearch(view, return_train_score=False)
            took = seconds(lambda: search.launch_for_splits(SVC(), grid, job.files).wait(600))
            assert search.completed() == len(job.tasks(grid))
            assert f"{search.best_score_:.5f}" == "0.99022"
            if grid is GRID:
                busy.append(sum(e.ended - e.started for e in search.evaluations()) / (2 * took))
            return took

        yield run


@contextmanager
def two_processes(job: Job) -> Iterator[Way]:
    """Half of the evaluations in each of two processes, which is as good as it can get."""
    fork = multiprocessing.get_context("fork")

    def half(part: list[Any], barrier: Any) -> None:
        evaluate(*part[0])
        barrier.wait()
        for task in part:
            evaluate(*task)

    def run(grid: Grid) -> float:
        barrier = fork.Barrier(3)
        tasks = job.tasks(grid)
        both = [fork.Process(target=half, args=(tasks[n::2], barrier)) for n in (0, 1)]
        for process in both:
            process.start()
        barrier.wait()
        return seconds(lambda: [process.join() for process in both])

    yield run


def grid_search(job: Job, backend: str, **settings: Any) -> Way:
    """scikit-learn's search on one of joblib's backends."""
    cv = ShuffleSplit(5, test_size=0.25, random_state=42)

    def run(grid: Grid) -> float:
        with joblib.parallel_config(backend, n_jobs=2, **settings):
            search = GridSearchCV(SVC(), grid, cv=cv, refit=False)
            return seconds(lambda: search.fit(job.X, job.y))

    return run


@contextmanager
def ipyparallel_backend(job: Job) -> Iterator[Way]:
    """scikit-learn's search on engines like ours."""
    import ipyparallel

    ipyparallel.register_joblib_backend()
    with engines(node001=2) as cluster:
        yield grid_search(job, "ipyparallel", view=cluster.client.load_balanced_view())


@contextmanager
def dask_futures(job: Job) -> Iterator[Way]:
    """dask, with futures on the mapped files."""
    with dask_client(2) as client:

        def run(grid: Grid) -> float:
            files, params = zip(*job.tasks(grid), strict=True)
            return seconds(lambda: client.gather(client.map(evaluate, files, params, pure=False)))

        yield run


@contextmanager
def dask_backend(job: Job) -> Iterator[Way]:
    """dask, as joblib's backend."""
    with dask_client(2):
        yield grid_search(job, "dask")


@contextmanager
def ray_tasks(job: Job) -> Iterator[Way]:
    """ray, with a task for each evaluation, on the mapped files."""
    with ray_module(2) as ray:
        remote = ray.remote(evaluate)
        yield lambda grid: seconds(
            lambda: ray.get([remote.remote(*task) for task in job.tasks(grid)])
        )


if __name__ == "__main__":
    main()

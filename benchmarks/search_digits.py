"""The digits search: 100 evaluations on 2 engines against half the serial time, and against peers.

Usage: python benchmarks/search_digits.py [ROUNDS]

Every way does the same: 20 settings of an SVC on 5 mapped splits, with everything started and
imported before the clock runs. Half the serial time is the limit. Peers that are not installed
(``pip install spotcluster[bench]``) are left out, and the output says so.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

from _bench import (
    Engines,
    against,
    engines,
    in_turn,
    leave_nothing_behind,
    seconds,
    show,
    spread,
    verdict,
)

Way = Callable[[], float]


def evaluate(file: str, params: dict[str, Any]) -> float:
    """Do one evaluation on a mapped split."""
    import joblib
    from sklearn.svm import SVC

    X_train, y_train, X_test, y_test = joblib.load(file, mmap_mode="r")  # noqa: N806
    return float(SVC(**params).fit(X_train, y_train).score(X_test, y_test))


def main() -> None:
    """Measure, and print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import ParameterGrid

    from spotcluster.search import persist_cv_splits

    X, y = load_digits(return_X_y=True)  # noqa: N806
    grid = {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-4, 0, 5)}
    remarks: list[str] = []
    busy: list[float] = []
    with engines(node001=2) as cluster, contextlib.ExitStack() as peers:
        files = persist_cv_splits(X, y, name="digits", random_state=42, folder=cluster.folder)
        tasks = [(file, params) for params in ParameterGrid(grid) for file in files]
        ways: dict[str, Way] = {
            "serial": lambda: seconds(lambda: [evaluate(*task) for task in tasks]),
            "spotcluster": spotcluster(cluster, grid, files, busy),
            "two bare processes": two_processes(tasks),
            "GridSearchCV, warm loky": grid_search(grid, X, y, "loky"),
            "joblib's ipyparallel backend": ipyparallel_backend(cluster, grid, X, y),
        }
        for peer in (dask_peer, ray_peer):
            try:
                ways.update(peers.enter_context(peer(tasks, grid, X, y)))
            except ImportError as error:
                remarks.append(f"left out: {error.name} is not installed")
        for name, way in ways.items():
            if name != "serial":
                way()  # imports, and whatever else happens once
        taken = in_turn(ways, rounds)
    half = statistics.median(taken.pop("serial")) / 2
    ratios = {name: statistics.median(values) / half for name, values in taken.items()}
    rows = [("half the serial time", f"{half:.3f}")]
    rows += [(name, f"{spread(values)}, {ratios[name]:.3f}") for name, values in taken.items()]
    mine = ratios.pop("spotcluster")
    ratios.pop("two bare processes")  # the limit, and no search
    show(
        "100 evaluations on 2 engines: seconds, and times half the serial time",
        rows,
        verdict("against half the serial time", mine, 1.05),
        against(mine, ratios),
        f"our engines were at work for {statistics.median(busy):.1%} of the time",
        *remarks,
    )


def spotcluster(cluster: Engines, grid: dict[str, Any], files: list[str], busy: list[float]) -> Way:
    """Our search."""
    from sklearn.svm import SVC

    from spotcluster.search import GridSearch

    view = cluster.client.load_balanced_view()

    def run() -> float:
        search = GridSearch(view, return_train_score=False)
        took = seconds(lambda: search.launch_for_splits(SVC(), grid, files).wait(600))
        assert search.completed() == 100
        busy.append(sum(e.ended - e.started for e in search.evaluations()) / (2 * took))
        assert f"{search.best_score_:.5f}" == "0.99022"
        return took

    return run


def two_processes(tasks: list[Any]) -> Way:
    """Half of the evaluations in each of two processes, which is as good as it can get."""

    def half(part: list[Any], barrier: Any) -> None:
        evaluate(*part[0])
        barrier.wait()
        for task in part:
            evaluate(*task)

    def run() -> float:
        fork = multiprocessing.get_context("fork")
        barrier = fork.Barrier(3)
        both = [fork.Process(target=half, args=(tasks[n::2], barrier)) for n in (0, 1)]
        for process in both:
            process.start()
        barrier.wait()
        return seconds(lambda: [process.join() for process in both])

    return run


def grid_search(grid: dict[str, Any], X: Any, y: Any, backend: str, **settings: Any) -> Way:  # noqa: N803
    """scikit-learn's search on one of joblib's backends."""
    import joblib
    from sklearn.model_selection import GridSearchCV, ShuffleSplit
    from sklearn.svm import SVC

    cv = ShuffleSplit(5, test_size=0.25, random_state=42)

    def run() -> float:
        with joblib.parallel_config(backend, n_jobs=2, **settings):
            search = GridSearchCV(SVC(), grid, cv=cv, refit=False)
            return seconds(lambda: search.fit(X, y))

    return run


def ipyparallel_backend(cluster: Engines, grid: dict[str, Any], X: Any, y: Any) -> Way:  # noqa: N803
    """scikit-learn's search on the same engines."""
    import ipyparallel

    ipyparallel.register_joblib_backend()
    view = cluster.client.load_balanced_view()
    return grid_search(grid, X, y, "ipyparallel", view=view)


@contextlib.contextmanager
def dask_peer(tasks: list[Any], grid: dict[str, Any], X: Any, y: Any) -> Iterator[dict[str, Way]]:  # noqa: N803
    """dask, with futures on the mapped files, and as joblib's backend."""
    import logging

    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as local,
        Client(local) as client,
    ):

        def futures() -> float:
            files, params = zip(*tasks, strict=True)
            return seconds(lambda: client.gather(client.map(evaluate, files, params, pure=False)))

        yield {
            "dask futures": futures,
            "joblib's dask backend": grid_search(grid, X, y, "dask"),
        }


@contextlib.contextmanager
def ray_peer(tasks: list[Any], *_: Any) -> Iterator[dict[str, Way]]:
    """ray, with a task for each evaluation, on the mapped files."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    leave_nothing_behind()  # ray has put its own handler in place
    try:
        remote = ray.remote(evaluate)

        def run() -> float:
            return seconds(lambda: ray.get([remote.remote(*task) for task in tasks]))

        yield {"ray tasks": run}
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()

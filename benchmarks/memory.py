"""8 engines on one host that all use 400 MB of splits: how much memory that takes.

Usage: python benchmarks/memory.py [ROUNDS] [MEGABYTES]

Measured is the sum of the engines' proportional set sizes (a page that n processes share counts a
n-th in each), at its highest during the search, less what it was before; and what it was before,
with what the engines are forked of. Needs Linux.
"""

from __future__ import annotations

import statistics
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Engines, against, engines, in_turn, show, spread, verdict
from _models import Reader

SPLITS = 4


def main() -> None:
    """Measure, and print the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    size = (int(sys.argv[2]) if len(sys.argv) > 2 else 400) * 10**6
    rows = size // SPLITS // 800  # of 100 numbers
    X = np.random.default_rng(0).random((rows, 100))
    y = np.arange(rows) % 2
    idle: list[float] = []
    ways = {
        "spotcluster": lambda: once(ours, X, y, idle) / size,
        "joblib's ipyparallel backend": lambda: once(peer, X, y, idle) / size,
    }
    taken = in_turn(ways, rounds, once="joblib's ipyparallel backend")
    mine, theirs = (statistics.median(values) for values in taken.values())
    show(
        f"growth of 8 engines' memory, in {size // 10**6} MB of splits",
        [
            *((name, spread(values)) for name, values in taken.items()),
            ("before, all engines with what evaluations import, MB", spread(idle)),
        ],
        verdict("against the size of the splits", mine, 1.15),
        against(mine, {"joblib's ipyparallel backend": theirs}),
    )


def once(way: Callable[[Engines, Any, Any], Any], X: Any, y: Any, idle: list[float]) -> float:
    """Return how many bytes the engines' memory grew by; note how many MB it was before."""
    with engines(node001=8) as cluster:
        cluster.client[:].apply_sync(warm)
        pids = cluster.pids()
        before, highest = pss(pids), 0.0
        idle.append(pss([*pids, *(process.pid for process in cluster.processes)]) / 10**6)
        over = threading.Event()

        def watch() -> None:
            nonlocal highest
            while not over.wait(0.2):
                highest = max(highest, pss(pids))

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            way(cluster, X, y)
        finally:
            over.set()
            watching.join()
        return highest - before


def warm() -> None:
    """Import what an evaluation needs, on an engine, where it stays."""
    import joblib  # noqa: F401 - what it takes in memory is not to count
    import sklearn.model_selection  # noqa: F401 - as above


def pss(pids: list[int]) -> float:
    """Return the proportional set size of processes together, in bytes."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return float(total)


def ours(cluster: Engines, X: Any, y: Any) -> None:
    """Our search; a split's file holds its training and its test part, all rows together."""
    from spotcluster.search import GridSearch

    search = GridSearch(cluster.client, return_train_score=False)
    search.launch_for_arrays(Reader(), {"n": list(range(10))}, X, y, n_splits=SPLITS)
    assert search.wait(600)
    assert search.failed() == []


def peer(cluster: Engines, X: Any, y: Any) -> None:
    """scikit-learn's search on the same engines."""
    import ipyparallel
    import joblib
    from sklearn.model_selection import GridSearchCV, ShuffleSplit

    ipyparallel.register_joblib_backend()
    cv = ShuffleSplit(SPLITS, test_size=0.25)
    search = GridSearchCV(Reader(), {"n": list(range(10))}, cv=cv, refit=False)
    with joblib.parallel_config("ipyparallel", view=cluster.client.load_balanced_view()):
        search.fit(X, y)


if __name__ == "__main__":
    main()

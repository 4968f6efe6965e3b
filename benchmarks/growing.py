"""A search that has 2 engines when it begins and 8 some seconds later.

Usage: python benchmarks/growing.py [ROUNDS]

Work is bound by sleep, so that eight engines fit on any machine; what does not are the imports of
the six that join, seconds of all cores. The ideal is what is left when the engines have registered,
spread over all eight. Beside it GridSearchCV over joblib's ipyparallel
backend, which goes on with the number of engines that it began with; one round of it.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from _bench import Engines, against, engines, in_turn, show, spread, verdict
from _models import score_after
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.svm import SVC

PACE = 0.2
SIZE = 1000
AFTER = 4.0


def main() -> None:
    """Measure, and print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    taken = in_turn(
        {"spotcluster": lambda: once(ours), "peer": lambda: once(peer)}, rounds, once="peer"
    )
    mine, theirs = (statistics.median(values) for values in taken.values())
    show(
        f"{SIZE} evaluations of {PACE} s on 2 engines, then 8: times the ideal",
        [
            ("spotcluster", spread(taken["spotcluster"])),
            ("GridSearchCV, joblib's ipyparallel backend", spread(taken["peer"])),
        ],
        verdict("against the ideal", mine, 1.15),
        against(mine, {"joblib's ipyparallel backend": theirs}),
    )


def once(way: Callable[[Engines, Any], Callable[[], Any]]) -> float:
    """Run one search on a cluster that grows; return its time as a multiple of the ideal."""
    with engines(node001=2) as cluster:
        run = way(cluster, load_iris(return_X_y=True))
        begin = time.perf_counter()
        grown = []

        def grow() -> None:
            time.sleep(AFTER)  # the search is under way by then, as when a user adds nodes
            cluster.start("node002", 6)
            grown.append(time.perf_counter() - begin)

        growing = threading.Thread(target=grow)
        growing.start()
        run()
        took = time.perf_counter() - begin
        growing.join()
    with_two = grown[0]
    ideal = with_two + (SIZE * PACE - 2 * with_two) / 8
    return took / ideal


def ours(cluster: Engines, data: Any) -> Callable[[], Any]:
    """Our search."""
    from spotcluster.search import GridSearch

    grid = {"C": [0.1 * (1 + n) for n in range(SIZE // 5)]}
    search = GridSearch(cluster.client, return_train_score=False)
    search.launch_for_arrays(SVC(), {"C": [1.0]}, *data, random_state=0).wait(60)  # imports
    return lambda: search.launch_for_arrays(SVC(), grid, *data, random_state=0, pace=PACE).wait(300)


def peer(cluster: Engines, data: Any) -> Callable[[], Any]:
    """scikit-learn's search on the same engines."""
    import ipyparallel
    import joblib

    ipyparallel.register_joblib_backend()
    view = cluster.client.load_balanced_view()
    grid = {"C": [0.1 * (1 + n) for n in range(SIZE // 5)]}
    cv = ShuffleSplit(5, test_size=0.25, random_state=0)

    scorer = partial(score_after, PACE)
    search = GridSearchCV(SVC(), grid, cv=cv, scoring=scorer, refit=False)

    def run() -> None:
        with joblib.parallel_config("ipyparallel", view=view):
            search.fit(*data)

    return run


if __name__ == "__main__":
    main()

"""A search that has 2 engines when it begins and 8 some seconds later.

Usage: python benchmarks/growing.py [ROUNDS]

Work is bound by sleep, so that eight engines fit on any machine. The ideal is what is left when the
engines have registered, spread over all eight. Told beside it is how long each of those that join
takes from when it is started until it has registered, and from then until it evaluates. Beside it
GridSearchCV over joblib's ipyparallel backend, which goes on with the number of engines that it
began with; one round of it.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from _bench import Engines, against, engines, in_turn, show, spread, until, verdict
from _models import score_after
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.svm import SVC

PACE = 0.2
SIZE = 1000
AFTER = 4.0
FEW, MORE = 2, 6  # engines


@dataclass
class Joining:
    """What engines that join take, and the searches: seconds of each, of all rounds."""

    searches: list[float] = field(default_factory=list)
    registered: list[float] = field(default_factory=list)
    at_work: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, and print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    joining = Joining()
    ways = {"spotcluster": lambda: once(ours, joining), "peer": lambda: once(peer, Joining())}
    taken = in_turn(ways, rounds, once="peer")
    mine, theirs = (statistics.median(values) for values in taken.values())
    show(
        f"{SIZE} evaluations of {PACE} s on 2 engines, then 8: times the ideal",
        [
            ("spotcluster", spread(taken["spotcluster"])),
            ("the whole search, s", spread(joining.searches)),
            (
                "one that joins, from its start until it has registered, s",
                spread(joining.registered),
            ),
            ("from then until its first evaluation, s", spread(joining.at_work)),
            ("GridSearchCV, joblib's ipyparallel backend", spread(taken["peer"])),
        ],
        verdict("against the ideal", mine, 1.05),
        verdict("the slowest at work after", max(joining.at_work), 1.0),
        against(mine, {"joblib's ipyparallel backend": theirs}),
    )


def once(way: Callable[[Engines, Any], Callable[[], Any]], joining: Joining) -> float:
    """Run one search on a cluster that grows; return its time as a multiple of the ideal."""
    with engines(node001=FEW) as cluster:
        run = way(cluster, load_iris(return_X_y=True))
        began, begin = time.time(), time.perf_counter()
        registered: dict[int, float] = {}

        def grow() -> None:
            time.sleep(AFTER)  # the search is under way by then, as when a user adds nodes
            before = set(cluster.client.ids)
            cluster.start("node002", MORE, wait=False)

            def all_there() -> bool:
                for engine in set(cluster.client.ids) - before - set(registered):
                    registered[engine] = time.perf_counter() - begin
                return len(registered) == MORE

            until(all_there)

        growing = threading.Thread(target=grow, daemon=True)
        growing.start()
        search = run()
        took = time.perf_counter() - begin
        growing.join()
    joining.searches.append(took)
    joining.registered += [at - AFTER for at in registered.values()]
    if search is not None:
        first: dict[int, float] = {}
        for one in search.evaluations():
            first[one.engine] = min(one.started - began, first.get(one.engine, took))
        joining.at_work += [first[engine] - at for engine, at in registered.items()]
    with_two = max(registered.values())
    return took / (with_two + (SIZE * PACE - FEW * with_two) / (FEW + MORE))


def ours(cluster: Engines, data: Any) -> Callable[[], Any]:
    """Our search."""
    from spotcluster.search import GridSearch

    grid = {"C": [0.1 * (1 + n) for n in range(SIZE // 5)]}
    search = GridSearch(cluster.client, return_train_score=False)
    search.launch_for_arrays(SVC(), {"C": [1.0]}, *data, random_state=0).wait(60)  # imports

    def run() -> GridSearch:
        search.launch_for_arrays(SVC(), grid, *data, random_state=0, pace=PACE).wait(300)
        return search

    return run


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

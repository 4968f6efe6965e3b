"""A search that has 2 engines when it begins and 8 some seconds later.

Usage: python benchmarks/growing.py [ROUNDS]

Work is bound by sleep, so that eight engines fit on any machine; what does not are the imports of
the six that join, seconds of all cores. The ideal is what is left when the engines have registered,
spread over all eight, as if these had nothing to import. What it costs at least that they do is
measured beside it: six bare processes import the same, as many at a time as there are cores, and
each could work from then on. Beside it GridSearchCV over joblib's ipyparallel
backend, which goes on with the number of engines that it began with; one round of it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
FEW, MORE = 2, 6  # engines
_IMPORTS = """
import ipyparallel.engine.app  # as an engine has before it registers
print(flush=True)
input()
import joblib, sklearn.metrics, sklearn.svm
print(flush=True)
"""


def main() -> None:
    """Measure, and print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    ideals: list[float] = []
    bare: list[list[float]] = []

    def mine_and_bare() -> float:
        bare.append(imported(MORE))
        return once(ours, ideals)

    taken = in_turn(
        {"spotcluster": mine_and_bare, "peer": lambda: once(peer, [])}, rounds, once="peer"
    )
    mine, theirs = (statistics.median(values) for values in taken.values())
    least = [
        1 + sum(times) / (FEW + MORE) / ideal for times, ideal in zip(bare, ideals, strict=True)
    ]
    show(
        f"{SIZE} evaluations of {PACE} s on 2 engines, then 8: times the ideal",
        [
            ("spotcluster", spread(taken["spotcluster"])),
            (
                f"the ideal and {MORE} bare imports, the last done after",
                f"{spread(least)}; {spread([times[-1] for times in bare])} s",
            ),
            ("GridSearchCV, joblib's ipyparallel backend", spread(taken["peer"])),
        ],
        verdict("against the ideal", mine, 1.05),
        against(mine, {"joblib's ipyparallel backend": theirs}),
    )


def imported(number: int) -> list[float]:
    """Return after how many seconds so many processes have imported what evaluations need."""
    command, line = [sys.executable, "-c", _IMPORTS], subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=line, stdout=line, text=True) for _ in range(number)
    ]

    def says(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        process.stdout.readline()

    def goes_on(process: subprocess.Popen[str]) -> float:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        says(process)
        return time.perf_counter() - begin

    for process in processes:
        says(process)
    begin = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        taken = list(cores.map(goes_on, processes))
    for process in processes:
        process.communicate()
    return taken


def once(way: Callable[[Engines, Any], Callable[[], Any]], ideals: list[float]) -> float:
    """Run one search on a cluster that grows; return its time as a multiple of the ideal."""
    with engines(node001=FEW) as cluster:
        run = way(cluster, load_iris(return_X_y=True))
        begin = time.perf_counter()
        grown = []

        def grow() -> None:
            time.sleep(AFTER)  # the search is under way by then, as when a user adds nodes
            cluster.start("node002", MORE)
            grown.append(time.perf_counter() - begin)

        growing = threading.Thread(target=grow)
        growing.start()
        run()
        took = time.perf_counter() - begin
        growing.join()
    with_two = grown[0]
    ideals.append(with_two + (SIZE * PACE - FEW * with_two) / (FEW + MORE))
    return took / ideals[-1]


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

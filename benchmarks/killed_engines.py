"""A search of a minute on 4 engines, one of which is killed at random every 10 s.

Usage: python benchmarks/killed_engines.py [ROUNDS] [SECONDS]

Work is bound by sleep, so that it does not matter how many cores this machine has. An engine that
was killed is made again, as nodes do it. The time is held against the undisturbed time plus the
work that was lost: what an engine had under way when it was killed, and the time without it.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
import threading
import time
from typing import Any

from _bench import Engines, engines, in_turn, show, spread, verdict
from sklearn.datasets import load_iris
from sklearn.svm import SVC

PACE = 0.5


def main() -> None:
    """Measure, and print the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    wanted = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    X, y = load_iris(return_X_y=True)
    size = int(4 * wanted / PACE / 5)
    grid = {"C": [0.1 * (1 + n) for n in range(size)]}
    lost: list[float] = []
    tables: list[Any] = []
    retries: list[int] = []
    with engines(node001=4) as cluster:

        def run(*, kill: bool) -> float:
            from spotcluster.search import GridSearch

            search = GridSearch(cluster.client)
            begin = time.perf_counter()
            search.launch_for_arrays(SVC(), grid, X, y, random_state=0, pace=PACE)
            over = threading.Event()
            killer = Killer(cluster, over)
            if kill:
                killer.start()
            search.wait(wanted * 5)
            took = time.perf_counter() - begin
            over.set()
            if kill:
                killer.join()
                done = {e.uuid: 0.0 for e in search.evaluations()}
                worked = sum(e.ended - e.started for e in search.evaluations())
                lost.append((killer.gone + len(search.retried) * PACE) / 4)
                retries.append(len(search.retried))
                assert done
                assert worked
            assert search.failed() == []
            columns = sorted(name for name in search.cv_results_ if "test_score" in name)
            tables.append([search.cv_results_[name].tolist() for name in columns])
            return took

        ways = {
            "undisturbed": lambda: run(kill=False),
            "an engine killed every 10 s": lambda: run(kill=True),
        }
        taken = in_turn(ways, rounds)
    undisturbed, disturbed = (statistics.median(values) for values in taken.values())
    own = statistics.median(lost)
    show(
        f"{5 * size} evaluations of {PACE} s on 4 engines, seconds",
        [(name, spread(values)) for name, values in taken.items()],
        f"lost work: {own:.1f} s of 4 engines; evaluations run again: {retries}",
        verdict("against undisturbed and lost work", disturbed / (undisturbed + own), 1.25),
        "tables equal" if all(table == tables[0] for table in tables) else "TABLES DIFFER",
    )


class Killer(threading.Thread):
    """Kills an engine every 10 s, and waits for the one in its place."""

    def __init__(self, cluster: Engines, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.over = over
        self.gone = 0.0  # engine seconds

    def run(self) -> None:
        while not self.over.wait(10.0):
            before = set(self.cluster.client.ids)
            begin = time.perf_counter()
            os.kill(random.choice(self.cluster.pids()), signal.SIGKILL)
            while not set(self.cluster.client.ids) - before and not self.over.wait(0.05):
                pass
            self.gone += time.perf_counter() - begin


if __name__ == "__main__":
    main()

"""The digits search on this computer's processes, without a controller, against GridSearchCV's.

Usage: python benchmarks/laptop.py [ROUNDS]

Both do `fit` on the same arrays: 20 settings of an SVC on 5 splits, in two processes that are warm.
In each round each way takes its turn, and ratios are taken within the round. All scores have to be
equal.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
from _bench import say, seconds, show, spread, verdict
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.svm import SVC

from spotcluster.search import GridSearch

WORKERS = 2
GRID: dict[str, Any] = {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-4, 0, 5)}
WARM: dict[str, Any] = {"C": [1.0, 2.0], "gamma": [0.001]}
CV = ShuffleSplit(5, test_size=0.25, random_state=42)
THEIRS = "GridSearchCV, warm loky"
OURS = "spotcluster, warm loky"
Way = Callable[[dict[str, Any]], Any]
"""Does the evaluations of a grid; gives the search."""


def main() -> None:
    """Measure, and print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    X, y = load_digits(return_X_y=True)

    def theirs(grid: dict[str, Any]) -> Any:
        with joblib.parallel_config("loky", n_jobs=WORKERS):
            return GridSearchCV(SVC(), grid, cv=CV, refit=False).fit(X, y)

    def on(executor: Any) -> Way:
        return lambda grid: GridSearch(executor, SVC(), grid, cv=CV, refit=False).fit(X, y)

    with ProcessPoolExecutor(WORKERS) as processes, ThreadPoolExecutor(WORKERS) as threads:
        ways: dict[str, Way] = {
            THEIRS: theirs,
            # The same workers, so that neither way has more of them than the other.
            OURS: lambda grid: on(get_reusable_executor(WORKERS, reuse=True))(grid),
            "spotcluster, ProcessPoolExecutor": on(processes),
            "spotcluster, ThreadPoolExecutor": on(threads),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            tables = []
            # Each begins a round as often as the others.
            order = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
            for name in order:
                ways[name](WARM)
                found: list[Any] = []
                taken[name].append(seconds(lambda name=name, to=found: to.append(ways[name](GRID))))
                tables.append(found[0].cv_results_["mean_test_score"])
            assert all(np.array_equal(tables[0], table) for table in tables)
            say(f"round {number + 1}: {', '.join(f'{taken[name][-1]:.2f} s' for name in ways)}")
    ratios = {
        name: [mine / his for mine, his in zip(taken[name], taken[THEIRS], strict=True)]
        for name in ways
    }
    rows = [
        (name, f"{spread(taken[name])}, {statistics.median(ratios[name]):.3f}") for name in ways
    ]
    ahead = sum(ratio < 1.0 for ratio in ratios[OURS])
    show(
        f"100 evaluations in {WORKERS} workers of this computer: seconds, and times GridSearchCV's",
        rows,
        verdict("on loky against GridSearchCV", statistics.median(ratios[OURS]), 1.0),
        f"ahead in {ahead} of {rounds} rounds",
    )


if __name__ == "__main__":
    main()

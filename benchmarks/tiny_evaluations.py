"""10,000 evaluations of about 1 ms on 2 engines: what the search adds to them.

Usage: python benchmarks/tiny_evaluations.py [ROUNDS] [EVALUATIONS]

Beside it, in the same run: the same evaluations by a bare ``view.map`` (in chunks of 100, and one
by one, as it does by itself, for a tenth of them), and by GridSearchCV on two processes, for a
fifth of them.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from typing import Any

from _bench import against, engines, in_turn, seconds, show, spread, verdict
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.naive_bayes import GaussianNB

CHUNK = 100


def bare(file: str, model: Any, params: dict[str, Any]) -> float:
    """Do one evaluation as the search does it; the mapped split is kept."""
    import sys
    import types

    import joblib
    from sklearn.base import clone
    from sklearn.metrics import check_scoring

    kept = sys.modules.setdefault("benchmark_splits", types.ModuleType("benchmark_splits"))
    if not hasattr(kept, "splits"):
        kept.splits = {}
    if file not in kept.splits:
        kept.splits[file] = joblib.load(file, mmap_mode="r")
    X_train, y_train, X_test, y_test = kept.splits[file]
    estimator = clone(model).set_params(**clone(params, safe=False))
    estimator.fit(X_train, y_train)
    return float(check_scoring(estimator, None)(estimator, X_test, y_test))


def main() -> None:
    """Measure, and print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    from spotcluster.search import GridSearch, persist_cv_splits

    X, y = load_iris(return_X_y=True)
    grid = {"var_smoothing": [1e-9 * (1 + n) for n in range(number // 5)]}
    cv = ShuffleSplit(5, test_size=0.25, random_state=0)
    with engines(node001=2) as cluster:
        folder = cluster.folder
        files = persist_cv_splits(X, y, cv=cv, folder=folder)
        view = cluster.client.load_balanced_view()
        keys = [(file, {"var_smoothing": v}) for v in grid["var_smoothing"] for file in files]

        def ours(size: int = number) -> float:
            part = {"var_smoothing": grid["var_smoothing"][: size // 5]}
            search = GridSearch(view, return_train_score=False)
            took = seconds(lambda: search.launch_for_splits(GaussianNB(), part, files).wait(600))
            assert search.completed() == size
            return took

        def mapped(chunk: int, size: int) -> float:
            some = keys[:size]
            call = partial(view.map, bare, [f for f, _ in some], [GaussianNB()] * size)
            took = seconds(lambda: call([p for _, p in some], chunksize=chunk, block=True))
            cluster.client.purge_everything()
            return took * number / size

        def loky(size: int) -> float:
            part = {"var_smoothing": grid["var_smoothing"][: size // 5]}
            search = GridSearchCV(GaussianNB(), part, cv=cv, n_jobs=2, refit=False)
            return seconds(lambda: search.fit(X, y)) * number / size

        ours(100), mapped(10, 100)  # imports
        GridSearchCV(GaussianNB(), {"var_smoothing": [1, 2]}, n_jobs=2).fit(X, y)
        serial = seconds(lambda: [bare(f, GaussianNB(), p) for f, p in keys[: number // 10]]) * 10
        ways = {
            "spotcluster": ours,
            f"view.map, chunks of {CHUNK}": lambda: mapped(CHUNK, number),
            "view.map, one by one (a tenth, times 10)": lambda: mapped(1, number // 10),
            "GridSearchCV, warm loky on 2 processes (a fifth, times 5)": lambda: loky(number // 5),
        }
        taken = in_turn(ways, rounds)
    middle = {name: statistics.median(values) for name, values in taken.items()}
    mine = middle.pop("spotcluster")
    show(
        f"{number} evaluations of {serial / number * 1e3:.2f} ms on 2 engines, seconds",
        [(name, spread(values)) for name, values in taken.items()],
        verdict("against view.map in chunks", mine / next(iter(middle.values())), 1.0),
        f"against GridSearchCV: {mine / list(middle.values())[-1]:.3f}",
        against(mine, {name: value for name, value in middle.items() if "chunks" not in name}),
    )


if __name__ == "__main__":
    main()

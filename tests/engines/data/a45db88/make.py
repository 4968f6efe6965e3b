"""Makes the folder `home` beside it; README.md says how to run it, and with what.

    python make.py FOLDER

FOLDER becomes a computer of a45db88: `home` in it is its SPOTCLUSTER_HOME, with searches that were
ended when half of them was done, and what they come to when nothing ends them.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(sys.argv[1])
os.chdir(FOLDER)
# A name that each process resolves for itself: what is written is right on every computer.
HOME = Path("/proc/self/cwd/home")
os.environ["SPOTCLUSTER_HOME"] = str(HOME)

from sklearn.datasets import load_iris  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

from spotcluster.search import (  # noqa: E402
    ASHASearch,
    GridSearch,
    HalvingGridSearch,
    LearningCurve,
    OptunaSearch,
    RandomizedSearch,
    persist_cv_splits,
)
from tests.engines.conftest import Machines  # noqa: E402

PACE = 0.3  # seconds that an evaluation lasts, so that not all of them are done at once
X, y = load_iris(return_X_y=True)
X, y = X[::3].astype("float32"), y[::3]
GRID = {"n_neighbors": [1, 3, 5, 7], "weights": ["uniform", "distance"]}
# Objects that JSON does not know are in the ledger's pickle.
METRICS = {"metric": ["euclidean", "chebyshev"], "n_neighbors": [np.int64(1), np.int64(3)]}
TREES = {"max_depth": [1, 2, 3], "min_samples_split": [2, 8]}


class Ender:
    """Ends a search after so many evaluations."""

    def __init__(self, after: int, end: Callable[[Any], Any]) -> None:
        self.search: Any = None
        self._left, self._end = after, end

    def __call__(self, evaluation: Any) -> None:
        self._left -= 1
        if not self._left:
            self._end(self.search)


def half(search: Any, launch: Callable[[Any], Any], after: int) -> None:
    """Have a search done up to here."""
    search.on_result = ender = Ender(after, lambda search: search.abort())
    ender.search = search
    launch(search)
    search.wait(120)
    assert after <= search.completed() < search.total()


def expected(search: Any) -> dict[str, Any]:
    """Return what a search has come to."""
    if isinstance(search, LearningCurve):
        names = ("train_sizes_", "train_scores_", "test_scores_")
        return {name: getattr(search, name).tolist() for name in names}
    table = search.cv_results_
    names = ("params", "mean_test_score", "std_test_score", "rank_test_score")
    return {name: [plain(value) for value in table[name]] for name in names} | {
        "best_index_": int(search.best_index_)
    }


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def main() -> None:
    machines = Machines(Path.cwd())
    machines.start("node001", 2)
    machines.warm()
    HOME.mkdir(mode=0o700)
    (HOME / "own").mkdir()
    files = persist_cv_splits(X, y, n_cv_iter=3, name="iris", random_state=0, folder=HOME / "own")
    view = machines.client.load_balanced_view()
    knn, tree = KNeighborsClassifier(), DecisionTreeClassifier(random_state=0)
    ways: dict[str, tuple[Callable[..., Any], Callable[[Any], Any], int]] = {
        "grid": (
            lambda **more: GridSearch(view, return_train_score=True, **more),
            lambda search: search.launch_for_splits(knn, GRID, files, pace=PACE),
            10,
        ),
        "randomized": (
            lambda **more: RandomizedSearch(
                view, knn, METRICS, n_iter=3, cv=3, random_state=1, **more
            ),
            lambda search: search.launch(X, y),
            4,
        ),
        "halving": (
            lambda **more: HalvingGridSearch(view, factor=2, random_state=0, cv=3, **more),
            lambda search: search.launch_for_splits(tree, TREES, files, pace=PACE),
            22,
        ),
        "drawn": (
            lambda **more: HalvingGridSearch(
                view, factor=2, random_state=np.random.RandomState(7), cv=3, **more
            ),
            lambda search: search.launch_for_splits(tree, TREES, files, pace=PACE),
            20,
        ),
        "asha": (
            lambda **more: ASHASearch(view, factor=2, random_state=0, **more),
            lambda search: search.launch_for_splits(tree, TREES, files, pace=PACE),
            12,
        ),
        "optuna": (
            lambda **more: OptunaSearch(view, n_trials=6, **more),
            lambda search: search.launch_for_splits(knn, GRID, files, pace=PACE),
            8,
        ),
        "curve": (
            lambda **more: LearningCurve(view, **more),
            lambda search: search.launch_for_splits(
                knn, files, train_sizes=[0.4, 0.6, 1.0], pace=PACE
            ),
            4,
        ),
    }
    comes_to = {}
    for name, (make, launch, after) in ways.items():
        whole = make(ledger=f"{name}-whole.jsonl")
        launch(whole)
        assert whole.wait(120)
        comes_to[name] = expected(whole)
        half(make(ledger=HOME / "searches" / f"{name}.jsonl"), launch, after)
    (HOME / "expected.json").write_text(json.dumps(comes_to, indent=1) + "\n")
    fitted = GridSearch(view, knn, GRID, cv=3).fit(X, y)
    (HOME / "fitted.pickle").write_bytes(pickle.dumps(fitted))
    machines.close()


if __name__ == "__main__":
    main()

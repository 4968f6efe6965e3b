"""The digits search and tiny evaluations by this version and by another, in turn, in one run.

Usage: python benchmarks/versions.py CHECKOUT [ROUNDS]

CHECKOUT is the folder of the other version. Each search runs on two engines that are started for it
alone, after one that imports what is needed; both are searches of one kind in the same environment.
What counts is the processor's time, of the client, the controller and the engines together: other
work on the computer changes how long a search takes by more than the versions differ.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _bench

_HERE = Path(__file__).parent
_LIMIT = 1.01
_TINY = 5_000
_KINDS = ("digits", "tiny")


def main() -> None:
    """Measure, and print the ratios; or be one of the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    parser.add_argument("--only", choices=_KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(_search(given.only, given.checkout)))
        return
    trees = {"this": _HERE.parent, "other": given.checkout.resolve()}
    for kind in _KINDS:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
        for number in range(given.rounds):
            for name in sorted(trees, reverse=bool(number % 2)):  # each is first as often
                runs[name].append(_run(kind, trees[name]))
                _bench.say(f"{kind}, {name}: {runs[name][-1]}")
        _show(kind, runs)


def _show(kind: str, runs: dict[str, list[dict[str, float]]]) -> None:
    rows = [
        (f"{name}: seconds {of}", _bench.spread([one[figure] for one in found]))
        for name, found in runs.items()
        for figure, of in (("cpu", "of the processor"), ("wall", "that it took"))
    ]
    cpu, wall = (
        statistics.median(
            ours[figure] / theirs[figure]
            for ours, theirs in zip(runs["this"], runs["other"], strict=True)
        )
        for figure in ("cpu", "wall")
    )
    _bench.show(
        f"{kind}, on 2 engines",
        rows,
        _bench.verdict("of the other's processor time", cpu, _LIMIT),
        f"of the time that it took: {wall:.3f}",
    )


def _run(kind: str, tree: Path) -> dict[str, float]:
    """Run one search of a version in a process of its own."""
    words = [sys.executable, str(Path(__file__)), "--only", kind, str(tree)]
    path = {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        words, stdout=subprocess.PIPE, check=True, env={**os.environ, **path}, cwd=tree
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _search(kind: str, tree: Path) -> dict[str, float]:
    from sklearn.datasets import load_digits, load_iris
    from sklearn.model_selection import ShuffleSplit
    from sklearn.naive_bayes import GaussianNB
    from sklearn.svm import SVC

    import spotcluster.search

    assert Path(spotcluster.search.__file__).is_relative_to(tree), "another version is measured"
    X, y = (load_digits if kind == "digits" else load_iris)(return_X_y=True)
    model: Any = SVC()
    grid: dict[str, Any] = {"C": [0.1, 1, 10, 100], "gamma": [0.0001, 0.001, 0.01, 0.1, 1]}
    first = {"C": [1.0], "gamma": [0.001]}
    if kind == "tiny":
        model = GaussianNB()
        grid = {"var_smoothing": [1e-9 * (1 + n) for n in range(_TINY // 5)]}
        first = {"var_smoothing": [1e-9]}
    with _bench.engines(node001=2) as cluster:
        files = spotcluster.search.persist_cv_splits(
            X, y, cv=ShuffleSplit(5, test_size=0.25, random_state=42), folder=cluster.folder
        )
        view = cluster.client.load_balanced_view()

        def search(part: dict[str, Any]) -> None:
            one = spotcluster.search.GridSearch(view, return_train_score=False)
            one.launch_for_splits(model, part, files).wait(600)
            assert one.completed() == len(files) * _number(part)

        search(first)
        return _measured(lambda: search(grid))


def _number(grid: dict[str, Any]) -> int:
    from sklearn.model_selection import ParameterGrid

    return len(ParameterGrid(grid))


def _measured(work: Callable[[], None]) -> dict[str, float]:
    """Return the seconds that it takes, and those of the processor, here and in all children."""
    before = _processor()
    wall = _bench.seconds(work)
    return {"wall": wall, "cpu": _processor() - before}


def _processor() -> float:
    import psutil

    here = psutil.Process()
    times = [one.cpu_times() for one in (here, *here.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


if __name__ == "__main__":
    main()

"""Candidates that take very different times: how near to the shortest time a search comes.

Usage: python benchmarks/unlike.py [ROUNDS]

Ten values of one parameter make evaluations up to 100 times as long, ten of another up to 25 times,
and a third is drawn and says nothing; which values are slow is drawn anew each round. They run on
the engines of tests/simulated. The shortest time is that of all work shared by all engines, or of
the longest evaluation. Each round is done twice: by a search that knows the candidates' parameters,
and by one that does not.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _bench import show

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
VALUES = 10
SEARCHES = [(32, 100, 3, 5.0), (32, 200, 3, 2.0), (32, 300, 1, 5.0), (64, 500, 1, 3.0)]


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rows = []
    for search in SEARCHES:
        engines, candidates, splits, mean = search
        found = [both(*search, seed) for seed in range(rounds)]
        known, unknown = (statistics.median(one) for one in zip(*found, strict=True))
        ahead = sum(one > other for one, other in found)
        what = f"{engines} engines, {candidates} x {splits} evaluations of {mean:g} s on average"
        how = f"{known:.3f} with their parameters, {unknown:.3f} without"
        rows.append((what, f"{how}; ahead in {ahead} of {rounds} rounds"))
    show("the shortest time / the time taken, medians", rows)


def both(engines: int, candidates: int, splits: int, mean: float, seed: int) -> tuple[float, float]:
    """Return the shortest time there could be by that of each kind of search."""
    chance = random.Random(seed)
    slow = [10 ** chance.uniform(-1.0, 1.0) for _ in range(VALUES)]
    slower = [10 ** chance.uniform(-0.7, 0.7) for _ in range(VALUES)]
    params = [
        {"a": number * VALUES // candidates, "b": number % VALUES, "c": chance.random()}
        for number in range(candidates)
    ]
    relative = [
        slow[int(one["a"])] * slower[int(one["b"])] * chance.uniform(0.9, 1.1) for one in params
    ]
    seconds = [one * mean / statistics.mean(relative) for one in relative]
    shortest = max(sum(seconds) * splits / engines, max(seconds))
    known = taken(engines, seconds, splits, params.__getitem__)
    return shortest / known, shortest / taken(engines, seconds, splits, lambda _: {})


def taken(
    engines: int, seconds: list[float], splits: int, params: Callable[[int], dict[str, Any]]
) -> float:
    """Return what a search takes whose candidates take so many seconds each."""
    from simulated import World

    world = World(lambda given: seconds[given["n"]])
    world.join(engines)
    keys = [(number, split) for number in range(len(seconds)) for split in range(splits)]
    run = world.run(keys, params=params)
    assert sorted(run.done) == keys
    return float(run.seconds)


if __name__ == "__main__":
    main()

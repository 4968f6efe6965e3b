"""What a start costs for each worker: round trips, connections, the client's processor and memory.

Usage: python benchmarks/many_nodes.py [--against CHECKOUT] [--wall] [--looks] [WORKERS ...]

EC2 is the one of the tests, in a process of its own, and the machines are stubs in the client's,
which answer at once: so all that is measured is this program's. For 200 workers unless given; 1000
take some minutes. CHECKOUT is the folder of another version, measured in the same run.

With --wall how long this version takes, against one worker alone: each round trip takes 50 ms,
machines boot for 20 to 40 s (the one alone for 40), and EC2 limits calls as its documents say. With
--looks what `listclusters` takes, against one bare DescribeInstances of the same nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _bench

_HERE = Path(__file__).parent
_TRIPS, _OF_THE_MASTER, _CPU, _MEMORY = 6, 0.1, 15.0, 350.0  # the targets
_LOOK = 1.2
_CALLS, _OF_MANY, _MAKING, _WALL = 60, 80, 3, 1.25  # calls of up to 200 workers, and of more


def main() -> None:
    """Measure each version with each number of workers, and print what each costs."""
    # What pip installs is compiled. A checkout need not be, and is left as it is.
    with tempfile.TemporaryDirectory(prefix="scb-") as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        _measure()


def _measure() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workers", nargs="*", type=int, default=[200])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--looks", action="store_true")
    given = parser.parse_args()
    trees = {"this": _HERE.parent}
    if given.against:
        trees[given.against.name] = given.against.resolve()
    alone = {name: _start(tree, 1) for name, tree in trees.items()}
    for workers in given.workers:
        for name, tree in trees.items():
            _show(name, workers, _start(tree, workers), alone[name])
    if given.looks:
        for workers in given.workers:
            looks = _start(_HERE.parent, workers, BENCH_LOOKS="1")["looks"]
            rows = [("times one bare DescribeInstances", _bench.spread(looks))]
            _bench.show(f"this: listclusters with {workers} workers", rows)
            print(_bench.verdict("listclusters", statistics.median(looks), _LOOK))
    if given.wall:
        slowest = _start(_HERE.parent, 1, BENCH_FAR="1")["wall"]
        for workers in given.workers:
            taken = _start(_HERE.parent, workers, BENCH_FAR="1")["wall"]
            rows = [("seconds", f"{taken:.1f}"), ("one worker alone", f"{slowest:.1f}")]
            _bench.show(f"this: start of {workers} workers that are far", rows)
            print(_bench.verdict("of one worker's time", taken / slowest, _WALL))


def _start(tree: Path, workers: int, **environment: str) -> dict[str, Any]:
    program = str(_HERE / "_stub_cloud.py")
    words = [sys.executable, program, str(tree), str(workers)]
    own = {**os.environ, **environment}
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, env=own)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _show(name: str, workers: int, many: dict[str, Any], one: dict[str, Any]) -> None:
    # What the program needs for itself is in both.
    cpu = 1000 * (many["cpu"] - one["cpu"]) / (workers - 1)
    on_master = (many["master"] - one["master"]) / (workers - 1)
    rows = [
        ("round trips of a worker", _range(many["trips"])),
        ("connections of a worker", _range(many["connections"])),
        ("round trips of the master, for each worker more", f"{on_master:.2f}"),
        ("the client's processor, ms for each worker more", f"{cpu:.1f}"),
        ("the client's memory at its most, MB", f"{many['memory']:.0f}"),
        ("API calls", f"{sum(many['calls'].values())} {_calls(many['calls'])}"),
    ]
    _bench.show(f"{name}: start of {workers} workers", rows)
    making = sum(many["calls"].get(call, 0) for call in ("RunInstances", "CreateFleet"))
    most = _CALLS if workers <= 200 else _OF_MANY
    print(_bench.verdict("API calls", sum(many["calls"].values()), most))
    print(_bench.verdict("calls that make workers", making - 1, _MAKING))  # one makes the master
    print(_bench.verdict("round trips", max(many["trips"]), _TRIPS))
    print(_bench.verdict("round trips of the master", on_master, _OF_THE_MASTER))
    print(_bench.verdict("processor", cpu, _CPU))
    print(_bench.verdict("memory", many["memory"], _MEMORY))


def _range(found: list[int]) -> str:
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _calls(found: dict[str, int]) -> str:
    most = sorted(found.items(), key=lambda one: -one[1])[:4]
    return f"({', '.join(f'{name} {number}' for name, number in most)}, ...)"


if __name__ == "__main__":
    main()

"""1,000 simulated engines, 1,000,000 evaluations of 1 s: what the client needs to keep them busy.

Usage: python benchmarks/thousand_engines.py [ENGINES] [EVALUATIONS] [--against CHECKOUT]

The engines are those of tests/simulated, on a clock of their own that goes on, beside the work,
by what the client uses of its processor. Counted is what the dispatcher does, and not what
ipyparallel does for each message. ``--against`` measures
another checkout's search in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _bench import ONE_THREAD, show

HERE = Path(__file__).resolve().parents[1]
LIMITS = {"cpu": 150.0, "messages": 100.0, "efficiency": 0.97}


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engines", nargs="?", type=int, default=1000)
    parser.add_argument("evaluations", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--seconds", type=float, default=1.0, help="what an evaluation takes")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        print(json.dumps(once(given.engines, given.evaluations, given.seconds)))
        return
    sides = {"this version": HERE}
    if given.against:
        sides[str(given.against)] = given.against.resolve()
    found = {name: apart(checkout, given) for name, checkout in sides.items()}
    rows = [
        (
            name,
            f"{one['cpu']:.0f} us of the client's processor per evaluation, {one['messages']:.1f}"
            f" messages/s, {one['hints']:.1f} hints/s, efficiency {one['efficiency']:.4f},"
            f" {one['core']:.1%} of a core",
        )
        for name, one in found.items()
    ]
    mine = found["this version"]
    missed = [
        name
        for name, limit in LIMITS.items()
        if (mine[name] < limit if name == "efficiency" else mine[name] > limit)
    ]
    show(
        f"{given.engines} simulated engines, {given.evaluations} times {given.seconds:g} s",
        rows,
        f"limits: {LIMITS['cpu']:.0f} us, {LIMITS['messages']:.0f} messages/s,"
        f" {LIMITS['efficiency']}: {'NOT MET: ' + ', '.join(missed) if missed else 'met'}",
    )


def apart(checkout: Path, given: argparse.Namespace) -> dict[str, float]:
    """Measure the search of a checkout, in a process of its own."""
    command = [sys.executable, __file__, str(given.engines), str(given.evaluations)]
    with tempfile.TemporaryDirectory(prefix="scb-") as home:
        path = os.pathsep.join((str(checkout), str(HERE / "tests")))
        done = subprocess.run(
            [*command, f"--seconds={given.seconds}", "--once"],
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": path, "SPOTCLUSTER_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def once(engines: int, evaluations: int, seconds: float) -> dict[str, Any]:
    """Run one search on engines that are all there when it begins."""
    from simulated import World

    world = World(lambda _: seconds, charged=True)
    world.join(engines)
    run = world.run([(n // 5, n % 5) for n in range(evaluations)])
    assert len(run.done) == evaluations
    return {
        "cpu": run.cpu / evaluations * 1e6,
        "messages": world.sent / run.seconds,
        "hints": world.hints / run.seconds,
        "efficiency": evaluations * seconds / engines / run.seconds,
        "core": run.cpu / run.seconds,
    }


if __name__ == "__main__":
    main()

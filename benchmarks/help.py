"""How long `spotcluster --help` takes, beside what peers take that are on the PATH.

Usage: python benchmarks/help.py

The peers are `flintrock --help` and `sky --help`, each from an environment of its own: those of
`pip install flintrock` and `pip install skypilot` there. They are measured in turn, a round each,
and what is imported longest here is named.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import _bench

_ROUNDS = 7
_LIMIT = 150.0  # milliseconds
_PEERS = ("flintrock", "sky")


def main() -> None:
    """Measure and print."""
    ways: dict[str, list[str]] = {"spotcluster": [_program("spotcluster")]}
    ways |= {name: [path] for name in _PEERS if (path := shutil.which(name))}
    asks: dict[str, Callable[[], float]] = {
        name: partial(_milliseconds, [*words, "--help"]) for name, words in ways.items()
    }
    for ask in asks.values():
        ask()  # what it reads is in the computer's memory from now on
    taken = _bench.in_turn(asks, _ROUNDS)
    rows = [(f"{name} --help, ms", _bench.spread(found)) for name, found in taken.items()]
    missing = [name for name in _PEERS if name not in ways]
    _bench.show("help", rows, *(f"{name}: not on the PATH, left out" for name in missing))
    medians = {name: statistics.median(found) for name, found in taken.items()}
    ours = medians.pop("spotcluster")
    print(_bench.verdict("milliseconds", ours, _LIMIT))
    if medians:
        print(_bench.against(ours, medians))
    print("slowest imports:", ", ".join(_imports()))


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _milliseconds(words: list[str]) -> float:
    return 1000 * _bench.seconds(lambda: subprocess.run(words, capture_output=True, check=True))


def _imports() -> list[str]:
    """Return the imports that take longest by themselves, as Python says."""
    words = [sys.executable, "-X", "importtime", "-m", "spotcluster", "--help"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    found = re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", said)
    longest = sorted(((int(taken), name) for taken, name in found), reverse=True)[:6]
    return [f"{name} {taken / 1000:.0f} ms" for taken, name in longest]


if __name__ == "__main__":
    main()

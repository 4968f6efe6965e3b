"""Models that score their own number, and do something else beside for some numbers."""

from __future__ import annotations

import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin

from .conftest import LIMIT

NUMBERS: Any = {"n": list(range(12))}
ONE: Any = {"n_splits": 1, "random_state": 0}


def put(bound: Path, number: int) -> None:
    """Let so many evaluations go on, whichever they are, and forget who went on beyond."""
    for mark in bound.parent.glob("goes.*"):
        if int(mark.suffix[1:]) >= number:
            mark.unlink()
    aside = bound.with_suffix(".aside")
    aside.write_text(str(number))
    aside.replace(bound)


def may_go_on(bound: Path, n: int) -> bool:
    """Return whether an evaluation is one of those, from when it is so on."""
    for place in range(int(bound.read_text())):
        mark = bound.with_name(f"goes.{place}")
        try:
            mark.symlink_to(str(n))
        except FileExistsError:
            if mark.readlink() != Path(str(n)):
                continue
        return True
    return False


def waiting(bound: Path) -> dict[int, int]:
    """Return the processes of the evaluations that had to wait, by their numbers."""
    found = bound.parent.glob("waits.*[0-9]")
    return {int(one.suffix[1:]): int(one.read_text()) for one in found}


def assert_whole(search: Any) -> None:
    assert search.cv_results_["mean_test_score"].tolist() == [float(n) for n in range(12)]
    assert sorted(item.candidate for item in search.evaluations()) == list(range(12))


class Model(ClassifierMixin, BaseEstimator):
    """Scores what its subclasses make of a number."""

    def __init__(self, n: int = 0, gate: str = "") -> None:
        self.n = n
        self.gate = gate

    def fit(self, X: Any, y: Any) -> Model:
        self.classes_ = [0, 1]
        return self

    def score(self, X: Any, y: Any) -> float:
        return float(self.n)


class Deadly(Model):
    """Kills its process for one number."""

    def fit(self, X: Any, y: Any) -> Model:
        if self.n == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)
        return super().fit(X, y)


class Bounded(Model):
    """Waits, and tells its process, until it is one of those that may go on."""

    def fit(self, X: Any, y: Any) -> Model:
        bound, end = Path(self.gate), time.monotonic() + LIMIT
        if not may_go_on(bound, self.n):
            aside = bound.with_name(f"waits.{self.n}.aside")
            aside.write_text(str(os.getpid()))
            aside.replace(bound.with_name(f"waits.{self.n}"))
            while not may_go_on(bound, self.n) and time.monotonic() < end:
                time.sleep(0.01)
        return super().fit(X, y)


class Sleepy(Model):
    """Takes for ever for one number."""

    def fit(self, X: Any, y: Any) -> Model:
        end = time.monotonic() + LIMIT * (self.n == 1)
        while time.monotonic() < end:
            time.sleep(0.01)
        return super().fit(X, y)


class Interrupted(Model):
    """Gets an interrupt, as all processes of a terminal do with Ctrl-C, once for one number."""

    def fit(self, X: Any, y: Any) -> Model:
        once = Path(self.gate) / "interrupted"
        if self.n == 1 and not once.exists():
            once.touch()
            raise KeyboardInterrupt
        return super().fit(X, y)


class Rude(Model):
    """Writes into what it is given, and waits for the other to have done so too."""

    def fit(self, X: Any, y: Any) -> Model:
        X += self.n + 1.0
        mine, other = (Path(f"{self.gate}{n}") for n in (self.n, self.n ^ 1))
        mine.touch()
        end = time.monotonic() + LIMIT
        while not other.exists() and time.monotonic() < end:
            time.sleep(0.01)
        self.seen_ = float(X[0, 0])
        return super().fit(X, y)

    def score(self, X: Any, y: Any) -> float:
        return self.seen_


class Warns(Model):
    def fit(self, X: Any, y: Any) -> Model:
        warnings.warn(f"number {self.n}", UserWarning, stacklevel=2)
        return super().fit(X, y)

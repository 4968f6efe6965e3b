"""What the benchmarks' peers can only send to engines by name."""

from __future__ import annotations

import time
from typing import Any

import joblib
from sklearn.base import BaseEstimator, ClassifierMixin


class Reader(ClassifierMixin, BaseEstimator):
    """Reads all of its data, and copies none of it."""

    def __init__(self, n: int = 0) -> None:
        self.n = n

    def fit(self, X: Any, y: Any) -> Reader:
        self.classes_ = [0, 1]
        self.sum_ = float(X.sum())
        time.sleep(1.0)  # so that all engines hold their data at once
        return self

    def score(self, X: Any, y: Any) -> float:
        return float(X.sum() * 0 + self.n)


class Sleeper(ClassifierMixin, BaseEstimator):
    """Takes a known time to fit, and nothing else."""

    def __init__(self, seconds: float = 0.0, n: int = 0) -> None:
        self.seconds = seconds
        self.n = n

    def fit(self, X: Any, y: Any) -> Sleeper:
        self.classes_ = [0, 1]
        time.sleep(self.seconds)  # a fit of known length, which takes no core
        return self

    def score(self, X: Any, y: Any) -> float:
        return float(self.n)


def evaluate_split(file: str, model: Any) -> float:
    """Do one evaluation on a mapped split."""
    X_train, y_train, X_test, y_test = joblib.load(file, mmap_mode="r")
    return float(model.fit(X_train, y_train).score(X_test, y_test))


def score_after(seconds: float, estimator: Any, X: Any, y: Any) -> float:
    """Score, and take some time for it."""
    time.sleep(seconds)  # an evaluation of known length
    return float(estimator.score(X, y))

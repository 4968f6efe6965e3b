"""What runs on an engine with several evaluations, run here."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC

from spotcluster.search.engine import batch, here
from spotcluster.search.engine import fit as fitting
from spotcluster.search.parcels import parcel

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SPOTCLUSTER_HOME")
    monkeypatch.setattr(here, "_bundles", {})
    monkeypatch.setattr(batch, "_kept", batch._Kept())
    return tmp_path / ".spotcluster"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the engine has published."""
    notes: dict[str, Any] = {}
    monkeypatch.setattr(here, "publish", lambda **note: notes.update(note))
    return notes


@pytest.fixture
def digest(tmp_path: Path) -> str:
    """A split of the bundle ``"bundle"``, which is here."""
    path = tmp_path / "split.pkl"
    joblib.dump((X, Y, X, Y), path)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert (
        here.locate("bundle", [{"path": str(path), "size": len(content), "digest": digest}]) == []
    )
    return digest


class Slow(ClassifierMixin, BaseEstimator):
    """Takes its time, and swallows errors."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> Slow:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                time.sleep(0.01)
        self.classes_ = np.unique(y)
        return self

    def score(self, X: Any, y: Any) -> float:
        return 1.0


def packed(*things: Any) -> tuple[bytes, ...]:
    return tuple(parcel(thing).data for thing in things)


def perform(
    digest: str, model: Any, grid: list[dict[str, Any]], budget: float = 60.0, **more: Any
) -> list[dict[str, Any]]:
    common = {"model": model, "error_score": -1.0}
    items = [(digest, {"params": params}) for params in grid]
    _, raw = batch.perform("bundle", *packed(common, items), budget, **more)
    return list(pickle.loads(raw))


def test_results_are_those_of_single_evaluations(digest: str) -> None:
    grid = [{"C": 0.1}, {"C": 10.0}, {"C": -1.0}]
    results = perform(digest, SVC(), grid)
    for params, result in zip(grid, results, strict=True):
        alone = fitting.fit_and_score((X, Y, X, Y), model=SVC(), params=params, error_score=-1.0)
        assert result["test"] == alone["test"]
        assert bool(result["error"]) == bool(alone["error"])
        assert result["started"] <= result["ended"]
        assert result["took"] >= 0


def test_an_engine_paused_after_each_evaluation(
    digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To sleep for no time took 0.1 ms, and gave the core to whoever else was on it."""
    slept: list[float] = []
    monkeypatch.setattr(batch.time, "sleep", slept.append)
    perform(digest, SVC(), [{"C": 0.1}, {"C": 10.0}])
    assert slept == []
    common = {"model": SVC(), "error_score": -1.0, "pace": 50.0}
    batch.perform("bundle", *packed(common, [(digest, {"params": {"C": 1.0}})]), 60.0)
    (seconds,) = slept  # it is still kept to where it is asked for
    assert 0 < seconds <= 50.0


def test_nothing_is_begun_when_the_budget_is_used_up(digest: str) -> None:
    assert len(perform(digest, Slow(), [{"seconds": 0.05}] * 9, budget=0.0)) == 1
    assert len(perform(digest, Slow(), [{}] * 9)) == 9


def test_nothing_is_begun_when_the_host_drains(digest: str, host: Path) -> None:
    class Draining(Slow):
        def fit(self, X: Any, y: Any) -> Slow:
            (host / "drain").touch()
            return super().fit(X, y)

    common, items = {"model": Draining(2 * batch.OFTEN)}, [(digest, {"params": {}})] * 3
    _, answer = batch.perform("bundle", *packed(common, items), 60.0)
    assert len(pickle.loads(answer)) == 1


def test_results_are_told_of_before_what_may_take_long(
    digest: str, published: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PUBLISH", 0.1)
    perform(digest, Slow(), [{"seconds": 0.06}] * 4)
    assert next(iter(published)) == "started"
    told = {name: pickle.loads(raw) for name, raw in published.items() if name != "started"}
    assert "results 0" in told
    assert sum(map(len, told.values())) >= 2


class Warns(Slow):
    """Warns of something, as often as it is told, and of much more."""

    def __init__(self, seconds: float = 0.0, late: int = 0, texts: int = 0) -> None:
        super().__init__(seconds)
        self.late = late
        self.texts = texts

    def fit(self, X: Any, y: Any) -> Warns:
        for _ in range(self.late):
            warnings.warn("it is late", ConvergenceWarning, stacklevel=1)
        for number in range(self.texts):
            warnings.warn(f"{number} " + "x" * 9999, UserWarning, stacklevel=1)
        super().fit(X, y)
        return self


def test_warnings_are_counted_for_each_evaluation(digest: str) -> None:
    before = warnings.filters, warnings.showwarning
    none, twice, once, many = perform(
        digest, Warns(), [{}, {"late": 2}, {"late": 1}, {"texts": 50}]
    )
    assert "warned" not in none
    for result, count in ((twice, 2), (once, 1)):
        ((names, text, found),) = result["warned"]
        assert names[0] == ("sklearn.exceptions", "ConvergenceWarning")
        assert (text, found) == ("it is late", count)
    assert len(many["warned"]) == batch.MOST + 1
    assert many["warned"][-1][1:] == ["and more", 30]
    assert max(len(text) for _, text, _ in many["warned"]) == batch.LONGEST
    assert (warnings.filters, warnings.showwarning) == before


def test_the_clients_filters_hold(digest: str) -> None:
    def results(*filters: Any) -> list[dict[str, Any]]:
        common = {"model": Warns(late=1), "error_score": -1.0, "filters": filters}
        items = [(digest, {"params": {}})]
        return list(pickle.loads(batch.perform("bundle", *packed(common, items), 60.0)[1]))

    late = ("sklearn.exceptions", "ConvergenceWarning")
    assert "warned" in results()[0]
    assert "warned" in results(("once", None, late, None, 0))[0]
    assert "warned" not in results(("ignore", "it is", ("builtins", "Warning"), None, 0))[0]
    assert "warned" in results(("ignore", "was", ("builtins", "Warning"), None, 0))[0]
    (failed,) = results(("error", None, late, None, 0), ("ignore", None, late, None, 0))
    assert "ConvergenceWarning: it is late" in failed["error"]
    assert failed["test"] == -1.0
    unknown = ("error", None, ("no_such_package", "Warning"), None, 0)
    missing = ("error", None, ("sklearn.exceptions", "NoSuchWarning"), None, 0)
    assert "warned" in results(unknown, missing)[0]


def test_a_time_limit_interrupts_and_is_an_error(digest: str) -> None:
    before = signal.getsignal(signal.SIGALRM)
    begun = time.monotonic()
    results = perform(
        digest, Slow(), [{"seconds": 0.0}, {"seconds": 60.0}, {"seconds": 0.0}], timeout=1.0
    )
    assert time.monotonic() - begun < 30
    assert [result["test"] for result in results] == [1.0, -1.0, 1.0]
    assert "TimeoutError: It took longer than timeout=1 s" in results[1]["error"]
    assert "in fit" in results[1]["error"]
    assert 0.99 < results[1]["fit_time"] < 30
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_cannot_be_interrupted_ends_its_process() -> None:
    script = (
        "import ctypes, signal\n"
        "from spotcluster.search.engine import batch\n"
        "batch.GRACE = 0.1\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"  # as good as not looking
        "with batch.time_limit(0.1):\n"
        "    ctypes.PyDLL(None).sleep(250)\n"  # it holds the interpreter's lock
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 1
    assert "Timeout" in done.stderr


class Rude(Slow):
    """Leaves in its own way."""

    def __init__(self, way: str = "") -> None:
        super().__init__()
        self.way = way

    def fit(self, X: Any, y: Any) -> Rude:
        if self.way == "exit":
            sys.exit(3)
        if self.way == "interrupt":
            raise KeyboardInterrupt
        if self.way == "mute":
            sys.stdout = sys.stderr = None
        if self.way == "long":
            raise ValueError("z" * 10**6 + "\udce9 the end")
        return self


def test_sys_exit_was_an_error_of_the_engine_and_not_of_the_evaluation(digest: str) -> None:
    first, second = perform(digest, Rude(), [{"way": "exit"}, {"way": "mute"}])
    assert first["error"].strip().endswith("SystemExit: 3")
    assert (first["test"], second["test"]) == (-1.0, 1.0)
    with pytest.raises(KeyboardInterrupt):  # which may be meant for the engine
        perform(digest, Rude(), [{"way": "interrupt"}])


def test_an_engine_whose_output_was_taken_away_answered_no_more(digest: str) -> None:
    before = sys.stdout, sys.stderr
    perform(digest, Rude(), [{"way": "mute"}])
    assert (sys.stdout, sys.stderr) == before


def test_an_error_of_megabytes_was_told_in_full(digest: str) -> None:
    (result,) = perform(digest, Rude(), [{"way": "long"}])
    assert len(result["error"]) < 21_000
    assert result["error"].startswith("Traceback")
    assert result["error"].strip().endswith("zzz\\udce9 the end")

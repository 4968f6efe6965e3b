"""Which split files go, and which never do."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from spotcluster.search.engine import prune as pruning
from spotcluster.search.engine.prune import BUSY, OLD, prune, used


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path))
    monkeypatch.setattr(pruning, "_said", {})
    (tmp_path / "splits").mkdir()
    return tmp_path / "splits"


def put(path: Path, age: float, content: str = "x" * 100) -> None:
    path.write_text(content)
    then = time.time() - age
    os.utime(path, (then, then))


def names(store: Path) -> set[str]:
    return {path.name for path in store.iterdir()}


def test_nothing_is_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path / "nowhere"))
    assert prune() == []


def test_old_files_go_and_those_in_use_stay(store: Path) -> None:
    put(store / "old.pkl", 2 * OLD)
    put(store / "new.pkl", 60.0)
    put(store / "running.pkl", 2 * OLD)
    put(store / "leased.pkl", 2 * OLD)
    put(store / "bundle.json", 60.0, json.dumps({"running": {}}))
    put(store / "other.lease", 60.0, json.dumps({"leased": None}))
    put(store / "gone.json", 2 * OLD, json.dumps({"old": {}}))
    put(store / ".old.upload.part", 2 * BUSY)
    put(store / ".new.upload.part", 60.0)
    assert prune() == ["old.pkl"]
    kept = {"new.pkl", "running.pkl", "leased.pkl", "bundle.json", "other.lease"}
    assert names(store) == {*kept, ".new.upload.part"}


def test_the_oldest_go_first_when_there_is_too_much(store: Path) -> None:
    for number in range(5):
        put(store / f"{number}.pkl", 2 * BUSY + number)
    put(store / "running.pkl", 3 * BUSY)
    put(store / "bundle.json", 60.0, json.dumps({"running": {}}))
    assert prune(limit=350) == ["4.pkl", "3.pkl", "2.pkl"]
    assert prune(limit=350) == []
    assert prune(limit=0) == ["1.pkl", "0.pkl"]
    assert names(store) == {"running.pkl", "bundle.json"}


def test_a_search_says_that_it_runs(store: Path) -> None:
    put(store / "a.pkl", 2 * OLD)
    put(store / "b.pkl", 2 * OLD)
    put(store / "first.json", 2 * OLD, json.dumps({"a": {}}))
    used("first")
    used("second", ["b"])
    assert prune() == []
    used("not here any more")
    assert names(store) == {"a.pkl", "b.pkl", "first.json", "second.lease"}


@pytest.mark.parametrize("ahead", [-2 * OLD, 2 * OLD])
def test_clock_of_the_file_server_does_not_matter(
    store: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    theirs = time.time()
    monkeypatch.setattr(pruning.time, "time", lambda: theirs - ahead)
    put(store / "a.pkl", 2 * OLD)
    put(store / "b.pkl", 2 * OLD)
    put(store / "of-a.json", 2 * OLD, json.dumps({"a": {}}))
    used("of-a")
    put(store / "of-b.json", 2 * OLD, json.dumps({"b": {}}))
    assert prune() == ["b.pkl"]


def test_a_damaged_marker_protects_nothing_and_stops_nothing(store: Path) -> None:
    put(store / "broken.json", 60.0, "{")
    put(store / "old.pkl", 2 * OLD)
    assert prune() == ["old.pkl"]

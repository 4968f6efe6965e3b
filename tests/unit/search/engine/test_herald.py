"""What an engine tells when its host is taken back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from spotcluster.search.engine import herald, here

LIMIT = 60.0  # seconds


@pytest.fixture
def drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the host is told of what is to come."""
    monkeypatch.setenv("SPOTCLUSTER_DRAIN_FLAG", str(tmp_path / "drain"))
    monkeypatch.setattr(herald, "LOOK", 0.01)
    return tmp_path


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the engine has published."""
    notes: list[dict[str, Any]] = []
    monkeypatch.setattr(here, "publish", lambda **note: notes.append(note["taken"]))
    return notes


def heralds() -> list[threading.Thread]:
    """Return the threads that look."""
    return [one for one in threading.enumerate() if one.name == "spotcluster herald"]


def until_told(told: list[dict[str, Any]], number: int) -> None:
    """Wait until so many notes are there."""
    waited = threading.Event()
    for _ in range(int(LIMIT / 0.01)):
        if len(told) >= number:
            return
        waited.wait(0.01)
    raise AssertionError(told)


def test_all_that_is_at_work_is_told_once(drain: Path, told: list[dict[str, Any]]) -> None:
    with herald.heralded({"pid": 1}), herald.heralded({"pid": 2}):
        with herald.heralded({"pid": 3}):
            pass  # it has ended before
        assert len(heralds()) == 1
        (drain / "notices").write_text("interruption 1795000000 2026-11-29T12:33:00Z\n")
        until_told(told, 2)
        with herald.heralded({"pid": 4}):
            until_told(told, 3)
    assert sorted(note["pid"] for note in told) == [1, 2, 4]
    assert {note["taken"] for note in told} == {1795000000.0}


def test_who_looks_ends_after_a_while_and_begins_again(
    drain: Path, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald, "STAYS", 0.0)
    with herald.heralded({"pid": 1}):
        pass
    for thread in heralds():
        thread.join(LIMIT)
    assert not heralds()
    (drain / "notices").write_text("interruption 1795000000 2026-11-29T12:33:00Z\n")
    with herald.heralded({"pid": 2}):
        until_told(told, 1)
    assert told == [{"pid": 2, "taken": 1795000000.0}]

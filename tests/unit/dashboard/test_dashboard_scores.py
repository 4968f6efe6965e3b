"""What a ledger says, as what is plotted; and how it is followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spotcluster.dashboard import ledgers, scores
from spotcluster.dashboard.ledgers import Ledgers
from spotcluster.dashboard.snapshot import SearchRow
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.record import Header
from spotcluster.search.results.tail import Tail

SPLITS = [{"path": f"/{n}", "size": 1, "digest": str(n)} for n in range(2)]
HEADER = Header("abc", "GridSearch", "q", {}, SPLITS)
PARAMS = [{"C": 10.0, "kernel": "rbf"}, {"C": 1.0, "kernel": "rbf"}, {"C": 1.0, "kernel": "poly"}]


def evaluation(candidate: int, split: int, score: float, **more: Any) -> Evaluation:
    ended = 100.0 + 10 * candidate + split
    given = {"node": "node001", "engine": 4, "uuid": "node001_1_77-5", "started": ended - 3}
    return Evaluation(candidate, split, score, ended=ended, **{**given, **more})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger.create(tmp_path / "l.jsonl", HEADER)
    made.add([Candidate(one, n) for n, one in enumerate(PARAMS)])
    return made


def read(ledger: Ledger) -> scores.Scores:
    tail = Tail()
    assert tail.read(ledger.path)
    assert tail.record is not None
    return scores.of(tail.record, 0.0)


def test_candidate_is_plotted_when_all_its_splits_are_finished(ledger: Ledger) -> None:
    ledger.append([evaluation(0, 0, 0.5), evaluation(0, 1, 0.7), evaluation(1, 0, 0.9)])
    found = read(ledger)
    assert found.times.tolist() == [101.0]
    assert found.scores.tolist() == [pytest.approx(0.6)]
    assert found.candidates == ("C=10, kernel=rbf",)


def test_values_are_sorted_as_numbers_and_otherwise_as_the_grid_has_them(ledger: Ledger) -> None:
    ledger.append([evaluation(n, s, 0.1 * n + 0.01 * s) for n in range(3) for s in range(2)])
    found = read(ledger)
    assert [one.value for one in found.spreads["C"]] == [1.0, 10.0]
    assert [one.text for one in found.spreads["kernel"]] == ["rbf", "poly"]
    low = found.spreads["C"][0]
    assert (low.count, low.best) == (4, pytest.approx(0.205))
    assert low.quartiles[0] == pytest.approx(0.1)
    assert low.quartiles[4] == pytest.approx(0.21)


def test_failure_has_its_node_and_its_traceback_and_no_score(ledger: Ledger) -> None:
    error = "Traceback ...\nsklearn.utils.InvalidParameterError: C must be positive"
    ledger.append([evaluation(0, 0, 0.5), evaluation(0, 1, float("nan"), error=error)])
    found = read(ledger)
    assert found.failed == 1
    (failure,) = found.failures
    assert (failure.node, failure.engine, failure.params) == ("node001", 4, "C=10, kernel=rbf")
    assert failure.error == error
    assert failure.reason == "InvalidParameterError: C must be positive"
    assert found.spreads["C"][0].count == 1
    assert [one.failed for one in found.bars] == [False, True]


def test_ledger_is_read_once_also_where_a_line_comes_in_two_pieces(ledger: Ledger) -> None:
    ledger.append([evaluation(0, 0, 0.5)])
    data = ledger.path.read_bytes()
    tail = Tail()
    assert tail.feed(data[:-30])
    assert tail.record is not None
    assert len(tail.record.evaluations) == 0
    assert tail.feed(data[-30:])
    assert len(tail.record.evaluations) == 1
    assert not tail.read(ledger.path)
    ledger.append([evaluation(0, 1, 0.6)])
    assert tail.read(ledger.path)
    assert len(tail.record.evaluations) == 2


def row(path: Path | str, **more: Any) -> SearchRow:
    given = SearchRow("abc", "GridSearch", "running", 1, 6, None, None, 90.0, 100.0, (), ())
    return replace(given, ledger=str(path), here=True, **more)


def test_ledgers_of_searches_that_run_are_followed(ledger: Ledger) -> None:
    following = Ledgers(None)
    ledger.append([evaluation(0, 0, 0.5), evaluation(0, 1, 0.5)])
    first = following.look([row(ledger.path)], set())["abc"]
    assert len(first.times) == 1
    assert following.look([row(ledger.path)], set())["abc"] is first


def test_search_that_has_ended_is_read_when_somebody_looks_at_it(ledger: Ledger) -> None:
    ended = row(ledger.path, state="finished")
    assert Ledgers(None).look([ended], set()) == {}
    assert "abc" in Ledgers(None).look([ended], {"abc"})


def test_why_nothing_is_plotted_is_said(tmp_path: Path, ledger: Ledger) -> None:
    elsewhere = replace(row(ledger.path), here=False)
    assert "the computer that runs it" in Ledgers(None).look([elsewhere], set())["abc"].problem
    lacking = Ledgers(None).look([row(tmp_path / "none")], set())["abc"].problem
    assert lacking == "Its ledger cannot be read: No such file or directory."
    (tmp_path / "bad").write_text('{"kind": "nonsense"}\n')
    assert "damaged" in Ledgers(None).look([row(tmp_path / "bad")], set())["abc"].problem


def test_very_large_ledger_is_read_so_far_and_no_further(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "_LARGEST", 10)
    following = Ledgers(None)
    assert "larger than" in following.look([row(ledger.path)], set())["abc"].problem
    ledger.append([evaluation(0, 0, 0.5)])
    assert not len(following.look([row(ledger.path)], set())["abc"].bars)

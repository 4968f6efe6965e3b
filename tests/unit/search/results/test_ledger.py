"""What was written can be read, whatever happened in between."""

from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate, Part
from spotcluster.search.data.evaluations import Evaluation, Retry
from spotcluster.search.results import record as ledgers
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.record import Header

HEADER = Header(
    id="abc",
    kind="GridSearch",
    question="q",
    settings={"error_score": math.nan},
    splits=[{"path": "/a", "size": 1, "digest": "d"}],
    objects=(SVC(), None),
)
numbers = st.floats() | st.integers(-5, 5).map(float)
evaluations = st.builds(
    Evaluation,
    candidate=st.integers(0, 1000),
    split=st.integers(0, 10),
    test_score=numbers,
    train_score=st.none() | numbers,
    fit_time=numbers,
    error=st.text(),
    killed=st.booleans(),
    node=st.text(),
    engine=st.none() | st.integers(),
)
retries = st.builds(Retry, st.integers(0, 9), st.integers(0, 9), st.text(), lost=st.booleans())


def same(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)  # nan is not equal to itself


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(evaluations | retries, max_size=10), st.integers(0, 10**6))
def test_any_ledger_cut_anywhere_can_be_read(tmp_path: Path, items: list[Any], cut: int) -> None:
    path = tmp_path / "ledger"
    path.unlink(missing_ok=True)
    book = Ledger.create(path, HEADER)
    header_size = path.stat().st_size
    book.append(items)
    book.close()
    whole = ledgers.read(path)
    assert same(whole.header.settings, HEADER.settings)
    assert same(whole.retries, [item for item in items if isinstance(item, Retry)])
    first: dict[Any, Evaluation] = {}
    for item in items:
        if isinstance(item, Evaluation):
            first.setdefault(item.key, item)
    assert same(dict(whole.evaluations), first)

    os.truncate(path, header_size + cut % (path.stat().st_size - header_size + 1))
    record = ledgers.read(path)
    lines = path.read_bytes().count(b"\n")
    assert len(record.evaluations) <= lines
    # after a damaged end, going on makes a sound ledger again
    with Ledger.claimed(path) as book:
        assert same(book.go_on(), record)
        book.append([Retry(3, 4, "again")])
        book.close()
    assert same(ledgers.read(path).retries[-1].reason, "again")
    assert len(ledgers.read(path).retries) == len(record.retries) + 1


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    book = Ledger.create(path, HEADER)
    book.append([Evaluation(0, 0, 0.5), Evaluation(0, 1, 0.5)])
    book.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{damaged\n" + lines[2])
    with pytest.raises(SearchError, match=r"Line 2 of the ledger .* is damaged"):
        ledgers.read(path)


@pytest.mark.parametrize("content", [b"", b"{", b"not json\n", b"[1]\n", b'{"kind": "x"}\n'])
def test_what_is_no_ledger_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger"
    with pytest.raises(SearchError, match="cannot be read"):
        ledgers.read(path)
    path.write_bytes(content)
    with pytest.raises(SearchError):
        ledgers.read(path)


def test_model_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger.create(path, HEADER).close()
    model, scoring = ledgers.read(path).header.objects
    assert (repr(model), scoring) == ("SVC()", None)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["another user's", "changed"])
def test_a_pickle_from_elsewhere_is_not_loaded(tmp_path: Path, how: str) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    path = tmp_path / "ledger"
    Ledger.create(path, replace(HEADER, objects=Bomb())).close()
    if how == "changed":
        line = json.loads(path.read_text())
        line["pickle"] = line["pickle"][:-8] + "AAAAAAA="
        path.write_text(json.dumps(line) + "\n")
    else:
        (files.home() / "ledger.key").unlink()
    assert ledgers.read(path).header.objects is None
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("params", [{"C": 1.5}, {"kernel": SVC()}])
def test_candidates_come_back(tmp_path: Path, params: dict[str, Any]) -> None:
    path = tmp_path / "ledger"
    book = Ledger.create(path, HEADER)
    book.add([Candidate(params, 0), Candidate(params, 1, Part(n_samples=10), {"iter": 2})])
    book.append([Evaluation(0, 0, 0.5)])
    book.add([Candidate(params, 2, Part(train_fraction=0.5, seed=1))])
    book.close()
    assert repr(ledgers.read(path).candidates) == repr(
        [
            Candidate(params, 0),
            Candidate(params, 1, Part(n_samples=10), {"iter": 2}),
            Candidate(params, 2, Part(train_fraction=0.5, seed=1)),
        ]
    )
    (files.home() / "ledger.key").unlink(missing_ok=True)
    assert (ledgers.read(path).candidates is None) == ("kernel" in params)


def test_what_json_gives_back() -> None:
    import numpy as np

    assert ledgers.jsonable([{"a": 1, "b": [1.5, "x", None, True]}])
    for thing in ((1, 2), np.float64(1), {1: 2}, object(), [SVC()]):
        assert not ledgers.jsonable(thing)


class FullDisk:
    """A file of which half of what is written arrives, and no more."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: memoryview) -> int:
        self._file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_left_half_a_line_and_could_not_be_closed(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    book = Ledger.create(path, HEADER)
    book.append([Evaluation(0, 0, 0.5)])
    size = path.stat().st_size
    book._file = FullDisk(book._file)
    with pytest.raises(OSError, match="No space left"):
        book.append([Evaluation(0, 1, 0.5)])
    book.close()
    assert path.stat().st_size == size
    assert list(ledgers.read(path).evaluations) == [(0, 0)]


def test_a_ledger_that_could_not_be_begun_stayed_locked(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with pytest.raises(TypeError):
        Ledger.create(path, replace(HEADER, settings={"error_score": object()}))
    Ledger.create(path, HEADER).close()
    with pytest.raises(SearchError, match="cannot be written"):
        Ledger.create(tmp_path / "ledger" / "in a file", HEADER)


def test_a_class_of_a_notebook_became_a_copy_when_its_ledger_was_read(tmp_path: Path) -> None:
    """Its methods saw the functions that were there when the ledger was written."""
    cell: dict[str, Any] = {"__name__": "__main__"}
    exec("class Model:\n def fit(self): return helper()\ndef helper(): return 1", cell)
    book = Ledger.create(tmp_path / "ledger", replace(HEADER, objects={"model": cell["Model"]()}))
    book.close()
    exec("def helper(): return 2", cell)
    read = ledgers.read(tmp_path / "ledger").header.objects
    assert type(read["model"]) is cell["Model"]
    assert cell["Model"]().fit() == 2

"""What is in ledgers, as `spotcluster results` shows, exports, merges and compares it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from spotcluster import files
from spotcluster.cli.main import run
from spotcluster.search import GridSearch, persist_cv_splits

X, Y = load_iris(return_X_y=True)
GRID = {"C": [0.1, 1.0, 10.0], "kernel": ["rbf", "linear"]}
LIMIT = 240.0
Searched = Callable[..., Any]


@pytest.fixture
def engines() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def searched(engines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Searched:
    """Give what runs a search that writes a ledger, up to so many evaluations."""
    monkeypatch.chdir(tmp_path)
    splits = persist_cv_splits(X, Y, name="iris", n_cv_iter=3, random_state=0)

    def one(name: str, most: int = 1000, model: Any = None) -> Any:
        search = GridSearch(engines, ledger=name)
        pace = 0.05 if most < 1000 else 0.0
        search.launch_for_splits(model or SVC(), GRID, splits, pace=pace)
        for _, _ in zip(range(most), search.as_completed(LIMIT), strict=False):
            pass
        return search.abort()

    return one


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert run(["results", *words]) == status
    found = capsys.readouterr()
    return found.err if status else found.out


def test_best_candidates_are_shown(searched: Searched, capsys: pytest.CaptureFixture[str]) -> None:
    search = searched("one.ledger")
    shown = said(capsys, "-n", "2", "one.ledger")
    assert "GridSearch of SVC, 18 of 18 evaluations, 0 failed" in shown
    best = search.find_bests(2)
    rows = [line.split() for line in shown.splitlines() if line[:1] in "12"]
    assert [row[0] for row in rows] == ["1", "2"]
    assert [float(row[1]) for row in rows] == [round(one.validation, 5) for one in best]
    assert [row[-1] for row in rows] == [one.params["kernel"] for one in best]
    (told,) = json.loads(said(capsys, "--json", "-n", "1", "one.ledger"))
    assert told["best"][0]["params"] == search.best_params_
    assert told["best"][0]["validation"] == search.best_score_


def test_table_goes_into_files(searched: Searched, capsys: pytest.CaptureFixture[str]) -> None:
    search = searched("one.ledger")
    said(capsys, "--csv", "c.csv", "--parquet", "c.parquet", "one.ledger")
    with Path("c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean_test_score"]) for row in rows] == sorted(
        search.cv_results_["mean_test_score"], reverse=True
    )
    frame = pl.read_parquet("c.parquet")
    assert frame["param_C"].to_list() == [float(row["param_C"]) for row in rows]
    assert frame["param_kernel"].to_list() == [row["param_kernel"] for row in rows]
    said(capsys, "--by", "evaluation", "--parquet", "e.parquet", "one.ledger")
    each = pl.read_parquet("e.parquet")
    assert len(each) == 18
    assert each["fit_time"].sum() == sum(item.fit_time for item in search.evaluations())


def test_parts_of_one_search_become_one_that_can_be_resumed(
    searched: Searched, engines: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first = searched("a.ledger", 5)
    second = searched("b.ledger", 8)
    said(capsys, "--merge", "whole.ledger", "a.ledger", "b.ledger")
    keys = {one.key for one in first.evaluations()} | {one.key for one in second.evaluations()}
    (told,) = json.loads(said(capsys, "--json", "whole.ledger"))
    assert told["evaluations"] == len(keys)
    whole = GridSearch.resume("whole.ledger", engines)
    assert whole.wait(LIMIT)
    kept = {one.key: one for one in whole.evaluations()}
    assert all(kept[one.key] == one for one in first.evaluations())
    assert len(kept) == 18
    assert "is there already" in said(
        capsys, "--merge", "whole.ledger", "a.ledger", "b.ledger", status=1
    )


def test_other_searches_are_not_merged(
    searched: Searched, capsys: pytest.CaptureFixture[str]
) -> None:
    searched("a.ledger")
    searched("b.ledger", model=SVC(gamma=0.1))
    refused = said(capsys, "--merge", "c.ledger", "a.ledger", "b.ledger", status=1)
    assert "is not of the search that" in refused
    assert not Path("c.ledger").exists()


def test_several_are_compared(searched: Searched, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = searched("a.ledger"), searched("b.ledger", model=SVC(gamma=10.0))
    lines = said(capsys, "a.ledger", "b.ledger").splitlines()
    for line, search in zip(lines[-2:], (one, other), strict=True):
        assert "18 of 18" in line
        assert f"{search.best_score_:.5f}" in line
    assert "One table is of one ledger" in said(
        capsys, "--csv", "x.csv", "a.ledger", "b.ledger", status=2
    )


class Kernel(str):
    """A value that JSON does not hold."""


def test_ledger_of_another_user_is_shown_without_parameters(
    searched: Searched, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRID, "kernel", [Kernel("rbf"), Kernel("linear")])
    search = searched("a.ledger")
    (files.private_dir() / "ledger.key").unlink()
    assert run(["results", "a.ledger"]) == 0
    shown = capsys.readouterr()
    assert f"{search.best_score_:.5f}" in shown.out
    assert "cannot be read here" in shown.err


def test_what_is_no_ledger_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_text("no\n")
    assert "Line 1 of the ledger" in said(capsys, str(tmp_path / "x"), status=1)
    assert "There is no ledger" in said(capsys, str(tmp_path / "y"), status=2)


def test_missing_polars_names_the_extra(
    searched: Searched, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched("one.ledger")
    monkeypatch.setitem(sys.modules, "polars", None)
    assert "spotcluster[parquet]" in said(capsys, "--parquet", "p", "one.ledger", status=1)

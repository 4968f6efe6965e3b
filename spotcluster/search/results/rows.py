"""Results as rows, one dictionary each, and files that other programs read."""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import plain
from spotcluster.search.results.results import Results

Row = dict[str, Any]


def candidate_rows(results: Results) -> list[Row]:
    """Return a row for each candidate with a finished split, the best first.

    It has its number, rank and parameters, and over its finished splits the means of its scores and
    times and their standard errors.
    """
    order = results.order().tolist()
    figures = {name: column.tolist() for name, column in results.figures().items()}
    return [
        {
            "candidate": number,
            "rank": rank,
            **_params(plain(dict(sorted(results.candidates[number].params.items())))),
            **results.candidates[number].more,
            **{name: column[number] for name, column in figures.items()},
        }
        for rank, number in enumerate(order, start=1)
    ]


def evaluation_rows(results: Results) -> list[Row]:
    """Return a row for each finished evaluation, in the order in which they were finished.

    It has its parameters, scores, times (seconds), error, and who did it and when.
    """
    rows = []
    for item in results.evaluations:
        candidate = results.candidates[item.candidate]
        row = item.as_plain()
        tests, trains = row.pop("test_scores"), row.pop("train_scores")
        rows.append(
            {
                "candidate": row.pop("candidate"),
                "split": row.pop("split"),
                **_params(candidate.params),
                **candidate.more,
                **row,
                **{f"test_{name}": score for name, score in tests.items()},
                **{f"train_{name}": score for name, score in trains.items()},
            }
        )
    return rows


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV, with the names of all columns in the first line."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns(rows))
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    files.write_private(path, text.getvalue())


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet, by polars.

    Raises
    ------
    SearchError
        If that is not installed here.
    """
    try:
        polars = importlib.import_module("polars")
    except ImportError as error:
        raise SearchError(
            "To write Parquet needs polars, which is not installed here.",
            "Run: pip install 'spotcluster[parquet]'; --csv needs nothing.",
        ) from error
    found = {name: _column(row.get(name) for row in rows) for name in columns(rows)}
    data = io.BytesIO()
    polars.DataFrame(found).write_parquet(data)
    files.write_private(path, data.getvalue())


def columns(rows: Iterable[Row]) -> list[str]:
    """Return the names of all columns, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _column(values: Iterable[Any]) -> list[Any]:
    """Return values that are of one type: numbers where all are, and else text."""
    found = [plain(value) for value in values]
    kinds = {type(value) for value in found if value is not None}
    if len(kinds) <= 1 and kinds <= {bool, int, float, str}:
        return found
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in found]
    return [None if value is None else str(_cell(value)) for value in found]


def _cell(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return value


def _params(params: dict[str, Any]) -> Row:
    return {f"param_{name}": value for name, value in params.items()}

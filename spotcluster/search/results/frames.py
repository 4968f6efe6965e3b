"""Results as pandas data frames; pandas is not needed for anything else."""

from __future__ import annotations

import importlib
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search.results import rows
from spotcluster.search.results.results import Results


def candidates_frame(results: Results) -> Any:
    """Return `rows.candidate_rows` as a data frame."""
    return _frame(rows.candidate_rows(results), index="candidate")


def evaluations_frame(results: Results) -> Any:
    """Return `rows.evaluation_rows` as a data frame, with times as pandas has them."""
    found = rows.evaluation_rows(results)
    frame = _frame(found, index=["candidate", "split"])
    for name in ("started", "ended") if found else ():
        frame[name] = _pandas().to_datetime(frame[name], unit="s", utc=True)
    return frame


def _frame(found: list[rows.Row], index: Any) -> Any:
    frame = _pandas().DataFrame.from_records(found)
    return frame.set_index(index) if found else frame


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise SearchError(
            "Data frames need pandas, which is not installed here.", "Run: pip install pandas"
        ) from error

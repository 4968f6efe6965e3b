"""Results as pandas data frames; pandas is not needed for anything else."""

from __future__ import annotations

import importlib
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import plain
from spotcluster.search.results.results import Results


def candidates_frame(results: Results) -> Any:
    """Return a row for each candidate with a finished split, the best first.

    The columns are its ``rank`` and parameters, and over its finished splits the means of its
    scores and times and their standard errors.
    """
    order = results.order()
    candidates = [results.candidates[number] for number in order]
    frame = _frame(
        [
            {
                "candidate": number,
                "rank": rank,
                **_params(plain(dict(sorted(candidate.params.items())))),
                **candidate.more,
            }
            for rank, (number, candidate) in enumerate(zip(order, candidates, strict=True), start=1)
        ],
        index="candidate",
    )
    return frame.assign(**{name: column[order] for name, column in results.figures().items()})


def evaluations_frame(results: Results) -> Any:
    """Return a row for each finished evaluation, in the order in which they were finished.

    The columns are its parameters, scores, times (seconds), error, and who did it and when.
    """
    pandas = _pandas()
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
    frame = _frame(rows, index=["candidate", "split"])
    for name in ("started", "ended") if rows else ():
        frame[name] = pandas.to_datetime(frame[name], unit="s", utc=True)
    return frame


def _params(params: dict[str, Any]) -> dict[str, Any]:
    return {f"param_{name}": value for name, value in params.items()}


def _frame(rows: list[dict[str, Any]], index: Any) -> Any:
    frame = _pandas().DataFrame.from_records(rows)
    return frame.set_index(index) if rows else frame


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise SearchError(
            "Data frames need pandas, which is not installed here.", "Run: pip install pandas"
        ) from error

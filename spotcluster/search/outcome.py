"""What a search comes to: scikit-learn's results of it, and the warnings that it gives of them."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from spotcluster.errors import SearchError
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.sklearn_private import warn_or_raise_about_fit_failures

MOST_WARNINGS = 50  # different ones that are told of


class NotFinished(SearchError, NotFittedError):  # type: ignore[misc] # it has no types
    """A result was asked for that there is not yet."""


class AllFailed(NotFinished):
    """The best was asked for of a search in which nothing but failures came out."""

    def __init__(self, evaluations: Sequence[Evaluation]) -> None:
        last = shorten(evaluations[0].error.strip().splitlines()[-1], 200, placeholder="...")
        super().__init__(
            f"There is no best candidate: all {len(evaluations)} evaluations failed, the first"
            f" with: {last}",
            "search.failed() has their tracebacks.",
        )


@dataclass
class Outcome:
    """The results of a search, or what is known of them by now.

    Attributes
    ----------
    table : dict
        ``cv_results_``.
    n_splits : int
    scorer : callable or dict of callable
    metrics : list of str
        The names of the scores, when there are several.
    metric : str or None
        The score by which candidates are compared; None when it is not said which of several.
    best_index : int or None
        The row of the best candidate; None when there is none, or it is not asked for.
    best_score : float or None
    estimator : estimator or None
        The best one, fitted on all data.
    refit_time : float or None
        Seconds.
    """

    table: dict[str, Any]
    n_splits: int
    scorer: Any
    metrics: list[str]
    metric: str | None
    best_index: Any = None
    best_score: Any = None
    estimator: Any = None
    refit_time: float | None = None

    @property
    def best_params(self) -> dict[str, Any] | None:
        if self.best_index is None:
            return None
        params: dict[str, Any] = self.table["params"][self.best_index]
        return params


Round = tuple[list[Evaluation], dict[str, Any]]
"""Evaluations that were begun together, and the table with theirs."""


def plain_filters() -> list[tuple[Any, ...]]:
    """Return the filters of warnings that there are here, for engines that may not have all."""
    # Where threads have their own, there is a function for it.
    filters: Any = getattr(warnings, "_get_filters", lambda: warnings.filters)()
    return [
        (
            action,
            getattr(message, "pattern", message),
            (kind.__module__, kind.__qualname__),
            getattr(module, "pattern", module),
            line,
        )
        for action, message, category, module, line in filters
        for kind in (category if isinstance(category, tuple) else (category,))
    ]


def warn_again(evaluations: Iterable[Evaluation], total: int) -> None:
    """Warn here of what was warned of on engines: once of each text, with how often it was.

    A warning is of its own category where that can be imported here, and else of one of its bases.

    Parameters
    ----------
    evaluations : iterable of Evaluation
        Those in which something was.
    total : int
        How many there are.
    """
    counts: Counter[tuple[Any, str]] = Counter()
    within: Counter[tuple[Any, str]] = Counter()
    for evaluation in evaluations:
        for names, text, count in evaluation.warned:
            key = (tuple(map(tuple, names)), text)
            counts[key] += count
            within[key] += 1
    for (names, text), count in counts.most_common(MOST_WARNINGS):
        times = "once" if count == 1 else f"{count} times"
        of = f"in {within[names, text]} of {total} evaluations"
        _warn(names, f"{text}\n(Warned of {times} on engines, {of}.)")
    if len(counts) > MOST_WARNINGS:
        left = len(counts) - MOST_WARNINGS
        _warn((), f"Engines have warned of {left} more things, each less often than these.")


def _warn(names: Iterable[tuple[str, str]], text: str) -> None:
    for module, name in names:
        with contextlib.suppress(ImportError, AttributeError, TypeError, ValueError):
            warning = getattr(importlib.import_module(module), name)(text)
            if isinstance(warning, Warning):
                break
    else:
        warning = UserWarning(text)
    warnings.warn(warning, stacklevel=5)


def warn_of_failures(
    evaluations: Iterable[Evaluation], table: dict[str, Any], error_score: float
) -> None:
    """Warn of evaluations that failed as scikit-learn's searches do.

    Raises
    ------
    ValueError
        If all fits failed, or a scorer gave what is not a number; as in scikit-learn.
    """
    evaluations = sorted(evaluations, key=lambda evaluation: evaluation.key)
    for evaluation in evaluations:
        if evaluation.failed_in == "number":  # in a ledger of a former version
            last = evaluation.error.strip().splitlines()[-1]
            raise ValueError(last.removeprefix("ValueError: "))
        if evaluation.failed_in == "score":
            warnings.warn(
                "Scoring failed. The score on this train-test partition for these parameters will"
                f" be set to {error_score}. Details: \n{evaluation.error}",
                UserWarning,
                stacklevel=4,
            )
    unfit = [
        {"fit_error": item.error if item.error and item.failed_in != "score" else None}
        for item in evaluations
    ]
    warn_or_raise_about_fit_failures(unfit, error_score)
    for name, means in table.items():
        kind = name.removeprefix("mean_").split("_")[0]
        if name.startswith(("mean_test_", "mean_train_")) and not np.isfinite(means).all():
            warnings.warn(
                f"One or more of the {kind} scores are non-finite: {means}",
                UserWarning,
                stacklevel=4,
            )

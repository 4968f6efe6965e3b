"""Pictures of a search; matplotlib is an extra."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search.candidates import Candidate, plain
from spotcluster.search.evaluations import Evaluation


def boxplot_parameters(
    candidates: Sequence[Candidate], evaluations: Sequence[Evaluation], *, display_train: bool
) -> Any:
    """Plot the scores for each value of each parameter, whatever the others were."""
    pyplot = _pyplot()
    groups = scores_by_value(candidates, evaluations)
    if not groups:
        raise SearchError("There is nothing to plot yet: no evaluation is finished.")
    kinds = ["validation", "train"] if display_train else ["validation"]
    figure, axes = pyplot.subplots(
        len(groups), len(kinds), figsize=(10, 4 * len(groups)), squeeze=False
    )
    for row, (parameter, by_value) in zip(axes, groups.items(), strict=True):
        for axis, kind in zip(row, kinds, strict=True):
            labels = list(by_value)
            axis.boxplot([by_value[label][kind] for label in labels])
            axis.set_xticks(range(1, len(labels) + 1), labels)
            axis.set_xlabel(parameter)
            axis.set_ylabel(f"{kind} score")
    figure.tight_layout()
    return figure


def scores_by_value(
    candidates: Sequence[Candidate], evaluations: Sequence[Evaluation]
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return the scores by parameter, value (as text, in the grid's order) and kind."""
    groups: dict[str, dict[str, dict[str, list[float]]]] = {}
    for evaluation in sorted(evaluations, key=lambda item: candidates[item.candidate].order):
        for parameter, value in candidates[evaluation.candidate].params.items():
            text = f"{value:g}" if isinstance(value := plain(value), float) else str(value)
            scores = groups.setdefault(parameter, {}).setdefault(
                text, {"validation": [], "train": []}
            )
            scores["validation"].append(evaluation.test_score)
            if evaluation.train_score is not None:
                scores["train"].append(evaluation.train_score)
    return groups


def _pyplot() -> Any:
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise SearchError(
            "Plots need matplotlib, which is not installed here.", "Run: pip install matplotlib"
        ) from error

"""Pictures of scores: by parameter, by time, by the size of the training set.

matplotlib is an extra. A value that failed is drawn as that, never as the score that stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate, in_words, plain
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.results.drawing import (
    QUIET,
    TRAIN,
    VALIDATION,
    WIDTH,
    WRONG,
    finite,
    legend,
    mark_failures,
    name_ticks,
    nothing,
    quiet,
    say_at,
    scale,
    short,
    subplots,
    text,
    time_unit,
    title,
)
from spotcluster.search.results.subject import UNNAMED, Subject

BOXES = 16  # in a row, of numbers
_ASIDE = 0.08  # by which train and validation stand apart over a word
_SPREAD = "± standard deviation over candidates and splits"


# --- parameters -----------------------------------------------------------------------------------


@dataclass
class Scores:
    """The scores of all evaluations with one value of a parameter.

    Attributes
    ----------
    validation, train : list of float
    by_candidate : dict
        The validation scores by candidate.
    failed : bool
        Whether every evaluation failed: what they have for scores stands for none.
    """

    validation: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    by_candidate: dict[int, list[float]] = field(default_factory=dict)
    failed: bool = True

    def add(self, evaluation: Evaluation) -> None:
        self.failed = self.failed and bool(evaluation.error)
        self.validation.append(evaluation.test_score)
        self.by_candidate.setdefault(evaluation.candidate, []).append(evaluation.test_score)
        if evaluation.train_score is not None:
            self.train.append(evaluation.train_score)

    def known(self, kind: str) -> list[float]:
        """Return the scores of a kind that are numbers; none of a value that failed."""
        return [] if self.failed else finite(getattr(self, kind))

    @property
    def best(self) -> float:
        """The best candidate's mean validation score."""
        means = [float(np.mean(scores)) for scores in self.by_candidate.values()]
        return math.nan if self.failed else max(finite(means), default=math.nan)


def scores_by_value(
    candidates: Sequence[Candidate], evaluations: Sequence[Evaluation], grid: Any = None
) -> dict[str, dict[Any, Scores]]:
    """Return the scores by parameter and value, in the grid's order.

    Values are numbers, or texts of what is none. Without the grid they are in the order in which
    it would be gone through, as far as that is known of candidates that were drawn from it.
    """
    groups: dict[str, dict[Any, Scores]] = {}
    for evaluation in sorted(evaluations, key=lambda item: candidates[item.candidate].order):
        for parameter, value in candidates[evaluation.candidate].params.items():
            of = groups.setdefault(parameter, {})
            of.setdefault(_point(value), Scores()).add(evaluation)
    return {parameter: _in_order(of, _values(grid, parameter)) for parameter, of in groups.items()}


def _in_order(of: dict[Any, Scores], values: Sequence[Any]) -> dict[Any, Scores]:
    places = {value: place for place, value in reversed([*enumerate(values)])}
    return dict(sorted(of.items(), key=lambda item: places.get(item[0], len(values))))


def _values(grid: Any, parameter: str) -> list[Any]:
    """Return the values of a parameter, where a grid, or a list of such, lists them."""
    grids = [grid] if isinstance(grid, dict) else grid if isinstance(grid, list | tuple) else []
    lists = [one.get(parameter) for one in grids if isinstance(one, dict)]
    return [_point(value) for one in lists if isinstance(one, list | tuple) for value in one]


def boxplot_parameters(
    candidates: Sequence[Candidate],
    evaluations: Sequence[Evaluation],
    *,
    display_train: bool,
    subject: Subject = UNNAMED,
    grid: Any = None,
) -> Any:
    """Plot the scores for each value of each parameter, whatever the others were."""
    groups = scores_by_value(candidates, evaluations, grid)
    if not groups:
        raise nothing()
    kinds = ["validation", "train"] if display_train else ["validation"]
    figure, axes = subplots(
        len(groups),
        len(kinds),
        figsize=(WIDTH, 1.0 + 3.2 * len(groups)),
        squeeze=False,
        sharey=True,
    )
    for row, (parameter, by_value) in zip(axes, groups.items(), strict=True):
        for axis, kind in zip(row, kinds, strict=True):
            axis.set_xlabel(parameter)
            quiet(axis)
            if len(by_value) > BOXES and _all_numbers(by_value):
                _points(axis, parameter, by_value, kind)
            else:
                _boxes(axis, by_value, kind, columns=len(kinds))
        row[0].set_ylabel(subject.score)
    for axis, kind in zip(axes[0], kinds, strict=True):
        axis.set_title(f"{kind} scores", loc="left", fontsize="medium")
    title(figure, "Scores by parameter, whatever the others were", subject)
    legend(figure, *axes.flat)
    return figure


def _boxes(axis: Any, by_value: dict[Any, Scores], kind: str, columns: int) -> None:
    colour = _colour(kind)
    boxes = axis.boxplot(
        [scores.known(kind) for scores in by_value.values()],
        patch_artist=True,
        medianprops={"color": colour, "linewidth": 2},
        flierprops={"marker": ".", "markeredgecolor": QUIET},
    )
    for box in boxes["boxes"]:
        box.set(facecolor=colour, alpha=0.25)
    boxes["boxes"][0].set_label(f"{kind}: the middle half of the scores")
    boxes["medians"][0].set_label(f"{kind}: median; the lines reach 1.5 boxes, dots lie outside")
    name_ticks(axis, range(1, len(by_value) + 1), _names(by_value), columns)


def _points(axis: Any, parameter: str, by_value: dict[Any, Scores], kind: str) -> None:
    """Plot points where there are too many numbers for boxes, of a distribution perhaps."""
    points = [(at, score) for at, of in by_value.items() for score in of.known(kind)]
    axis.plot(
        *(zip(*points, strict=True) if points else ((), ())),
        ".",
        color=_colour(kind),
        alpha=0.5,
        label=f"{kind}: an evaluation",
    )
    mark_failures(axis, parameter, sorted(at for at, of in by_value.items() if of.failed))
    scale(axis, sorted(by_value))


def validation_curve(
    candidates: Sequence[Candidate],
    evaluations: Sequence[Evaluation],
    parameter: str,
    *,
    display_train: bool = True,
    subject: Subject = UNNAMED,
    grid: Any = None,
) -> Any:
    """Plot the scores against one parameter: mean and standard deviation, and the best of each.

    Numbers have a line with a band; what is none stands in the grid's order, with bars.
    """
    by_value = scores_by_value(candidates, evaluations, grid).get(parameter, {})
    if not by_value:
        known = sorted({name for candidate in candidates for name in candidate.params})
        raise SearchError(
            f"No finished evaluation has a parameter {parameter!r}.",
            f"The parameters of this search are: {', '.join(known)}.",
        )
    figure, axis = subplots(figsize=(WIDTH, 5.0))
    numeric = _all_numbers(by_value)
    values = sorted(by_value) if numeric else list(by_value)
    places = dict(zip(values, values if numeric else range(len(values)), strict=True))
    kinds = ["train", "validation"] if display_train else ["validation"]
    for kind in kinds:
        rows = [by_value[value].known(kind) for value in values]
        if numeric:
            _band(axis, values, rows, kind, _SPREAD)
        else:
            aside = 0.0 if len(kinds) == 1 else _ASIDE if kind == "train" else -_ASIDE
            _bars(axis, [at + aside for at in places.values()], rows, kind)
    if any(len(scores.by_candidate) > 1 for scores in by_value.values()):
        best = [(places[value], by_value[value].best) for value in values]
        best = [(at, score) for at, score in best if math.isfinite(score)]
        if best:
            axis.plot(
                *zip(*best, strict=True), "*", color=VALIDATION, label="validation (best candidate)"
            )
    if numeric:
        mark_failures(axis, parameter, [value for value in values if by_value[value].failed])
        scale(axis, values)
    else:
        axis.set_xlim(-0.5, len(values) - 0.5)
        name_ticks(axis, list(places.values()), _names(by_value))
        for label, value in zip(axis.get_xticklabels(), values, strict=True):
            if by_value[value].failed:
                label.set_color(WRONG)
    axis.set_xlabel(parameter)
    axis.set_ylabel(subject.score)
    quiet(axis)
    title(figure, f"Scores against {parameter}, whatever the other parameters were", subject)
    legend(figure, axis)
    return figure


def learning_curve(
    train_sizes: Any, train_scores: Any, test_scores: Any, subject: Subject = UNNAMED
) -> Any:
    """Plot scores against the size of the training set, from arrays of scikit-learn's shapes."""
    figure, axis = subplots(figsize=(WIDTH, 5.0))
    for kind, scores in (("train", train_scores), ("validation", test_scores)):
        rows = [finite(row) for row in np.asarray(scores)]
        _band(axis, train_sizes, rows, kind, "± standard deviation over splits")
    axis.set_xlabel("training samples")
    axis.set_ylabel(subject.score)
    quiet(axis)
    title(figure, "Scores against the size of the training set", subject)
    legend(figure, axis)
    return figure


def _band(axis: Any, places: Any, rows: Sequence[list[float]], kind: str, what: str) -> None:
    """Draw means and a band from one place with scores to the next, across those without."""
    there = [(at, row) for at, row in zip(places, rows, strict=True) if row]
    if not there:
        return
    at = [at for at, _ in there]
    mean = np.array([np.mean(row) for _, row in there])
    spread = np.array([np.std(row) for _, row in there])
    colour = _colour(kind)
    axis.plot(at, mean, "o-", color=colour, markersize=4, label=f"{kind} (mean)")
    axis.fill_between(
        *(at, mean - spread, mean + spread),
        color=colour,
        alpha=0.15,
        linewidth=0,
        label=f"{kind} ({what})",
    )


def _bars(axis: Any, places: Sequence[float], rows: Sequence[list[float]], kind: str) -> None:
    there = [(at, row) for at, row in zip(places, rows, strict=True) if row]
    if not there:
        return
    axis.errorbar(
        [at for at, _ in there],
        [np.mean(row) for _, row in there],
        yerr=[np.std(row) for _, row in there],
        fmt="o",
        color=_colour(kind),
        markersize=4,
        capsize=4,
        label=f"{kind} (mean {_SPREAD})",
    )


def _names(by_value: dict[Any, Scores]) -> list[str]:
    """Return the names of values on an axis, and that all failed where that is so."""
    names = short(map(text, by_value))
    return [
        f"{name}\n(all failed)" if scores.failed else name
        for name, scores in zip(names, by_value.values(), strict=True)
    ]


def _all_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _point(value: Any) -> Any:
    value = plain(value)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return value if numeric and math.isfinite(value) else text(value)


def _colour(kind: str) -> str:
    return TRAIN if kind == "train" else VALIDATION


# --- time -----------------------------------------------------------------------------------------


def scores_over_time(
    evaluations: Sequence[Evaluation], n_splits: int
) -> list[tuple[float, int, float]]:
    """Return when each candidate was finished (seconds), which it was, and its mean score."""
    done: dict[int, list[Evaluation]] = {}
    found = []
    for evaluation in sorted(evaluations, key=lambda item: item.ended):
        mine = done.setdefault(evaluation.candidate, [])
        mine.append(evaluation)
        if len(mine) == n_splits:
            mean = float(np.mean([item.test_score for item in mine]))
            found.append((evaluation.ended, evaluation.candidate, mean))
    start = min((item.started for item in evaluations if item.started), default=0.0)
    return [(ended - start, candidate, mean) for ended, candidate, mean in found if ended >= start]


def score_over_time(
    candidates: Sequence[Candidate],
    evaluations: Sequence[Evaluation],
    n_splits: int,
    subject: Subject = UNNAMED,
) -> Any:
    """Plot each candidate when it was finished, and the best so far."""
    points = scores_over_time(evaluations, n_splits)
    points = [point for point in points if math.isfinite(point[2])]
    if not points:
        raise SearchError("There is nothing to plot yet: no candidate has all its splits finished.")
    figure, axis = subplots(figsize=(WIDTH, 5.0))
    times = [time for time, _, _ in points]
    scores = np.array([score for _, _, score in points])
    best = np.maximum.accumulate(scores)
    unit, name = time_unit(times[-1])
    times = [time / unit for time in times]
    axis.plot(times, scores, "o", color=QUIET, markersize=4, alpha=0.6, label="a candidate")
    axis.step(times, best, where="post", color=VALIDATION, linewidth=2, label="best so far")
    place = int(np.argmax(scores))
    axis.plot(*(times[place], scores[place], "o"), color=VALIDATION, markersize=8, label="the best")
    axis.set_xlabel(f"{name} since the first evaluation began")
    axis.set_ylabel(f"{subject.score} (validation, mean over {n_splits} splits)")
    quiet(axis)
    title(figure, "Candidates when they were finished, and the best so far", subject)
    legend(figure, axis)
    params = plain(dict(sorted(candidates[points[place][1]].shown.items())))
    of = ", ".join(f"{key}={in_words(value)}" for key, value in params.items())
    say_at(axis, f"{scores[place]:.5f}  {of}", times[place], float(scores[place]))
    return figure

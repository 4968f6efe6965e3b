"""Pictures of a search; matplotlib is an extra."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate, in_words, plain
from spotcluster.search.data.evaluations import Evaluation, Presence

VALIDATION, TRAIN, WRONG, QUIET = "#1f6feb", "#e8590c", "#d1242f", "#8c959f"
_NODE_COLOURS = ("#1f6feb", "#2da44e", "#8250df", "#bf8700", "#0a7ea4", "#bf3989", "#57606a")
_WIDTH = 9.0  # inches
LABEL = 24  # characters
BOXES = 16  # in a row, of numbers


# --- parameters -----------------------------------------------------------------------------------


def boxplot_parameters(
    candidates: Sequence[Candidate], evaluations: Sequence[Evaluation], *, display_train: bool
) -> Any:
    """Plot the scores for each value of each parameter, whatever the others were."""
    pyplot = _pyplot()
    groups = scores_by_value(candidates, evaluations)
    if not groups:
        raise _nothing()
    kinds = ["validation", "train"] if display_train else ["validation"]
    figure, axes = pyplot.subplots(
        len(groups),
        len(kinds),
        figsize=(_WIDTH, 3.2 * len(groups)),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for row, (parameter, by_value) in zip(axes, groups.items(), strict=True):
        for axis, kind in zip(row, kinds, strict=True):
            colour = VALIDATION if kind == "validation" else TRAIN
            axis.set_xlabel(parameter)
            _quiet(axis)
            if len(by_value) > BOXES and _scatter(axis, by_value, kind, colour):
                continue
            labels = _labels(by_value)
            boxes = axis.boxplot(
                [_finite(scores[kind]) for scores in by_value.values()],
                patch_artist=True,
                medianprops={"color": colour, "linewidth": 2},
                flierprops={"marker": ".", "markeredgecolor": QUIET},
            )
            for box in boxes["boxes"]:
                box.set(facecolor=colour, alpha=0.25)
            axis.set_xticks(range(1, len(labels) + 1), labels)
            if max(map(len, labels)) * len(labels) > 60 // len(kinds):
                axis.tick_params(axis="x", labelrotation=45)
        row[0].set_ylabel("score")
    for axis, kind in zip(axes[0], kinds, strict=True):
        axis.set_title(f"{kind} score", loc="left")
    return figure


def _scatter(
    axis: Any, by_value: dict[str, dict[str, list[float]]], kind: str, colour: str
) -> bool:
    """Plot points where values are numbers, of a distribution perhaps; return whether they are."""
    try:
        values = sorted(map(float, by_value))
    except ValueError:
        return False
    points = [(float(at), score) for at, of in by_value.items() for score in _finite(of[kind])]
    axis.plot(*zip(*points, strict=True) if points else ((), ()), ".", color=colour, alpha=0.5)
    _scale(axis, values)
    return True


def scores_by_value(
    candidates: Sequence[Candidate], evaluations: Sequence[Evaluation]
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return the scores by parameter, value (as text, in the grid's order) and kind."""
    groups: dict[str, dict[str, dict[str, list[float]]]] = {}
    for evaluation in sorted(evaluations, key=lambda item: candidates[item.candidate].order):
        for parameter, value in candidates[evaluation.candidate].params.items():
            scores = groups.setdefault(parameter, {}).setdefault(
                _text(value), {"validation": [], "train": []}
            )
            scores["validation"].append(evaluation.test_score)
            if evaluation.train_score is not None:
                scores["train"].append(evaluation.train_score)
    return groups


def validation_curve(
    candidates: Sequence[Candidate],
    evaluations: Sequence[Evaluation],
    parameter: str,
    *,
    display_train: bool = True,
) -> Any:
    """Plot the scores against one parameter: mean and standard deviation, and the best of each."""
    by_value: dict[Any, dict[str, list[float]]] = {}
    of_candidate: dict[Any, dict[int, list[float]]] = {}
    for evaluation in evaluations:
        params = candidates[evaluation.candidate].params
        if parameter in params:
            value = _point(params[parameter])
            scores = by_value.setdefault(value, {"validation": [], "train": []})
            scores["validation"].append(evaluation.test_score)
            mine = of_candidate.setdefault(value, {})
            mine.setdefault(evaluation.candidate, []).append(evaluation.test_score)
            if evaluation.train_score is not None:
                scores["train"].append(evaluation.train_score)
    if not by_value:
        known = sorted({name for candidate in candidates for name in candidate.params})
        raise SearchError(
            f"No finished evaluation has a parameter {parameter!r}.",
            f"The parameters of this search are: {', '.join(known)}.",
        )
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(_WIDTH, 4.5), layout="constrained")
    numeric = all(isinstance(value, int | float) for value in by_value)
    values = sorted(by_value) if numeric else list(by_value)
    places: Any = values if numeric else range(len(values))
    for kind, colour in (("train", TRAIN), ("validation", VALIDATION)):
        if kind == "train" and not display_train:
            continue
        _band(axis, places, [by_value[value][kind] for value in values], kind, colour)
    means = [[np.mean(scores) for scores in of_candidate[value].values()] for value in values]
    if any(len(row) > 1 for row in means):
        best = [max(_finite(row), default=math.nan) for row in means]
        axis.plot(places, best, "*", color=VALIDATION, label="validation (best candidate)")
    if numeric:
        _scale(axis, values)
    else:
        axis.set_xticks(places, _labels(values))
    axis.set_xlabel(parameter)
    axis.set_ylabel("score")
    _quiet(axis)
    axis.legend(frameon=False)
    return figure


def learning_curve(train_sizes: Any, train_scores: Any, test_scores: Any) -> Any:
    """Plot scores against the size of the training set, from arrays of scikit-learn's shapes."""
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(_WIDTH, 4.5), layout="constrained")
    _band(axis, train_sizes, np.asarray(train_scores), "train", TRAIN)
    _band(axis, train_sizes, np.asarray(test_scores), "validation", VALIDATION)
    axis.set_xlabel("training samples")
    axis.set_ylabel("score")
    _quiet(axis)
    axis.legend(frameon=False)
    return figure


def _band(axis: Any, places: Any, scores: Iterable[Any], label: str, colour: str) -> None:
    finite = [_finite(row) for row in scores]
    if not any(finite):
        return
    mean = np.array([np.mean(row) if row else math.nan for row in finite])
    spread = np.array([np.std(row) if row else math.nan for row in finite])
    axis.plot(places, mean, "o-", color=colour, markersize=4, label=f"{label} (mean)")
    axis.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)


def _scale(axis: Any, values: Sequence[float]) -> None:
    if len(values) > 2 and values[0] > 0 and values[-1] / values[0] >= 50:
        axis.set_xscale("log")


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
    candidates: Sequence[Candidate], evaluations: Sequence[Evaluation], n_splits: int
) -> Any:
    """Plot each candidate when it was finished, and the best so far."""
    points = scores_over_time(evaluations, n_splits)
    points = [point for point in points if math.isfinite(point[2])]
    if not points:
        raise SearchError("There is nothing to plot yet: no candidate has all its splits finished.")
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(_WIDTH, 4.5), layout="constrained")
    times = [time for time, _, _ in points]
    scores = np.array([score for _, _, score in points])
    best = np.maximum.accumulate(scores)
    unit, name = _time_unit(times[-1])
    times = [time / unit for time in times]
    axis.plot(times, scores, "o", color=QUIET, markersize=4, alpha=0.6, label="a candidate")
    axis.step(times, best, where="post", color=VALIDATION, linewidth=2, label="best so far")
    place = int(np.argmax(scores))
    params = plain(dict(sorted(candidates[points[place][1]].params.items())))
    text = ", ".join(f"{key}={in_words(value)}" for key, value in params.items())
    axis.plot(times[place], scores[place], "o", color=VALIDATION, markersize=8)
    late = times[place] > times[-1] / 2
    axis.annotate(
        f"{scores[place]:.5f}  {text if len(text) <= 70 else text[:67] + '...'}",
        (times[place], scores[place]),
        xytext=(-8 if late else 8, 7),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize="small",
    )
    axis.margins(y=0.12)
    axis.set_xlabel(f"{name} since the first evaluation began")
    axis.set_ylabel("mean validation score")
    _quiet(axis)
    axis.legend(frameon=False, loc="lower right")
    return figure


def work_per_engine(
    evaluations: Sequence[Evaluation],
    presence: Sequence[Presence] = (),
    *,
    until: float | None = None,
) -> Any:
    """Plot what each engine did when, grouped by node, with the nodes' coming and going.

    Parameters
    ----------
    evaluations : sequence of Evaluation
    presence : sequence of Presence
        When engines were there. Of engines that are not named it is taken from their work.
    until : float, optional
        The end of the picture, in seconds since 1970; by default the last thing known.
    """
    work = [item for item in evaluations if item.node and item.ended]
    if not work:
        raise _nothing()
    pyplot = _pyplot()
    lanes = _lanes(work, presence)
    first = min(item.started for item in work)
    start = max(min([first, *(lane.joined for lane in lanes)]), first - 0.05 * _span(work))
    end = max([until or 0.0, *(item.ended for item in work), *(lane.left or 0.0 for lane in lanes)])
    unit, name = _time_unit(end - start)
    colours: dict[str, str] = {}
    places: list[float] = []
    for lane in lanes:
        gap = 0.0 if not places else 1.0 if lane.node in colours else 1.6
        places.append((places[-1] if places else 0.0) + gap)
        colours.setdefault(lane.node, _NODE_COLOURS[len(colours) % len(_NODE_COLOURS)])
    height = min(1.8 + 0.26 * places[-1], 30)
    figure, axis = pyplot.subplots(figsize=(_WIDTH, height), layout="constrained")
    for lane, place in zip(lanes, places, strict=True):
        mine = [item for item in work if (item.node, item.uuid or "") == (lane.node, lane.uuid)]
        _draw_lane(axis, place, lane, mine, colours[lane.node], (start, end, unit))
    axis.set_yticks(places, [str(lane.engine) for lane in lanes], fontsize="small")
    axis.tick_params(axis="y", length=0)
    for node, colour in colours.items():
        mine_at = [place for lane, place in zip(lanes, places, strict=True) if lane.node == node]
        axis.text(
            -0.045,
            sum(mine_at) / len(mine_at),
            node,
            transform=axis.get_yaxis_transform(),
            ha="right",
            va="center",
            color=colour,
            fontweight="bold",
        )
    axis.set_ylim(places[-1] + 0.7, -0.7)
    axis.set_xlim(-0.01 * (end - start) / unit, 1.015 * (end - start) / unit)
    axis.set_xlabel(name)
    taken = any(lane.taken for lane in lanes)
    _legend(axis, failed=any(item.error for item in work), taken=taken)
    _quiet(axis, grid="x")
    axis.spines["left"].set_visible(False)
    return figure


def _draw_lane(
    axis: Any,
    place: float,
    lane: Presence,
    work: Sequence[Evaluation],
    colour: str,
    scale: tuple[float, float, float],
) -> None:
    start, end, unit = scale
    left = (max(lane.joined, start) - start) / unit
    right = ((lane.left or end) - start) / unit
    axis.barh(place, right - left, left=left, height=0.9, color=colour, alpha=0.12, linewidth=0)
    for failed in (False, True):
        bars = [
            ((item.started - start) / unit, (item.ended - item.started) / unit)
            for item in work
            if bool(item.error) == failed
        ]
        axis.broken_barh(
            bars,
            (place - 0.36, 0.72),
            facecolors=WRONG if failed else colour,
            edgecolors="white",
            linewidth=0.4 if len(bars) < 200 else 0.0,
        )
    margin = 0.01 * (end - start)
    if lane.joined > start + margin:
        axis.plot(left, place, ">", color=colour, markersize=5)
    if lane.taken is not None:
        at = (min(max(lane.taken, start), end) - start) / unit
        axis.plot(at, place, "d", color=TRAIN, markersize=5)
    if lane.left is not None and lane.left < end - margin:
        axis.plot(right, place, "x", color=WRONG, markersize=6, mew=1.8)


def _lanes(work: Sequence[Evaluation], presence: Sequence[Presence]) -> list[Presence]:
    """Return one line of the picture for each engine, those of a node together."""
    lanes = {(item.node, item.uuid): item for item in presence}
    last = max(item.ended for item in work)
    span = _span(work)
    for item in work:
        key = (item.node, item.uuid or "")
        if key in lanes:
            continue
        mine = [other for other in work if (other.node, other.uuid or "") == key]
        ended = max(other.ended for other in mine)
        longest = max(other.ended - other.started for other in mine)
        # Nobody saw it leave; it is gone when it was idle for long while others worked.
        gone = last - ended > max(2 * longest, 0.05 * span)
        lanes[key] = Presence(
            item.node,
            -1 if item.engine is None else item.engine,
            item.uuid or "",
            min(other.started for other in mine),
            ended if gone else None,
        )
    first: dict[str, float] = {}
    for lane in lanes.values():
        first[lane.node] = min(first.get(lane.node, math.inf), lane.joined)
    by_coming = sorted(first, key=lambda node: (round((first[node]) / max(span, 1e-9), 1), node))
    return sorted(
        lanes.values(), key=lambda lane: (by_coming.index(lane.node), lane.joined, lane.engine)
    )


def _legend(axis: Any, *, failed: bool, taken: bool) -> None:
    lines = importlib.import_module("matplotlib.lines")
    patches = importlib.import_module("matplotlib.patches")
    handles = [
        patches.Patch(facecolor=QUIET, label="an evaluation"),
        patches.Patch(facecolor=QUIET, alpha=0.15, label="idle"),
        lines.Line2D([], [], ls="", marker=">", color=QUIET, label="joins"),
        lines.Line2D([], [], ls="", marker="x", color=WRONG, mew=1.8, label="leaves"),
    ]
    if taken:
        style = {"marker": "d", "color": TRAIN, "markersize": 5}
        handles.append(lines.Line2D([], [], ls="", label="EC2 says that it is taken back", **style))
    if failed:
        handles.insert(1, patches.Patch(facecolor=WRONG, label="it failed"))
    axis.legend(
        handles=handles,
        ncols=len(handles),
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        fontsize="small",
    )


def _span(work: Sequence[Evaluation]) -> float:
    return max(item.ended for item in work) - min(item.started for item in work)


def _time_unit(seconds: float) -> tuple[float, str]:
    if seconds < 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")


# --- what they share ------------------------------------------------------------------------------


def _text(value: Any) -> str:
    return in_words(value, sys.maxsize)


def _labels(texts: Iterable[Any]) -> list[str]:
    """Return short labels for different values, which stay different."""
    labels: list[str] = []
    for text in map(str, texts):
        label = text if len(text) <= LABEL else text[: LABEL - 3] + "..."
        again = sum(other.partition(" (")[0] == label for other in labels)
        labels.append(f"{label} ({again + 1})" if again and label != text else label)
    return labels


def _point(value: Any) -> Any:
    value = plain(value)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return value if numeric else _text(value)


def _finite(scores: Iterable[Any]) -> list[float]:
    return [float(score) for score in scores if math.isfinite(score)]


def _quiet(axis: Any, grid: str = "y") -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis=grid, alpha=0.3, linewidth=0.6)
    axis.set_axisbelow(True)


def _nothing() -> SearchError:
    return SearchError("There is nothing to plot yet: no evaluation is finished.")


def _pyplot() -> Any:
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise SearchError(
            "Plots need matplotlib, which is not installed here.", "Run: pip install matplotlib"
        ) from error

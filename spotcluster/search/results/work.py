"""The picture of who did what when, and of nodes that come and go."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

from spotcluster.search.data.evaluations import Evaluation, Presence
from spotcluster.search.results.drawing import (
    QUIET,
    TRAIN,
    WIDTH,
    WRONG,
    nothing,
    quiet,
    subplots,
    time_unit,
    title,
)
from spotcluster.search.results.subject import UNNAMED, Subject

_NODE_COLOURS = ("#1f6feb", "#2da44e", "#8250df", "#bf8700", "#0a7ea4", "#bf3989", "#57606a")


def work_per_engine(
    evaluations: Sequence[Evaluation],
    presence: Sequence[Presence] = (),
    *,
    until: float | None = None,
    subject: Subject = UNNAMED,
) -> Any:
    """Plot what each engine did when, grouped by node, with the nodes' coming and going.

    Parameters
    ----------
    evaluations : sequence of Evaluation
    presence : sequence of Presence
        When engines were there. Of engines that are not named it is taken from their work.
    until : float, optional
        The end of the picture, in seconds since 1970; by default the last thing known.
    subject : Subject
        What the search is of, for the title.
    """
    work = [item for item in evaluations if item.node and item.ended]
    if not work:
        raise nothing()
    lanes = _lanes(work, presence)
    first = min(item.started for item in work)
    start = max(min([first, *(lane.joined for lane in lanes)]), first - 0.05 * _span(work))
    end = max([until or 0.0, *(item.ended for item in work), *(lane.left or 0.0 for lane in lanes)])
    unit, name = time_unit(end - start)
    colours: dict[str, str] = {}
    places: list[float] = []
    for lane in lanes:
        gap = 0.0 if not places else 1.0 if lane.node in colours else 1.6
        places.append((places[-1] if places else 0.0) + gap)
        colours.setdefault(lane.node, _NODE_COLOURS[len(colours) % len(_NODE_COLOURS)])
    height = min(2.4 + 0.26 * places[-1], 30)
    figure, axis = subplots(figsize=(WIDTH, height))
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
    axis.set_xlabel(f"{name} since the first of it")
    title(figure, "What each engine did when; the numbers are those of engines", subject)
    taken = any(lane.taken for lane in lanes)
    _legend(figure, failed=any(item.error for item in work), taken=taken)
    quiet(axis, grid="x")
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


def _legend(figure: Any, *, failed: bool, taken: bool) -> None:
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
    figure.legend(
        handles=handles,
        ncols=min(len(handles), 4),
        frameon=False,
        loc="outside lower left",
        fontsize="small",
    )


def _span(work: Sequence[Evaluation]) -> float:
    return max(item.ended for item in work) - min(item.started for item in work)

"""What is plotted: work over time, and the scores of a search."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, Range1d
from bokeh.plotting import figure

from spotcluster.dashboard.scores import Scores, Spread
from spotcluster.dashboard.snapshot import SearchRow, Snapshot
from spotcluster.dashboard.work import BINS, WINDOW, Lane, Work
from spotcluster.node_layout import engine_place

LANES = 64
"""Engines that have a line of their own; of more, each node has one."""

_BLUE, _RED, _ORANGE, _GREY = "#2f81f7", "#d1242f", "#d4730a", "#8c959f"
_LIGHT = {"text": "#57606a", "grid": "#d0d7de", "there": "#8c959f", "none": "#eaeef2"}
_DARK = {"text": "#9da7b3", "grid": "#30363d", "there": "#6e7681", "none": "#21262d"}
_SHORTEST = 120.0  # seconds that are shown at least
_BARS = 6000
_TICKS = 12
_BOXES = 40
_WIDE = 50  # from least to greatest value, from where on the axis is logarithmic


def _plot(name: str, height: int, x: str, y: str, **more: Any) -> Any:
    made = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label=x,
        y_axis_label=y,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_right=16,
        **more,
    )
    made.xaxis.axis_line_color = made.yaxis.axis_line_color = None
    for axis in (*made.xaxis, *made.yaxis):
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
    return made


def _hover(made: Any, renderer: Any, *tips: tuple[str, str]) -> None:
    made.add_tools(HoverTool(renderers=[renderer], tooltips=list(tips)))


def _empty(*names: str) -> ColumnDataSource:
    return ColumnDataSource({name: [] for name in names})


def _shades(colours: dict[str, str]) -> list[str]:
    return [colours["none"], "#a8cdfb", "#5ea4f8", _BLUE]


class WorkFigure:
    """What each engine did when; of very many engines, how busy each node was."""

    def __init__(self) -> None:
        self.plot = _plot("work", 220, "time of the day", "", x_axis_type="datetime")
        self.plot.x_range = Range1d(start=0, end=1)
        self.plot.y_range = Range1d(start=0, end=1)
        self.plot.ygrid.visible = False
        self._there = _empty("y", "left", "right")
        self._bars = _empty("y", "left", "right", "what")
        self._failed = _empty("y", "left", "right", "what")
        self._marks = _empty("x", "y", "marker", "color", "what")
        self._image = _empty("image", "x", "y", "dw", "dh")
        self._mapper = LinearColorMapper(palette=_shades(_LIGHT), low=0, high=1)
        self._mapper.nan_color = "rgba(0, 0, 0, 0)"
        self._stay = self.plot.hbar(
            "y",
            left="left",
            right="right",
            height=0.86,
            source=self._there,
            line_color=None,
            fill_alpha=0.22,
        )
        # Two, since Bokeh makes a picture for each bar where hatches differ from bar to bar: a page
        # of a long search did nothing else.
        bars = self._done(self._bars, fill_color=_BLUE)
        failed = self._done(
            self._failed,
            fill_color=_RED,
            hatch_pattern="/",
            hatch_color="white",
            hatch_scale=5,
        )
        marks = self.plot.scatter(
            "x", "y", marker="marker", size=9, color="color", source=self._marks
        )
        self.plot.image(
            "image", "x", "y", "dw", "dh", source=self._image, color_mapper=self._mapper
        )
        for one in (bars, failed, marks):
            _hover(self.plot, one, ("", "@what"))

    def _done(self, source: ColumnDataSource, **look: Any) -> Any:
        return self.plot.hbar(
            "y", left="left", right="right", height=0.62, source=source, line_color=None, **look
        )

    def paint(self, colours: dict[str, str]) -> None:
        """Use the colours of light or dark."""
        self._stay.glyph.fill_color = colours["there"]
        self._mapper.palette = _shades(colours)

    def show(self, seen: Snapshot) -> str:
        """Draw it; return it in words."""
        if seen.work is None:
            return "Nothing is known of the engines yet."
        now = seen.taken_at
        lanes = seen.work.lanes()
        if not lanes:
            return "No engine has been there since this dashboard was started."
        if len(lanes) <= LANES:
            return self._each(seen, seen.work, lanes, now)
        return self._nodes(seen.work, len(lanes), now)

    def _each(self, seen: Snapshot, work: Work, lanes: Sequence[Lane], now: float) -> str:
        done = _finished(seen)
        stays = {lane: work.stays(lane) for lane in lanes}
        pieces = {lane: work.pieces(lane, seen.scores) for lane in lanes}
        first = [stay.joined for of in stays.values() for stay in of]
        first += [piece.start for of in pieces.values() for piece in of]
        first += [bar[0] for of in done.values() for bar in of]
        begin = max(now - WINDOW, min([now - _SHORTEST, *first]))
        place = {lane: len(lanes) - number for number, lane in enumerate(lanes)}
        there: list[tuple[Any, ...]] = []
        bars: list[tuple[Any, ...]] = []
        marks: list[tuple[Any, ...]] = []
        for lane in lanes:
            at, name = place[lane], f"{lane[0]}, engine {lane[1]}"
            for stay in stays[lane]:
                there.append((at, max(begin, stay.joined), stay.left or now))
                if not stay.at_first and stay.joined > begin:
                    marks.append((stay.joined, at, "triangle", _BLUE, f"{name} joined"))
                if stay.left is not None and stay.left > begin:
                    marks.append((stay.left, at, "x", _RED, f"{name} left"))
            if (when := work.taken.get(lane[0])) is not None and when > begin:
                marks.append((when, at, "diamond", _ORANGE, f"{lane[0]} is taken back by EC2"))
            own = [(one.start, one.end or now, False) for one in pieces[lane]]
            own += done.get(lane, [])
            bars += [(at, *one, name) for one in own if one[1] > begin]
        bars = sorted(bars, key=lambda one: one[2])[-_BARS:]
        self._there.data = {
            "y": [one[0] for one in there],
            "left": [_ms(one[1]) for one in there],
            "right": [_ms(one[2]) for one in there],
        }
        for source, failed in ((self._bars, False), (self._failed, True)):
            own = [one for one in bars if one[3] is failed]
            source.data = {
                "y": [one[0] for one in own],
                "left": [_ms(max(begin, one[1])) for one in own],
                "right": [_ms(one[2]) for one in own],
                "what": [_said(one) for one in own],
            }
        self._marks.data = {
            "x": [_ms(one[0]) for one in marks],
            "y": [one[1] for one in marks],
            "marker": [one[2] for one in marks],
            "color": [one[3] for one in marks],
            "what": [one[4] for one in marks],
        }
        self._image.data = {name: [] for name in self._image.data}
        ticks = {at: f"{lane[0]} · {lane[1]}" for lane, at in place.items()}
        self._axes(begin, now, (0.3, len(lanes) + 0.7), ticks, 70 + 20 * len(lanes))
        self.plot.yaxis.axis_label = "node · engine"
        busy = sum(any(one.end is None for one in of) for of in pieces.values())
        return f"{len(lanes)} engines, {busy} of them busy now, over {_span(now - begin)}."

    def _nodes(self, work: Work, engines: int, now: float) -> str:
        nodes, share = work.by_node(now)
        known = np.flatnonzero(~np.isnan(share).all(axis=0))
        least = BINS - max(1, int(_SHORTEST / (WINDOW / BINS)))
        column = min(int(known[0]) if len(known) else least, least)
        width = WINDOW / BINS
        end = (int(now // width) + 1) * width
        begin = end - (BINS - column) * width
        for source in (self._there, self._bars, self._failed, self._marks):
            source.data = {name: [] for name in source.data}
        self._image.data = {
            "image": [share[::-1, column:]],
            "x": [_ms(begin)],
            "y": [0.5],
            "dw": [1000 * (end - begin)],
            "dh": [len(nodes)],
        }
        step = max(1, len(nodes) // _TICKS)
        ticks = {len(nodes) - at: nodes[at] for at in range(0, len(nodes), step)}
        self._axes(begin, end, (0.5, len(nodes) + 0.5), ticks, 560)
        self.plot.yaxis.axis_label = "node"
        busy = share[~np.isnan(share[:, -1]), -1]
        now_busy = f"{busy.mean():.0%} of them are busy now" if len(busy) else "None is there now"
        return (
            f"{engines:,} engines on {len(nodes):,} nodes; a line is a node, the darker the more of"
            f" its engines compute. {now_busy}."
        )

    def _axes(
        self, begin: float, end: float, y: tuple[float, float], ticks: dict[int, str], height: int
    ) -> None:
        plot = self.plot
        if plot.height != height:
            plot.height = height
        plot.x_range.update(start=_ms(begin), end=_ms(end))
        if (plot.y_range.start, plot.y_range.end) != y:
            plot.y_range.update(start=y[0], end=y[1])
        if plot.yaxis[0].major_label_overrides != ticks:
            plot.yaxis.ticker = FixedTicker(ticks=sorted(ticks))
            plot.yaxis[0].major_label_overrides = ticks


def _finished(seen: Snapshot) -> dict[Lane, list[tuple[float, float, bool]]]:
    """Return by engine the evaluations of all ledgers that are followed."""
    found: dict[Lane, list[tuple[float, float, bool]]] = {}
    for scores in seen.scores.values():
        for one in scores.bars:
            if (lane := engine_place(one.uuid)) is not None:
                found.setdefault(lane, []).append((one.start, one.end, one.failed))
    return found


def _said(one: tuple[Any, ...]) -> str:
    _, start, end, failed, name = one
    return f"{name}: {'failed after' if failed else 'for'} {_span(end - start)}"


def _span(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _ms(when: float) -> float:
    """Return a moment for an axis of times, which knows no time zones."""
    return 1000 * (when + time.localtime(when).tm_gmtoff)


class ScoreFigures:
    """The scores of one search: over time, and by the values of one parameter."""

    def __init__(self) -> None:
        self.time = _plot("time", 300, "minutes since it began", "mean validation score")
        self._dots = _empty("x", "y", "what")
        self._best = _empty("x", "y")
        dots = self.time.scatter("x", "y", source=self._dots, size=6, color=_GREY, alpha=0.7)
        self.time.step("x", "y", source=self._best, mode="after", line_width=2.5, color=_BLUE)
        _hover(self.time, dots, ("score", "@y{0.00000}"), ("", "@what"))
        self.curve = _plot("curve", 300, "", "validation score")
        self._band = _empty("x", "low", "high")
        self._mean = _empty("x", "y", "value", "count")
        self._top = _empty("x", "y", "value")
        self.curve.varea("x", "low", "high", source=self._band, color=_BLUE, alpha=0.18)
        self.curve.line("x", "y", source=self._mean, color=_BLUE, line_width=2)
        mean = self.curve.scatter("x", "y", source=self._mean, color=_BLUE, size=7)
        top = self.curve.scatter("x", "y", source=self._top, marker="star", color=_ORANGE, size=12)
        _hover(self.curve, mean, ("value", "@value"), ("mean", "@y{0.00000}"), ("of", "@count"))
        _hover(self.curve, top, ("value", "@value"), ("best candidate", "@y{0.00000}"))
        self.box = _plot("box", 300, "", "validation score")
        self._boxes = _empty("x", "low", "q1", "median", "q3", "high", "value", "count")
        same = {"source": self._boxes, "color": _BLUE}
        self.box.segment("x", "low", "x", "q1", **same)
        self.box.segment("x", "q3", "x", "high", **same)
        box = self.box.vbar(
            "x", top="q3", bottom="q1", width=0.6, fill_alpha=0.25, line_width=1, **same
        )
        self.box.scatter("x", "median", marker="dash", size=26, line_width=3, **same)
        _hover(self.box, box, ("value", "@value"), ("median", "@median{0.00000}"), ("of", "@count"))
        for plot in (self.curve, self.box):
            plot.xgrid.visible = False

    @property
    def plots(self) -> tuple[Any, ...]:
        return self.time, self.curve, self.box

    def show(self, one: SearchRow | None, scores: Scores | None, parameter: str) -> dict[str, str]:
        """Draw them; return each in words."""
        if one is None:
            scores = None
        said = {"time": self._over_time(one, scores)}
        spreads = scores.spreads.get(parameter, ()) if scores else ()
        said["curve"] = self._curve(spreads, parameter)
        said["box"] = self._box(spreads, parameter)
        return said

    def _over_time(self, one: SearchRow | None, scores: Scores | None) -> str:
        if one is None or scores is None or not len(scores.times):
            self._dots.data = {name: [] for name in self._dots.data}
            self._best.data = {name: [] for name in self._best.data}
            return "No candidate has all its splits finished yet."
        since = scores.times - one.started
        begun = min(0.0, float(since[0]))
        unit, name = _unit(float(since[-1]))
        at = (since - begun) / unit
        best = np.maximum.accumulate(scores.scores)
        words = [text if len(text) <= 90 else text[:87] + "..." for text in scores.candidates]
        self._dots.data = {"x": at, "y": scores.scores, "what": words}
        self._best.data = {"x": at, "y": best}
        self.time.xaxis.axis_label = f"{name} since it began"
        top = int(np.argmax(scores.scores))
        return (
            f"{len(at):,} candidates; the best so far has {scores.scores[top]:.5f}, after"
            f" {at[top]:.1f} {name}: {words[top] or 'parameters not known here'}."
        )

    def _curve(self, spreads: Sequence[Spread], parameter: str) -> str:
        x, ticks = _places(spreads)
        mean = np.array([one.mean for one in spreads])
        deviation = np.array([one.deviation for one in spreads])
        values = [one.text for one in spreads]
        self._band.data = {"x": x, "low": mean - deviation, "high": mean + deviation}
        self._mean.data = {"x": x, "y": mean, "value": values, "count": [s.count for s in spreads]}
        self._top.data = {"x": x, "y": [one.best for one in spreads], "value": values}
        _label(self.curve, parameter, ticks)
        if not spreads:
            return "No finished evaluation has a value of it yet."
        top = max(spreads, key=lambda one: one.mean)
        return (
            f"Mean validation score for each of {len(spreads)} values of {parameter}; the highest,"
            f" {top.mean:.5f}, is that of {top.text}."
        )

    def _box(self, spreads: Sequence[Spread], parameter: str) -> str:
        more = len(spreads) - _BOXES
        spreads = spreads[:_BOXES]
        five = np.array([one.quartiles for one in spreads]).reshape(-1, 5)
        self._boxes.data = {
            "x": np.arange(len(spreads), dtype=float),
            **{name: five[:, at] for at, name in enumerate(("low", "q1", "median", "q3", "high"))},
            "value": [one.text for one in spreads],
            "count": [one.count for one in spreads],
        }
        texts = {at: one.text for at, one in enumerate(spreads)}
        _label(self.box, parameter, _some(texts))
        if not spreads:
            return "No finished evaluation has a value of it yet."
        top = max(spreads, key=lambda one: one.quartiles[2])
        left = f" {more} more values are left out." if more > 0 else ""
        return (
            f"Least, quartiles and greatest score for each value of {parameter}; the highest"
            f" median, {top.quartiles[2]:.5f}, is that of {top.text}.{left}"
        )


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")


def _places(spreads: Sequence[Spread]) -> tuple[np.ndarray, dict[float, str]]:
    """Return where values are on the axis, and what is written there."""
    places = np.arange(len(spreads), dtype=float)
    texts = [one.text for one in spreads]
    if len(spreads) > _TICKS and all(type(one.value) in (int, float) for one in spreads):
        places = np.array([float(one.value) for one in spreads])
        if places[0] > 0 and places[-1] / places[0] >= _WIDE:
            places = np.log10(places)
    return places, _some(dict(zip(places.tolist(), texts, strict=True)))


def _some(texts: dict[Any, str]) -> dict[float, str]:
    step = max(1, math.ceil(len(texts) / _TICKS))
    return {float(at): text for at, text in list(texts.items())[::step]}


def _label(plot: Any, parameter: str, ticks: dict[float, str]) -> None:
    plot.xaxis.axis_label = parameter
    if plot.xaxis[0].major_label_overrides != ticks:
        plot.xaxis.ticker = FixedTicker(ticks=sorted(ticks))
        plot.xaxis[0].major_label_overrides = ticks
        long = sum(map(len, ticks.values())) > 60
        plot.xaxis.major_label_orientation = 0.6 if long else "horizontal"


def paint(plots: Iterable[Any], *, dark: bool) -> dict[str, str]:
    """Give plots the colours of dark or light; return them."""
    colours = _DARK if dark else _LIGHT
    for plot in plots:
        for axis in (*plot.xaxis, *plot.yaxis):
            axis.axis_label_text_color = axis.major_label_text_color = colours["text"]
            axis.major_tick_line_color = colours["grid"]
        for grid in (*plot.xgrid, *plot.ygrid):
            grid.grid_line_color = colours["grid"]
    return colours

"""What is plotted on the page, and how much of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spotcluster.cluster.status.controller import Engine
from spotcluster.dashboard import figures
from spotcluster.dashboard.figures import WorkFigure
from spotcluster.dashboard.scores import Bar, Scores
from spotcluster.dashboard.snapshot import Snapshot
from spotcluster.dashboard.work import Work

AT = 1_800_000_000.0


def drawn(evaluations: int) -> WorkFigure:
    """Draw what one engine of each of two nodes has finished, every seventh in vain."""
    nodes = ("node001", "node002")
    work = Work()
    work.see([Engine(1, node, 1, 0, 0, None) for node in nodes], AT)
    bars = []
    for node in nodes:
        bars += [
            Bar(node, f"{node}_1_0123-4567", AT - 1 - one, AT - one - 0.5, failed=one % 7 == 0)
            for one in range(evaluations)
        ]
    none = np.zeros(0)
    scores = Scores(none, none, (), {}, (), 0, tuple(bars), "")
    seen = Snapshot("mycluster", "local", AT, scores={"s": scores}, work=work)
    figure = WorkFigure()
    figure.show(seen)
    return figure


def test_each_bar_had_a_hatch_of_its_own_which_held_up_the_browser() -> None:
    """Bokeh makes a picture for each of thousands of bars, at each update, if hatches differ."""
    figure = drawn(50)
    hatches = [one.glyph.hatch_pattern for one in figure.plot.renderers if "left" in columns(one)]
    assert all(one is None or (isinstance(one, str) and one != "hatch") for one in hatches)
    assert "/" in hatches
    ended = [
        len(one.data_source.data["y"]) for one in figure.plot.renderers if "what" in columns(one)
    ]
    assert sorted(ended) == [0, 16, 84]  # marks, failed and good ones


def columns(renderer: Any) -> set[str]:
    return set(renderer.data_source.data)


def test_of_too_many_bars_the_first_engines_had_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_BARS", 40)
    places = [
        place
        for one in drawn(50).plot.renderers
        if "what" in columns(one)
        for place in one.data_source.data["y"]
    ]
    assert len(places) == 40
    assert places.count(1) == places.count(2) == 20

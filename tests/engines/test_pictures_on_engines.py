"""Pictures and the live display of a search on real engines that come and go."""

from __future__ import annotations

import io
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rich.console import Console
from sklearn.svm import SVC

from spotcluster.search import GridSearch
from spotcluster.search.results import display

from .conftest import Gated, Machines, until

GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.01, 0.1]}


def test_nodes_that_join_and_leave_are_seen(machines: Machines, iris: list[str]) -> None:
    pytest.importorskip("matplotlib").use("agg")
    machines.start("node001", 1)
    grid = {"C": [0.01 * n for n in range(1, 200)], "gamma": [0.01, 0.1]}  # more than enough
    search = GridSearch(machines.client).launch_for_splits(SVC(), grid, iris, pace=0.2)
    until(lambda: search.completed() >= 2, "2 evaluations")
    machines.start("node002", 1)
    until(lambda: "node002" in search.evaluations_per_node(), "node002 works")
    victim = next(item for item in search.evaluations() if item.node == "node001")
    os.kill(victim.pid or 0, signal.SIGKILL)
    until(lambda: set(search.state().engines) == {"node002"}, "node001 gone")
    done = search.evaluations_per_node()["node002"]
    until(lambda: search.evaluations_per_node()["node002"] > done + 3, "more work on node002")
    search.abort()
    (axis,) = search.work_per_engine().axes
    assert [text.get_text() for text in axis.texts] == ["node001", "node002"]
    assert sorted(line.get_marker() for line in axis.lines) == [">", "x"]
    assert len(search.score_over_time().axes) == 1
    assert len(search.validation_curve("C").axes) == 1
    assert len(search.boxplot_parameters(display_train=True).axes) == 4
    if folder := os.environ.get("SPOTCLUSTER_PICTURES"):
        search.work_per_engine().savefig(f"{folder}/work.png", dpi=80)


def test_watch_shows_engines_and_the_best(
    machines: Machines, iris: list[str], gated: Gated
) -> None:
    machines.start("node001", 2)
    search = GridSearch(machines.client).launch_for_splits(gated, GRID, iris)
    until(lambda: search.state().engines == {"node001": 2}, "the engines are known")
    console: Any = Console(file=io.StringIO(), force_terminal=True, width=120)

    def go_on() -> None:
        until(lambda: "2 engines on 1 node" in console.file.getvalue(), "the engines are shown")
        gated.open()

    with ThreadPoolExecutor(1) as pool:
        shown = pool.submit(go_on)
        display.watch(search, n_top=2, console=console)
        shown.result()
    text = console.file.getvalue()
    assert "24/24" in text
    assert f"{search.best_score_:.5f}" in text
    assert "24/24" in search._repr_html_()

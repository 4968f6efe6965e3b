"""Pictures: what is on them, not how it looks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate, grid_candidates
from spotcluster.search.data.evaluations import Evaluation, Presence
from spotcluster.search.results import plots

pytest.importorskip("matplotlib").use("agg")

CANDIDATES = [
    Candidate({"C": 10.0, "kernel": "rbf"}, 0),
    Candidate({"C": 0.1, "kernel": "rbf"}, 1),
    Candidate({"C": 10.0, "kernel": "linear"}, 2),
]


def evaluation(candidate: int, split: int, score: float, start: float, **more: Any) -> Evaluation:
    where = {"node": "node001", "engine": 0, "uuid": "a", **more}
    return Evaluation(candidate, split, score, score, started=start, ended=start + 1, **where)


EVALUATIONS = [
    evaluation(0, 0, 0.5, 100),
    evaluation(0, 1, 0.7, 101),
    evaluation(1, 0, 0.9, 102),
    evaluation(2, 0, 0.2, 100, node="node002", engine=1, uuid="b"),
    evaluation(2, 1, math.nan, 103, error="it broke"),
    evaluation(1, 1, 0.7, 109),
]


@pytest.fixture(autouse=True)
def no_figures_left_open() -> Any:
    yield
    __import__("matplotlib.pyplot").pyplot.close("all")


def test_validation_curve_over_numbers_and_words() -> None:
    (axis,) = plots.validation_curve(CANDIDATES, EVALUATIONS, "C").axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
    assert lines["validation (mean)"] == [[0.1, 0.8], [10.0, pytest.approx(1.4 / 3)]]
    assert lines["validation (best candidate)"] == [[0.1, pytest.approx(0.8)], [10.0, 0.6]]
    (axis,) = plots.validation_curve(CANDIDATES, EVALUATIONS, "kernel", display_train=False).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["rbf", "linear"]
    with pytest.raises(SearchError, match=r"parameter 'nu'.*C, kernel"):
        plots.validation_curve(CANDIDATES, EVALUATIONS, "nu")


def test_parameters_over_decades_have_a_logarithmic_axis() -> None:
    candidates = [Candidate({"C": c}, i) for i, c in enumerate([0.01, 1, 100])]
    evaluations = [Evaluation(i, 0, 0.5) for i in range(3)]
    assert plots.validation_curve(candidates, evaluations, "C").axes[0].get_xscale() == "log"


def test_score_over_time_counts_candidates_with_all_splits() -> None:
    points = plots.scores_over_time(EVALUATIONS, 2)
    assert [(time, candidate) for time, candidate, _ in points] == [(2, 0), (4, 2), (10, 1)]
    (axis,) = plots.score_over_time(CANDIDATES, EVALUATIONS, 2).axes
    best = next(line for line in axis.lines if line.get_label() == "best so far")
    assert best.get_ydata().tolist() == [pytest.approx(0.6), pytest.approx(0.8)]
    assert "C=0.1" in axis.texts[0].get_text()
    with pytest.raises(SearchError, match="no candidate has all its splits"):
        plots.score_over_time(CANDIDATES, EVALUATIONS[:1], 2)


def test_work_per_engine_groups_engines_by_node() -> None:
    figure = plots.work_per_engine(EVALUATIONS)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "1"]
    assert [text.get_text() for text in axis.texts] == ["node001", "node002"]
    # node002 did nothing for the last 8 seconds: it has left
    assert [line.get_marker() for line in axis.lines] == ["x"]
    assert "it failed" in [text.get_text() for text in axis.get_legend().get_texts()]


def test_who_came_and_went_is_taken_from_those_who_saw_it() -> None:
    presence = [
        Presence("node001", 0, "a", 90),
        Presence("node002", 1, "b", 90),
        Presence("node003", 2, "c", 105, 107),  # came, did nothing, went
    ]
    (axis,) = plots.work_per_engine(EVALUATIONS, presence).axes
    assert [text.get_text() for text in axis.texts] == ["node001", "node002", "node003"]
    assert [line.get_marker() for line in axis.lines] == [">", "x"]


def test_learning_curve_has_both_scores() -> None:
    scores = np.array([[0.5, 0.7], [0.8, 0.8]])
    (axis,) = plots.learning_curve([10, 20], scores + 0.1, scores).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
    assert lines["validation (mean)"] == [[10, 0.6], [20, 0.8]]
    assert lines["train (mean)"][1] == [20, pytest.approx(0.9)]


def test_boxplots_leave_out_what_is_not_a_number() -> None:
    figure = plots.boxplot_parameters(CANDIDATES, EVALUATIONS, display_train=False)
    assert [axis.get_xlabel() for axis in figure.axes] == ["C", "kernel"]


@pytest.mark.parametrize("plot", [plots.work_per_engine, lambda e: plots.score_over_time([], e, 2)])
def test_nothing_to_plot_yet(plot: Any) -> None:
    with pytest.raises(SearchError, match="nothing to plot yet"):
        plot([])


def test_estimators_as_values_left_no_room_for_the_boxes() -> None:
    pipelines = [make_pipeline(StandardScaler(), SVC(C=c)) for c in (1, 2)]
    candidates = grid_candidates({"model": [*pipelines, SVC()]})
    work = [Evaluation(n, 0, 0.5) for n in range(3)]
    figure = plots.boxplot_parameters(candidates, work, display_train=False)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert len(set(labels)) == 3
    assert max(map(len, labels)) < 30
    assert not any("\n" in label for label in labels)


def test_each_number_of_a_distribution_had_a_box() -> None:
    candidates = grid_candidates({"C": np.logspace(-3, 3, 40)})
    work = [Evaluation(n, 0, 0.5) for n in range(40)]
    axis = plots.boxplot_parameters(candidates, work, display_train=False).axes[0]
    assert axis.get_xscale() == "log"
    assert len(axis.lines) == 1

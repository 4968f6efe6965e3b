"""Pictures: what is on them, not how it looks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate, grid_candidates
from spotcluster.search.data.evaluations import Evaluation, Presence
from spotcluster.search.results import plots
from spotcluster.search.results.subject import Subject, name_of_model, name_of_score
from spotcluster.search.results.work import work_per_engine

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


def legend_of(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


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
    figure = work_per_engine(EVALUATIONS)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "1"]
    assert [text.get_text() for text in axis.texts] == ["node001", "node002"]
    # node002 did nothing for the last 8 seconds: it has left
    assert [line.get_marker() for line in axis.lines] == ["x"]
    assert "it failed" in legend_of(figure)


def test_who_came_and_went_is_taken_from_those_who_saw_it() -> None:
    presence = [
        Presence("node001", 0, "a", 90),
        Presence("node002", 1, "b", 90),
        Presence("node003", 2, "c", 105, 107),  # came, did nothing, went
    ]
    (axis,) = work_per_engine(EVALUATIONS, presence).axes
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


@pytest.mark.parametrize("plot", [work_per_engine, lambda e: plots.score_over_time([], e, 2)])
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


# --- what pictures say ----------------------------------------------------------------------------

SUBJECT = Subject("GridSearch", "SVC", "f1_macro", "mycluster")
LONG = [
    Candidate({f"randomforestclassifier__{name}": 0.123456 for name in "abcdefgh"}, number)
    for number in range(3)
]


def drawn(figure: Any) -> Any:
    """Draw a figure, so that its texts have places; return it."""
    figure.canvas.draw()
    return figure


def outside(figure: Any) -> list[str]:
    """Return the texts of a figure that are not wholly on it."""
    text_class = __import__("matplotlib.text").text.Text
    canvas = drawn(figure).bbox
    never_drawn = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks() + axis.get_minor_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    found = []
    for text in figure.findobj(text_class):
        if text.get_text() and text.get_visible() and text not in never_drawn:
            box = text.get_window_extent()
            if box.width and not (
                canvas.x0 - 1 <= box.x0
                and box.x1 <= canvas.x1 + 1
                and canvas.y0 - 1 <= box.y0
                and box.y1 <= canvas.y1 + 1
            ):
                found.append(text.get_text())
    return found


PICTURES = {
    "score over time": lambda: plots.score_over_time(CANDIDATES, EVALUATIONS, 2, SUBJECT),
    "numbers": lambda: plots.validation_curve(CANDIDATES, EVALUATIONS, "C", subject=SUBJECT),
    "words": lambda: plots.validation_curve(CANDIDATES, EVALUATIONS, "kernel", subject=SUBJECT),
    "boxes": lambda: plots.boxplot_parameters(
        CANDIDATES, EVALUATIONS, display_train=True, subject=SUBJECT
    ),
    "learning curve": lambda: plots.learning_curve(
        [10, 20], [[0.5, 0.7]] * 2, [[0.4]] * 2, SUBJECT
    ),
    "work": lambda: work_per_engine(EVALUATIONS, subject=SUBJECT),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_says_of_what_it_is(name: str) -> None:
    figure = PICTURES[name]()
    title = figure.get_suptitle()
    assert "GridSearch of SVC on mycluster, scored by f1_macro" in title
    assert len(title.splitlines()[0]) > 20  # and what it shows
    if name != "work":
        assert "f1_macro" in figure.axes[0].get_ylabel()
    assert figure.legends
    assert outside(figure) == []


def test_bands_and_bars_were_not_explained() -> None:
    def explained(name: str) -> bool:
        return any("± standard deviation over" in text for text in legend_of(PICTURES[name]()))

    assert explained("numbers")
    assert explained("words")
    assert explained("learning curve")
    assert any("median" in text for text in legend_of(PICTURES["boxes"]()))


@pytest.mark.parametrize("best", [0, 1, 2])
def test_long_parameters_ran_out_of_the_axes(best: int) -> None:
    work = [evaluation(n, 0, 0.9 if n == best else 0.5, 100 + 10 * n) for n in range(3)]
    figure = plots.score_over_time(LONG, work, 1, SUBJECT)
    (axis,) = figure.axes
    (note,) = axis.texts
    assert note.get_text().startswith("0.90000  randomforestclassifier__a=0.123456")
    assert outside(figure) == []
    box, inside = note.get_window_extent(), axis.get_window_extent()
    assert inside.x0 <= box.x0 and box.x1 <= inside.x1  # noqa: PT018 - one thing: it is inside
    assert inside.y0 <= box.y0 and box.y1 <= inside.y1  # noqa: PT018 - as above


def test_words_stood_in_the_order_of_completion() -> None:
    candidates = grid_candidates({"kernel": ["rbf", "linear", "poly"]})
    work = [
        evaluation(n, split, 0.5 + n / 10 + split / 50, 100) for n in (2, 0, 1) for split in (0, 1)
    ]
    (axis,) = plots.validation_curve(candidates, work, "kernel").axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["rbf", "linear", "poly"]
    bars = {bar.get_label(): bar for bar in axis.containers}
    validation = next(bar for label, bar in bars.items() if label.startswith("validation"))
    assert validation.lines[0].get_ydata().tolist() == pytest.approx([0.51, 0.61, 0.71])
    assert [len(part.get_segments()) for part in validation.lines[2]] == [3]  # an error bar each


def test_words_drawn_at_random_stand_in_the_order_of_the_grid() -> None:
    grid = {"depth": [1, 2, None], "leaf": [5, 1]}
    drawn_first = [Candidate({"depth": None, "leaf": 1}, 0), Candidate({"depth": 1, "leaf": 1}, 1)]
    work = [evaluation(n, 0, 0.5, 100) for n in range(2)]
    (axis,) = plots.validation_curve(drawn_first, work, "depth", grid=[grid]).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "None"]


@pytest.mark.parametrize("error_score", [math.nan, 0.0])
def test_a_line_vanished_beside_a_value_that_failed(error_score: float) -> None:
    candidates = grid_candidates({"C": [-1.0, 1.0, 2.0, 3.0]})
    work = [evaluation(n, 0, 0.5 + n / 10, 100) for n in (0, 1, 3)]
    work.append(evaluation(2, 0, error_score, 100, error="it broke"))
    figure = plots.validation_curve(candidates, work, "C", display_train=False)
    (axis,) = figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
    assert lines["validation (mean)"] == [[-1, 0.5], [1, 0.6], [3, 0.8]]
    assert "every evaluation failed: C=2" in legend_of(figure)
    (band,) = axis.collections
    assert not np.isnan(band.get_paths()[0].vertices).any()


def test_a_word_for_which_all_failed_is_named_as_such() -> None:
    candidates = grid_candidates({"kernel": ["rbf", "nonsense", "poly"]})
    work = [evaluation(n, 0, 0.5, 100) for n in (0, 2)]
    work.append(evaluation(1, 0, 0.0, 100, error="it broke"))
    for figure in (
        plots.validation_curve(candidates, work, "kernel"),
        plots.boxplot_parameters(candidates, work, display_train=False),
    ):
        labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
        assert labels == ["rbf", "nonsense\n(all failed)", "poly"]
        assert outside(figure) == []


def test_numbers_that_failed_among_very_many_are_marked() -> None:
    candidates = grid_candidates({"C": list(np.linspace(1, 2, 30))})
    work = [evaluation(n, 0, 0.5, 100, error="broke" if n < 6 else "") for n in range(30)]
    figure = plots.boxplot_parameters(candidates, work, display_train=False)
    assert legend_of(figure)[1] == (
        "every evaluation failed: C=1, 1.03448, 1.06897, 1.10345 and 2 more"
    )


# --- what they are of -----------------------------------------------------------------------------


def test_a_pipeline_is_named_by_its_steps_and_scores_by_its_last() -> None:
    model = make_pipeline(StandardScaler(), SVC())
    assert name_of_model(model) == "Pipeline(StandardScaler, SVC)"
    assert name_of_score(None, model) == "accuracy"


@pytest.mark.parametrize(
    ("scoring", "several", "refit", "name"),
    [
        (None, (), True, "accuracy"),
        ("f1_macro", (), True, "f1_macro"),
        (["f1_macro", "accuracy"], ["f1_macro", "accuracy"], "accuracy", "accuracy"),
        (["f1_macro", "accuracy"], ["f1_macro", "accuracy"], False, "f1_macro"),
        (math.isclose, (), True, "isclose"),
    ],
)
def test_a_score_has_the_name_that_scikit_learn_gives_it(
    scoring: Any, several: Any, refit: Any, name: str
) -> None:
    assert name_of_score(scoring, SVC(), several, refit) == name


def test_a_model_with_a_score_of_its_own() -> None:
    assert name_of_score(None, KMeans()) == "score"
    assert name_of_score(None, Ridge()) == "r2"
    assert Subject("GridSearch").title == "GridSearch"

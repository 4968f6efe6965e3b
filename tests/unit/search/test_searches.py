"""What can be wrong before anything is sent, and what is public."""

from __future__ import annotations

from typing import Any

import pytest

from spotcluster import search
from spotcluster.errors import SearchError
from spotcluster.search import GridSearch, RandomizedGridSeach, RandomizedSearch
from spotcluster.search.candidates import Candidate
from spotcluster.search.evaluations import Evaluation, compute_evaluation
from spotcluster.search.plots import boxplot_parameters, scores_by_value


def test_exported_members() -> None:
    assert sorted(search.__all__) == search.__all__
    assert all(hasattr(search, name) for name in search.__all__)
    assert RandomizedGridSeach is RandomizedSearch


def test_a_view_is_needed() -> None:
    with pytest.raises(SearchError, match=r"given a NoneType.*load_balanced_view"):
        GridSearch(None)


@pytest.mark.parametrize("error_score", ["raise", None, True])
def test_error_score_is_a_number(error_score: Any) -> None:
    with pytest.raises(SearchError, match="error_score"):
        GridSearch(None, error_score=error_score)


def test_compute_evaluation_travels_as_code() -> None:
    assert compute_evaluation.__module__ == "__main__"
    assert not compute_evaluation.__code__.co_freevars
    assert set(compute_evaluation.__globals__) & set(compute_evaluation.__code__.co_names) == set()


def test_scores_are_grouped_by_value_in_the_grids_order() -> None:
    candidates = [Candidate({"C": 10.0}, 1), Candidate({"C": 0.5}, 0), Candidate({"C": 99.0}, 2)]
    evaluations = [Evaluation(0, 0, 0.7, 0.8), Evaluation(1, 0, 0.5), Evaluation(0, 1, 0.9, 1.0)]
    groups = scores_by_value(candidates, evaluations)
    assert list(groups["C"]) == ["0.5", "10"]
    assert groups["C"]["10"] == {"validation": [0.7, 0.9], "train": [0.8, 1.0]}


def test_plots_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(SearchError, match="pip install matplotlib"):
        boxplot_parameters([], [], display_train=False)


def test_boxplot() -> None:
    pytest.importorskip("matplotlib").use("agg")
    candidates = [Candidate({"C": 10.0, "kernel": "rbf"}, 0)]
    figure = boxplot_parameters(candidates, [Evaluation(0, 0, 0.5, 0.6)], display_train=True)
    assert len(figure.axes) == 4

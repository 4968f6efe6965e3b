"""Ranking, table and report."""

from __future__ import annotations

import math
import warnings
from pprint import pformat
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from spotcluster.search.data.candidates import Candidate, Part
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.kinds.halving import best_of_last_round
from spotcluster.search.results.display import line
from spotcluster.search.results.page import page
from spotcluster.search.results.results import Results, report
from spotcluster.search.results.state import State

scores = st.floats(-1, 1) | st.just(math.nan)


def results_of(*rows: list[float | None], orders: list[int] | None = None) -> Results:
    """Return results with one candidate per row; None is not finished."""
    order = orders or list(range(len(rows)))
    results = Results([Candidate({"n": i}, order[i]) for i in range(len(rows))], len(rows[0]))
    for candidate, row in enumerate(rows):
        for split, score in enumerate(row):
            if score is not None:
                results.add(Evaluation(candidate, split, score, train_score=1.0))
    return results


def test_equal_scores_stand_in_the_grids_order() -> None:
    results = results_of([0.5], [0.9], [0.5], [0.5], orders=[3, 0, 1, 2])
    assert [best.params["n"] for best in results.ranking()] == [1, 2, 3, 0]


def test_later_rounds_stand_before_earlier_ones() -> None:
    candidates = [Candidate({"n": n}, n, more={"iter": n % 2}) for n in range(4)]
    results = Results(candidates, 1)
    for number, score in enumerate([0.9, 0.5, 0.8, 0.6]):
        results.add(Evaluation(number, 0, score))
    assert [best.params["n"] for best in results.ranking()] == [3, 1, 0, 2]


def test_only_candidates_with_a_finished_split_are_ranked() -> None:
    results = results_of([None, None], [0.5, None], [0.25, 0.5])
    first, second = results.ranking()
    assert first == (0.5, {"n": 1})
    assert (first.finished, first.splits) == (1, 2)
    assert (second.finished, second.splits) == (2, 2)
    assert pformat([first, second]) == "[(0.5, {'n': 1}), (0.375, {'n': 2})]"


def test_report_of_the_seed() -> None:
    assert report(Results([], 0)) == "Progress: 00% (000/000)"
    results = results_of([0.5, 0.75], [0.25, None])
    assert report(results, remarks=["", "Something."]).splitlines() == [
        "Progress: 75% (003/004)",
        "",
        "Rank 1: validation: 0.62500 (+/-0.12500) train: 1.00000 (+/-0.00000):",
        " {'n': 0}",
        "Rank 2: validation: 0.25000 (+/-nan) train: 1.00000 (+/-nan): (1 of 2 splits)",
        " {'n': 1}",
        "",
        "Something.",
    ]
    assert len(report(results, n_top=1).splitlines()) == 4


def test_first_result_of_a_key_stays() -> None:
    results = results_of([0.5])
    assert not results.add(Evaluation(0, 0, 0.1))
    assert results.ranking()[0][0] == 0.5
    assert len(results) == 1


@given(st.lists(st.lists(scores | st.none(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_nothing_warns_and_nan_is_last(rows: list[list[float | None]]) -> None:
    results = results_of(*rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranking = results.ranking()
        table = results.table()
        report(results)
    means = [best.validation for best in ranking]
    known = [mean for mean in means if not math.isnan(mean)]
    assert known == sorted(known, reverse=True)
    assert all(math.isnan(mean) for mean in means[len(known) :])
    whole = [i for i, row in enumerate(rows) if None not in row]
    assert [params["n"] for params in table["params"]] == whole
    assert len(results.unfinished()) == sum(row.count(None) for row in rows)
    if whole:
        best = table["rank_test_score"].argmin()
        finite = table["mean_test_score"][~np.isnan(table["mean_test_score"])]
        assert not len(finite) or table["mean_test_score"][best] == finite.max()


def test_parameters_that_a_candidate_does_not_have_are_masked() -> None:
    candidates = [Candidate({"a": 1, "b": "x"}, 0), Candidate({"a": 2, "c": [1, 2]}, 1)]
    results = Results(candidates, 1)
    results.add(Evaluation(0, 0, 0.5))
    results.add(Evaluation(1, 0, 0.7))
    table = results.table()
    assert table["param_a"].tolist() == [1, 2]
    assert table["param_b"].tolist() == ["x", None]
    assert table["param_c"].tolist() == [None, [1, 2]]
    assert table["param_a"].dtype.kind == "i"
    assert table["param_b"].dtype == object
    assert "mean_train_score" not in table
    assert table["rank_test_score"].tolist() == [2, 1]
    assert table["rank_test_score"].dtype == np.int32


def test_a_score_that_was_left_out_was_taken_from_another_metric() -> None:
    results = Results([Candidate({"n": n}, n) for n in range(3)], 1)
    results.add(Evaluation(0, 0, 0.5, test_scores={"a": 0.5, "b": 0.25}))
    results.add(Evaluation(1, 0, 0.7, test_scores={"a": 0.7}))
    results.add(Evaluation(2, 0, -1.0, error="it failed"))
    assert repr(results.table()["split0_test_b"].tolist()) == "[0.25, nan, -1.0]"


@pytest.mark.parametrize("means", [[-np.inf, np.nan], [np.nan, -np.inf, 2.0], [np.nan, np.nan]])
def test_nan_and_minus_infinity_tied(means: list[float]) -> None:
    results = results_of(*([mean] for mean in means))
    peer = _scikit_learns_ranks(np.array(means))
    assert results.table()["rank_test_score"].tolist() == peer.tolist()
    order = [best.candidate for best in results.ranking()]
    assert order == sorted(range(len(means)), key=lambda n: (peer[n], n))


def _scikit_learns_ranks(means: Any) -> Any:
    if np.isnan(means).all():
        return np.ones(len(means), dtype=np.int32)
    return rankdata(-np.nan_to_num(means, nan=np.nanmin(means) - 1), method="min")


def test_nan_ranked_above_infinity() -> None:  # as it does in scikit-learn
    results = results_of([np.nan], [np.inf])
    assert results.table()["rank_test_score"].tolist() == [2, 1]
    assert results.ranking()[0].candidate == 1


def test_best_of_the_last_round_was_a_nan_beside_minus_infinity() -> None:
    table = {"iter": np.array([0, 1, 1]), "params": [{}] * 3}
    table["mean_test_score"] = np.array([9.0, np.nan, -np.inf])
    assert best_of_last_round(table) == 2


@pytest.mark.parametrize("error_score", [np.nan, 0.0])
def test_a_search_that_failed_altogether_had_a_best(error_score: float) -> None:
    results = Results([Candidate({"n": n}, n) for n in range(2)], 2, error_score=error_score)
    for key in results.unfinished():
        assert len(results) == 0 or results.all_failed()
        results.add(Evaluation(*key, error_score, error="ValueError: no"))
    assert results.bests(5) == []
    assert "Rank" not in report(results)


def test_another_metric_that_fails_leaves_the_best() -> None:
    results = Results([Candidate({}, 0)], 1)
    more = {"error": "ValueError: no", "failed_in": "score"}
    results.add(Evaluation(0, 0, 0.5, test_scores={"a": 0.5, "b": np.nan}, **more))  # type: ignore[arg-type]
    assert len(results.bests(5)) == 1
    results = Results([Candidate({}, 0)], 1)
    results.add(Evaluation(0, 0, np.nan, test_scores={"a": np.nan, "b": 0.5}, **more))  # type: ignore[arg-type]
    assert results.bests(5) == []


@pytest.mark.parametrize("part", [Part(n_samples=120), Part(steps=(40, 80, 120))])
def test_a_row_of_a_learning_curve_said_nothing_of_its_size(part: Part) -> None:
    results = Results([Candidate({}, 0, part=part)], 1)
    results.add(Evaluation(0, 0, 0.5))
    assert results.bests(1)[0].params == {"train_size": 120}
    assert report(results).splitlines()[-1] == " {'train_size': 120}"
    state = State("LearningCurve", 1, 1, {}, results.bests(1))
    assert ">120</td>" in page(state)
    assert line(state).endswith("with train_size=120")


def test_parameters_are_what_they_are_where_there_are_some() -> None:
    assert Candidate({"C": 1}, 0, part=Part(n_samples=5)).shown == {"C": 1}
    assert Candidate({}, 0).shown == {}

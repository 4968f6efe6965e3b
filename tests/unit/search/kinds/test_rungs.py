"""The arithmetic of successive halving, against scikit-learn's; and ASHA's rule of promotion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the import possible
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.model_selection._search_successive_halving import _top_k

from spotcluster.errors import SearchError
from spotcluster.search.kinds.rungs import Ladder, Schedule, smallest_samples, top_k


class Constant(ClassifierMixin, BaseEstimator):
    """Costs nothing, and its score is its parameter."""

    def __init__(self, a: float = 0.0, size: int = 1) -> None:
        self.a = a
        self.size = size

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return self.a


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40),
    factor=st.sampled_from([2, 3, 4, 1.5, 2.5]),
    least=st.integers(1, 30),
    more=st.integers(0, 300),
    aggressive=st.booleans(),
    exhaust=st.booleans(),
)
def test_rounds_are_those_of_scikit_learn(
    n: int, factor: float, least: int, more: int, aggressive: bool, exhaust: bool
) -> None:
    most = least + more
    peer = HalvingGridSearchCV(
        Constant(),
        {"a": list(range(n))},
        factor=factor,
        resource="size",
        min_resources="exhaust" if exhaust else least,
        max_resources=most,
        aggressive_elimination=aggressive,
        cv=[([0, 1], [2, 3])],
        refit=False,
    ).fit(np.zeros((4, 1)), [0, 1, 0, 1])
    if exhaust:
        ours = Schedule.exhausting(n, factor, 1, most, aggressive_elimination=aggressive)
    else:
        ours = Schedule(n, factor, least, most, aggressive_elimination=aggressive)
    assert ours.min_resources == peer.min_resources_
    assert ours.n_required_iterations == peer.n_required_iterations_
    assert ours.n_possible_iterations == peer.n_possible_iterations_
    assert ours.n_iterations == peer.n_iterations_
    assert [ours.resources(i) for i in range(ours.n_iterations)] == peer.n_resources_
    assert ours.sizes() == peer.n_candidates_
    assert ours.keep(ours.sizes()[-1]) == peer.n_remaining_candidates_


@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.5, math.nan]), min_size=1, max_size=60),
    k=st.integers(1, 60),
)
def test_who_goes_on_is_as_in_scikit_learn_with_ties_and_nan(scores: list[float], k: int) -> None:
    results = {
        "iter": [0] * len(scores),
        "mean_test_score": scores,
        "params": [{"a": i} for i in range(len(scores))],
    }
    assert [{"a": i} for i in top_k(scores, k)] == list(_top_k(results, k, 0))


def test_least_samples() -> None:
    assert smallest_samples(5, None) == 10
    assert smallest_samples(5, 3) == 30


# --- asynchronous ---------------------------------------------------------------------------------


def climb(order: list[int], scores: list[float], n_rungs: int, factor: float) -> Ladder:
    """Evaluate with one engine for each number in `order`: it takes that one of what can run."""
    ladder = Ladder(n_rungs, factor)
    can_run = [(candidate, 0) for candidate in range(len(scores))]
    turn = 0
    while can_run:
        candidate, rung = can_run.pop(order[turn % len(order)] % len(can_run))
        turn += 1
        ladder.finish(candidate, rung, scores[candidate] + rung / 100)
        can_run += ladder.promotions()
    return ladder


score_lists = st.lists(
    st.one_of(st.floats(-1, 1), st.just(math.nan), st.just(0.5)), min_size=1, max_size=40
)


@given(
    order=st.lists(st.integers(0, 1000), min_size=1, max_size=40),
    scores=score_lists,
    n_rungs=st.integers(1, 5),
    factor=st.sampled_from([2, 3, 4, 1.5]),
)
def test_rule_of_promotion_holds_in_any_order_of_results(
    order: list[int], scores: list[float], n_rungs: int, factor: float
) -> None:
    ladder = climb(order, scores, n_rungs, factor)
    assert set(ladder.finished[0]) == set(range(len(scores)))
    for rung in range(n_rungs - 1):
        here = ladder.finished[rung]
        # what was promoted has run above, nothing else has, and everybody came from here
        assert set(ladder.finished[rung + 1]) == ladder.promoted[rung] <= set(here)
        assert not any(math.isnan(here[candidate]) for candidate in ladder.promoted[rung])
        # the best of those that there are in the end have all been promoted
        assert set(ladder.best(rung, math.floor(len(here) / factor))) <= ladder.promoted[rung]
    assert ladder.promoted[-1] == set()
    assert ladder.promotions() == []


@given(scores=score_lists, factor=st.sampled_from([2, 3, 4]), n_rungs=st.integers(1, 4))
def test_results_one_by_one_never_promote_more_than_the_share_was_at_some_time(
    scores: list[float], factor: float, n_rungs: int
) -> None:
    ladder = Ladder(n_rungs, factor)
    for candidate, score in enumerate(scores):
        ladder.finish(candidate, 0, score)
        share = math.floor((candidate + 1) / factor)
        for promoted, rung in ladder.promotions():
            assert rung == 1
            assert promoted in ladder.best(0, share)


@given(order=st.permutations(list(range(12))), scores=st.permutations([i / 12 for i in range(12)]))
def test_the_best_of_all_always_arrives_at_the_top(order: list[int], scores: list[float]) -> None:
    ladder = climb(order, scores, n_rungs=3, factor=2)
    assert ladder.top() == 2
    best = max(range(12), key=scores.__getitem__)
    assert ladder.best(2, 1) == [best]


def test_a_candidate_goes_up_while_its_rung_is_not_complete() -> None:
    ladder = Ladder(n_rungs=3, factor=2)
    ladder.finish(5, 0, 0.4)
    assert ladder.promotions() == []
    ladder.finish(3, 0, 0.6)
    assert ladder.promotions() == [(3, 1)]
    ladder.finish(5, 0, 0.9)  # a second result of the same, from an engine thought dead
    assert ladder.finished[0][5] == 0.4
    assert ladder.promotions() == []


@pytest.mark.parametrize(("n_rungs", "factor"), [(0, 3), (2, 1), (2, 0.5)])
def test_impossible_ladders(n_rungs: int, factor: float) -> None:
    with pytest.raises(SearchError, match="no ladder"):
        Ladder(n_rungs, factor)

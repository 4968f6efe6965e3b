"""Candidates are those of scikit-learn, in its order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.model_selection import ParameterGrid, ParameterSampler

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import grid_candidates, plain, random_candidates

values = st.lists(
    st.integers() | st.floats(allow_nan=False) | st.text(max_size=3), min_size=1, max_size=4
)
part = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
grids = part | st.lists(part, min_size=1, max_size=3)


@given(grids)
def test_grid_is_scikit_learns(grid: Any) -> None:
    candidates = grid_candidates(grid)
    assert [candidate.params for candidate in candidates] == list(ParameterGrid(grid))
    assert [candidate.order for candidate in candidates] == list(range(len(candidates)))


@given(grids, st.integers(0, 1000))
def test_whole_grid_in_a_random_order(grid: Any, seed: int) -> None:
    candidates = random_candidates(grid, None, seed)
    by_order = sorted(candidates, key=lambda candidate: candidate.order)
    assert [candidate.params for candidate in by_order] == list(ParameterGrid(grid))
    assert random_candidates(grid, None, seed) == candidates


@pytest.mark.filterwarnings("ignore:The total space of parameters")
@given(grids, st.integers(1, 20), st.integers(0, 1000))
def test_draws_from_lists_are_scikit_learns(grid: Any, n_iter: int, seed: int) -> None:
    drawn = [candidate.params for candidate in random_candidates(grid, n_iter, seed)]
    theirs = list(ParameterSampler(grid, n_iter, random_state=seed))
    assert drawn == theirs
    assert [list(params) for params in drawn] == [list(params) for params in theirs]


def test_draws_from_distributions_are_scikit_learns() -> None:
    space = [{"C": stats.loguniform(0.1, 10), "kernel": ["a", "b"]}, {"C": [1.0]}]
    drawn = [candidate.params for candidate in random_candidates(space, 20, 3)]
    assert drawn == list(ParameterSampler(space, 20, random_state=3))


def test_a_whole_grid_is_shuffled() -> None:
    orders = [c.order for c in random_candidates({"a": list(range(50))}, None, 0)]
    assert orders != sorted(orders)


def test_distributions_need_a_number() -> None:
    with pytest.raises(SearchError, match="n_iter=40"):
        random_candidates({"C": stats.loguniform(0.1, 10)}, None, 0)


@pytest.mark.parametrize("grid", ["C", [1, 2], {"C": 3}, {"C": "text"}, {"C": []}, 7, None])
def test_what_is_not_a_grid_is_said(grid: Any) -> None:
    with pytest.raises(SearchError):
        grid_candidates(grid)


def test_plain_numbers() -> None:
    value = {"a": np.float64(0.5), "b": [np.int64(3), (np.True_, "x")], "c": None}
    assert repr(plain(value)) == "{'a': 0.5, 'b': [3, (True, 'x')], 'c': None}"

"""Sizes of a learning curve against scikit-learn's, and shuffled splits."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold
from sklearn.model_selection._validation import _translate_train_sizes
from sklearn.utils import check_random_state

from spotcluster.errors import SearchError
from spotcluster.search import persist_cv_splits
from spotcluster.search.data import splits
from spotcluster.search.kinds.curves import TRAIN_SIZES, _Shuffled, absolute_sizes


@given(
    sizes=st.one_of(
        st.lists(st.floats(0.0, 1.0, exclude_min=True), min_size=1, max_size=20),
        st.lists(st.integers(1, 10), min_size=1, max_size=20),
    ),
    n_rows=st.integers(10, 5000),
)
def test_sizes_are_rounded_as_in_scikit_learn(sizes: list[Any], n_rows: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = _translate_train_sizes(sizes, n_rows).tolist()
        assert absolute_sizes(sizes, n_rows) == expected


def test_the_default_sizes_are_scikit_learns() -> None:
    assert tuple(np.linspace(0.1, 1.0, 5)) == TRAIN_SIZES


def test_sizes_that_come_to_the_same_are_told_of() -> None:
    with pytest.warns(RuntimeWarning, match="Removed duplicate entries"):
        assert absolute_sizes([0.5, 0.51, 1.0], 10) == [5, 10]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([0.0, 0.5], r"fractions.*within \[0.0.*, 0.5"),
        ([0.5, 1.1], "fractions"),
        ([float("nan")], "fractions"),
        ([0, 5], r"\(0, 10\], but is within \[0, 5\]"),
        ([5, 11], r"\(0, 10\], but is within \[5, 11\]"),
        ([], "list of fractions"),
        (["a"], "list of fractions"),
        (0.5, "list of fractions"),
    ],
)
def test_impossible_sizes(sizes: Any, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        absolute_sizes(sizes, 10)


def test_shuffled_files_have_the_rows_in_scikit_learns_order(tmp_path: Path) -> None:
    X, y = np.arange(30.0).reshape(15, 2), np.arange(15)
    cv = KFold(3)
    files = persist_cv_splits(X, y, cv=cv, folder=tmp_path)
    rng = check_random_state(7)
    for path, (train, test) in zip(splits.store_shuffled(files, 7), cv.split(X, y), strict=True):
        X_train, y_train, X_test, y_test = joblib.load(path)
        rows = rng.permutation(train)
        assert (X_train == X[rows]).all()
        assert (y_train == y[rows]).all()
        assert (X_test == X[test]).all()
        assert (y_test == y[test]).all()
    from_arrays = splits.store_cv_splits(X, y, _Shuffled(cv, 7))
    assert from_arrays == splits.store_shuffled(files, 7)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"none\.pkl.*persist_cv_splits"):
        splits.store_shuffled([tmp_path / "none.pkl"], 0)

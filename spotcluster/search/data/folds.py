"""A dataset as a search is given it: with arguments of `fit` and of scorers, cut into folds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import joblib
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.utils import get_tags

from spotcluster.errors import SearchError
from spotcluster.search.data import splits
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.splits import Bundle
from spotcluster.search.engine import mapping
from spotcluster.search.sklearn_private import (
    check_method_params,
    is_arraylike,
    num_samples,
    safe_split,
)

Indices = Iterable[tuple[Any, Any]]
"""The rows of training and test part of each split."""


@dataclass(frozen=True)
class Dataset:
    """All data of a search.

    Attributes
    ----------
    X, y
        As given to `fit`.
    fit_params, score_params : dict
        Other arguments of `fit` and of the scorer.
    """

    X: Any
    y: Any = None
    fit_params: dict[str, Any] = field(default_factory=dict)
    score_params: dict[str, Any] = field(default_factory=dict)

    def store(self) -> str:
        """Keep what a refit needs in spotcluster's own folder; return the name of the file."""
        (path,) = splits.store([(self.X, self.y, self.fit_params)], own=False)
        return path

    @classmethod
    def stored(cls, path: str) -> Dataset:
        """Return what was kept.

        Raises
        ------
        SearchError
            If it is not there any more.
        """
        try:
            return cls(*mapping.load(path))
        except OSError as error:
            raise SearchError(
                f"The data for the refit cannot be read from {path} ({error.strerror}).",
                "Fit the model with best_params_, or the search again with the same ledger and"
                " data.",
            ) from error

    def constants(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return those of `params` that are not by rows: the same for each fold."""
        return {name: params[name] for name in params if not self._by_rows(params[name])}

    def folds(self, indices: Indices, *, kernel: bool | None = False) -> Iterator[tuple[Any, ...]]:
        """Yield what the file of each split holds.

        Parameters
        ----------
        indices : iterable of pairs
            The rows of training and test part.
        kernel : bool or None
            Whether X is a precomputed kernel, of which columns are cut too; None where that is so
            for some candidates: then each takes its columns, whose numbers are ``columns``.
        """
        like = _Kernel() if kernel else BaseEstimator()

        def cut(params: dict[str, Any], rows: Any) -> dict[str, Any]:
            mine = {name: value for name, value in params.items() if self._by_rows(value)}
            return dict(check_method_params(self.X, mine, rows))

        for train, test in indices:
            X_train, y_train = safe_split(like, self.X, self.y, train)
            X_test, y_test = safe_split(like, self.X, self.y, test, train)
            rows: dict[str, Any] = {
                "fit": cut(self.fit_params, train),
                "train": cut(self.score_params, train),
                "test": cut(self.score_params, test),
            }
            if kernel is None:
                rows["columns"] = np.arange(num_samples(self.X))[train]  # masks too
            rows = {name: value for name, value in rows.items() if len(value)}
            yield (X_train, y_train, X_test, y_test, *([rows] if rows else []))

    def _by_rows(self, value: Any) -> bool:
        arrays = is_arraylike(value) or sparse.issparse(value)
        return bool(arrays and num_samples(value) == num_samples(self.X))


class Extent:
    """What candidates may depend on of the data, looked up when it is asked for.

    Parameters
    ----------
    n_splits : int
    data : Dataset, optional
    file : path
        The file of a split, where the data are not here.
    """

    def __init__(self, n_splits: int, data: Dataset | None = None, file: str = "") -> None:
        self.n_splits = n_splits
        self.data = data
        self._file = file

    @cached_property
    def n_samples(self) -> int:
        """How many rows there are; not all splitters use all of them."""
        if self.data is not None:
            return int(num_samples(self.data.X))
        X_train, _, X_test, *_ = self._split
        return int(num_samples(X_train) + num_samples(X_test))

    @cached_property
    def y(self) -> Any:
        """The targets; of a split file, those of its training part first."""
        if self.data is not None:
            return self.data.y
        _, y_train, _, y_test, *_ = self._split
        return None if y_train is None else np.concatenate([y_train, y_test])

    @property
    def _split(self) -> Any:
        return joblib.load(self._file, mmap_mode="r")


@lru_cache(maxsize=4)
def rows_of(bundle: Bundle) -> tuple[tuple[int, int], ...]:
    """Return how many rows training and test part of each split file have."""
    mapped = (joblib.load(split.path, mmap_mode="r") for split in bundle.splits)
    return tuple((num_samples(split[0]), num_samples(split[2])) for split in mapped)


def takes_kernel(model: Any, candidates: Iterable[Candidate] | None, X: Any) -> bool | None:
    """Return whether X is a precomputed kernel for all candidates; None if it is for some.

    Parameters
    ----------
    model : estimator
    candidates : iterable of Candidate or None
        None when they are not known: then any may take a square X for a kernel.
    X : array-like

    Raises
    ------
    ValueError
        If X cannot be a kernel and has to be; in scikit-learn's words.
    """
    square = hasattr(X, "shape") and len(X.shape) == 2 and X.shape[0] == X.shape[1]
    as_it_is = _pairwise(model)
    kinds = {as_it_is} | ({True, False} if square else set())
    if candidates is not None:
        kinds = set()
        for candidate in candidates:
            # Most parameters say nothing of it, and to set those of each candidate takes time.
            telling = square or any(map(_tells, candidate.params.values()))
            params = clone(candidate.params, safe=False) if telling else {}
            kinds.add(_pairwise(clone(model).set_params(**params)) if telling else as_it_is)
    if True in kinds and not square:
        # It says what is wrong with X.
        safe_split(_Kernel(), X, None, np.arange(1))
    return kinds.pop() if len(kinds) == 1 else None


def _tells(value: Any) -> bool:
    return hasattr(value, "get_params") or (isinstance(value, str) and value == "precomputed")


def _pairwise(estimator: Any) -> bool:
    return bool(get_tags(estimator).input_tags.pairwise)


class _Kernel(BaseEstimator):  # type: ignore[misc] # it has no types
    """An estimator for which X is a precomputed kernel."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True
        return tags

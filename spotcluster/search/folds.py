"""A dataset as a search is given it: with arguments of `fit` and of scorers, cut into folds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import joblib
from scipy import sparse
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _is_arraylike, _num_samples

from spotcluster.errors import SearchError
from spotcluster.search import splits


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
        (path,) = splits.store([(self.X, self.y, self.fit_params)])
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
            return cls(*joblib.load(path, mmap_mode="c"))
        except OSError as error:
            raise SearchError(
                f"The data for the refit cannot be read from {path} ({error.strerror}).",
                "Fit the model with best_params_, or the search again with the same ledger and"
                " data.",
            ) from error

    def constants(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return those of `params` that are not by rows: the same for each fold."""
        return {name: params[name] for name in params if not self._by_rows(params[name])}

    def folds(self, model: Any, indices: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, ...]]:
        """Yield what the file of each split holds: cut as scikit-learn cuts it for this model."""

        def cut(params: dict[str, Any], rows: Any) -> dict[str, Any]:
            mine = {name: value for name, value in params.items() if self._by_rows(value)}
            return dict(_check_method_params(self.X, mine, rows))

        for train, test in indices:
            X_train, y_train = _safe_split(model, self.X, self.y, train)  # noqa: N806
            X_test, y_test = _safe_split(model, self.X, self.y, test, train)  # noqa: N806
            rows = {
                "fit": cut(self.fit_params, train),
                "train": cut(self.score_params, train),
                "test": cut(self.score_params, test),
            }
            yield (X_train, y_train, X_test, y_test, *([rows] if any(rows.values()) else []))

    def _by_rows(self, value: Any) -> bool:
        arrays = _is_arraylike(value) or sparse.issparse(value)
        return bool(arrays and _num_samples(value) == _num_samples(self.X))

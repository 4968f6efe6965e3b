"""Learning curves: how the scores grow with the training set, computed in parallel."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state

from spotcluster.errors import SearchError
from spotcluster.search import splits
from spotcluster.search.candidates import Candidate, Part
from spotcluster.search.searches import AnyPath, Search
from spotcluster.search.splits import Bundle

TRAIN_SIZES = tuple(float(size) for size in np.linspace(0.1, 1.0, 5))
"""scikit-learn's default."""


class LearningCurve(Search):
    """The scores of a model for growing parts of the training set.

    Each evaluation takes the first rows of a split's training part: a slice of the memory-mapped
    arrays, which copies nothing. It runs by itself once it is launched, as a search does, and has
    the same verbs.

    Attributes
    ----------
    train_sizes_ : ndarray of int, shape (n_ticks,)
        How many rows the model is trained on.
    train_scores_, test_scores_ : ndarray, shape (n_ticks, n_splits)
        As those of `sklearn.model_selection.learning_curve`, nan where they are not finished.
    fit_times_, score_times_ : ndarray, shape (n_ticks, n_splits)
        Seconds.

    Examples
    --------
    >>> curve = LearningCurve(view).launch_for_splits(model, files, train_sizes=[0.1, 0.5, 1.0])
    >>> curve.wait()
    True
    >>> curve.test_scores_.mean(axis=1)
    array([0.82, 0.93, 0.97])
    """

    def launch_for_splits(  # type: ignore[override] # a curve has sizes where a search has a grid
        self,
        model: Any,
        files: Sequence[AnyPath],
        *,
        train_sizes: Any = TRAIN_SIZES,
        shuffle: bool = False,
        random_state: Any = None,
        pace: float = 0.0,
    ) -> Self:
        """Start evaluating on split files; what ran before is aborted and forgotten.

        Parameters
        ----------
        model : estimator
        files : sequence of path
            What `persist_cv_splits` returned.
        train_sizes : array-like of float or int
            Fractions of the first split's training part, or numbers of rows.
        shuffle : bool
            Whether the rows of each training part are put into a random order first, which makes
            one more file of each.
        random_state : int, RandomState or None
            For `shuffle`, as in scikit-learn.
        pace : float
            Seconds that each evaluation lasts at least, for demonstrations.

        Raises
        ------
        SearchError
            If a file cannot be read, or the sizes are not possible.
        """
        if shuffle:
            files = splits.store_shuffled(files, random_state)
        bundle = Bundle.of(files)
        n_rows = splits.n_training_rows(bundle.splits[0].path)
        return self._launch(model, absolute_sizes(train_sizes, n_rows), bundle, pace=pace)

    def launch_for_arrays(  # type: ignore[override] # as above
        self,
        model: Any,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: Any = None,
        *,
        train_sizes: Any = TRAIN_SIZES,
        cv: Any = None,
        groups: Any = None,
        shuffle: bool = False,
        random_state: Any = None,
        pace: float = 0.0,
    ) -> Self:
        """Start evaluating on splits of a dataset, which are kept in spotcluster's own folder.

        Parameters
        ----------
        model, train_sizes, shuffle, random_state, pace
            As in `launch_for_splits`.
        X, y : array-like, sparse matrix or data frame
        cv : int, splitter or iterable, optional
            As in `sklearn.model_selection.learning_curve`: five folds by default.
        groups : array-like, optional
            Given to the splitter.
        """
        splitter = splits.splitter_for(cv, y, classifier=is_classifier(model))
        if shuffle:
            splitter = _Shuffled(splitter, random_state)
        files = splits.store_cv_splits(X, y, splitter, groups)
        return self.launch_for_splits(model, files, train_sizes=train_sizes, pace=pace)

    def _propose(self, space: Sequence[int]) -> list[Candidate]:
        return [
            Candidate({}, order, part=Part(n_samples=size), more={"train_size": size})
            for order, size in enumerate(space)
        ]

    @property
    def train_sizes_(self) -> Any:
        with self._changed:
            return np.array([item.more["train_size"] for item in self._results.candidates], int)

    @property
    def train_scores_(self) -> Any:
        return self._by_size("train_score")

    @property
    def test_scores_(self) -> Any:
        return self._by_size("test_score")

    @property
    def fit_times_(self) -> Any:
        return self._by_size("fit_time")

    @property
    def score_times_(self) -> Any:
        return self._by_size("score_time")

    def plot(self) -> Any:
        """Plot what is known so far; return matplotlib's figure."""
        from spotcluster.search.plots import learning_curve

        return learning_curve(self.train_sizes_, self.train_scores_, self.test_scores_)

    def _by_size(self, name: str) -> Any:
        with self._changed:
            table = np.full((len(self._results.candidates), self._results.n_splits), math.nan)
            for item in self._results.evaluations:
                value = getattr(item, name)
                table[item.candidate, item.split] = math.nan if value is None else value
        return table


def learning_curve(
    view: Any,
    estimator: Any,
    X: Any,  # noqa: N803 - scikit-learn's name
    y: Any = None,
    *,
    groups: Any = None,
    train_sizes: Any = TRAIN_SIZES,
    cv: Any = None,
    scoring: Any = None,
    shuffle: bool = False,
    random_state: Any = None,
    error_score: Any = math.nan,
    return_times: bool = False,
    timeout: float | None = None,
    ledger: AnyPath | None = None,
) -> tuple[Any, ...]:
    """Do what `sklearn.model_selection.learning_curve` does, on engines, and wait for it.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView or ipyparallel.Client
    estimator, X, y, groups, train_sizes, cv, scoring
    shuffle, random_state, error_score, return_times
        As in scikit-learn, and with its numbers.
    timeout : float, optional
        Seconds to wait at most.
    ledger : path, optional
        As in `Search`.

    Returns
    -------
    train_sizes_abs : ndarray of int, shape (n_ticks,)
    train_scores, test_scores : ndarray, shape (n_ticks, n_splits)
    fit_times, score_times : ndarray, shape (n_ticks, n_splits)
        When `return_times` is true.

    Raises
    ------
    SearchError
        If all fits fail, or it is not finished in time.

    Examples
    --------
    >>> sizes, train_scores, test_scores = learning_curve(view, SVC(), X, y, cv=5)
    """
    curve = LearningCurve(view, scoring=scoring, error_score=error_score, ledger=ledger)
    curve.launch_for_arrays(
        estimator,
        X,
        y,
        train_sizes=train_sizes,
        cv=cv,
        groups=groups,
        shuffle=shuffle,
        random_state=random_state,
    )
    if not curve.wait(timeout):
        curve.abort()
        raise SearchError(
            f"The learning curve was not finished in {timeout:.0f} s"
            f" ({curve.completed()} of {curve.total()} evaluations are).",
            f"Go on with it by giving it ledger={str(curve.ledger)!r}.",
        )
    failed = [item for item in curve.failed() if item.failed_in != "score"]
    if failed and len(failed) == curve.total():
        raise SearchError(f"All the {len(failed)} fits failed, the first with: {failed[0].error}")
    found: tuple[Any, ...] = (curve.train_sizes_, curve.train_scores_, curve.test_scores_)
    return (*found, curve.fit_times_, curve.score_times_) if return_times else found


def absolute_sizes(train_sizes: Any, n_rows: int) -> list[int]:
    """Return training sizes as rising numbers of rows, each once, rounded as in scikit-learn.

    Raises
    ------
    SearchError
        If there are none, or one is not possible with `n_rows`.
    """
    sizes = np.asarray(train_sizes)
    if sizes.ndim != 1 or not len(sizes) or sizes.dtype.kind not in "iuf":
        raise SearchError(
            f"train_sizes is {train_sizes!r}.", "Give a list of fractions or of numbers of rows."
        )
    if sizes.dtype.kind == "f":
        if not (sizes.min() > 0.0 and sizes.max() <= 1.0):
            raise SearchError(
                f"train_sizes are fractions from {sizes.min():g} to {sizes.max():g}.",
                "Give fractions above 0 and up to 1, or whole numbers of rows.",
            )
        rows = np.clip((sizes * n_rows).astype(int), 1, n_rows)
    else:
        if sizes.min() <= 0 or sizes.max() > n_rows:
            raise SearchError(
                f"train_sizes are from {sizes.min()} to {sizes.max()} rows, and the training part"
                f" of the first split has {n_rows}.",
                "Give numbers from 1 to that.",
            )
        rows = sizes
    unique = np.unique(rows)
    if len(unique) < len(sizes):
        warnings.warn(
            f"train_sizes come to {len(unique)} different numbers of rows, not {len(sizes)}.",
            RuntimeWarning,
            stacklevel=3,
        )
    return [int(size) for size in unique]


class _Shuffled:
    """A splitter whose training rows come in a random order, drawn as scikit-learn's curve does."""

    def __init__(self, splitter: Any, random_state: Any) -> None:
        self.splitter = splitter
        self.random_state = random_state

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:  # noqa: N803
        rng = check_random_state(self.random_state)
        # all splits first: the splitter may draw from the same generator
        for train, test in list(self.splitter.split(X, y, groups)):
            yield rng.permutation(train), test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803
        return int(self.splitter.get_n_splits(X, y, groups))

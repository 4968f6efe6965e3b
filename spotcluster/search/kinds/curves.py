"""Learning curves: how the scores grow with the training set, computed in parallel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self

import numpy as np
import sklearn
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import MethodMapping

from spotcluster.errors import SearchError
from spotcluster.search.data import splits
from spotcluster.search.data.candidates import Candidate, Part
from spotcluster.search.data.folds import Extent, rows_of
from spotcluster.search.data.parameters import BadParameter
from spotcluster.search.data.splits import Bundle
from spotcluster.search.outcome import Round
from spotcluster.search.runs import Run, error_of
from spotcluster.search.searches import AnyPath, Search
from spotcluster.search.sklearn_private import (
    Options,
    StrOptions,
    check_groups_routing_disabled,
    translate_train_sizes,
)

TRAIN_SIZES = tuple(float(size) for size in np.linspace(0.1, 1.0, 5))
"""scikit-learn's default."""


@dataclass(eq=False, repr=False)
class LearningCurve(Search):
    """The scores of a model for growing parts of the training set.

    Each evaluation takes the first rows of a split's training part: a slice of the memory-mapped
    arrays, which copies nothing. It runs by itself once it is launched, as a search does, and has
    the same verbs.

    Parameters
    ----------
    view
        As in `Search`, as are all that are not named here. Nothing is fitted again on all data.
    estimator : estimator, optional
    train_sizes : array-like of float or int
        Fractions of the first split's training part, or numbers of rows.
    shuffle : bool
        Whether the rows of each training part are put into a random order first.
    random_state : int, RandomState or None
        For `shuffle`, as in scikit-learn.
    exploit_incremental_learning : bool
        Whether the model goes on from one size to the next with its `partial_fit`. A split is one
        evaluation then, and not one for each size.

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
    >>> curve = LearningCurve(view, SVC(), cv=5).fit(X, y)
    >>> curve.test_scores_.mean(axis=1)
    array([0.82, 0.93, 0.97])

    Without waiting, on split files:

    >>> curve = LearningCurve(view).launch_for_splits(model, files, train_sizes=[0.1, 0.5, 1.0])
    >>> curve.wait()
    True
    """

    _: KW_ONLY
    train_sizes: Any = TRAIN_SIZES
    shuffle: bool = False
    random_state: Any = None
    exploit_incremental_learning: bool = False
    refit: Any = False
    return_train_score: bool | None = True

    _launched: Any = field(default=None, init=False)  # the sizes that were launched

    _space_name = "train_sizes"
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **Search._parameter_constraints,
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "train_sizes": ["array-like"],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "exploit_incremental_learning": ["boolean"],
        "refit": [Options(bool, {False})],
    }

    def launch_for_splits(  # type: ignore[override] # a curve has sizes where a search has a grid
        self,
        model: Any,
        files: Sequence[AnyPath],
        *,
        train_sizes: Any = None,
        shuffle: bool | None = None,
        random_state: Any = None,
        pace: float = 0.0,
    ) -> Self:
        """Start evaluating on split files; what ran before is aborted and forgotten.

        Parameters
        ----------
        model : estimator
        files : sequence of path
            What `persist_cv_splits` returned. To shuffle them makes one more file of each.
        train_sizes, shuffle, random_state
            Instead of those that the curve was made with.
        pace : float
            Seconds that each evaluation lasts at least, for demonstrations.

        Raises
        ------
        SearchError
            If a file cannot be read, or the sizes are not possible.
        """
        if self.shuffle if shuffle is None else shuffle:
            drawn_by = self.random_state if random_state is None else random_state
            files = splits.store_shuffled(files, drawn_by)
        sizes = self.train_sizes if train_sizes is None else train_sizes
        return self._launch(model, sizes, Bundle.of(files), pace=pace)

    def launch_for_arrays(  # type: ignore[override] # as above
        self,
        model: Any,
        X: Any,
        y: Any = None,
        *,
        train_sizes: Any = None,
        cv: Any = None,
        groups: Any = None,
        shuffle: bool | None = None,
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
        if self.shuffle if shuffle is None else shuffle:
            splitter = _Shuffled(
                splitter, self.random_state if random_state is None else random_state
            )
        sizes = self.train_sizes if train_sizes is None else train_sizes
        return super().launch_for_arrays(model, sizes, X, y, cv=splitter, groups=groups, pace=pace)

    def _launch(self, model: Any, grid: Any, bundle: Bundle, **more: Any) -> Self:
        if self.exploit_incremental_learning:
            if not hasattr(model, "partial_fit"):
                raise BadParameter(
                    "An estimator must support the partial_fit interface to exploit incremental"
                    " learning"
                )
            if is_classifier(model):
                task = more.get("task") or {}
                y = Extent(0, more.get("data"), bundle.splits[0].path).y
                fit_params = {**task.get("fit_params", {}), "classes": np.unique(y)}
                more["task"] = {**task, "fit_params": fit_params}
        return super()._launch(model, grid, bundle, **more)

    def _propose(self, model: Any, space: Any, extent: Extent) -> list[Candidate]:  # noqa: ARG002 - one model
        self._launched = space
        return [Candidate({}, 0)]

    def _splitter(self, splitter: Any) -> Any:
        return _Shuffled(splitter, self.random_state) if self.shuffle else splitter

    def _allot(self, candidates: list[Candidate], bundle: Bundle) -> list[Candidate]:  # noqa: ARG002 - a size each
        sizes = absolute_sizes(self._launched, rows_of(bundle)[0][0])
        if self.exploit_incremental_learning:
            return [Candidate({}, 0, part=Part(steps=tuple(sizes)))]
        return [
            Candidate({}, order, part=Part(n_samples=size), more={"train_size": size})
            for order, size in enumerate(sizes)
        ]

    def _settings(self) -> dict[str, Any]:
        return {
            **super()._settings(),
            "exploit_incremental_learning": self.exploit_incremental_learning,
        }

    def _rounds(self, run: Run) -> list[Round]:
        return [(run.evaluations(), {})]  # scikit-learn's curve says nothing of its scores

    def _conclude(self) -> None:
        run = self._run
        if self.exploit_incremental_learning:
            for evaluation in run.having("failed_in"):
                if evaluation.failed_in == "fit":  # scikit-learn has no score for these
                    raise error_of(evaluation)
        super()._conclude()

    def _get_routed_params_for_fit(self, params: dict[str, Any]) -> Any:
        routed = super()._get_routed_params_for_fit(params)
        if sklearn.get_config()["enable_metadata_routing"]:
            if self.exploit_incremental_learning:
                routed.estimator.fit = routed.estimator.partial_fit
        else:
            routed.scorer.score = {}  # as in scikit-learn's curve, unlike in its searches
        return routed

    def get_metadata_routing(self) -> Any:
        """Return what takes which arguments of `fit`, as in scikit-learn."""
        router = super().get_metadata_routing()
        if self.exploit_incremental_learning:
            mapping = MethodMapping().add(caller="fit", callee="partial_fit")
            router.add(estimator=self.estimator, method_mapping=mapping)
        return router

    @property
    def train_sizes_(self) -> Any:
        with self._changed:
            return np.array(self._sizes(), int)

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
        from spotcluster.search.results.plots import learning_curve

        return learning_curve(
            *(self.train_sizes_, self.train_scores_, self.test_scores_), self._subject
        )

    def _by_size(self, name: str) -> Any:
        with self._changed:
            sizes = self._sizes()
            table = np.full((len(sizes), self._results.n_splits), math.nan)
            for item in self._results.evaluations:
                steps = self._results.candidates[item.candidate].part
                if steps is None or steps.steps is None:
                    value = getattr(item, name)
                    table[item.candidate, item.split] = math.nan if value is None else value
                else:
                    found = getattr(item, f"{name}s")
                    table[:, item.split] = [found.get(str(size), math.nan) for size in sizes]
        return table

    def _sizes(self) -> list[int]:
        parts = [item.part for item in self._results.candidates if item.part is not None]
        return [
            size
            for part in parts
            for size in ([part.n_samples] if part.steps is None else part.steps)
            if size is not None
        ]


def learning_curve(
    view: Any,
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    train_sizes: Any = TRAIN_SIZES,
    cv: Any = None,
    scoring: Any = None,
    exploit_incremental_learning: bool = False,
    shuffle: bool = False,
    random_state: Any = None,
    error_score: Any = math.nan,
    return_times: bool = False,
    params: dict[str, Any] | None = None,
    timeout: float | None = None,
    ledger: AnyPath | None = None,
    accept_changes: bool = False,
) -> tuple[Any, ...]:
    """Do what `sklearn.model_selection.learning_curve` does, on engines, and wait for it.

    Parameters
    ----------
    view
        As in `Search`.
    estimator, X, y, groups, train_sizes, cv, scoring, exploit_incremental_learning
    shuffle, random_state, error_score, return_times, params
        As in scikit-learn, and with its numbers.
    timeout : float, optional
        Seconds to wait at most.
    ledger, accept_changes
        As in `Search`.

    Returns
    -------
    train_sizes_abs : ndarray of int, shape (n_ticks,)
    train_scores, test_scores : ndarray, shape (n_ticks, n_splits)
    fit_times, score_times : ndarray, shape (n_ticks, n_splits)
        When `return_times` is true.

    Raises
    ------
    ValueError
        If all fits fail, and for what scikit-learn does not take.
    SearchError
        If it is not finished in time.

    Examples
    --------
    >>> sizes, train_scores, test_scores = learning_curve(view, SVC(), X, y, cv=5)
    """
    check_groups_routing_disabled(groups)
    given = dict(params or {}) if groups is None else {**(params or {}), "groups": groups}
    curve = LearningCurve(
        view,
        estimator,
        train_sizes=train_sizes,
        cv=cv,
        scoring=scoring,
        exploit_incremental_learning=exploit_incremental_learning,
        shuffle=shuffle,
        random_state=random_state,
        error_score=error_score,
        ledger=ledger,
        accept_changes=accept_changes,
    )
    curve.launch(X, y, **given)
    if not curve._run.wait(timeout):
        curve.abort()
        raise SearchError(
            f"The learning curve was not finished in {timeout:.0f} s"
            f" ({curve.completed()} of {curve.total()} evaluations are).",
            f"Go on with it by giving it ledger={str(curve.ledger)!r}.",
        )
    curve._warn(curve._run)
    curve._conclude()
    found: tuple[Any, ...] = (curve.train_sizes_, curve.train_scores_, curve.test_scores_)
    return (*found, curve.fit_times_, curve.score_times_) if return_times else found


def absolute_sizes(train_sizes: Any, n_rows: int) -> list[int]:
    """Return training sizes as rising numbers of rows, each once, as scikit-learn does.

    Raises
    ------
    BadParameter
        If one is not possible with `n_rows`.
    """
    sizes = np.asarray(train_sizes)
    if sizes.ndim != 1 or not len(sizes) or sizes.dtype.kind not in "iuf" or np.isnan(sizes).any():
        raise BadParameter(
            f"train_sizes is {train_sizes!r}.", "Give a list of fractions or of numbers of rows."
        )
    try:
        sizes = translate_train_sizes(train_sizes, n_rows)
    except (TypeError, ValueError) as error:
        raise BadParameter(
            str(error), "Give a list of fractions above 0 and up to 1, or of numbers of rows."
        ) from error
    return [int(size) for size in sizes]


class _Shuffled:
    """A splitter whose training rows come in a random order, drawn as scikit-learn's curve does."""

    def __init__(self, splitter: Any, random_state: Any) -> None:
        self.splitter = splitter
        self.random_state = random_state

    def split(self, X: Any, y: Any = None, groups: Any = None, **more: Any) -> Iterator[Any]:
        rng = check_random_state(self.random_state)
        # all splits first: the splitter may draw from the same generator
        for train, test in list(self.splitter.split(X, y, groups, **more)):
            yield rng.permutation(train), test

    def get_n_splits(self, *args: Any, **more: Any) -> int:
        return int(self.splitter.get_n_splits(*args, **more))

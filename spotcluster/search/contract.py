"""scikit-learn's contract of a search: `fit`, what there is after it, `clone` and `pickle`."""

from __future__ import annotations

import contextlib
import copy
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from numbers import Real
from typing import Any, Self

from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import indexable

from spotcluster.errors import SearchError
from spotcluster.search.callbacks import Callbacks, following
from spotcluster.search.data import splits
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.folds import Dataset, Extent, Indices, takes_kernel
from spotcluster.search.data.splits import Bundle
from spotcluster.search.outcome import (
    AllFailed,
    NotFinished,
    Outcome,
    Round,
    warn_again,
    warn_of_failures,
)
from spotcluster.search.runs import NOT_LAUNCHED, Run
from spotcluster.search.sklearn_private import (
    SEARCH_CONSTRAINTS,
    BaseSearchCV,
    Interval,
    callbacks_of,
    check_method_params,
    scorers_of,
)


class SearchEstimator(BaseSearchCV):  # type: ignore[misc] # scikit-learn has no types
    """A search as an estimator.

    What is known of a search is looked up when it is asked for, so that scikit-learn's attributes
    are there in mid-flight too; after `fit` they are those of the finished search.
    """

    # BaseSearchCV gives predict and its like, score, tags, routing, and the rules of `refit`.
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **SEARCH_CONSTRAINTS,
        "return_train_score": ["boolean", None],
        "timeout": [Interval(Real, 0, None, closed="neither"), None],
        "on_result": [callable, None],
    }
    _run: Run = NOT_LAUNCHED
    _outcome: Outcome | None = None
    _callbacks: Callbacks | None = None  # while it is fitted, if it has any

    # --- fitting ----------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search on a dataset, wait for the end, and fit the best model on all of it.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame, shape (n_samples, n_features)
        y : array-like, shape (n_samples,) or (n_samples, n_outputs), optional
        **params
            For the `fit` of the estimator, the scorer and the splitter, as in
            `sklearn.model_selection.GridSearchCV`. What has a value for each row (`sample_weight`)
            is cut along with the data; `groups` goes to the splitter.

        Returns
        -------
        Search
            This search.

        Raises
        ------
        SearchError
            If there is no view, or the search cannot go on.
        ValueError
            If all fits fail, and for parameters that scikit-learn does not take. When all scores
            fail that is warned of, as in scikit-learn; there is no best candidate then.
        """
        with following(self) as self._callbacks:
            try:
                self._carry_out(X, y, params)
                self._warn(self._run)
                self._conclude()
                if self._callbacks is not None:
                    self._callbacks.end()
            finally:
                self._callbacks = None
        return self

    def _carry_out(self, X: Any, y: Any, params: dict[str, Any]) -> None:
        """Launch the search, and wait until all its evaluations are finished."""
        self.launch(X, y, **params)
        try:
            if self._callbacks is not None:
                known = self._foresees_candidates and not self._adds_candidates
                self._callbacks.begin_search(self._run, self._count_rounds(), known=known)
                for evaluation in self._run.as_completed(None):
                    self._callbacks.take(evaluation)
            self._run.wait(None)
        except BaseException:  # Ctrl-C too: what is finished stays, and can be resumed
            self._run.abort()
            raise
        if len(self._run.results) < self._run.results.total:
            raise SearchError(
                f"The search was aborted with {self._run.completed()} of"
                f" {self._run.results.total} evaluations finished.",
                f"Resume it from its ledger {self._run.path}.",
            )

    def launch(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Start what `fit` does, and do not wait for it.

        Every verb may be called at any time, and every result asked for: of what is known by then.
        The best model is fitted when it is first asked for, by `best_estimator_` or `predict`.

        Parameters
        ----------
        X, y, **params
            As in `fit`.
        """
        self._check(fitted=True)
        self.reset()
        self._get_scorers()  # for what it says of scoring and refit
        X, y = indexable(X, y)
        params = check_method_params(X, params)
        routed = self._get_routed_params_for_fit(params)
        if self._callbacks is not None:
            self._callbacks.begin(X, y, params)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        self._checked_cv_orig = self._splitter(splitter)
        n_splits = self._checked_cv_orig.get_n_splits(X, y, **routed.splitter.split)
        splits.check_splits(n_splits)
        data = Dataset(X, y, routed.estimator.fit, routed.scorer.score)
        model = clone(self.estimator)
        # Candidates first, as in scikit-learn: they and the splits may draw from one generator.
        candidates = self._propose(model, self._tried(), Extent(n_splits, data))
        indices = list(self._checked_cv_orig.split(X, y, **routed.splitter.split))
        if len(indices) != n_splits:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. Expected"
                f" {n_splits} splits, got {len(indices)}"
            )
        return self._launch(
            model,
            self._tried(),
            self._stored(data, model, candidates, indices),
            data=data,
            candidates=candidates,
            task={
                "fit_params": data.constants(data.fit_params),
                "score_params": data.constants(data.score_params),
            },
            train=False,
        )

    def _stored(
        self, data: Dataset, model: Any, candidates: list[Candidate], indices: Indices
    ) -> Bundle:
        """Cut the data for these candidates and write the splits into spotcluster's own folder."""
        kernel = takes_kernel(model, candidates if self._foresees_candidates else None, data.X)
        return Bundle.of(splits.store(data.folds(indices, kernel=kernel)))

    _foresees_candidates: bool
    _adds_candidates: bool

    def _count_rounds(self) -> int | None:
        """Return how many rounds the search has, if it goes on in rounds."""
        return None

    def _splitter(self, splitter: Any) -> Any:
        """Return what the data are split by: scikit-learn's splitter for `cv`, or more."""
        return splitter

    @abstractmethod
    def _check(self, *, fitted: bool) -> None: ...

    @abstractmethod
    def reset(self) -> Self: ...

    @abstractmethod
    def _tried(self) -> Any:
        """Return the parameters to try."""

    @abstractmethod
    def _propose(self, model: Any, space: Any, extent: Extent) -> list[Candidate]: ...

    @abstractmethod
    def _launch(self, model: Any, grid: Any, bundle: Bundle, *args: Any, **more: Any) -> Self: ...

    def _conclude(self) -> None:
        """Settle the results of a finished search, and warn of what failed."""
        run = self._run
        for evaluations, table in self._rounds(run):
            warn_of_failures(evaluations, table, run.plan.error_score)
        if self._callbacks is not None:
            self._callbacks.end_search()
        outcome = self._look(run)
        if self.refit and outcome.best_index is not None:
            self._refit(run, outcome)
        elif self.refit and any(item.failed_in == "fit" for item in run.having("error")):
            # As in scikit-learn, where it is the refit that says so, in the model's own words.
            fitted(run, run.results.candidates[0].params)
            raise AllFailed(run.evaluations())
        run.data = None
        self._outcome = outcome

    def _rounds(self, run: Run) -> list[Round]:
        """Return what scikit-learn would evaluate, and warn of, at once."""
        return [(run.evaluations(), run.results.table())]

    def _warn(self, run: Run) -> None:
        """Warn of what engines have warned of; once."""
        if not run.warned:
            run.warned = True
            warn_again(run.having("warned"), run.completed())

    # --- results ----------------------------------------------------------------------------------

    def _known(self) -> Outcome:
        """Return what is known of the search."""
        if self._outcome is not None:
            return self._outcome
        if not self._run.launched:
            raise NotFinished(
                f"This {type(self).__name__} instance is not fitted yet.",
                "Call 'fit' with appropriate arguments before using this estimator.",
            )
        return self._look(self._run)

    def _look(self, run: Run) -> Outcome:
        with run.changed:
            count = len(run.results) + len(run.results.infeasible)
            if run.seen is not None and run.seen[0] == count:
                return run.seen[1]
            table, metrics = run.results.table(), run.results.metrics()
            failed = run.results.all_failed()
        several = bool(metrics)
        if several:
            self._check_refit_for_multimetric(metrics)
        metric = (self.refit if isinstance(self.refit, str) else None) if several else "score"
        scorers = scorers_of(run.plan.scorer) or run.plan.scorer
        outcome = Outcome(table, run.results.n_splits, scorers, metrics, metric)
        if (self.refit or not several) and len(table["params"]) and not failed:
            outcome.best_index = self._select_best_index(self.refit, metric, table)
            if outcome.best_index is not None and not callable(self.refit):
                outcome.best_score = table[f"mean_test_{metric}"][outcome.best_index]
        if run.seen is not None and run.seen[1].best_index == outcome.best_index:
            outcome.estimator = run.seen[1].estimator  # more is known, and the best is the same
            outcome.refit_time = run.seen[1].refit_time
        run.seen = (count, outcome)
        return outcome

    def _refit(self, run: Run, outcome: Outcome) -> None:
        assert outcome.best_params is not None
        callbacks = self._callbacks
        refitting = contextlib.nullcontext if callbacks is None else callbacks.refitting
        outcome.estimator, outcome.refit_time = fitted(run, outcome.best_params, refitting)

    def _best(self, attribute: str) -> Outcome:
        outcome = self._known()
        if outcome.best_index is None:
            if outcome.metric is None and not callable(self.refit):
                raise AttributeError(
                    f"{attribute} is not there: refit does not say which of several scores counts."
                )
            if self._run.results.all_failed():
                raise AllFailed(self._run.evaluations())
            raise NotFinished(
                "No candidate has all its splits finished yet.", "Call wait() on the search."
            )
        return outcome

    @property
    def cv_results_(self) -> dict[str, Any]:
        """scikit-learn's table of the candidates whose splits are all finished."""
        return self._known().table

    @property
    def best_index_(self) -> int:
        """The row of the best candidate in `cv_results_`."""
        index: int = self._best("best_index_").best_index
        return index

    @property
    def best_params_(self) -> dict[str, Any]:
        """The parameters of the best candidate."""
        params = self._best("best_params_").best_params
        assert params is not None
        return params

    @property
    def best_score_(self) -> float:
        """The mean validation score of the best candidate."""
        outcome = self._best("best_score_")
        if callable(self.refit):
            raise AttributeError(  # noqa: TRY004 - as hasattr needs it
                "best_score_ is not there when refit is a function."
            )
        score: float = outcome.best_score
        return score

    @property
    def best_estimator_(self) -> Any:
        """The model with the best parameters, fitted here and on all data.

        By `fit`, or else when it is first asked for. A search on split files takes both parts of
        its first split for all data, in their order.
        """
        if not self.refit:
            raise AttributeError(
                f"This {type(self).__name__} instance was initialized with `refit=False`:"
                " best_estimator_ is not there. Fit the model yourself, with best_params_."
            )
        outcome = self._best("best_estimator_")
        if outcome.estimator is None:
            self._refit(self._run, outcome)
        return outcome.estimator

    @property
    def refit_time_(self) -> float:
        """Seconds that the fit of the best model took."""
        _ = self.best_estimator_
        refit_time = self._known().refit_time
        assert refit_time is not None
        return refit_time

    @property
    def feature_names_in_(self) -> Any:
        """The names of the features, when `fit` was given a data frame."""
        return self.best_estimator_.feature_names_in_

    @property
    def n_splits_(self) -> int:
        """How many splits there are."""
        return self._known().n_splits

    @property
    def scorer_(self) -> Any:
        """The scorer, or a dictionary of scorers by their names."""
        return self._known().scorer

    @property
    def multimetric_(self) -> bool:
        """Whether there are several scores."""
        return bool(self._known().metrics)

    def __sklearn_is_fitted__(self) -> bool:
        with contextlib.suppress(AttributeError):
            return bool(len(self.cv_results_["params"]))
        return False

    def __sklearn_tags__(self) -> Any:
        if self.estimator is None:  # it is given with the launch
            return super(BaseSearchCV, self).__sklearn_tags__()
        tags = super().__sklearn_tags__()
        tags.array_api_support = False  # data travel in files, which numpy maps
        return tags

    # --- copies -----------------------------------------------------------------------------------

    def __sklearn_clone__(self) -> Self:
        # The view is a connection: a copy of the search uses the same one.
        params = {
            name: value if name == "on_result" else clone(value, safe=False)
            for name, value in self.get_params(deep=False).items()
        }
        copied = type(self)(self.view, **params)
        for name in ("_metadata_request", "_sklearn_output_config"):
            if hasattr(self, name):
                setattr(copied, name, copy.deepcopy(getattr(self, name)))
        if mine := callbacks_of(self).get(""):  # which are shared, as scikit-learn has it
            copied.set_callbacks(*mine)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        memo[id(self.view)] = self.view
        state = self.__getstate__()
        copied.__dict__.update(copy.deepcopy({**state, "view": None}, memo))
        copied.view = self.view
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Return what is kept of a search in a file: not its view, nor what is under way."""
        state: dict[str, Any] = dict(super().__getstate__())
        if self._outcome is None and self._run.launched and not self._run.running:
            with contextlib.suppress(Exception):
                state["_outcome"] = self._known()
        state.pop("_run", None)
        state.pop("_checked_cv_orig", None)
        return {**state, "view": None}

    @classmethod
    def _get_param_names(cls) -> list[str]:
        # Parameters can be copied, compared and stored, and a connection cannot.
        return [name for name in super()._get_param_names() if name != "view"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn's
        """Return the parameters of this search, as in scikit-learn, but for the view."""
        params: dict[str, Any] = super().get_params(deep=deep)
        params["ledger"] = self.__dict__["ledger"]  # the wanted one, see `Search.ledger`
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this search, as in scikit-learn, or its view."""
        if "view" in params:
            self.view = params.pop("view")
        return super().set_params(**params)  # type: ignore[no-any-return]


def fitted(
    run: Run,
    params: dict[str, Any],
    around: Callable[[Any], AbstractContextManager[Any]] = contextlib.nullcontext,
) -> tuple[Any, float]:
    """Return the model of a run with these parameters, fitted on all data, and the seconds.

    It is fitted within the context that `around` gives for it.
    """
    data = run.data
    if data is None:
        data = Dataset(*splits.whole_dataset(run.bundle.splits[0].path))
    # Parameters may be estimators themselves.
    estimator = clone(run.plan.model).set_params(**clone(params, safe=False))
    with around(estimator):
        start = time.time()
        estimator.fit(*((data.X,) if data.y is None else (data.X, data.y)), **data.fit_params)
        return estimator, time.time() - start

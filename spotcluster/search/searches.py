"""Searches for the best parameters of a model, on the engines of an ipyparallel client."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search import ledger as ledgers
from spotcluster.search import shipping, splits
from spotcluster.search.candidates import Candidate, Space, grid_candidates, random_candidates
from spotcluster.search.contract import SearchEstimator
from spotcluster.search.display import State, page, watch
from spotcluster.search.evaluations import Evaluation, Key, Retry
from spotcluster.search.folds import Dataset
from spotcluster.search.ledger import Header, Record
from spotcluster.search.results import Best, Results, report
from spotcluster.search.runs import Plan, Run
from spotcluster.search.splits import Bundle

AnyPath = str | PathLike[str]
OnResult = Callable[[Evaluation], Any]


class Search(SearchEstimator):
    """What all searches share: the verbs, and the results.

    A search runs by itself once it is launched; every verb may be called at any time and tells what
    is known by then. Launch it with `fit` (which waits) or `launch` on a dataset, for the estimator
    and the parameters that it was made with, or give these later, with `launch_for_splits` or
    `launch_for_arrays`.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView or ipyparallel.Client
        Where evaluations run. A view with targets is kept to. Copies of the search use the same
        one, and a search that is pickled comes back without.
    estimator : estimator, optional
        The model, for `fit` and `launch`.
    cv : int, splitter or iterable, optional
        As in scikit-learn, for `fit` and `launch`.
    scoring : str, callable, list, tuple or dict, optional
        As in scikit-learn; the model's own `score` by default.
    refit : bool, str or callable
        As in scikit-learn: whether the best model is fitted on all data, and by which of several
        scores, or by which function of `cv_results_`, it is the best.
    error_score : float or "raise"
        The score of an evaluation that fails; or whether the first one ends the search.
    return_train_score : bool, optional
        Whether models are scored on their training data too. By default `fit` and `launch` do not,
        as in scikit-learn, and the others do.
    timeout : float, optional
        Seconds that an evaluation may take. One that takes longer is interrupted and recorded with
        `error_score`; compiled code that cannot be interrupted is ended with its engine, some
        seconds later.
    ledger : path, optional
        Where finished evaluations are written. When it is there already, and is of the same search,
        the search goes on from it. A new file in spotcluster's own folder by default.
    on_result : callable, optional
        Called with each `Evaluation` when it is finished. It is called by the thread that keeps the
        engines busy, so it should be quick; what it raises is told in the report.
    """

    def __init__(
        self,
        view: Any = None,
        estimator: Any = None,
        *,
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool | None = None,
        timeout: float | None = None,
        ledger: AnyPath | None = None,
        on_result: OnResult | None = None,
    ) -> None:
        self.view = view
        self.estimator = estimator
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.timeout = timeout
        self.ledger = ledger
        self.on_result = on_result

    @property
    def ledger(self) -> AnyPath | None:
        """The ledger of the search that is running, or ran last; else the one that is wanted."""
        wanted: AnyPath | None = self.__dict__["ledger"]
        return wanted if self._run is None else self._run.path

    @ledger.setter
    def ledger(self, path: AnyPath | None) -> None:
        # Under its own name, by which scikit-learn knows the parameter.
        self.__dict__["ledger"] = path

    # --- launching --------------------------------------------------------------------------------

    def launch_for_splits(
        self, model: Any, grid: Space, files: Sequence[AnyPath], *, pace: float = 0.0
    ) -> Self:
        """Start evaluating on split files; what ran before is aborted and forgotten.

        Parameters
        ----------
        model : estimator
        grid : dict or list of dict
            Lists of values by parameter name; distributions too in a randomised search.
        files : sequence of path
            What `persist_cv_splits` returned. Engines read their host's copy, which is made when
            the host does not see these files.
        pace : float
            Seconds that each evaluation lasts at least, for demonstrations.

        Returns
        -------
        Search
            This search.

        Raises
        ------
        SearchError
            If a file cannot be read, the grid is not usable, or the ledger is of another search.
        """
        return self._launch(model, grid, Bundle.of(files), pace=pace)

    def launch_for_arrays(
        self,
        model: Any,
        grid: Space,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: Any = None,
        n_splits: int = 5,
        test_size: float | None = 0.25,
        random_state: Any = None,
        cv: Any = None,
        *,
        groups: Any = None,
        pace: float = 0.0,
    ) -> Self:
        """Start evaluating on splits of a dataset, which are kept in spotcluster's own folder.

        Parameters
        ----------
        model, grid, pace
            As in `launch_for_splits`.
        X, y : array-like, sparse matrix or data frame
        n_splits, test_size, random_state
            Of `sklearn.model_selection.ShuffleSplit`; not used when `cv` is given.
        cv : int, splitter or iterable, optional
            As in scikit-learn's searches.
        groups : array-like, optional
            Given to the splitter.
        """
        if cv is None:
            splitter = splits.shuffle_split(n_splits, test_size, random_state)
        else:
            splitter = splits.splitter_for(cv, y, classifier=is_classifier(model))
        bundle = Bundle.of(splits.store_cv_splits(X, y, splitter, groups))
        return self._launch(model, grid, bundle, pace=pace, data=Dataset(X, y))

    @classmethod
    def resume(cls, ledger: AnyPath, view: Any, *, pace: float = 0.0) -> Self:
        """Go on with a search of a client that has gone; no finished evaluation is run again.

        The parameters of the search come back with it. One that was begun by `fit` does not wait:
        call `wait`, and then what `fit` leaves is there.

        Raises
        ------
        SearchError
            If the ledger is of another kind of search, its split files have changed, or the model
            cannot be read from it; give the model again then:
            ``GridSearch(view, ledger=PATH).launch_for_splits(model, grid, files)``, or the same
            search with ``ledger=PATH`` and `fit`.
        """
        path = Path(ledger)
        record = ledgers.read(path)
        header = record.header
        if header.kind != cls.__name__:
            raise SearchError(
                f"The ledger {path} is of a {header.kind}, not of a {cls.__name__}.",
                f"Call {header.kind}.resume.",
            )
        if header.objects is None or record.candidates is None:
            raise SearchError(
                f"The model cannot be read from the ledger {path}, which another user, computer or"
                " version wrote.",
                f"Launch {cls.__name__}(view, ledger=...) with the same model, grid and files.",
            )
        bundle = Bundle.of(split["path"] for split in header.splits)
        for split, known in zip(bundle.splits, header.splits, strict=True):
            if split.digest != known["digest"]:
                raise SearchError(
                    f"The split file {split.path} is not what it was when the search began.",
                    "Bring the old one back, or start the search again.",
                )
        given = header.objects
        search = cls(view, **given["params"], ledger=path)
        search._check()
        plan = search._planned(given["model"], given["scorer"], {**given["task"], "pace": pace})
        data = None if given["data"] is None else Dataset.stored(given["data"])
        return search._start(plan, record.candidates, bundle, path, header, record, data)

    # --- for kinds of searches --------------------------------------------------------------------

    _adds_candidates = False
    """Whether the search goes on, with nothing to do, until `_close` is called."""

    def _tried(self) -> Space:
        raise SearchError(f"A {type(self).__name__} is launched with what it tries, not fitted.")

    def _propose(self, space: Space) -> list[Candidate]:
        """Return the first candidates."""
        raise NotImplementedError

    _needs_splits = False
    """Whether the first candidates depend on the splits."""

    def _draw(self) -> Any:
        """What else the candidates depend on."""
        return None

    def _settings(self) -> dict[str, Any]:
        """Return the parameters that results depend on, as they have come out; JSON."""
        return {"error_score": self.error_score, "timeout": self.timeout}

    def _begin(self) -> None:
        """Decide on the first candidates to add, just before the search starts.

        When it is resumed, `_results` has what was found and added before.
        """

    def _told(self, evaluation: Evaluation) -> None:
        """Decide on what to add, now that this evaluation is finished.

        Called once for each, on the dispatcher's thread and outside of locks, when the evaluation
        is on the disk and in the results.
        """

    def _add(self, candidates: Sequence[Candidate], *, first: bool = False) -> list[Key]:
        """Add candidates to the running search; return their evaluations.

        Parameters
        ----------
        first : bool
            Whether they go before what is waiting.
        """
        return [] if self._run is None else self._run.add(candidates, first=first)

    def _close(self) -> None:
        """End when all evaluations are finished."""
        if self._run is not None and self._run.dispatcher is not None:
            self._run.dispatcher.close_intake()

    @property
    def _changed(self) -> threading.Condition:
        """What guards the results, and is notified when there are more."""
        return threading.Condition() if self._run is None else self._run.changed

    @property
    def _results(self) -> Results:
        return Results([], 0) if self._run is None else self._run.results

    # --- how it starts ----------------------------------------------------------------------------

    def _check(self) -> None:
        """Check what scikit-learn does not."""
        error_score = self.error_score
        if error_score != "raise" and (
            isinstance(error_score, bool) or not isinstance(error_score, int | float | np.number)
        ):
            raise SearchError(
                f"error_score is {error_score!r}, which is not a number.",
                'Failed evaluations are kept with their traceback; give a number, nan, or "raise".',
            )
        if self.timeout is not None and not self.timeout > 0:
            raise SearchError(f"timeout is {self.timeout!r}.", "Give seconds, or None.")
        _load_balanced(self.view)

    def _launch(
        self,
        model: Any,
        grid: Space,
        bundle: Bundle,
        *,
        pace: float = 0.0,
        data: Dataset | None = None,
        candidates: list[Candidate] | None = None,
        task: dict[str, Any] | None = None,
        train: bool = True,
    ) -> Self:
        """Start; every way to launch a search ends here.

        Parameters
        ----------
        model, grid, pace
            As in `launch_for_splits`.
        bundle : Bundle
        data : Dataset, optional
            All data, for the refit; else they are those of the first split.
        candidates : list of Candidate, optional
            The first ones, where they have been proposed already.
        task : dict, optional
            What else all evaluations have in common, see `engine.fit_and_score`.
        train : bool
            Whether training scores are wanted, where the search does not say.
        """
        self.reset()
        try:
            model = clone(model)
        except TypeError as error:
            raise SearchError(f"The model is not a scikit-learn estimator: {error}") from error
        self._check()
        scorer = self._scorer(model)
        if candidates is None:
            candidates = self._propose(grid)
        if not candidates and not self._adds_candidates:
            raise SearchError("The search has no candidates.", "Give each parameter some values.")
        if self.return_train_score is not None:
            train = bool(self.return_train_score)
        metric = self.refit if isinstance(self.refit, str) else None
        settings = {**self._settings(), "return_train_score": train}
        question = _digest(
            (
                *(type(self).__name__, model, grid, self.scoring, settings, metric),
                *(self._draw(), bundle.digest, task),
            )
        )
        task = {
            **(task or {}),
            "error_score": self.error_score,
            "return_train_score": train,
            "metric": metric,
            "config": sklearn.get_config(),
            "pace": pace,
        }
        plan = self._planned(model, scorer, task)
        wanted = self.__dict__["ledger"]
        path = Path(wanted) if wanted else _new_ledger()
        if path.exists() and path.stat().st_size:
            record = ledgers.read(path)
            if record.header.question != question:
                raise SearchError(
                    f"The ledger {path} is of another search.",
                    "Give this one another ledger, or the same model, grid and split files.",
                )
            if record.candidates:  # what was drawn then; at random, it would be another draw now
                candidates = record.candidates
            return self._start(plan, candidates, bundle, path, record.header, record, data)
        header = Header(
            id=uuid.uuid4().hex,
            kind=type(self).__name__,
            question=question,
            settings=settings,
            splits=[asdict(split) for split in bundle.splits],
            objects={
                "model": model,
                "scorer": scorer,
                "task": task,
                "params": {**self._kept_params(), **settings},
                "data": data.store() if data is not None and self.refit else None,
            },
        )
        return self._start(plan, candidates, bundle, path, header, None, data)

    def _scorer(self, model: Any) -> Any:
        if callable(self.scoring):
            return self.scoring
        try:
            scorer = check_scoring(model, self.scoring, raise_exc=self.error_score == "raise")
            if hasattr(scorer, "_scorers"):
                self._check_refit_for_multimetric(scorer._scorers)
        except (TypeError, ValueError) as error:
            raise SearchError(f"The model cannot be scored: {error}") from error
        return scorer

    def _kept_params(self) -> dict[str, Any]:
        """Return the parameters of this search that a resumed one has too."""
        params = self.get_params(deep=False)
        for name in ("ledger", "on_result"):
            params.pop(name, None)
        if np.iterable(params.get("cv")):  # all indices, or used up; the splits are there anyhow
            params["cv"] = None
        return params

    def _planned(self, model: Any, scorer: Any, task: dict[str, Any]) -> Plan:
        metrics = list(getattr(scorer, "_scorers", []))
        task = {**task, "model": model, "scoring": scorer}
        return Plan(model, scorer, metrics, task, self.timeout)

    def _start(
        self,
        plan: Plan,
        candidates: Sequence[Candidate],
        bundle: Bundle,
        path: Path,
        header: Header,
        record: Record | None,
        data: Dataset | None,
    ) -> Self:
        self._run = Run(plan, candidates, bundle, path, header, record, data, self._news)
        self._run.prepare(_load_balanced(self.view), open=self._adds_candidates)
        self._begin()
        self._run.start()
        return self

    def _news(self, evaluation: Evaluation) -> None:
        self._told(evaluation)
        if self.on_result is not None and self._run is not None:
            try:
                self.on_result(evaluation)
            except Exception as error:  # noqa: BLE001 - the search goes on, whatever it is
                self._run.remark = f"on_result has raised {type(error).__name__}: {error}"

    # --- following --------------------------------------------------------------------------------

    def completed(self) -> int:
        """Return how many evaluations are finished."""
        return 0 if self._run is None else self._run.completed()

    def total(self) -> int:
        """Return how many evaluations the search has."""
        return self._results.total

    def progress(self) -> float:
        """Return the finished fraction of the search, from 0 to 1."""
        return self.completed() / self.total() if self.total() else 0.0

    def running(self) -> bool:
        """Return whether the search is under way."""
        return self._run is not None and self._run.running

    @property
    def retried(self) -> list[Retry]:
        """What was sent again, and why."""
        return [] if self._run is None else self._run.retried

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the search is finished or aborted.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether the search has ended; False when the time was up.

        Raises
        ------
        SearchError
            If the search cannot go on.
        """
        return True if self._run is None else self._run.wait(timeout)

    def as_completed(self, timeout: float | None = None) -> Iterator[Evaluation]:
        """Yield each evaluation when it is finished, those finished already first.

        Raises
        ------
        SearchError
            If none is finished for `timeout` seconds, or the search cannot go on.
        """
        if self._run is not None:
            yield from self._run.as_completed(timeout)

    def abort(self) -> Self:
        """Stop the search; its results stay, and it can be resumed from its ledger.

        Evaluations that are running end on their engines, and count no more.
        """
        if self._run is not None:
            self._run.abort()
        return self

    def reset(self) -> Self:
        """Abort the search and forget its results; the ledger stays where it is."""
        self.abort()
        self._run = self._outcome = None
        return self

    # --- results ----------------------------------------------------------------------------------

    def find_bests(self, n_top: int = 5) -> list[Best]:
        """Return the best candidates so far, best first.

        Returns
        -------
        list of Best
            Pairs ``(mean validation score, params)``, with more in their attributes: over how many
            splits, and what the training scores are. Equal scores stand in the grid's order.
        """
        with self._changed:
            return self._results.ranking()[:n_top]

    def report(self, n_top: int = 5) -> str:
        """Return progress and the best candidates so far as text."""
        with self._changed:
            return report(self._results, n_top, self._remarks())

    def state(self, n_top: int = 5) -> State:
        """Return what is shown of the search."""
        run = self._run
        return State(
            type(self).__name__,
            self.completed(),
            self.total(),
            {} if run is None else dict(run.engines()),
            self.find_bests(n_top),
            self._remarks(),
            running=self.running(),
        )

    def watch(self, n_top: int = 5, timeout: float | None = None) -> None:
        """Show the search live, in a terminal or a notebook, until it has ended.

        An interrupt ends the showing and not the search.

        Parameters
        ----------
        n_top : int
            How many of the best candidates to show.
        timeout : float, optional
            Seconds to show it at most.
        """
        watch(self, n_top=n_top, timeout=timeout)

    def __str__(self) -> str:
        return self.report() if self._run is not None else super().__repr__()

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:  # noqa: N803 - scikit-learn's
        if self._run is not None and self._outcome is None:
            return self.report()
        return str(super().__repr__(N_CHAR_MAX))

    def _repr_html_(self) -> str:
        """Return the search as a notebook shows it."""
        return str(self._html_repr()) if self._run is None else page(self.state())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def evaluations(self) -> list[Evaluation]:
        """Return the finished evaluations, in the order in which they were finished."""
        return [] if self._run is None else self._run.evaluations()

    def failed(self) -> list[Evaluation]:
        """Return the evaluations that raised or were given up, with the reason in `error`."""
        return [evaluation for evaluation in self.evaluations() if evaluation.error]

    def evaluations_per_node(self) -> dict[str, int]:
        """Return how many evaluations each host did."""
        with self._changed:
            return self._results.per_node()

    def to_frame(self, *, by: str = "candidate") -> Any:
        """Return the results so far as a pandas data frame.

        Parameters
        ----------
        by : {"candidate", "evaluation"}
            What has a row: each candidate with a finished split, the best first, or each finished
            evaluation, in the order in which they were finished.

        Raises
        ------
        SearchError
            If pandas is not installed here.
        """
        from spotcluster.search.frames import candidates_frame, evaluations_frame

        with self._changed:
            results = self._results
            if by == "candidate":
                return candidates_frame(results)
            if by == "evaluation":
                return evaluations_frame(results)
        raise SearchError(f"by is {by!r}.", 'Give "candidate" or "evaluation".')

    def boxplot_parameters(self, display_train: bool = False) -> Any:  # noqa: FBT001, FBT002 - the seed's
        """Plot the validation scores for each value of each parameter; return matplotlib's figure.

        Parameters
        ----------
        display_train : bool
            Whether to plot the training scores too.
        """
        from spotcluster.search.plots import boxplot_parameters

        return boxplot_parameters(
            self._results.candidates, self.evaluations(), display_train=display_train
        )

    def validation_curve(self, parameter: str, *, display_train: bool = True) -> Any:
        """Plot the scores so far against one parameter; return matplotlib's figure.

        Parameters
        ----------
        parameter : str
        display_train : bool
            Whether to plot the training scores too.
        """
        from spotcluster.search.plots import validation_curve

        return validation_curve(
            self._results.candidates, self.evaluations(), parameter, display_train=display_train
        )

    def score_over_time(self) -> Any:
        """Plot each candidate when it was finished, and the best so far; return the figure."""
        from spotcluster.search.plots import score_over_time

        results = self._results
        return score_over_time(results.candidates, self.evaluations(), results.n_splits)

    def work_per_engine(self) -> Any:
        """Plot what each engine did when, and how nodes came and went; return the figure."""
        from spotcluster.search.plots import work_per_engine

        return work_per_engine(
            self.evaluations(), [] if self._run is None else self._run.presence()
        )

    def _remarks(self) -> list[str]:
        return [] if self._run is None else self._run.remarks()


class GridSearch(Search):
    """Every setting of a grid.

    Parameters
    ----------
    view
        As in `Search`, as are all other parameters.
    estimator : estimator, optional
    grid : dict or list of dict, optional
        Lists of values by parameter name.

    Examples
    --------
    As scikit-learn's:

    >>> search = GridSearch(view, SVC(), {"C": [1, 10]}, cv=5).fit(X, y)
    >>> search.best_params_
    {'C': 10}

    Without waiting:

    >>> search = GridSearch(view).launch_for_splits(model, {"C": [1, 10]}, files)
    >>> search.wait()
    True
    >>> search.find_bests()
    [(0.9902222222222222, {'C': 1})]
    """

    def __init__(
        self,
        view: Any = None,
        estimator: Any = None,
        grid: Space = None,
        *,
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool | None = None,
        timeout: float | None = None,
        ledger: AnyPath | None = None,
        on_result: OnResult | None = None,
    ) -> None:
        super().__init__(
            view,
            estimator,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            timeout=timeout,
            ledger=ledger,
            on_result=on_result,
        )
        self.grid = grid

    def _tried(self) -> Space:
        return self.grid

    def _propose(self, space: Space) -> list[Candidate]:
        return grid_candidates(space)


class RandomizedSearch(Search):
    """Settings drawn at random: from lists without repetition, or from distributions.

    Parameters
    ----------
    view
        As in `Search`, as are all other parameters.
    estimator : estimator, optional
    distributions : dict or list of dict, optional
        Lists, or distributions as in `scipy.stats`, by parameter name.
    n_iter : int, optional
        How many to draw; all of the grid, in a random order, when it is not given.
    random_state : int, RandomState or None
        As in scikit-learn, and drawing the same as `sklearn.model_selection.RandomizedSearchCV`.

    Examples
    --------
    >>> search = RandomizedSearch(view, SVC(), {"C": loguniform(0.1, 100)}, n_iter=20).fit(X, y)
    """

    def __init__(
        self,
        view: Any = None,
        estimator: Any = None,
        distributions: Space = None,
        *,
        n_iter: int | None = None,
        random_state: Any = None,
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool | None = None,
        timeout: float | None = None,
        ledger: AnyPath | None = None,
        on_result: OnResult | None = None,
    ) -> None:
        super().__init__(
            view,
            estimator,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            timeout=timeout,
            ledger=ledger,
            on_result=on_result,
        )
        self.distributions = distributions
        self.n_iter = n_iter
        self.random_state = random_state

    def _tried(self) -> Space:
        return self.distributions

    def _propose(self, space: Space) -> list[Candidate]:
        n_iter = self.n_iter
        if n_iter is not None and (not isinstance(n_iter, int | np.integer) or n_iter < 1):
            raise SearchError(f"n_iter is {n_iter!r}.", "Give the number of candidates to draw.")
        return random_candidates(space, n_iter, self.random_state)

    def _draw(self) -> Any:
        # The state of a generator changes with each draw.
        fixed = isinstance(self.random_state, int | np.integer)
        return (self.n_iter, int(self.random_state) if fixed else None)


RandomizedGridSeach = RandomizedSearch
"""The seed's name, as it was written there."""


def _load_balanced(view: Any) -> Any:
    if hasattr(view, "load_balanced_view"):
        return view.load_balanced_view()
    if hasattr(view, "retries") and hasattr(view, "client"):
        return view
    raise SearchError(
        f"A search needs a load-balanced view, and was given a {type(view).__name__}.",
        "Give it client.load_balanced_view(), or the client.",
    )


def _digest(things: Any) -> str:
    with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):
        return str(joblib.hash(things))
    # A function of a notebook, perhaps, which has no name to be found by.
    try:
        return hashlib.sha256(shipping.pack(things)).hexdigest()
    except Exception as error:
        raise SearchError(
            f"The model or its parameters cannot be sent to engines: {error}",
            "Leave out what cannot be pickled: open files, locks, connections.",
        ) from error


def _new_ledger() -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return files.private_dir("searches") / f"{stamp}-{uuid.uuid4().hex[:8]}.jsonl"

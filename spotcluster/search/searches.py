"""Searches for the best parameters of a model, on the engines of an ipyparallel client."""

from __future__ import annotations

import hashlib
import pickle
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from sklearn.base import clone, is_classifier

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search import ledger as ledgers
from spotcluster.search import shipping, splits
from spotcluster.search.candidates import Candidate, Space, grid_candidates, random_candidates
from spotcluster.search.dispatch import Dispatcher, News
from spotcluster.search.evaluations import Evaluation, Key, Retry
from spotcluster.search.ledger import Header, Ledger, Record
from spotcluster.search.results import Best, Results, report
from spotcluster.search.splits import Bundle

AnyPath = str | PathLike[str]


STOP_LIMIT = 30.0


class Search:
    """What all searches share: the verbs, and the results.

    A search runs by itself once it is launched; every verb may be called at any time and tells what
    is known by then.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView or ipyparallel.Client
        Where evaluations run. A view with targets is kept to.
    scoring : str or callable, optional
        As in scikit-learn; the model's own `score` by default.
    error_score : float
        The score of an evaluation that fails.
    return_train_score : bool
        Whether models are scored on their training data too.
    timeout : float, optional
        Seconds that an evaluation may take. One that takes longer is interrupted and recorded with
        `error_score`; compiled code that cannot be interrupted is ended with its engine, some
        seconds later.
    ledger : path, optional
        Where finished evaluations are written. When it is there already, and is of the same search,
        the search goes on from it. A new file in spotcluster's own folder by default.

    Attributes
    ----------
    retried : list of Retry
        What was sent again, and why.
    ledger : pathlib.Path or None
        The ledger of the search that is running, or ran last.
    """

    def __init__(
        self,
        view: Any,
        *,
        scoring: Any = None,
        error_score: float = float("nan"),
        return_train_score: bool = True,
        timeout: float | None = None,
        ledger: AnyPath | None = None,
    ) -> None:
        if isinstance(error_score, bool) or not isinstance(error_score, int | float):
            raise SearchError(
                f"error_score is {error_score!r}, which is not a number.",
                "Failed evaluations are kept with their traceback; give a number, or nan.",
            )
        self.view = _load_balanced(view)
        self.scoring = scoring
        self.error_score = float(error_score)
        self.return_train_score = return_train_score
        if timeout is not None and not timeout > 0:
            raise SearchError(f"timeout is {timeout!r}.", "Give seconds, or None for no limit.")
        self.timeout = timeout
        self.ledger: Path | None = None
        self.retried: list[Retry] = []
        self._ledger_wanted = ledger
        self._changed = threading.Condition()
        self._results = Results([], 0)
        self._dispatcher: Dispatcher | None = None
        self._running = False
        self._ledger: Ledger | None = None
        self._model: Any = None
        self._data: tuple[Any, Any] | None = None
        self._bundle: Bundle | None = None
        self._best: tuple[int, Any] | None = None

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
        self._launch(model, grid, bundle, pace=pace)
        self._data = (X, y)
        return self

    @classmethod
    def resume(cls, ledger: AnyPath, view: Any, *, pace: float = 0.0) -> Self:
        """Go on with a search of a client that has gone.

        Raises
        ------
        SearchError
            If the ledger is of another kind of search, its split files have changed, or the model
            cannot be read from it; give the model again then:
            ``GridSearch(view, ledger=PATH).launch_for_splits(model, grid, files)``.
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
        model, scoring = header.objects
        search = cls(view, scoring=scoring, **header.settings, ledger=path)
        assert record.candidates is not None
        search._start(model, record.candidates, bundle, header, record, pace=pace)
        return search

    def _propose(self, space: Space) -> list[Candidate]:
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        return {
            "error_score": self.error_score,
            "return_train_score": self.return_train_score,
            "timeout": self.timeout,
        }

    def _draw(self) -> Any:
        """What else the candidates depend on."""
        return None

    def _launch(self, model: Any, grid: Space, bundle: Bundle, *, pace: float) -> Self:
        self.reset()
        try:
            model = clone(model)
        except TypeError as error:
            raise SearchError(f"The model is not a scikit-learn estimator: {error}") from error
        candidates = self._propose(grid)
        if not candidates:
            raise SearchError("The search has no candidates.", "Give each parameter some values.")
        question = _digest(
            (
                type(self).__name__,
                model,
                grid,
                self.scoring,
                self._settings(),
                self._draw(),
                bundle.digest,
            )
        )
        path = Path(self._ledger_wanted) if self._ledger_wanted else _new_ledger()
        if path.exists() and path.stat().st_size:
            record = ledgers.read(path)
            if record.header.question != question:
                raise SearchError(
                    f"The ledger {path} is of another search.",
                    "Give this one another ledger, or the same model, grid and split files.",
                )
            if record.candidates:  # what was drawn then; at random, it would be another draw now
                candidates = record.candidates
            return self._start(model, candidates, bundle, record.header, record, pace=pace)
        header = Header(
            id=uuid.uuid4().hex,
            kind=type(self).__name__,
            question=question,
            settings=self._settings(),
            splits=[asdict(split) for split in bundle.splits],
            objects=(model, self.scoring),
        )
        return self._start(model, candidates, bundle, header, None, pace=pace, path=path)

    def _start(
        self,
        model: Any,
        candidates: list[Candidate],
        bundle: Bundle,
        header: Header,
        record: Record | None,
        *,
        pace: float,
        path: Path | None = None,
    ) -> Self:
        path = path or Path(self._ledger_wanted or "")
        self._ledger = (
            Ledger.create(path, header) if record is None else Ledger.resume(path, record)
        )
        if record is None or not record.candidates:
            self._ledger.add(candidates)
        self.ledger = path
        self._model, self._bundle = model, bundle
        self._results = Results(candidates, len(bundle.splits))
        deaths: Counter[Key] = Counter()
        if record is not None:
            for evaluation in record.evaluations.values():
                self._results.add(evaluation)
            self.retried = list(record.retries)
            deaths.update(retry.key for retry in record.retries if retry.lost)
        task = {
            "model": self._model,
            "scoring": self.scoring,
            "error_score": self.error_score,
            "return_train_score": self.return_train_score,
            "pace": pace,
        }

        def work(key: Key) -> tuple[str, dict[str, Any]]:
            candidate = self._results.candidates[key[0]]
            given: dict[str, Any] = {"params": candidate.params}
            if candidate.part is not None:
                given["part"] = candidate.part.as_plain()
            return bundle.splits[key[1]].digest, given

        self._dispatcher = Dispatcher(
            self.view,
            bundle,
            self._results.unfinished(),
            task,
            work,
            self._record,
            self._ended,
            self.error_score,
            deaths,
            timeout=self.timeout,
            open=self._adds_candidates,
        )
        self._running = True
        self._begin()
        self._dispatcher.start()
        return self

    # --- for searches that add candidates while they run ------------------------------------------

    _adds_candidates = False
    """Whether the search goes on, with nothing to do, until `_close` is called."""

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
        if self._dispatcher is None or not candidates:
            return []
        with self._changed:
            if self._ledger is not None:
                self._ledger.add(candidates)
            keys = self._results.extend(candidates)
        self._dispatcher.add(keys, first=first)
        return keys

    def _close(self) -> None:
        """End when all evaluations are finished."""
        if self._dispatcher is not None:
            self._dispatcher.close_intake()

    # --- what the dispatcher tells ----------------------------------------------------------------

    def _record(self, news: list[News]) -> None:
        # The dispatcher's thread; nothing is told before it is on the disk.
        if self._ledger is not None:
            self._ledger.append(news)
        with self._changed:
            for item in news:
                if isinstance(item, Evaluation):
                    self._results.add(item)
                else:
                    self.retried.append(item)
            self._changed.notify_all()
        for item in news:
            if isinstance(item, Evaluation):
                self._told(item)

    def _ended(self) -> None:
        # The dispatcher's thread too.
        with self._changed:
            if self._ledger is not None:
                self._ledger.close()
            self._running = False
            self._changed.notify_all()

    # --- following --------------------------------------------------------------------------------

    def completed(self) -> int:
        """Return how many evaluations are finished."""
        with self._changed:
            return len(self._results)

    def total(self) -> int:
        """Return how many evaluations the search has."""
        return self._results.total

    def progress(self) -> float:
        """Return the finished fraction of the search, from 0 to 1."""
        return self.completed() / self.total() if self.total() else 0.0

    def running(self) -> bool:
        """Return whether the search is under way."""
        return self._running

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
        dispatcher = self._dispatcher
        if dispatcher is None:
            return True
        dispatcher.join(timeout)
        self._raise_failure()
        return not dispatcher.is_alive()

    def as_completed(self, timeout: float | None = None) -> Iterator[Evaluation]:
        """Yield each evaluation when it is finished, those finished already first.

        Raises
        ------
        SearchError
            If none is finished for `timeout` seconds, or the search cannot go on.
        """
        seen = 0
        while True:
            with self._changed:
                arrived = self._changed.wait_for(partial(self._more_than, seen), timeout)
                new = self._results.evaluations[seen:]
            self._raise_failure()
            if not arrived:
                raise SearchError(
                    f"No evaluation was finished in {timeout:.0f} s"
                    f" ({self.completed()} of {self.total()} are). " + " ".join(self._remarks())
                )
            yield from new
            seen += len(new)
            if not new and not self.running():
                return

    def _more_than(self, seen: int) -> bool:
        return len(self._results) > seen or not self.running()

    def abort(self) -> Self:
        """Stop the search; its results stay, and it can be resumed from its ledger.

        Evaluations that are running end on their engines, and count no more.
        """
        if self._dispatcher is not None:
            self._dispatcher.stop()
            self._dispatcher.join(STOP_LIMIT)
            if self._dispatcher.is_alive():
                raise SearchError(
                    f"The search did not stop within {STOP_LIMIT:.0f} s: the controller does not"
                    " answer, or the disk with the ledger does not."
                )
        return self

    def reset(self) -> Self:
        """Abort the search and forget its results; the ledger stays where it is."""
        self.abort()
        self._dispatcher = None
        self._results = Results([], 0)
        self.retried = []
        self.ledger = None
        self._model = self._data = self._bundle = self._best = None
        return self

    def _raise_failure(self) -> None:
        failure = self._dispatcher.failure if self._dispatcher else None
        if isinstance(failure, SearchError):
            raise failure
        if failure is not None:
            raise SearchError(
                f"The search has stopped: {type(failure).__name__}: {failure}.",
                f"Resume it from its ledger {self.ledger}.",
            ) from failure

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

    def __str__(self) -> str:
        return self.report()

    def __repr__(self) -> str:
        return self.report()

    def evaluations(self) -> list[Evaluation]:
        """Return the finished evaluations, in the order in which they were finished."""
        with self._changed:
            return self._results.evaluations

    def failed(self) -> list[Evaluation]:
        """Return the evaluations that raised or were given up, with the reason in `error`."""
        return [evaluation for evaluation in self.evaluations() if evaluation.error]

    def evaluations_per_node(self) -> dict[str, int]:
        """Return how many evaluations each host did."""
        with self._changed:
            return self._results.per_node()

    def boxplot_parameters(self, display_train: bool = False) -> Any:  # noqa: FBT001, FBT002 - the seed's
        """Plot the validation scores for each value of each parameter; return matplotlib's figure.

        Parameters
        ----------
        display_train : bool
            Whether to plot the training scores too.
        """
        from spotcluster.search.plots import boxplot_parameters

        with self._changed:
            evaluations = self._results.evaluations
        return boxplot_parameters(
            self._results.candidates, evaluations, display_train=display_train
        )

    @property
    def cv_results_(self) -> dict[str, Any]:
        """scikit-learn's table of the candidates whose splits are all finished."""
        with self._changed:
            return self._results.table()

    @property
    def best_index_(self) -> int:
        """The row of the best candidate in `cv_results_`."""
        ranks = self.cv_results_["rank_test_score"]
        if not len(ranks):
            raise SearchError(
                "No candidate has all its splits finished yet.", "Call wait() on the search."
            )
        return int(ranks.argmin())

    @property
    def best_params_(self) -> dict[str, Any]:
        """The parameters of the best candidate."""
        index = self.best_index_
        params: dict[str, Any] = self.cv_results_["params"][index]
        return params

    @property
    def best_score_(self) -> float:
        """The mean validation score of the best candidate."""
        index = self.best_index_
        return float(self.cv_results_["mean_test_score"][index])

    @property
    def best_estimator_(self) -> Any:
        """The model with the best parameters, fitted here and on all data, when first asked for.

        A search on split files takes both parts of its first split for all data, in their order.
        """
        index = self.best_index_
        if self._best is None or self._best[0] != index:
            assert self._bundle is not None
            X, y = self._data or splits.whole_dataset(self._bundle.splits[0].path)  # noqa: N806
            estimator = clone(self._model).set_params(**clone(self.best_params_, safe=False))
            estimator.fit(X, y) if y is not None else estimator.fit(X)
            self._best = (index, estimator)
        return self._best[1]

    def _remarks(self) -> list[str]:
        remarks = []
        failed = [evaluation for evaluation in self._results.evaluations if evaluation.error]
        if failed:
            last_line = failed[0].error.strip().splitlines()[-1]
            remarks.append(f"Failed: {len(failed)}, the first with: {last_line}")
        lost = sum(retry.lost for retry in self.retried)
        if lost:
            remarks.append(f"Lost with their engines and run again: {lost}")
        return remarks + list(self._dispatcher.remarks if self._dispatcher else [])


class GridSearch(Search):
    """Every setting of a grid.

    Examples
    --------
    >>> search = GridSearch(view).launch_for_splits(model, {"C": [1, 10]}, files)
    >>> search.wait()
    True
    >>> search.find_bests()
    [(0.9902222222222222, {'C': 1})]
    """

    def _propose(self, space: Space) -> list[Candidate]:
        return grid_candidates(space)


class RandomizedSearch(Search):
    """Settings drawn at random: from lists without repetition, or from distributions.

    Parameters
    ----------
    view
        As in `Search`, as are all other parameters.
    n_iter : int, optional
        How many to draw; all of the grid, in a random order, when it is not given.
    random_state : int, RandomState or None
        As in scikit-learn, and drawing the same as `sklearn.model_selection.RandomizedSearchCV`.
    """

    def __init__(
        self, view: Any, n_iter: int | None = None, random_state: Any = None, **settings: Any
    ) -> None:
        super().__init__(view, **settings)
        if n_iter is not None and (not isinstance(n_iter, int) or n_iter < 1):
            raise SearchError(f"n_iter is {n_iter!r}.", "Give the number of candidates to draw.")
        self.n_iter = n_iter
        self.random_state = random_state

    def _propose(self, space: Space) -> list[Candidate]:
        return random_candidates(space, self.n_iter, self.random_state)

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
    try:
        return str(joblib.hash(things))
    except (pickle.PicklingError, TypeError, AttributeError):
        pass  # a function of a notebook, perhaps, which has no name to be found by
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

"""Searches for the best parameters of a model, on engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring

from spotcluster.errors import SearchError
from spotcluster.search import hosts, origins
from spotcluster.search.backends.given import backend_of
from spotcluster.search.callbacks import registered, warn_if_unheard
from spotcluster.search.data import splits
from spotcluster.search.data.candidates import Candidate, Space, check_names
from spotcluster.search.data.evaluations import Evaluation, Key
from spotcluster.search.data.folds import Dataset, Extent
from spotcluster.search.data.parameters import BadParameter, check
from spotcluster.search.data.splits import Bundle
from spotcluster.search.following import FollowedSearch
from spotcluster.search.origins import Origins
from spotcluster.search.question import Question, as_json, cloned, planned, sent
from spotcluster.search.results import ledger as ledgers
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.record import Header
from spotcluster.search.runs import NOT_LAUNCHED, Plan, Run
from spotcluster.search.sklearn_private import scorers_of

AnyPath = str | PathLike[str]
OnResult = Callable[[Evaluation], Any]


class _Ledger:
    """The ledger of the search that is running, or ran last; else the one that is wanted."""

    def __get__(self, search: Search | None, kind: type[Search]) -> AnyPath | None:
        if search is None:
            return None  # which is how dataclass asks for the default
        wanted: AnyPath | None = search.__dict__["ledger"]
        return search._run.path if search._run.launched else wanted

    def __set__(self, search: Search, path: AnyPath | None) -> None:
        # Under its own name, by which scikit-learn knows the parameter.
        search.__dict__["ledger"] = path


# The parameters are fields: each is written once, where it belongs, and a kind of search adds its
# own. State that is no parameter is a field without a place in the constructor.
@dataclass(eq=False, repr=False)
class Search(FollowedSearch):
    """What all searches share: the parameters, and how they are launched.

    A search runs by itself once it is launched; every verb may be called at any time and tells what
    is known by then. Launch it with `fit` (which waits) or `launch` on a dataset, for the estimator
    and the parameters that it was made with, or give these later, with `launch_for_splits` or
    `launch_for_arrays`.

    Parameters
    ----------
    view : ipyparallel.LoadBalancedView, DirectView or Client; or an Executor or dask client
        Where evaluations run. A view with targets is kept to. Of executors those of threads and of
        processes are taken (`concurrent.futures`, loky), and `dask.distributed.Client`. Copies
        of the search use the same one, and a search that is pickled comes back without.
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
    accept_changes : bool
        Whether to go on with a ledger when code that goes to the engines by value (of a notebook,
        or of a module that no distribution has brought) or a library is another than when its
        evaluations were done; what has changed is written in it then. By default that is refused,
        as the table would have scores of several models.
    on_result : callable, optional
        Called with each `Evaluation` when it is finished. It is called by the thread that keeps the
        engines busy, so it should be quick; what it raises is told in the report.
    """

    view: Any = None
    estimator: Any = None
    _: KW_ONLY
    cv: Any = None
    scoring: Any = None
    refit: Any = True
    error_score: Any = np.nan
    return_train_score: bool | None = None
    timeout: float | None = None
    ledger: AnyPath | None = _Ledger()  # type: ignore[assignment] # see there
    accept_changes: bool = False
    on_result: OnResult | None = None

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
        X: Any,
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
        self.reset()
        self._check(fitted=False)
        if cv is None:
            splitter = splits.shuffle_split(n_splits, test_size, random_state)
        else:
            splitter = splits.splitter_for(cv, y, classifier=is_classifier(model))
        model = cloned(model)
        data = Dataset(X, y)
        indices = list(splitter.split(X, y, groups))
        splits.check_splits(len(indices))
        candidates = self._propose(model, grid, Extent(len(indices), data))
        bundle = self._stored(data, model, candidates, indices)
        return self._launch(model, grid, bundle, pace=pace, data=data, candidates=candidates)

    @classmethod
    def resume(
        cls,
        ledger: AnyPath,
        view: Any,
        *,
        accept_changes: bool = False,
        on_result: OnResult | None = None,
        pace: float = 0.0,
    ) -> Self:
        """Go on with a search of a client that has gone; no finished evaluation is run again.

        The parameters of the search come back with it. One that was begun by `fit` does not wait:
        call `wait`, and then what `fit` leaves is there. `accept_changes` and
        `on_result` are as in `Search`.

        Raises
        ------
        SearchError
            If the ledger is of another kind of search, its split files, code or libraries have
            changed, or the model cannot be read from it; give the model again then:
            ``GridSearch(view, ledger=PATH).launch_for_splits(model, grid, files)``, or the same
            search with ``ledger=PATH`` and `fit`.
        """
        with Ledger.claimed(Path(ledger), new=False) as claim:
            own = {"accept_changes": accept_changes, "on_result": on_result}
            return cls._resumed(claim, view, own, pace=pace)

    @classmethod
    def _resumed(cls, ledger: Ledger, view: Any, own: dict[str, Any], *, pace: float) -> Self:
        path, record = ledger.path, ledger.record
        assert record is not None
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
        if cls._foresees_candidates and not record.candidates:
            raise SearchError(
                f"The ledger {path} ends before the first candidate.",
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
        search = cls(view, **given["params"], ledger=path, **own)
        search._check(fitted=False)
        known = sent(given["model"], given["scorer"], given["task"], record.candidates)
        now = search._origins(known, search._tried(), importable=True)
        record.agree(path, now, accept=search.accept_changes, all_code=False)
        # What was accepted, if anything was: engines are to have that too.
        task = {**given["task"], "versions": now.versions, "pace": pace}
        plan = planned(given["model"], given["scorer"], task, search.timeout)
        data = None if given["data"] is None else Dataset.stored(given["data"])
        search._start(plan, record.candidates, bundle, ledger, header, data)
        search._run.space = search._tried()
        return search

    # --- for kinds of searches --------------------------------------------------------------------

    _adds_candidates = False
    """Whether the search goes on, with nothing to do, until `_close` is called."""

    _foresees_candidates = True
    """Whether what is tried is known before anything runs."""

    _space_name = ""
    """The parameter that says what is tried."""

    def _tried(self) -> Space:
        return getattr(self, self._space_name)

    def _propose(self, model: Any, space: Space, extent: Extent) -> list[Candidate]:
        """Return the first candidates."""
        raise NotImplementedError

    def _allot(self, candidates: list[Candidate], bundle: Bundle) -> list[Candidate]:  # noqa: ARG002 - for kinds that do
        """Give the first candidates the parts of the splits that they are evaluated on."""
        return candidates

    def _draw(self) -> Any:
        """What else the candidates depend on."""
        return None

    def _described(self, space: Space) -> Any:
        """Return what tells a space from others, in another process too."""
        return space

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
        return self._run.add(candidates, first=first)

    def _close(self) -> None:
        """End when all evaluations are finished."""
        self._run.close_intake()

    # --- how it starts ----------------------------------------------------------------------------

    def _check(self, *, fitted: bool) -> None:
        """Check the parameters; but for those that are given with the launch, if not `fitted`."""
        params = self.get_params(deep=False)
        if not fitted:
            params = {k: v for k, v in params.items() if k not in ("estimator", self._space_name)}
        check(self._parameter_constraints, params, type(self).__name__)
        backend_of(self.view).check(timeout=self.timeout)

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
            What else all evaluations have in common, see `engine.fit.fit_and_score`.
        train : bool
            Whether training scores are wanted, where the search does not say.
        """
        self.reset()
        self._check(fitted=False)
        warn_if_unheard(self, model)
        model = cloned(model)
        scorer = self._scorer(model)
        if candidates is None:
            extent = Extent(len(bundle.splits), data, bundle.splits[0].path)
            candidates = self._propose(model, grid, extent)
        if not candidates and self._foresees_candidates:
            raise BadParameter("The search has no candidates.", "Give each parameter some values.")
        check_names(model, candidates)
        candidates = self._allot(candidates, bundle)
        if self.return_train_score is not None:
            train = bool(self.return_train_score)
        asked = Question(
            kind=type(self).__name__,
            model=model,
            scorer=scorer,
            bundle=bundle,
            settings={**as_json(self._settings()), "return_train_score": train},
            task=task,
            metric=self.refit if isinstance(self.refit, str) else None,
            origins=self._origins(sent(model, scorer, task or {}, candidates), grid),
        )
        digest = asked.digest(self._described(grid), self.scoring, self._draw())
        common = asked.to_engines(pace)
        to_tell = {} if self._callbacks is None else {"callbacks": self._callbacks.wanted()}
        plan = planned(model, scorer, {**common, **to_tell}, self.timeout)
        wanted = self.__dict__["ledger"]
        path = Path(wanted) if wanted else ledgers.new_path()
        with Ledger.claimed(path) as claim:
            if claim.record is None:
                kept = data.store() if data is not None and self.refit else None
                header = asked.header(digest, common, self._kept_params(), kept)
            else:
                header = claim.record.header
                if header.question != digest:
                    raise SearchError(
                        f"The ledger {path} is of another search.",
                        "Give this one another ledger, or the same model, grid and split files.",
                    )
                claim.record.agree(path, asked.origins, accept=self.accept_changes)
                if claim.record.candidates:
                    # What was drawn then; at random, it would be another draw now.
                    candidates = claim.record.candidates
            self._start(plan, candidates, bundle, claim, header, data)
            self._run.space = grid
            return self

    def _origins(self, sent: dict[str, Any], grid: Space, *, importable: bool = False) -> Origins:  # noqa: ARG002 - for kinds whose candidates come from code
        """Return what the answers come from, when all of it can be sent; see `Origins.of`."""
        found = origins.examine(sent)
        hosts.check_compiled(backend_of(self.view), found.compiled)
        return Origins.of(found, importable=importable)

    def _scorer(self, model: Any) -> Any:
        if callable(self.scoring):
            return self.scoring
        try:
            scorer = check_scoring(model, self.scoring, raise_exc=self.error_score == "raise")
            if (several := scorers_of(scorer)) is not None:
                self._check_refit_for_multimetric(several)
        except (TypeError, ValueError) as error:
            raise BadParameter(f"The model cannot be scored: {error}") from error
        return scorer

    def _kept_params(self) -> dict[str, Any]:
        """Return the parameters of this search that a resumed one has too."""
        params = self.get_params(deep=False)
        for name in ("ledger", "accept_changes", "on_result"):
            params.pop(name, None)
        if registered(self):  # callbacks are of this process
            params["estimator"] = cloned(self.estimator)
        if np.iterable(params.get("cv")):  # all indices, or used up
            params["cv"] = None
        return origins.kept(params, needless=("cv",))  # the splits are there anyhow

    def _start(
        self,
        plan: Plan,
        candidates: Sequence[Candidate],
        bundle: Bundle,
        ledger: Ledger,
        header: Header,
        data: Dataset | None,
    ) -> Self:
        run = self._run = Run(plan, candidates, bundle, ledger, header, data, self._news)
        try:
            run.prepare(backend_of(self.view), open=self._adds_candidates)
            self._begin()
            self._let_follow(run)
            run.start()
        except BaseException:  # Ctrl-C too
            self._run = NOT_LAUNCHED
            run.discard()
            raise
        return self

    def _let_follow(self, run: Run) -> None:
        """Let what is called with each evaluation, and wants to know of what, know the run."""
        follow = getattr(self.on_result, "follow", None)
        if follow is not None:
            follow(run)

    def _news(self, evaluation: Evaluation) -> None:
        self._told(evaluation)
        if self.on_result is not None and self._run.launched:
            try:
                self.on_result(evaluation)
            except Exception as error:  # noqa: BLE001 - the search goes on, whatever it is
                self._run.remark = f"on_result has raised {type(error).__name__}: {error}"

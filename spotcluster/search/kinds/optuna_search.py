"""Model-based search: Optuna proposes, the engines evaluate."""

from __future__ import annotations

import copy
import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from numbers import Integral
from typing import Any, Self

import numpy as np

from spotcluster.errors import SearchError
from spotcluster.search import origins
from spotcluster.search.data.candidates import Candidate, check_names
from spotcluster.search.data.evaluations import Evaluation, Key
from spotcluster.search.data.folds import Extent
from spotcluster.search.data.splits import Bundle
from spotcluster.search.kinds.trials import Row, Trials, distributions, load_optuna, study_for
from spotcluster.search.origins import Origins
from spotcluster.search.outcome import NotFinished, Outcome, Round
from spotcluster.search.runs import Run
from spotcluster.search.searches import Search
from spotcluster.search.sklearn_private import HasMethods, Interval

LOOK = 0.5  # seconds between two looks at how many engines there are
CONSTRAINTS = "Ask for more trials, or look at cv_results_."
SUGGESTED = "suggested"  # what a function made the parameters of, where that is not the same
PRUNED = "pruned"  # what an evaluation that was left out says it failed in


@dataclass(eq=False, repr=False)
class OptunaSearch(Search):
    """Settings that an Optuna sampler proposes, from what it has been told so far.

    The study is asked and told by this client, in a thread of its own; so many trials are under way
    as there is work for the engines there are now. A trial that fails on a split is told as failed,
    unless `error_score` is a finite number, which counts then.

    With a pruner, the splits of a trial are evaluated one after the other. After each one the mean
    of the splits so far is reported, as the intermediate value of step 0, 1, 2 and so on; what the
    pruner gives up keeps nan as the score of its other splits.

    Trials under way are known to the sampler, as those of other workers are to Optuna's own
    (TPE's ``constant_liar`` is on, where that is Optuna's default). A sampler that tries all there
    is (a grid, or by brute force) is asked for nothing twice, and the search ends with it. A trial
    that violates a constraint (``trial.set_constraint`` in a function that suggests, or the
    sampler's ``constraints_func``) is evaluated, and never the best. A study of several objectives
    is refused. A choice that JSON does not have (a tuple, an estimator) is kept in a database as
    text; so are choices that are equal (1 and 1.0), of which Optuna knows the first only.

    Parameters
    ----------
    view
        As in `Search`, as are all others.
    estimator : estimator, optional
    space : dict or callable, optional
        Optuna's distributions, or lists of choices, by parameter name; or a function that suggests
        from a trial and returns the model's parameters.
    study : optuna.Study, optional
        One that maximises; a new one in memory by default. It has the trials afterwards. Note that
        Optuna gives a study a pruner (of medians) unless it is told not to.
    sampler, pruner : optional
        Of the new study; Optuna's default sampler, and no pruning.
    n_trials : int
        How many trials to ask for.
    n_concurrent : int, optional
        How many trials are under way. With this, the study is asked for trial `i` when it knows the
        results of all up to ``i - n_concurrent`` and of no other: with a seeded sampler and without
        a pruner, the trials do not depend on which engines were faster. As many as keep the engines
        busy by default, and told at once.

    Attributes
    ----------
    study_ : optuna.Study

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> space = {"C": FloatDistribution(0.01, 100, log=True), "kernel": ["rbf", "linear"]}
    >>> search = OptunaSearch(view, n_trials=40).launch_for_splits(SVC(), space, files)
    >>> search.wait()
    True

    A function suggests, where parameters depend on each other:

    >>> def space(trial):
    ...     kernel = trial.suggest_categorical("kernel", ["rbf", "linear"])
    ...     params = {"kernel": kernel, "C": trial.suggest_float("C", 0.01, 100, log=True)}
    ...     if kernel == "rbf":
    ...         params["gamma"] = trial.suggest_float("gamma", 1e-4, 1, log=True)
    ...     return params
    """

    space: Any = None
    _: KW_ONLY
    study: Any = None
    sampler: Any = None
    pruner: Any = None
    n_trials: int = 50
    n_concurrent: int | None = None

    _launched: Any = field(default=None, init=False)  # the space that was launched
    _trials: Trials | None = field(default=None, init=False)

    _adds_candidates = True
    _foresees_candidates = False
    _space_name = "space"
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **Search._parameter_constraints,
        "space": [dict, callable],
        "n_trials": [Interval(Integral, 1, None, closed="left")],
        "n_concurrent": [Interval(Integral, 1, None, closed="left"), None],
        "sampler": [HasMethods("sample_independent"), None],
        "pruner": [HasMethods("prune"), None],
        "study": [HasMethods(["ask", "tell"]), None],
    }

    def _launch(self, model: Any, grid: Any, bundle: Bundle, **more: Any) -> Self:
        self.reset()
        self._launched = grid
        if isinstance(grid, Mapping):
            # What belongs to an estimator that is searched too is looked at with it, later.
            own = [name for name in grid if name.split("__")[0] not in grid or "__" not in name]
            check_names(model, [Candidate(dict.fromkeys(own), 0)])
        return super()._launch(model, grid, bundle, **more)

    def _described(self, space: Any) -> Any:
        return described(space)

    def _origins(self, sent: dict[str, Any], grid: Any, *, importable: bool = False) -> Origins:
        found = super()._origins(sent, grid, importable=importable)
        if not callable(grid):
            return found
        return replace(found, code={**origins.code_of(grid, importable=importable), **found.code})

    def _kept_params(self) -> dict[str, Any]:
        study = origins.kept({"study": self.study}, needless=("study",))
        # A storage may be of any kind; a new study is told all then.
        return {**super()._kept_params(), **study, "space": self._launched}

    def _propose(self, model: Any, space: Any, extent: Extent) -> list[Candidate]:  # noqa: ARG002 - the study is asked later
        return []

    def _settings(self) -> dict[str, Any]:
        mine = {"n_trials": self.n_trials, "n_concurrent": self.n_concurrent}
        return {**super()._settings(), **mine}

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for name in ("_inbox", "_mail", "_trials"):  # of what is under way
            state.pop(name, None)
        return state

    def total(self) -> int:
        """Return how many evaluations the search has, with those of trials to come."""
        trials = self._trials
        if trials is None:
            return super().total()
        to_come = trials.n_trials - trials.asked if self.running() else 0
        return (len(trials.rows) + to_come) * trials.n_splits

    # --- what the dispatcher's thread calls -------------------------------------------------------

    def _begin(self) -> None:
        results = self._results
        # A sampler draws on: each fit begins with it as it was given.
        sampler, pruner = copy.deepcopy((self.sampler, self.pruner))
        self.study_ = study_for(self.study, sampler, pruner)
        space = self.space if self._launched is None else self._launched  # of a resumed search
        trials = Trials(self.study_, space, self.n_trials, results.n_splits, self.n_concurrent)
        self._inbox: deque[Evaluation] = deque()
        self._mail = threading.Event()
        self._whole = len(results.candidates)  # rows whose splits were all sent, before
        if self._whole and not self.study_.trials:
            # A seeded sampler would draw again what it has drawn before.
            self.study_.sampler.reseed_rng()
        for item in results.candidates:
            suggested = item.more.get(SUGGESTED, item.params)
            trials.adopt(item.params, suggested, item.more["trial"])
        self._trials = trials
        self._inbox.extend(results.evaluations)
        threading.Thread(
            target=self._think, args=(trials,), name="spotcluster trials", daemon=True
        ).start()

    def _rounds(self, run: Run) -> list[Round]:
        # That the scores of pruned trials are not finite is how it is meant.
        pruned = {item.candidate for item in run.having("failed_in") if item.failed_in == PRUNED}
        rows = [row for row in range(len(run.results.candidates)) if row not in pruned]
        return [
            (
                evaluations,
                {name: table[name][rows] for name in table if name.startswith("mean_")},
            )
            for evaluations, table in super()._rounds(run)
        ]

    def _select_best_index(self, refit: Any, refit_metric: Any, results: dict[str, Any]) -> Any:
        bad = {self._results.candidates[row].more["trial"] for row in self._results.infeasible}
        if bad and not callable(refit):
            feasible = [number not in bad for number in results["trial"]]
            if not any(feasible):
                return None
            name = f"rank_test_{refit_metric}"
            ranks = results[name]
            results = {**results, name: np.where(feasible, ranks, len(ranks) + 1)}
        return super()._select_best_index(refit, refit_metric, results)

    def _best(self, attribute: str) -> Outcome:
        if self._known().best_index is None and self._results.infeasible:
            raise NotFinished("No trial satisfies the constraints of the study.", CONSTRAINTS)
        return super()._best(attribute)

    def _conclude(self) -> None:
        super()._conclude()
        if self.refit and self._known().best_index is None and self._results.infeasible:
            raise SearchError("No trial satisfies the constraints of the study.", CONSTRAINTS)

    def _told(self, evaluation: Evaluation) -> None:
        self._inbox.append(evaluation)
        self._mail.set()

    # --- a thread of its own: a sampler may think for long ----------------------------------------

    def _think(self, trials: Trials) -> None:
        run, mail = self._run, self._mail
        assert run.dispatcher is not None
        try:
            while self._run is run and run.running:
                self._go_on(trials, run)
                if trials.over:
                    run.dispatcher.close_intake()
                    return
                mail.wait(LOOK)  # an engine that has joined is not told of
                mail.clear()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the search
            # Not that a search which was aborted takes no more: this is not why it has ended.
            if run.running and not run.dispatcher.over:
                run.dispatcher.failure = error
                run.dispatcher.stop()

    def _go_on(self, trials: Trials, run: Run) -> None:
        while self._inbox:
            self._take(trials, run, self._inbox.popleft())
        rows = trials.advance(self._room(trials, run))
        with run.changed:
            infeasible = (number for number, row in enumerate(trials.rows) if row.infeasible)
            run.results.infeasible.update(infeasible)
        if trials.exhausted and not trials.rows:
            raise SearchError(
                "The study's sampler has nothing left to try.",
                "Give another study, or a sampler with more in it.",
            )
        if rows:
            candidates = [self._candidate(trials.rows[row], row) for row in rows]
            check_names(run.plan.model, candidates)
            keys = run.enlist(candidates)
            _send(run, [key for key in keys if not trials.prunes or key[1] == 0])

    def _take(self, trials: Trials, run: Run, evaluation: Evaluation) -> None:
        number, split = evaluation.key
        row = trials.rows[number]
        if evaluation.failed_in == PRUNED:
            row.pruned = True
            return
        failed = bool(evaluation.error) and not math.isfinite(run.plan.error_score)
        trials.take(number, split, evaluation.test_score, failed=failed)
        if not trials.prunes or number < self._whole:
            return
        rest = [(number, other) for other in range(trials.n_splits) if other not in row.scores]
        if row.pruned:
            run.leave_out([Evaluation(*key, math.nan, math.nan, failed_in=PRUNED) for key in rest])
        else:
            _send(run, rest[:1])

    def _room(self, trials: Trials, run: Run) -> int:
        """Return how many trials keep the engines busy, and one ahead for each."""
        engines = sum(run.engines().values())
        return 1 + math.ceil(2 * engines / (1 if trials.prunes else trials.n_splits))

    def _candidate(self, row: Row, number: int) -> Candidate:
        more = {"trial": row.trial.number}
        if row.suggested != row.params:
            more[SUGGESTED] = row.suggested
        return Candidate(row.params, number, more=more)


def _send(run: Run, keys: list[Key]) -> None:
    if run.dispatcher is not None and keys:
        run.dispatcher.add(keys)


def described(space: Any) -> Any:
    """Return what tells one space from another, in another process too."""
    if callable(space):
        return f"{getattr(space, '__module__', '')}.{getattr(space, '__qualname__', space)}"
    to_json = load_optuna().distributions.distribution_to_json
    return {name: to_json(item) for name, item in distributions(space).items()}

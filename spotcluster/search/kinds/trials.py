"""Optuna's trials of a search: what is asked for, reported, pruned and told, and in which order."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spotcluster.errors import SearchError
from spotcluster.search.data.parameters import BadParameter
from spotcluster.search.kinds.choices import Choices
from spotcluster.search.kinds.optuna_private import (
    exhausted,
    nothing_twice,
    number_in_storage,
    place_on_grid,
)

Space = Mapping[str, Any] | Callable[[Any], Any]
"""Distributions or lists of choices by parameter name, or a function that suggests from a trial."""


@dataclass
class Row:
    """A trial, and what is known of it.

    Attributes
    ----------
    trial : optuna.Trial
    params : dict
        The model's parameters.
    suggested : dict
        What the sampler suggested; the same, unless a function makes the parameters of it.
    scores : dict
        Of the finished splits.
    reported : int
        How many intermediate values the study has.
    failed, pruned, told : bool
        Whether a split failed, whether the others are left out, whether the study knows the end.
    infeasible : bool
        Whether it violates a constraint of the study.
    """

    trial: Any
    params: dict[str, Any]
    suggested: dict[str, Any]
    scores: dict[int, float] = field(default_factory=dict)
    reported: int = 0
    failed: bool = False
    pruned: bool = False
    told: bool = False
    infeasible: bool = False


class Trials:
    """The trials of a search, by their rows in its table.

    Parameters
    ----------
    study : optuna.Study
    space : dict or callable
    n_trials, n_splits : int
    window : int, optional
        How many trials are under way: the study is asked for trial `i` when it has been told of all
        up to ``i - window``, in their order, and of no other. What it is told does not depend then
        on which engine was faster. Without it, it is told as soon as there is something to tell.
    """

    def __init__(
        self, study: Any, space: Space, n_trials: int, n_splits: int, window: int | None = None
    ) -> None:
        optuna = load_optuna()
        self.study = study
        self.n_trials = n_trials
        self.n_splits = n_splits
        self.window = window
        self.rows: list[Row] = []
        self.asked = 0  # with those that the space function has pruned, which have no row
        self.prunes = not isinstance(study.pruner, optuna.pruners.NopPruner)
        self._states = optuna.trial.TrialState
        self._pruned_early = optuna.TrialPruned
        self.exhausted = False  # whether the sampler has nothing left to try
        self._choices = Choices(study, optuna.distributions.CategoricalDistribution)
        if not callable(space):
            found = distributions(space)
            space = {name: self._choices.distribution(name, found[name]) for name in found}
        self._space: Any = space
        self._untold = 0  # the first row that the study has not been told of

    @property
    def under_way(self) -> int:
        """How many trials the study has not been told of."""
        return sum(not row.told for row in self.rows[self._untold :])

    @property
    def over(self) -> bool:
        """Whether nothing is left to ask or to tell."""
        return self.asked >= self.n_trials and not self.under_way

    def advance(self, room: int) -> list[int]:
        """Tell what is finished, and ask for more; return the new rows.

        Parameters
        ----------
        room : int
            How many trials may be under way, when there is no window.
        """
        rows: list[int] = []
        if self.window is None:
            while self._tell_one(in_order=False):
                pass
            return self._ask_for(room)
        # Between two that are told, what follows from the first one is asked for: however many
        # have come at once, the study sees the same sequence.
        rows += self._ask_for(self.window)
        while self._tell_one(in_order=True):
            rows += self._ask_for(self.window)
        return rows

    def _ask_for(self, room: int) -> list[int]:
        rows = []
        while self.asked < self.n_trials and self.under_way < room:
            if exhausted(self.study):
                self.exhausted = True
                self.n_trials = self.asked
                break
            with nothing_twice(self.study):
                row = self._ask()
            if row is not None:
                self.rows.append(row)
                rows.append(len(self.rows) - 1)
        return rows

    def adopt(self, params: dict[str, Any], suggested: dict[str, Any], number: int) -> None:
        """Take over a trial of a client that has gone.

        A study that was kept, in a database for example, knows it by its number; any other is asked
        for the same trial again.
        """
        known = self.study.trials
        if not callable(self._space):
            suggested = self._choices.told(params)
        if number < len(known) and _same(known[number].params, suggested):
            trial, ended = known[number], known[number].state.is_finished()
            reported = len(trial.intermediate_values)
            if not ended:
                # the way to a trial that another process has asked for
                trial = load_optuna().trial.Trial(self.study, number_in_storage(trial))
            self.asked += 1
            found = Row(trial, params, suggested, reported=reported, told=ended)
            found.infeasible = violates(known[number])
            self.rows.append(found)
            return
        self.study.enqueue_trial(suggested)
        row = self._ask()
        if row is None:
            raise SearchError("The space function prunes a trial that it did not prune before.")
        row.params = params
        self.rows.append(row)

    def take(self, number: int, split: int, score: float, *, failed: bool = False) -> None:
        """Take the score of a split of a row."""
        row = self.rows[number]
        row.scores[split] = score
        row.failed = row.failed or failed
        if not row.told and not row.pruned and self.prunes:
            self._report(row)

    def finished(self, number: int) -> bool:
        """Return whether nothing more is wanted of a row."""
        row = self.rows[number]
        return row.pruned or len(row.scores) == self.n_splits

    def _ask(self) -> Row | None:
        self.asked += 1
        if not callable(self._space):
            trial = self.study.ask(self._space)
            place_on_grid(self.study, trial)  # one that was enqueued
            suggested = dict(trial.params)
            return Row(trial, self._choices.real(suggested), suggested)
        trial = self.study.ask()
        self._choices.let_suggest(trial)
        try:
            params = self._space(trial)
        except self._pruned_early:
            self._tell(trial, state=self._states.PRUNED)
            return None
        except Exception as error:
            self._tell(trial, state=self._states.FAIL)
            raise SearchError(
                f"The space function raised {type(error).__name__}: {error}"
            ) from error
        if params is not None and not isinstance(params, Mapping):
            raise SearchError(
                f"The space function returned a {type(params).__name__}.",
                "Let it return the model's parameters as a dictionary, or nothing.",
            )
        place_on_grid(self.study, trial)
        suggested = dict(trial.params)
        real = self._choices.real(suggested) if params is None else dict(params)
        return Row(trial, real, suggested)

    def _report(self, row: Row) -> None:
        """Report the mean of the splits so far; ask whether to leave out the others."""
        scores = [row.scores[split] for split in sorted(row.scores)]
        mean = float(np.mean(scores))
        if row.failed or not math.isfinite(mean):
            return
        if len(scores) > row.reported:  # a study that was kept may have it
            row.trial.report(mean, step=len(scores) - 1)
        if len(scores) < self.n_splits and row.trial.should_prune():
            row.pruned = True

    def _tell_one(self, *, in_order: bool) -> bool:
        """Tell the study of the first finished row that it does not know of, if there is one."""
        while self._untold < len(self.rows) and self.rows[self._untold].told:
            self._untold += 1
        for number in range(self._untold, len(self.rows)):
            row = self.rows[number]
            if not row.told and self.finished(number):
                row.told = True
                self._tell_of(row)
                return True
            if in_order:
                break
        return False

    def _tell_of(self, row: Row) -> None:
        mean = float(np.mean([row.scores[split] for split in sorted(row.scores)]))
        if row.pruned:
            end: dict[str, Any] = {"state": self._states.PRUNED}
        elif row.failed or not math.isfinite(mean):
            end = {"state": self._states.FAIL}
        else:
            end = {"values": mean}
        self._tell(row.trial, **end)
        row.infeasible = violates(self.study.get_trials(deepcopy=False)[row.trial.number])

    def _tell(self, trial: Any, **end: Any) -> None:
        try:
            self.study.tell(trial, **end)
        except RuntimeError as error:
            # The sampler has nothing left to try (a grid, for example) and asks to stop, which
            # Optuna knows in its own loop only; it has taken the result nevertheless.
            if "Study.stop" not in str(error):
                raise
            self.n_trials = self.asked
        except KeyError as error:
            # One that was enqueued is no point of the sampler's grid, which misses its number.
            if "grid_id" not in str(error):
                raise


def violates(trial: Any) -> bool:
    """Return whether a trial that has ended violates a constraint of its study."""
    constraints = getattr(trial, "constraints", trial.system_attrs.get("constraints")) or ()
    values = constraints.values() if isinstance(constraints, Mapping) else constraints
    return any(value > 0 for value in values)


def _same(kept: dict[str, Any], suggested: dict[str, Any]) -> bool:
    """Return whether parameters are the same; on disk a tuple is a list."""
    return kept == suggested or listed(kept) == listed(suggested)


def listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: listed(item) for name, item in value.items()}
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value


def distributions(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a space with lists of choices as Optuna's distributions."""
    base = load_optuna().distributions.BaseDistribution
    categorical = load_optuna().distributions.CategoricalDistribution
    if not isinstance(space, Mapping):
        raise BadParameter(
            f"The space is a {type(space).__name__}.",
            "Give a dictionary of Optuna's distributions, or a function of a trial.",
        )
    found = {}
    for name, value in space.items():
        if isinstance(value, base):
            found[name] = value
        elif isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and len(value):
            found[name] = categorical([_plain(item) for item in value])
        else:
            raise BadParameter(
                f"The space of {name!r} is {value!r}.",
                "Give a distribution such as optuna.distributions.FloatDistribution(0, 1), or a"
                " list of choices.",
            )
    return found


def study_for(study: Any, sampler: Any, pruner: Any) -> Any:
    """Return the study to use: the one that is given, or a new one in memory.

    Raises
    ------
    SearchError
        If the study minimises, has several directions, or sampler or pruner are given too.
    """
    optuna = load_optuna()
    if study is None:
        pruner = pruner or optuna.pruners.NopPruner()
        return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    if sampler is not None or pruner is not None:
        raise BadParameter(
            "A study was given, and a sampler or a pruner as well.",
            "Give them to the study: optuna.create_study(direction='maximize', sampler=...).",
        )
    if len(study.directions) > 1:
        raise BadParameter(
            f"The study has {len(study.directions)} objectives, and a search has one, its score.",
            "Make it with optuna.create_study(direction='maximize'); what else counts can be a"
            " constraint, or part of the score.",
        )
    if [direction.name for direction in study.directions] != ["MAXIMIZE"]:
        raise BadParameter(
            "The study does not maximise one value, and better scores are higher ones.",
            "Make it with optuna.create_study(direction='maximize').",
        )
    return study


def load_optuna() -> Any:
    """Return the module, or say how to get it."""
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise SearchError(
            "A model-based search needs Optuna, which is not installed here.",
            "Run: pip install optuna",
        ) from error


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value

"""scikit-learn's callbacks (since its 1.9) of a search: told here of what runs elsewhere.

What a search tells its callbacks is scikit-learn's: a tree of tasks (the fit, the search, its
evaluations, the refit), a beginning and an end for each. Evaluations are told of in the order of
candidates and splits, as if they had run here one after the other. What their estimators have told
is noted on the engines, see `engine.hooks`, and told between beginning and end of the evaluation.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import joblib
from sklearn.base import clone

from spotcluster.search.cloudpickle_private import loads
from spotcluster.search.data.evaluations import Evaluation, Key
from spotcluster.search.engine.hooks import HOOKS
from spotcluster.search.engine.part import part_of, takes_kernel
from spotcluster.search.runs import Run
from spotcluster.search.sklearn_private import (
    adopt_tasks,
    callbacks_of,
    depth_of,
    leave_to_estimators,
    managed_callbacks,
    root_context,
)

EVALUATION = "candidate-split-evaluation"  # as scikit-learn calls it


def registered(search: Any) -> bool:
    """Return whether a search or its estimator has callbacks."""
    return bool(callbacks_of(search))


def warn_if_unheard(search: Any, model: Any) -> None:
    """Warn of callbacks of a search that is launched without `fit`: nobody waits for it."""
    if search._callbacks is None and (registered(search) or callbacks_of(model)):
        warnings.warn("Callbacks are told by `fit` only, and not here.", UserWarning, stacklevel=4)


@contextmanager
def following(search: Any) -> Iterator[Callbacks | None]:
    """Yield what tells the callbacks of a search, if it has any; they are torn down afterwards."""
    if not registered(search):
        yield None
        return
    with managed_callbacks(search):
        yield Callbacks(search)


class Callbacks:
    """Tells the callbacks of one fit."""

    def __init__(self, search: Any) -> None:
        self._search = search
        found = callbacks_of(search)
        self._owned = {
            name.partition("__")[2]: each
            for name, each in found.items()
            if name.partition("__")[0] == "estimator"
        }
        self._mine = found.pop("", [])
        self._auto: list[Any] = []  # those that estimators tell of their fits, too
        self._all: list[Any] = []  # and those that estimators have of their own
        self._given: dict[str, Any] = {}
        self._waiting: dict[Key, Evaluation] = {}
        self._next: Key = (0, 0)
        self._round: Any = None  # the task of a round of halving, if there are rounds
        self._number = -1
        self._first = 0  # the first candidate of the round
        self._root: Any = None
        self._task: Any = None

    def wanted(self) -> dict[str, Any]:
        """Return what engines are to note, see `engine.hooks.noted`."""
        numbers = {id(one): number for number, one in enumerate(self._all)}
        above = depth_of(self._root)

        def asks(one: Any) -> dict[str, Any]:
            found: dict[str, Any] = {"number": numbers[id(one)]}
            for hook in HOOKS:
                parameters = inspect.signature(getattr(one, hook)).parameters.values()
                found[hook] = [item.name for item in parameters if item.kind is item.KEYWORD_ONLY]
            if hasattr(one, "max_propagation_depth"):
                depth = one.max_propagation_depth
                found["depth"] = None if depth is None else depth - above
            return found

        return {
            "kind": type(self._search).__name__,
            "search": list(map(asks, self._auto)),
            "own": {name: list(map(asks, each)) for name, each in self._owned.items()},
        }

    # --- in the order of a fit --------------------------------------------------------------------

    def begin(self, X: Any, y: Any, params: dict[str, Any]) -> None:
        """Tell of the beginning of the fit."""
        weight = params.get("sample_weight")
        metadata = None if weight is None else {"sample_weight": weight}
        self._given = {"X": X, "y": y, "metadata": metadata}
        self._root = root_context(self._search, max_subtasks=1 + (self._search.refit is not False))
        above = depth_of(self._root)
        for one in self._mine:
            depth = getattr(one, "max_propagation_depth", 0)
            if depth is None or above < depth:
                self._auto.append(one)
        self._all = [*self._auto, *(one for each in self._owned.values() for one in each)]
        self._root.call_on_fit_task_begin(estimator=self._search, **self._given)

    def begin_search(self, run: Run, rounds: int | None, *, known: bool) -> None:
        """Tell of the beginning of the search.

        Parameters
        ----------
        rounds : int, optional
            How many rounds it has, if it has any.
        known : bool
            Whether all candidates are there already.
        """
        total = run.results.total if known else None
        self._run = run
        self._in_rounds = rounds is not None
        self._task = self._root.subcontext(
            task_name="search",
            max_subtasks=rounds if self._in_rounds else total,
            sequential_subtasks=self._in_rounds,
        ).call_on_fit_task_begin(estimator=self._search)

    def take(self, evaluation: Evaluation) -> None:
        """Tell of a finished evaluation, when all before it were told of."""
        self._waiting[evaluation.key] = evaluation
        while (found := self._waiting.pop(self._next, None)) is not None:
            candidate, split = self._next
            self._tell(found)
            last = split + 1 == self._run.results.n_splits
            self._next = (candidate + 1, 0) if last else (candidate, split + 1)

    def end_search(self) -> None:
        """Tell of the end of the search."""
        self._end_round()
        self._task.call_on_fit_task_end(estimator=self._search)

    @contextmanager
    def refitting(self, estimator: Any) -> Iterator[None]:
        """Tell of the refit, in the body; `estimator` has its own callbacks again."""
        for name, each in self._owned.items():
            part = estimator.get_params().get(name) if name else estimator
            if hasattr(part, "set_callbacks"):
                part.set_callbacks(*each)
        task = self._root.subcontext(task_name="refit-with-best-params")
        with task.propagate_callback_context(estimator):
            task.call_on_fit_task_begin(estimator=self._search, **self._given)
            yield
        task.call_on_fit_task_end(estimator=self._search, **self._given)

    def end(self) -> None:
        """Tell of the end of the fit."""
        self._root.call_on_fit_task_end(estimator=self._search, **self._given)

    # --- evaluations ------------------------------------------------------------------------------

    def _tell(self, evaluation: Evaluation) -> None:
        parent = self._parent(evaluation)
        number = (evaluation.candidate - self._first) * self._run.results.n_splits
        task = parent.subcontext(task_name=EVALUATION, task_id=number + evaluation.split)
        data = _Part(self._run, evaluation)
        given = {"X": lambda: data.X, "y": lambda: data.y, "metadata": lambda: data.metadata}
        calls, estimators, tops = (
            ([], [], []) if evaluation.calls is None else loads(evaluation.calls)
        )
        if calls:  # then it is the estimator that tells them of the evaluation, too
            leave_to_estimators(task, self._auto)
            adopt_tasks(tops, task)
        task.call_on_fit_task_begin(estimator=self._search, **given)
        for callback, hook, place, context, kept in calls:
            self._call(self._all[callback], hook, estimators[place], context, kept, data)
        task.call_on_fit_task_end(estimator=self._search, **given)

    def _call(
        self, callback: Any, hook: str, estimator: Any, context: Any, kept: Any, data: _Part
    ) -> None:
        given = {}
        for name, value in kept.items():
            if isinstance(value, bytes):
                given[name] = loads(value)
            else:
                given[name] = value[0] if value else getattr(data, name)
        if getattr(callback, hook)(estimator, context, **given):
            warnings.warn(
                f"{type(callback).__name__} asks to stop a fit that has run on an engine: it was"
                " not stopped.",
                UserWarning,
                stacklevel=2,
            )

    def _parent(self, evaluation: Evaluation) -> Any:
        if not self._in_rounds:
            return self._task
        candidates = self._run.results.candidates
        number = candidates[evaluation.candidate].more["iter"]
        if number != self._number:
            self._end_round()
            self._number, self._first = number, evaluation.candidate
            count = sum(item.more["iter"] == number for item in candidates)
            self._round = self._task.subcontext(
                task_name="halving-iteration",
                max_subtasks=count * self._run.results.n_splits,
                sequential_subtasks=False,
            ).call_on_fit_task_begin(estimator=self._search)
        return self._round

    def _end_round(self) -> None:
        if self._round is not None:
            self._round.call_on_fit_task_end(estimator=self._search)
            self._round = None


class _Part:
    """The training data of an evaluation, looked up when they are asked for."""

    def __init__(self, run: Run, evaluation: Evaluation) -> None:
        self._run = run
        self._evaluation = evaluation

    @cached_property
    def _parts(self) -> Any:
        run, item = self._run, self._evaluation
        split = joblib.load(run.bundle.splits[item.split].path, mmap_mode="c")
        candidate = run.results.candidates[item.candidate]
        part = {} if candidate.part is None else candidate.part.of(item.split)
        params = clone(candidate.params, safe=False)
        kernel = takes_kernel(clone(run.plan.model).set_params(**params), split, part)
        part.pop("steps", None)
        return part_of(split, kernel=kernel, **part)[0]

    @property
    def X(self) -> Any:
        return self._parts[0]

    @property
    def y(self) -> Any:
        return self._parts[1]

    @property
    def metadata(self) -> Any:
        given = self._run.plan.task.get("fit_params") or {}
        weight = {**given, **self._parts[2]}.get("sample_weight")
        return None if weight is None else {"sample_weight": weight}

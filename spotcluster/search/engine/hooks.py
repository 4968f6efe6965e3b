"""Notes what an estimator tells its callbacks while it is fitted, for the client to tell them.

scikit-learn's callbacks (since 1.9) stay with the client: they have displays, logs and connections
there. In their place are stand-ins here that ask for the same, and keep what they are told.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .back import dumps
from .sklearn_private import STATE, evaluation_context, without_callbacks

HOOKS = ("on_fit_task_begin", "on_fit_task_end")


@contextlib.contextmanager
def noted(
    estimator: Any, callbacks: dict[str, Any] | None, train: Sequence[Any], told: dict[str, Any]
) -> Iterator[None]:
    """Note what callbacks are told in the body.

    Parameters
    ----------
    estimator : estimator
    callbacks : dict or None
        ``kind``: the search's class. ``search``: what each callback of the search that goes on to
        its estimators asks for; ``own``: lists of what those of the estimator do, and of its
        parts, by their parameters' names. For each its ``number``, the arguments of its hooks by
        their names, and ``depth``, where it goes on to the parts of what it is of.
    train : sequence
        The training data: they are not sent back.
    told : dict
        Gets ``calls``, pickled: of each call the callback's number, the hook's name, the number of
        the estimator, the task and other arguments; the estimators as they were before; and the
        task that the fit is, if it had any.
    """
    if callbacks is None:
        yield
        return
    notes = _Notes(train)
    for name, each in callbacks["own"].items():
        part = estimator.get_params()[name] if name else estimator
        if hasattr(part, "set_callbacks"):
            part.set_callbacks(*(_stand_in(notes, wanted) for wanted in each))
    try:
        mine = [_stand_in(notes, wanted) for wanted in callbacks["search"]]
        leaf = evaluation_context(mine, callbacks["kind"])
        notes.calls.clear()  # of the search's own set-up
        with leaf.propagate_callback_context(estimator):
            yield
    finally:
        without_callbacks(estimator)
        with contextlib.suppress(Exception):
            told["calls"] = notes.packed(leaf)


class _Notes:
    def __init__(self, train: Sequence[Any]) -> None:
        self.calls: list[Any] = []
        self._estimators: list[Any] = []
        self._train = dict(zip(("X", "y"), train, strict=False))

    def add(self, number: int, hook: str, estimator: Any, context: Any, given: Any) -> None:
        place = next((n for n, one in enumerate(self._estimators) if one is estimator), None)
        if place is None:
            place = len(self._estimators)
            self._estimators.append(estimator)
        kept = {name: self._kept(name, value) for name, value in given.items()}
        self.calls.append((number, hook, place, context, kept))

    def _kept(self, name: str, value: Any) -> Any:
        if name == "fitted_estimator" and value is not None:  # it is another one a moment later
            for state in STATE:
                vars(value).pop(state, None)
            return dumps(value)
        mine = self._train.get(name)
        return () if mine is not None and _same(value, mine) else (value,)

    def packed(self, leaf: Any) -> bytes:
        from sklearn.base import clone

        top = leaf.parent
        for context in top:
            context._callbacks = []
            vars(context).pop("_propagated_callbacks", None)
        estimators = [without_callbacks(clone(estimator)) for estimator in self._estimators]
        calls, self.calls, self._estimators = self.calls, [], []
        return dumps((calls, estimators, [task for task in top if task.parent is top]))


def _same(value: Any, mine: Any) -> bool:
    import numpy as np

    if value is mine:
        return True
    if not isinstance(value, np.ndarray) or not isinstance(mine, np.ndarray):
        return False
    return value.dtype == mine.dtype and bool(np.array_equal(value, mine))


class _StandIn:
    """A callback as scikit-learn knows them."""

    def __init__(self, notes: _Notes, wanted: dict[str, Any]) -> None:
        self._notes: _Notes | None = notes
        self._number = wanted["number"]
        for hook in HOOKS:
            setattr(self, hook, self._asking_for(hook, wanted[hook]))

    def setup(self, estimator: Any, context: Any) -> None:
        self._note("setup", estimator, context, {})

    def teardown(self, estimator: Any, context: Any) -> None:
        self._note("teardown", estimator, context, {})

    def _note(self, hook: str, estimator: Any, context: Any, given: dict[str, Any]) -> None:
        if self._notes is not None:
            self._notes.add(self._number, hook, estimator, context, given)

    def _asking_for(self, hook: str, names: Sequence[str]) -> Callable[..., Any]:
        def told(estimator: Any, context: Any, **given: Any) -> None:
            self._note(hook, estimator, context, given)

        kinds = inspect.Parameter
        asked = [kinds(name, kinds.POSITIONAL_OR_KEYWORD) for name in ("estimator", "context")]
        asked += [kinds(name, kinds.KEYWORD_ONLY, default=None) for name in names]
        told.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]
        return told

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_notes": None}  # in a process that a fit starts nothing is noted


# So that it goes to such a process as code: it cannot import this module.
_StandIn.__module__ = "__main__"


def _stand_in(notes: _Notes, wanted: dict[str, Any]) -> _StandIn:
    made = _StandIn(notes, wanted)
    if "depth" in wanted:
        made.max_propagation_depth = wanted["depth"]  # type: ignore[attr-defined]
    return made

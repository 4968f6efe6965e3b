"""What is known of an evaluation (one model, candidate and split), and how to run just one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

Key = tuple[int, int]
"""The number of the candidate and the number of the split."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation.

    Attributes
    ----------
    candidate, split : int
        Which one.
    test_score, train_score : float or None
        The scores; the search's `error_score` where there is an error. Of several metrics, the
        scores by which candidates are compared.
    test_scores, train_scores : dict
        The scores by the names of their metrics, when there are several.
    fit_time, score_time : float
        Seconds.
    error : str
        A traceback, or what else went wrong; empty when all went well.
    failed_in : str
        What raised the error: "fit", "score", or what ends a search: "number" for a score that is
        not one, and "scorer" for a scorer of several scores that could not give any.
    exception : bytes or None
        What was raised, pickled; only for an `error_score` of "raise", and never in a ledger.
    calls : bytes or None
        What scikit-learn's callbacks are to be told of the fit, pickled; never in a ledger.
    warned : list
        What was warned of meanwhile: the names of the warning's classes, the text, and how often.
    fit_times, score_times : dict
        Seconds of each step of a fit in steps, by the number of rows.
    killed : bool
        Whether it was given up because it killed each engine that it met.
    node, engine, uuid, pid
        Who did it: host, engine id, engine uuid, process.
    started, ended : float
        Seconds since 1970 by the host's clock.
    """

    candidate: int
    split: int
    test_score: float
    train_score: float | None = None
    fit_time: float = 0.0
    score_time: float = 0.0
    error: str = ""
    killed: bool = False
    node: str = ""
    engine: int | None = None
    uuid: str | None = None
    pid: int | None = None
    started: float = 0.0
    ended: float = 0.0
    test_scores: dict[str, float] = field(default_factory=dict, hash=False)
    train_scores: dict[str, float] = field(default_factory=dict, hash=False)
    failed_in: str = ""
    warned: list[Any] = field(default_factory=list, hash=False)
    fit_times: dict[str, float] = field(default_factory=dict, hash=False)
    score_times: dict[str, float] = field(default_factory=dict, hash=False)
    exception: bytes | None = field(default=None, repr=False, compare=False)
    calls: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> Key:
        return (self.candidate, self.split)

    @staticmethod
    def from_engine(key: Key, answer: dict[str, Any], error_score: float) -> Evaluation:
        """Make one of what `engine.batch.perform` returned."""
        test = answer["test"]
        known = {
            "candidate": key[0],
            "split": key[1],
            "test_score": error_score if test is None else test,
            "train_score": answer["train"],
        }
        return restored({**answer, **known})

    def as_plain(self) -> dict[str, Any]:
        # Not by `asdict`, which copies all of it: there may be millions of these.
        plain = dict(zip(_ALWAYS, _always(self), strict=True))
        plain |= {name: value for name in _SELDOM if (value := getattr(self, name))}
        return plain


UNWRITTEN = ("exception", "calls")
"""What of an evaluation is in no ledger."""

_NAMES = [one.name for one in fields(Evaluation)]
_SELDOM = ("warned", "fit_times", "score_times")
_ALWAYS = [name for name in _NAMES if name not in (*_SELDOM, *UNWRITTEN)]
_always = attrgetter(*_ALWAYS)
_OTHERWISE = Evaluation(0, 0, 0.0)
_PUT = [(name, getattr(Evaluation, name).__set__, getattr(_OTHERWISE, name)) for name in _NAMES]


def state_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return all attributes of an evaluation by their names."""
    return {name: getattr(evaluation, name) for name in _NAMES}


def restored(state: Mapping[str, Any]) -> Evaluation:
    """Return the evaluation that has these attributes, and otherwise what one has by default."""
    made = Evaluation.__new__(Evaluation)
    _put(made, state)
    return made


def _put(evaluation: Evaluation, state: Mapping[str, Any]) -> None:
    # Not by the constructor, which makes a call for each attribute: there may be millions.
    known = state.get
    for name, put, otherwise in _PUT:
        put(evaluation, known(name, otherwise))


def _restore(evaluation: Evaluation, state: Mapping[str, Any] | Sequence[Any]) -> None:
    if not isinstance(state, Mapping):  # as Python's own has it, see below
        state = dict(zip(_NAMES, state, strict=False))
    _put(evaluation, state)


# Pickled as before it had slots: former versions' pickles are read, and read ours. Not in the
# class, where Python before 3.11.4 puts methods of its own in their place (cpython's gh-104035).
Evaluation.__getstate__ = state_of  # type: ignore[method-assign, assignment]
Evaluation.__setstate__ = _restore  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Retry:
    """An evaluation that was sent again, and why."""

    candidate: int
    split: int
    reason: str
    lost: bool = True
    at: float = field(default_factory=time.time)

    @property
    def key(self) -> Key:
        return (self.candidate, self.split)

    def __str__(self) -> str:
        return f"candidate {self.candidate}, split {self.split}: {self.reason}"

    def as_plain(self) -> dict[str, Any]:
        return dict(vars(self))


def compute_evaluation(cv_split_filename: str, model: Any, params: dict[str, Any]) -> float:
    """Fit `model` with `params` on the training part of a split file; return its validation score.

    An engine runs it, with ``view.apply(compute_evaluation, filename, model, params)``; the file
    must be there under that name. The arrays are mapped into memory, not read.
    """
    import joblib
    import numpy as np
    from sklearn.base import clone

    # They may be written to, and the file stays as it is.
    X_train, y_train, X_test, y_test = (
        np.asarray(part) if isinstance(part, np.memmap) else part
        for part in joblib.load(cv_split_filename, mmap_mode="c")
    )
    estimator = clone(model).set_params(**params)
    estimator.fit(X_train, y_train)
    return float(estimator.score(X_test, y_test))


# ipyparallel sends a function of "__main__" as code; engines do not have spotcluster to import.
compute_evaluation.__module__ = "__main__"


@dataclass(frozen=True)
class Presence:
    """When an engine was there, in seconds since 1970.

    Attributes
    ----------
    left : float or None
        None while it still is.
    taken : float or None
        When EC2 was seen to say that it takes its host back.
    """

    node: str
    engine: int
    uuid: str
    joined: float
    left: float | None = None
    taken: float | None = None

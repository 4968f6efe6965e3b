"""What a launch makes of what it is given: a question, for engines and for the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import sklearn
from sklearn.base import clone

from spotcluster.search import origins
from spotcluster.search.data.candidates import Candidate, plain
from spotcluster.search.data.parameters import BadParameter
from spotcluster.search.data.splits import Bundle
from spotcluster.search.origins import Origins
from spotcluster.search.outcome import plain_filters
from spotcluster.search.results.record import Header
from spotcluster.search.runs import Plan
from spotcluster.search.sklearn_private import scorers_of, without_callbacks


@dataclass(frozen=True)
class Question:
    """What a search asks, but for its candidates.

    Attributes
    ----------
    kind : str
        The class of search.
    model, scorer : estimator, callable
    bundle : Bundle
    settings : dict
        What else the evaluations depend on (JSON).
    task : dict or None
        What else all evaluations have in common, see `engine.fit.fit_and_score`.
    metric : str or None
        The one of several scores that counts.
    origins : Origins
        What the answers come from.
    """

    kind: str
    model: Any
    scorer: Any
    bundle: Bundle
    settings: dict[str, Any]
    task: dict[str, Any] | None
    metric: str | None
    origins: Origins

    def digest(self, space: Any, scoring: Any, draw: Any) -> str:
        """Return what tells it from others, in another process too.

        Parameters
        ----------
        space, scoring, draw
            What is tried, how it is scored, and what else the candidates depend on, as described.
        """
        return origins.digest(
            (
                *(self.kind, self.model, space, scoring, self.settings),
                *(self.metric, draw, self.bundle.digest, self.task),
            )
        )

    def to_engines(self, pace: float) -> dict[str, Any]:
        """Return what all evaluations have in common, as the engines need it."""
        return {
            **(self.task or {}),
            "error_score": self.settings["error_score"],
            "return_train_score": self.settings["return_train_score"],
            "metric": self.metric,
            "config": sklearn.get_config(),
            "filters": plain_filters(),
            "versions": self.origins.versions,
            "pace": pace,
        }

    def header(
        self, digest: str, task: dict[str, Any], params: dict[str, Any], data: Any
    ) -> Header:
        """Return the header of its ledger.

        Parameters
        ----------
        digest, task
            What `digest` and `to_engines` have returned.
        params : dict
            The parameters of the search that a resumed one has too.
        data
            Where all data are, for the refit, if there is to be one.
        """
        return Header(
            id=uuid.uuid4().hex,
            kind=self.kind,
            question=digest,
            settings=self.settings,
            splits=[asdict(split) for split in self.bundle.splits],
            objects={
                "model": self.model,
                "scorer": self.scorer,
                "task": task,
                "params": {**params, **self.settings},
                "data": data,
            },
            origins=self.origins,
        )


def cloned(model: Any) -> Any:
    """Return a model that is not fitted, without callbacks: those are told here."""
    try:
        return without_callbacks(clone(model))
    except TypeError as error:
        raise BadParameter(f"The model is not a scikit-learn estimator: {error}") from error


def sent(
    model: Any, scorer: Any, task: dict[str, Any], candidates: Sequence[Candidate]
) -> dict[str, Any]:
    """Return what engines are sent that may be of any kind, by what users call it."""
    return {
        "the model": model,
        "the scorer": scorer,
        "the parameter": [candidate.params for candidate in candidates],
        "the argument of fit": task.get("fit_params"),
        "the argument of the scorer": task.get("score_params"),
    }


def planned(model: Any, scorer: Any, task: dict[str, Any], timeout: float | None) -> Plan:
    """Return what a run does; `task` is what all evaluations have in common."""
    metrics = list(scorers_of(scorer) or [])
    task = {**task, "model": model, "scoring": scorer}
    return Plan(model, scorer, metrics, task, None if timeout is None else float(timeout))


def as_json(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with any kind of number as one of Python's own."""
    return {
        name: float(value) if isinstance(value, Real) and not isinstance(value, int) else value
        for name, value in plain(settings).items()
    }

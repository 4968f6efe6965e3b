"""The private names of scikit-learn that evaluations stand on; nothing else of ours uses any.

Here for engines, where there is nothing of spotcluster but these modules; see
`search.sklearn_private` for the rest.
"""

from __future__ import annotations

from typing import Any


def safe_indexing(X: Any, rows: Any) -> Any:
    """Return rows of an array, a sparse matrix, a data frame or a list."""
    from sklearn.utils import _safe_indexing

    return _safe_indexing(X, rows)


def scorers_of(scorer: Any) -> dict[str, Any] | None:
    """Return the scorers of a multimetric one by their names, and None for any other."""
    found: dict[str, Any] | None = getattr(scorer, "_scorers", None)
    return found


STATE = (
    "_skl_callbacks",
    "_parent_callback_ctx",
    "_callback_fit_ctx",
    "_skl_callbacks_to_teardown",
)
"""What scikit-learn keeps of callbacks in an estimator."""


def evaluation_context(callbacks: list[Any], kind: str) -> Any:
    """Return the task of one evaluation, in a search of this kind that has these callbacks."""
    from sklearn.base import BaseEstimator
    from sklearn.callback import CallbackSupportMixin

    search = type(kind, (CallbackSupportMixin, BaseEstimator), {})()
    if callbacks:
        search.set_callbacks(*callbacks)
    return search._init_callback_context(max_subtasks=None).subcontext(max_subtasks=0)


def without_callbacks(estimator: Any) -> Any:
    """Take the callbacks from an estimator and its parts; return it."""
    for part in (estimator, *estimator.get_params().values()):
        if "_skl_callbacks" in getattr(part, "__dict__", {}):
            del part._skl_callbacks
    return estimator


def callbacks_of(estimator: Any) -> dict[str, list[Any]]:
    """Return the callbacks of an estimator and its parts by their names, its own by none."""
    parts = {"": estimator, **estimator.get_params()}
    return {
        name: list(part._skl_callbacks)
        for name, part in parts.items()
        if "_skl_callbacks" in getattr(part, "__dict__", {})
    }

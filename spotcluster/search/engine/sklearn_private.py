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

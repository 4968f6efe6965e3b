"""Searches whose candidates are all known before they begin: a whole grid, or draws from it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from spotcluster.search.data.candidates import Candidate, Space, grid_candidates, random_candidates
from spotcluster.search.data.folds import Extent
from spotcluster.search.searches import Search


@dataclass(eq=False, repr=False)
class GridSearch(Search):
    """Every setting of a grid.

    Parameters
    ----------
    view
        As in `Search`, as are all other parameters.
    estimator : estimator, optional
    grid : dict or list of dict, optional
        Lists of values by parameter name.

    Examples
    --------
    As scikit-learn's:

    >>> search = GridSearch(view, SVC(), {"C": [1, 10]}, cv=5).fit(X, y)
    >>> search.best_params_
    {'C': 10}

    Without waiting:

    >>> search = GridSearch(view).launch_for_splits(model, {"C": [1, 10]}, files)
    >>> search.wait()
    True
    >>> search.find_bests()
    [(0.9902222222222222, {'C': 1})]
    """

    grid: Space = None

    _space_name = "grid"
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **Search._parameter_constraints,
        "grid": [dict, list],
    }

    def _propose(self, model: Any, space: Space, extent: Extent) -> list[Candidate]:  # noqa: ARG002 - a grid is a grid
        return grid_candidates(space)


@dataclass(eq=False, repr=False)
class RandomizedSearch(Search):
    """Settings drawn at random: from lists without repetition, or from distributions.

    Parameters
    ----------
    view
        As in `Search`, as are all other parameters.
    estimator : estimator, optional
    distributions : dict or list of dict, optional
        Lists, or distributions as in `scipy.stats`, by parameter name.
    n_iter : int, optional
        How many to draw; all of the grid, in a random order, when it is not given.
    random_state : int, RandomState or None
        As in scikit-learn, and drawing the same as `sklearn.model_selection.RandomizedSearchCV`.

    Examples
    --------
    >>> search = RandomizedSearch(view, SVC(), {"C": loguniform(0.1, 100)}, n_iter=20).fit(X, y)
    """

    distributions: Space = None
    _: KW_ONLY
    n_iter: int | None = None
    random_state: Any = None

    _space_name = "distributions"
    _parameter_constraints = {  # noqa: RUF012 - as in scikit-learn
        **Search._parameter_constraints,
        "distributions": [dict, list],
        "n_iter": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def _propose(self, model: Any, space: Space, extent: Extent) -> list[Candidate]:  # noqa: ARG002 - whatever they are
        return random_candidates(space, self.n_iter, self.random_state)

    def _draw(self) -> Any:
        # The state of a generator changes with each draw.
        fixed = isinstance(self.random_state, int | np.integer)
        return (self.n_iter, int(self.random_state) if fixed else None)


RandomizedGridSeach = RandomizedSearch
"""The seed's name, as it was written there."""

"""The candidates of a search: which parameters are tried, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from spotcluster.errors import SearchError

Space = Any
"""A dictionary of lists or distributions by parameter name, or a list of such dictionaries."""


@dataclass(frozen=True)
class Candidate:
    """One setting of the parameters.

    Attributes
    ----------
    params : dict
    order : int
        Its place in the grid; equal scores are told apart by it, however the grid was shuffled.
    """

    params: dict[str, Any]
    order: int


def grid_candidates(grid: Space) -> list[Candidate]:
    """Return every setting of a grid, in scikit-learn's order."""
    return [Candidate(params, order) for order, params in enumerate(_parameter_grid(grid))]


def random_candidates(space: Space, n_iter: int | None, random_state: Any) -> list[Candidate]:
    """Return `n_iter` settings drawn as by `sklearn.model_selection.ParameterSampler`.

    From lists nothing is drawn twice; all of the grid, in a random order, when `n_iter` is None or
    more than there is.
    """
    if any(hasattr(value, "rvs") for part in _parts(space) for value in part.values()):
        if n_iter is None:
            raise SearchError(
                "A search over distributions has no end of its own.",
                "Say how many candidates to draw: RandomizedSearch(view, n_iter=40).",
            )
        sampler = ParameterSampler(space, n_iter, random_state=random_state)
        return [Candidate(params, order) for order, params in enumerate(sampler)]
    rng = check_random_state(random_state)
    grid = _parameter_grid(space)
    if n_iter is None:
        drawn = rng.permutation(len(grid))
    else:
        drawn = sample_without_replacement(len(grid), min(n_iter, len(grid)), random_state=rng)
    return [Candidate(grid[i], int(i)) for i in drawn]


def plain(value: Any) -> Any:
    """Return `value` with numpy's scalars as plain Python numbers, at any depth."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value


def _parts(space: Space) -> list[dict[str, Any]]:
    parts = [space] if isinstance(space, dict) else space
    if not isinstance(parts, list | tuple) or not all(isinstance(part, dict) for part in parts):
        raise SearchError(
            f"The parameters to try are a {type(space).__name__}.",
            'Give a dictionary such as {"C": [1, 10]}, or a list of dictionaries.',
        )
    return list(parts)


def _parameter_grid(grid: Space) -> ParameterGrid:
    _parts(grid)
    try:
        return ParameterGrid(grid)
    except (TypeError, ValueError) as error:
        raise SearchError(f"The parameter grid is not usable: {error}") from error

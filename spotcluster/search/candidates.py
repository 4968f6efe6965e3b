"""The candidates of a search: which parameters are tried, and in which order."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from spotcluster.errors import SearchError

Space = Any
"""A dictionary of lists or distributions by parameter name, or a list of such dictionaries."""


@dataclass(frozen=True)
class Part:
    """Which part of each split a candidate is evaluated on; all of it, if nothing is said.

    Attributes
    ----------
    train_fraction, n_samples : float or int, optional
        How much of the training part: a fraction (rounded down), or a number of rows.
    test_fraction : float, optional
        How much of the test part.
    seed : int, optional
        Rows are drawn with it as `sklearn.utils.resample` does without replacement. Without it they
        are the first ones: a slice of the memory-mapped arrays, which copies nothing.
    """

    train_fraction: float | None = None
    n_samples: int | None = None
    test_fraction: float | None = None
    seed: int | None = None

    def as_plain(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Candidate:
    """One setting of the parameters.

    Attributes
    ----------
    params : dict
        With those that are a resource (such as ``n_estimators``).
    order : int
        Its place in the grid; equal scores are told apart by it, however the grid was shuffled.
    part : Part, optional
        The part of the data that it is evaluated on.
    more : dict
        More of it, by the names of columns in `cv_results_` (such as ``iter``); JSON.
    """

    params: dict[str, Any]
    order: int
    part: Part | None = None
    more: dict[str, Any] = field(default_factory=dict)


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
    if n_iter is not None and n_iter > len(grid):
        warnings.warn(
            f"The total space of parameters {len(grid)} is smaller than n_iter={n_iter}."
            f" Running {len(grid)} iterations. For exhaustive searches, use GridSearch.",
            UserWarning,
            stacklevel=2,
        )
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

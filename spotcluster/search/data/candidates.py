"""The candidates of a search: which parameters are tried, and in which order."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from spotcluster.search.data.parameters import BadParameter
from spotcluster.search.sklearn_private import draws_from_lists

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
    states : tuple of str, optional
        For each split, the state of the generator that rows are drawn with instead, see `draws`.
    steps : tuple of int, optional
        The model is fitted on so many rows, one step after the other.
    """

    train_fraction: float | None = None
    n_samples: int | None = None
    test_fraction: float | None = None
    seed: int | None = None
    states: tuple[str, ...] | None = None
    steps: tuple[int, ...] | None = None

    def as_plain(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Part:
        """Return what was made plain, and was JSON in between."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()
        }
        return cls(**values)

    def of(self, split: int) -> dict[str, Any]:
        """Return what the engine that evaluates a split needs of it."""
        plain = {name: value for name, value in vars(self).items() if value is not None}
        if states := plain.pop("states", None):
            plain["state"] = states[split]
        return plain


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

    @property
    def shown(self) -> dict[str, Any]:
        """What tells it from others wherever it is shown: of a learning curve, the size.

        One that is fitted in steps has the score of the last of them.
        """
        if self.params or self.part is None:
            return self.params
        sizes = self.part.steps or (self.part.n_samples,)
        return {} if sizes[-1] is None else {"train_size": sizes[-1]}


def grid_candidates(grid: Space) -> list[Candidate]:
    """Return every setting of a grid, in scikit-learn's order."""
    with _said_of_parameters():
        return [Candidate(params, order) for order, params in enumerate(ParameterGrid(grid))]


def random_candidates(space: Space, n_iter: int | None, random_state: Any) -> list[Candidate]:
    """Return `n_iter` settings drawn as by `sklearn.model_selection.ParameterSampler`.

    From lists nothing is drawn twice; all of the grid, in a random order, when `n_iter` is None or
    more than there is.
    """
    with _said_of_parameters():
        sampler = ParameterSampler(space, n_iter or 1, random_state=random_state)
        if not draws_from_lists(sampler):
            if n_iter is None:
                raise BadParameter(
                    "A search over distributions has no end of its own.",
                    "Say how many candidates to draw: RandomizedSearch(view, n_iter=40).",
                )
            return [Candidate(params, order) for order, params in enumerate(sampler)]
        grid = ParameterGrid(space)
    rng = check_random_state(random_state)
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


def check_names(model: Any, candidates: Iterable[Candidate]) -> None:
    """Hold the names of parameters against those that the model has.

    They are the same for most candidates, unless values are estimators with parameters of their
    own; each kind of candidate is looked at once.

    Raises
    ------
    BadParameter
        In scikit-learn's words, for the first name that is not there.
    """
    kinds: dict[Any, dict[str, Any]] = {}
    for candidate in candidates:
        kind = frozenset(
            (name, type(value) if hasattr(value, "get_params") else None)
            for name, value in candidate.params.items()
        )
        kinds.setdefault(kind, candidate.params)
    for params in kinds.values():
        with _said_of_parameters():
            clone(model).set_params(**clone(params, safe=False))


def plain(value: Any) -> Any:
    """Return `value` with numpy's scalars as plain Python numbers, at any depth."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value


def in_words(value: Any, most: int = 60) -> str:
    """Return the value of a parameter in one line of at most so many characters."""
    value = plain(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    # A function says where it is in memory, an estimator takes several lines.
    name = getattr(value, "__name__", None) if callable(value) else None
    text = " ".join(str(name or value).split())
    return text if len(text) <= most else text[: most - 3] + "..."


@contextlib.contextmanager
def _said_of_parameters() -> Iterator[None]:
    """Raise what scikit-learn says of parameters as an error of ours, which is one of its too."""
    try:
        yield
    except BadParameter:
        raise
    except (TypeError, ValueError) as error:
        raise BadParameter(str(error)) from error

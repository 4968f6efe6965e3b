"""Takes a part of a split: some rows of its training and test data, by size or drawn at random.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster.
"""

from __future__ import annotations

import base64
from typing import Any


def part_of(
    split: Any,
    *,
    kernel: bool = False,
    first: int = 0,
    train_fraction: float | None = None,
    n_samples: int | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    state: str | None = None,
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return a part of a split; a slice is a view of the mapped arrays, and copies nothing.

    Parameters
    ----------
    kernel : bool
        Whether X is a precomputed kernel: its columns are rows of the training part.
    first, n_samples : int
        The rows of the training part that are taken: from `first` up to `n_samples`.
    train_fraction, test_fraction : float, optional
        How much to take instead of each part, rounded down.
    seed, state : int, str, optional
        Rows are drawn, each time with this seed, or by the generator in this state.

    Returns
    -------
    tuple
        ``X``, ``y`` and the arguments by rows of `fit` and of the scorer on training data.
    tuple
        ``X``, ``y`` and the arguments by rows of the scorer on test data.
    """
    X_train, y_train, X_test, y_test, *others = split
    rows = others[0] if others else {}
    random = seed if state is None else generator(state)

    def wanted(length: int, count: int | None, fraction: float | None) -> Any:
        from sklearn.utils import resample

        if count is None and fraction is None:
            return None
        count = int((fraction or 0.0) * length) if count is None else count
        if random is None:
            return slice(first, count)
        return resample(range(length), replace=False, random_state=random, n_samples=count)

    of_train = wanted(_length(X_train), n_samples, train_fraction)
    of_test = wanted(_length(X_test), None, test_fraction)
    columns = None
    if kernel:
        columns = _some(rows["columns"], of_train) if "columns" in rows else of_train
    fit, train, test = (rows.get(name, {}) for name in ("fit", "train", "test"))
    return (
        (_block(X_train, of_train, columns), *(_some(x, of_train) for x in (y_train, fit, train))),
        (_block(X_test, of_test, columns), *(_some(x, of_test) for x in (y_test, test))),
    )


def generator(state: str) -> Any:
    """Return numpy's generator in a state that `draws.snapshot` has written down."""
    import numpy as np

    position, key = state.split(":")
    random = np.random.RandomState()
    words = np.frombuffer(base64.b64decode(key), dtype="<u4").astype(np.uint32)
    random.set_state(("MT19937", words, int(position), 0, 0.0))
    return random


def _some(thing: Any, rows: Any) -> Any:
    """Return rows of something, or of all that is in a dictionary; everything if `rows` is None."""
    if thing is None or rows is None:
        return thing
    if isinstance(thing, dict):
        return {name: _some(value, rows) for name, value in thing.items()}
    from sklearn.utils import _safe_indexing

    return _safe_indexing(thing, rows)


def _block(X: Any, rows: Any, columns: Any) -> Any:
    """Return rows of X, and of these some columns, laid out as scikit-learn's."""
    if columns is None:
        return _some(X, rows)
    if isinstance(columns, slice) and (rows is None or isinstance(rows, slice)):
        return X[rows or slice(None), columns]
    import numpy as np

    numbers = [
        np.arange(length) if some is None else np.arange(length)[some]
        for length, some in zip(X.shape, (rows, columns), strict=True)
    ]
    return X[np.ix_(*numbers)]


def _length(data: Any) -> int:
    return int(data.shape[0]) if hasattr(data, "shape") else len(data)


def takes_kernel(estimator: Any, split: Any, part: dict[str, Any]) -> bool:
    """Return whether columns have to be chosen too, for X is a precomputed kernel."""
    columns = len(split) > 4 and "columns" in split[4]
    if not part and not columns:
        return False
    from sklearn.utils import get_tags

    # A kernel that was cut by rows only, into files of the user's, says nothing of its columns.
    shape: Any = getattr(split[0], "shape", ())
    square = len(shape) == 2 and shape[0] == shape[1]
    return bool((columns or square) and get_tags(estimator).input_tags.pairwise)

"""The drawing of rows: what scikit-learn draws in a row, engines draw each alone.

`sklearn.utils.resample` takes what it draws from one generator: for each round and split the rows
of the training part, and then those of the test part. An engine that evaluates one split needs the
generator as it was just before that split, which is a few kilobytes of text, read by
`engine.part.generator`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

Rows = tuple[int, int]
"""How many rows the training and the test part of a split have."""


def snapshots(generator: np.random.RandomState, rows: Sequence[Rows]) -> tuple[str, ...]:
    """Return the generator as it is before each split, and leave it as it is after the last."""
    states = []
    for n_train, n_test in rows:
        states.append(snapshot(generator))
        skip(generator, n_train, n_test)
    return tuple(states)


def snapshot(generator: np.random.RandomState) -> str:
    """Return the state of a twister as text."""
    state: Any = generator.get_state(legacy=False)
    key, position = state["state"]["key"], state["state"]["pos"]
    return f"{position}:{base64.b64encode(key.astype('<u4').tobytes()).decode()}"


def twister(generator: np.random.RandomState) -> np.random.RandomState:
    """Return a generator of the kind that engines know: numpy's own; any other kind seeds one."""
    state: Any = generator.get_state(legacy=False)
    if state["bit_generator"] == "MT19937":
        return generator
    return np.random.RandomState(generator.randint(np.iinfo(np.int32).max))


def skip(generator: np.random.RandomState, *counts: int) -> None:
    """Draw as `resample` does without replacement, of so many rows each, and keep nothing."""
    for count in counts:
        generator.shuffle(np.arange(count))

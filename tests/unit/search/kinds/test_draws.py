"""Rows are drawn as scikit-learn draws them in a row, each split by itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils import resample

from spotcluster.search.engine.part import generator, part_of
from spotcluster.search.kinds.draws import skip, snapshot, snapshots, twister

ROWS = [(30, 12), (31, 11), (30, 12)]


def test_each_split_can_be_drawn_alone() -> None:
    generators = [np.random.RandomState(3) for _ in range(2)]
    states = snapshots(generators[0], ROWS)
    expected = [
        [
            resample(np.arange(n), replace=False, n_samples=n // 2, random_state=generators[1])
            for n in rows
        ]
        for rows in ROWS
    ]
    for split, (rows, (train, test)) in reversed(list(enumerate(zip(ROWS, expected, strict=True)))):
        data = (np.arange(rows[0]), np.arange(rows[0]), np.arange(rows[1]), np.arange(rows[1]))
        (X_train, y_train, *_), (X_test, y_test, _) = part_of(
            data, train_fraction=0.5, test_fraction=0.5, state=states[split]
        )
        assert X_train.tolist() == y_train.tolist() == train.tolist()
        assert X_test.tolist() == y_test.tolist() == test.tolist()
    assert snapshot(generators[0]) == snapshot(generators[1])  # both may draw on


def test_what_was_drawn_last_can_be_drawn_again() -> None:
    drawn = np.random.RandomState(5)
    states = snapshots(drawn, ROWS)
    again = generator(states[-1])
    skip(again, *ROWS[-1])
    assert again.randint(1 << 30, size=9).tolist() == drawn.randint(1 << 30, size=9).tolist()


def test_generators_of_other_kinds_seed_one_that_engines_know() -> None:
    known = np.random.RandomState(1)
    assert twister(known) is known
    seeds = [np.random.RandomState(np.random.PCG64(4)) for _ in range(2)]
    first, second = map(twister, seeds)
    assert snapshot(first) == snapshot(second)
    assert generator(snapshot(first)).randint(1 << 30) == second.randint(1 << 30)
    with pytest.raises(KeyError):
        snapshot(seeds[0])

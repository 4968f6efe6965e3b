"""Evaluations in pickles: between versions of ours, and of Python."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import Any

import pytest

from spotcluster.search.data.evaluations import Evaluation, state_of

ONE = Evaluation(3, 1, 0.5, None, 0.25, node="node001", warned=[["w"]], calls=b"c")


class Pickled:
    """What an evaluation is pickled as where its state is this."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def __reduce__(self) -> Any:
        return object.__new__, (Evaluation,), self._state


def test_an_evaluation_is_pickled_by_the_names_of_what_it_has() -> None:
    """On Debian's Python 3.11.2 it was a list: the package could not be imported there."""
    state: Any = ONE.__reduce_ex__(4)[2]
    assert state == state_of(ONE)
    assert list(state) == [one.name for one in fields(Evaluation)]
    assert pickle.loads(pickle.dumps(ONE)) == ONE


@pytest.mark.parametrize(
    "state",
    [
        state_of(ONE),
        [*state_of(ONE).values()],  # by Python before 3.11.4
        {name: value for name, value in state_of(ONE).items() if value},  # by a former version
    ],
)
def test_pickles_of_others_are_read(state: Any) -> None:
    found = pickle.loads(pickle.dumps(Pickled(state)))
    assert found == ONE
    assert state_of(found) == state_of(ONE)

"""The dispatcher by itself, on real engines."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search.dispatch import Dispatcher, News
from spotcluster.search.evaluations import Evaluation, Key
from spotcluster.search.splits import Bundle

from .conftest import Machines, until

TASK = {"model": SVC(), "scoring": None, "error_score": -1.0, "return_train_score": False}


class Dispatch:
    """A dispatcher, and what it has recorded."""

    def __init__(self, machines: Machines, files: list[str], keys: list[Key], **more: Any) -> None:
        self.bundle = Bundle.of(files)
        self.news: list[News] = []
        self.dispatcher = Dispatcher(
            machines.client.load_balanced_view(),
            self.bundle,
            keys,
            {**TASK, "pace": 0.0},
            self.work,
            self.record,
            lambda: None,
            -1.0,
            {},
            **more,
        )
        self.dispatcher.start()

    def work(self, key: Key) -> tuple[str, dict[str, Any]]:
        return self.bundle.splits[key[1]].digest, {"params": {"C": float(key[0] + 1)}}

    def record(self, news: list[News]) -> None:
        self.news += news

    def keys(self) -> list[Key]:
        return [item.key for item in self.news if isinstance(item, Evaluation)]


def test_evaluations_added_while_it_runs(pair: Machines, iris: list[str]) -> None:
    class Chain(Dispatch):
        def record(self, news: list[News]) -> None:
            super().record(news)
            last = max(self.keys())
            if last < (3, 0):  # also when it was the last one that there was to do
                self.dispatcher.add([(last[0] + 1, 0)])

    chain = Chain(pair, iris, [(0, 0)])
    chain.dispatcher.join(30)
    assert chain.dispatcher.failure is None
    assert chain.keys() == [(0, 0), (1, 0), (2, 0), (3, 0)]
    with pytest.raises(SearchError, match="has ended"):
        chain.dispatcher.add([(9, 0)])


def test_an_open_dispatcher_waits_for_more(pair: Machines, iris: list[str]) -> None:
    dispatch = Dispatch(pair, iris, [], open=True)
    dispatch.dispatcher.add([(0, 0), (0, 1)])
    until(lambda: len(dispatch.keys()) == 2, "two evaluations")
    dispatch.dispatcher.add([(0, 1), (0, 2)])  # one that is known already is not done again
    dispatch.dispatcher.close_intake()
    dispatch.dispatcher.join(30)
    assert sorted(dispatch.keys()) == [(0, 0), (0, 1), (0, 2)]

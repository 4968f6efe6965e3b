"""The dispatcher by itself, on real engines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search.backends import ipyparallel_private
from spotcluster.search.backends.ipyparallel import IPyParallel
from spotcluster.search.data.evaluations import Evaluation, Key, Retry
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch.dispatcher import Dispatcher
from spotcluster.search.dispatch.verdicts import News
from spotcluster.search.engine import here

from .conftest import LIMIT, Machines, until

TASK = {"model": SVC(), "scoring": None, "error_score": -1.0, "return_train_score": False}


class Dispatch:
    """A dispatcher, and what it has recorded."""

    model: Any = SVC()
    targets: Any = None  # all engines

    def __init__(self, machines: Machines, files: list[str], keys: list[Key], **more: Any) -> None:
        self.bundle = Bundle.of(files)
        self.news: list[News] = []
        self.dispatcher = Dispatcher(
            IPyParallel(machines.client.load_balanced_view(self.targets)),
            self.bundle,
            keys,
            {**TASK, "model": self.model, "pace": 0.0},
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
    chain.dispatcher.join(120)
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
    dispatch.dispatcher.join(120)
    assert sorted(dispatch.keys()) == [(0, 0), (0, 1), (0, 2)]


class Sleeper(ClassifierMixin, BaseEstimator):
    """Sleeps where there is no file of a name yet, and makes it; until another file is there."""

    def __init__(self, C: float = 0.0, seconds: float = 0.0, once: str = "") -> None:
        self.C, self.seconds, self.once = C, seconds, once

    def fit(self, X: Any, y: Any) -> Sleeper:
        import time
        from pathlib import Path

        self.classes_ = [0, 1, 2]
        if self.C == 2.0 and not (self.once and Path(self.once).exists()):
            if not self.once:
                time.sleep(self.seconds)  # in one go, in which nothing of Python's runs
                return self
            Path(self.once).touch()
            end = time.monotonic() + self.seconds
            while time.monotonic() < end and not Path(f"{self.once}.end").exists():
                time.sleep(0.02)
        return self

    def score(self, X: Any, y: Any) -> float:
        return float(self.C)


@pytest.fixture
def by_value() -> Iterator[None]:
    """Engines cannot import the tests."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_tiny_evaluations_travel_together(pair: Machines, iris: list[str], by_value: None) -> None:
    class Counting(Dispatch):
        model = Sleeper()

    before = len(pair.client.history)
    keys = [(n, split) for n in range(400) for split in range(3)]
    dispatch = Counting(pair, iris, keys)
    dispatch.dispatcher.join(120)
    assert sorted(dispatch.keys()) == keys  # each once
    results = [item for item in dispatch.news if isinstance(item, Evaluation)]
    assert {item.test_score for item in results if item.candidate == 7} == {8.0}
    assert len(pair.client.history) - before < 200


def test_engines_told_of_each_message_of_a_search_that_they_were_busy_and_idle(
    pair: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which nobody listened to, and was half of what they published."""
    said: list[tuple[str, str]] = []
    looked = ipyparallel_private._about

    def looks(client: Any, parts: Any) -> Any:
        about, rest = looked(client, parts)
        said.append((about, client.session.unpack(rest[1].bytes)["msg_type"]))
        return about, rest

    monkeypatch.setattr(ipyparallel_private, "_about", looks)
    engine = pair.client.ids[0]
    pending = IPyParallel(pair.client.load_balanced_view()).call(engine, here.identity)
    assert pending.result(LIMIT)["engine"] == engine
    users = pair.client[engine].apply_async(int)
    # Busy and idle, the last of which is published after all that is about the other one.
    until(lambda: said.count((users.msg_ids[0], "status")) == 2, "what is published")
    assert {kind for about, kind in said if about == pending.id} == {"apply_reply"}


def test_an_engine_waited_four_times_with_each_message_for_what_nobody_had_printed_to_be_sent(
    pair: Machines,
) -> None:
    def printed() -> list[int]:
        import sys

        thread: Any = sys.stdout.pub_thread  # type: ignore[attr-defined]
        asked: list[Any] = []
        schedule = thread.schedule

        def scheduled(what: Any) -> None:
            asked.append(what)
            schedule(what)

        thread.schedule = scheduled
        try:
            counts = []
            for text in ("", "", "seen"):
                sys.stdout.write(text) if text else None
                sys.stdout.flush()
                sys.stderr.flush()
                counts.append(len(asked))
            return counts
        finally:
            thread.schedule = schedule

    printed.__module__ = "__main__"
    told = pair.client[pair.client.ids[0]].apply_async(printed)
    counts = told.get(LIMIT)
    assert counts[0] == counts[1] == 0
    assert counts[2] > 0
    until(lambda: told.stdout == "seen", "what was printed")


def test_a_straggler_is_tried_on_an_idle_engine(
    pair: Machines, iris: list[str], by_value: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotcluster.search.dispatch.durations.PATIENCE", 0.3)
    monkeypatch.setattr("spotcluster.search.dispatch.feeder.COLD", 0.0)

    class Straggling(Dispatch):
        model = Sleeper(seconds=250.0, once=str(tmp_path / "met"))

    dispatch = Straggling(pair, iris, [(n, 0) for n in range(6)])
    dispatch.dispatcher.join(120)
    (tmp_path / "met.end").touch()
    assert not dispatch.dispatcher.is_alive()
    assert sorted(dispatch.keys()) == [(n, 0) for n in range(6)]
    (retry,) = [item for item in dispatch.news if isinstance(item, Retry) and item.key == (1, 0)]
    assert "was slow, another tried it too" in retry.reason
    assert not retry.lost


def test_an_evaluation_that_never_returns_is_interrupted(
    pair: Machines, iris: list[str], by_value: None
) -> None:
    class Endless(Dispatch):
        model = Sleeper(seconds=600.0)

    dispatch = Endless(pair, iris, [(n, 0) for n in range(4)], timeout=1.5)
    dispatch.dispatcher.join(120)
    results = {item.key[0]: item for item in dispatch.news if isinstance(item, Evaluation)}
    assert [results[n].test_score for n in range(4)] == [1.0, -1.0, 3.0, 4.0]
    assert "TimeoutError: It took longer than timeout=1.5 s" in results[1].error
    assert not results[1].killed
    assert len(pair.client.ids) == 2


def test_an_evaluation_that_interrupts_its_engine_was_sent_again_for_ever(
    pair: Machines, iris: list[str], by_value: None
) -> None:
    class Interrupting(Sleeper):
        def fit(self, X: Any, y: Any) -> Sleeper:
            if self.C == 2.0:
                raise KeyboardInterrupt
            return super().fit(X, y)

    class Rude(Dispatch):
        model = Interrupting()

    dispatch = Rude(pair, iris, [(n, 0) for n in range(4)])
    dispatch.dispatcher.join(120)
    results = {item.key[0]: item for item in dispatch.news if isinstance(item, Evaluation)}
    assert [results[n].test_score for n in range(4)] == [1.0, -1.0, 3.0, 4.0]
    assert "in the end it was interrupted on engine" in results[1].error
    retries = [item for item in dispatch.news if isinstance(item, Retry) and item.lost]
    assert [item.key for item in retries] == [(1, 0), (1, 0)]


def test_what_cannot_be_interrupted_costs_one_engine_once(
    machines: Machines, iris: list[str], by_value: None
) -> None:
    class Stuck(Sleeper):
        def fit(self, X: Any, y: Any) -> Sleeper:
            import signal

            if self.C == 2.0:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            return super().fit(X, y)

    class Deaf(Dispatch):
        model = Stuck(seconds=600.0)

    others = set(machines.client.ids)  # of other tests, which may go meanwhile
    machines.start("node002", 3)
    Deaf.targets = sorted(set(machines.client.ids) - others)
    dispatch = Deaf(machines, iris, [(n, 0) for n in range(4)], timeout=1.5)
    dispatch.dispatcher.join(120)
    results = {item.key[0]: item for item in dispatch.news if isinstance(item, Evaluation)}
    assert [results[n].test_score for n in range(4)] == [1.0, -1.0, 3.0, 4.0]
    assert "ended with its engine" in results[1].error
    assert len(set(Deaf.targets) & set(machines.client.ids)) == 2

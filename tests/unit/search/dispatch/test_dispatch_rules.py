"""What the dispatcher concludes from what it sees."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.search.dispatch.dispatcher import Dispatcher
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.verdicts import Verdicts
from spotcluster.search.engine.batch import GRACE
from spotcluster.search.kinds.optuna_search import OptunaSearch
from spotcluster.search.parcels import parcel


def timed_out(
    seconds: float, *, keys: int = 1, nodes: tuple[str, ...] = (), deaths: int = 1
) -> Any:
    """Return whether a message of node001 that was lost after so many seconds timed out."""
    begun = time.monotonic()
    message = Message(
        tuple((n, 0) for n in range(keys)), None, begun, 10.0, begun=begun, vanished=begun + seconds
    )
    message.who = {"node": "node001"}
    verdicts: Any = SimpleNamespace(
        _timeout=1.0,
        _roster=SimpleNamespace(engines={n: SimpleNamespace(node=x) for n, x in enumerate(nodes)}),
        deaths=Counter({(0, 0): deaths}),
    )
    return Verdicts._timed_out(verdicts, message)


def test_an_evaluation_of_a_killed_engine_was_taken_for_one_that_never_ends() -> None:
    long = 1.0 + GRACE + 1.0
    assert timed_out(long, nodes=("node001",))
    assert not timed_out(2.0, nodes=("node001",))  # an engine ends itself later
    assert not timed_out(long, nodes=("node001",), keys=2)  # the others took their time


def test_an_evaluation_of_a_frozen_host_was_taken_for_one_that_never_ends() -> None:
    long = 1.0 + GRACE + 1.0
    assert not timed_out(long, nodes=("node002",))
    assert timed_out(long, nodes=("node002",), deaths=2)  # it happens wherever it goes


def dispatcher(ended: Any, **more: Any) -> Any:
    """Return one that has nothing to do."""
    engines, bundle, ignored = Mock(pack=parcel), Mock(splits=[]), Mock()
    return Dispatcher(engines, bundle, [], {}, ignored, ignored, ended, -1.0, {}, **more)


@pytest.mark.parametrize("part", ["_roster.close", "_sender.withdraw"])
def test_search_whose_client_was_closed_while_it_ended_was_waited_for_for_ever(part: str) -> None:
    ended = Mock()
    made = dispatcher(ended)
    owner, name = part.split(".")
    setattr(getattr(made, owner), name, Mock(side_effect=RuntimeError("Event loop is closed")))
    made.start()
    made.join(60)
    assert not made.is_alive()
    ended.assert_called_once_with()


def test_ctrl_c_just_before_a_lock_was_heard_when_the_search_had_ended_only() -> None:
    """Python takes a signal when it runs code; none of its own runs while it waits for a lock."""
    waits: list[float] = []

    def wait(seconds: float | None) -> bool:
        assert seconds is not None, "for ever"
        waits.append(seconds)
        return len(waits) == 3

    made = dispatcher(Mock())
    made._gone = Mock(wait=wait)
    made.join()
    assert max(waits) <= 1.0


def test_optuna_search_that_was_aborted_while_it_added_a_trial_had_failed() -> None:
    run: Any = SimpleNamespace(running=True)
    search: Any = OptunaSearch()
    search._run, search._mail = run, Mock()

    def add_when_over() -> None:  # it lets go of its engines, and has not told of its end yet
        search._go_on = lambda *_: run.dispatcher.add([(0, 0)])
        search._think(SimpleNamespace(over=False))

    run.dispatcher = dispatcher(add_when_over, open=True)
    run.dispatcher.stop()
    run.dispatcher.start()
    run.dispatcher.join(60)
    assert not run.dispatcher.is_alive()
    assert run.dispatcher.failure is None

"""Which message goes to which place when, where nobody else schedules them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.search.backends.protocol import Fate, Gone
from spotcluster.search.backends.slots import Failed, Posted, Slot, Slots
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.verdicts import Verdicts


class Places(Slots):
    """Two places where things end when a test says so."""

    def __init__(self) -> None:
        super().__init__(None)
        self._slots = {n: Slot(n, f"uuid-{n}") for n in range(2)}
        self.under_way: list[tuple[int, str, Future[Any]]] = []

    def _begin(self, slot: Slot, posted: Posted) -> Future[Any]:
        future: Future[Any] = Future()
        self.under_way.append((slot.id, posted.what[1], future))
        return future

    def post(self, name: str, *targets: int, limit: float = 9.0, apart: bool = False) -> Any:
        return self.send(targets or (0, 1), limit, None, Mock(), name, apart=apart)

    def runs(self) -> list[tuple[int, str]]:
        return [(place, name) for place, name, future in self.under_way if not future.done()]

    def end(self, name: str, answer: Any = ("answer", "x")) -> None:
        for _, mine, future in self.under_way:
            if mine == name and not future.done():
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
                return
        raise AssertionError(name)

    def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Any: ...
    def check(self, *, timeout: float | None) -> None: ...
    def close(self) -> None: ...

    def fate(self, error: BaseException) -> Fate:
        return error.fate if isinstance(error, Failed) else Fate.BROKEN


def fate(places: Places, pending: Any) -> Fate:
    return places.fate(pending.exception(0))


def test_each_place_has_one_and_the_others_wait_in_their_order() -> None:
    places = Places()
    a, b, c, d = (places.post(name) for name in "abcd")
    assert places.runs() == [(0, "a"), (1, "b")]
    assert places.notes(a)["started"]["who"]["engine"] == 0
    assert not places.notes(c)
    places.end("b")
    assert b.result(0) == "x"
    assert places.runs() == [(0, "a"), (1, "c")]
    places.withdraw([a, d])  # one of them runs, and cannot be taken back
    assert fate(places, d) is Fate.DROPPED
    places.end("c")
    assert places.runs() == [(0, "a")]


def test_what_is_refused_goes_to_another_place_and_comes_back_when_all_have() -> None:
    places = Places()
    a, told = places.post("a"), Mock()
    places.listen(a, told)
    b = places.post("b")
    places.end("a", ("refused", {"reason": "draining"}))
    assert told.called
    assert places.notes(a)["refused uuid-0"] == {"reason": "draining"}
    assert "started" not in places.notes(a)
    places.end("b")
    assert places.runs() == [(1, "a")]
    places.end("a", ("refused", {"reason": "files"}))
    assert fate(places, a) is Fate.REFUSED
    assert b.done()


def test_what_waits_too_long_comes_back_in_its_order() -> None:
    places, order = Places(), []
    pendings = [places.post(name, limit=9.0 if name in "ab" else -1.0) for name in "abcd"]
    for name, pending in zip("abcd", pendings, strict=True):
        pending.add_done_callback(lambda _, name=name: order.append(name))
    assert places.engines() == [0, 1]
    assert [fate(places, one) for one in pendings[2:]] == [Fate.EXPIRED, Fate.EXPIRED]
    assert order == ["d", "c"]  # each is put before what waits


def test_what_may_be_deadly_runs_apart_from_all_others() -> None:
    places = Places()
    places.post("a")
    places.post("deadly", apart=True)
    places.post("b")
    assert places.runs() == [(0, "a")]
    places.end("a")
    assert places.runs() == [(0, "deadly")]
    places.end("deadly")
    assert [name for _, name in places.runs()] == ["b"]


def test_error_of_a_place_frees_it() -> None:
    places = Places()
    a = places.post("a", 0)
    places.post("b", 0)
    places.end("a", ValueError("no"))
    assert isinstance(a.exception(0), ValueError)
    assert places.runs() == [(0, "b")]


def test_a_place_that_is_not_there_gets_nothing() -> None:
    with pytest.raises(Gone):
        Places().post("a", 0, 7)


def test_all_hosts_were_doubted_where_the_answer_came_before_who_had_refused() -> None:
    places = Places()
    pending = places.post("a", 0)
    places.end("a", ("refused", {"engine": 0, "uuid": "uuid-0", "reason": "files", "why": ""}))
    message = Message(((0, 0),), pending, 0.0, 9.0)
    roster = Mock(hopeless=dict)
    verdicts = Verdicts(
        *(places, Mock(live={message: None}, open=lambda _: [(0, 0)]), roster, *[Mock()] * 5),
        *(-1.0, {}, None),
    )
    verdicts.take(message)
    assert roster.refused.called
    assert not roster.doubt.called

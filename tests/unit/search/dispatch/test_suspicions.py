"""Which failures are an evaluation's own, and which are its host's."""

from __future__ import annotations

import traceback
from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.errors import SearchError
from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch import hope
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.detector import Loss
from spotcluster.search.dispatch.dispatcher import Dispatcher
from spotcluster.search.dispatch.hosts import Engine, Host
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.roster import Roster
from spotcluster.search.dispatch.suspicions import Failure, Suspicions
from spotcluster.search.parcels import parcel

KEYS = [(n, 0) for n in range(8)]

HEAD = 'Traceback (most recent call last):\n  File "x.py", line 1, in fit\n    raise\n'


def error(raised: BaseException) -> str:
    return HEAD + "".join(traceback.format_exception_only(raised))


def failure(node: str, raised: BaseException) -> Failure:
    return Failure({"node": node, "uuid": node}, {"error": error(raised), "took": 0.001})


class Scene:
    """Hosts with an engine each, and what they were sent."""

    def __init__(self, *nodes: str) -> None:
        self.backlog = Backlog(KEYS)
        self.roster = Roster(Mock(), Mock())
        for number, node in enumerate(nodes):
            self.roster.engines[number] = Engine(number, node, node=node)
            self.roster.hosts[node] = Host(node, ready=True)
        self.suspicions = Suspicions(self.roster, self.backlog)

    def sent(self, *keys: Key) -> Message:
        message = Message(keys, Mock(), sent=0.0, limit=1.0)
        self.backlog.count_on(message)
        return message

    def fails(self, key: Key, node: str, raised: BaseException) -> list[Key]:
        """Return what counts as failed when an evaluation has failed on a host."""
        found = self.suspicions.judge(self.sent(key), key, failure(node, raised))
        for one, _ in found:
            self.backlog.finish(one)
            self.suspicions.forget(one)
        return [one for one, _ in found]

    def well(self, key: Key, node: str) -> None:
        self.suspicions.went_well(key, node)
        self.backlog.finish(key)

    def left_out(self) -> list[str]:
        return [host.name for host in self.roster.hosts.values() if host.unable]


@pytest.mark.parametrize(
    "raised",
    [
        ModuleNotFoundError("No module named 'x'"),
        FileNotFoundError(2, "No such file", "/usr/share/x"),
        OSError("libgomp.so.1: cannot open shared object file"),
        MemoryError(),
    ],
)
def test_what_only_one_host_lacked_was_the_evaluations_failure(raised: BaseException) -> None:
    scene = Scene("bad", "good")
    scene.well((7, 0), "bad")  # it has worked before
    assert scene.fails((0, 0), "bad", raised) == []
    assert scene.fails((1, 0), "bad", raised) == []
    assert scene.suspicions.in_doubt() == [([(0, 0), (1, 0)], {"bad"})]
    scene.well((0, 0), "good")
    assert scene.left_out() == ["bad"]
    assert scene.suspicions.in_doubt() == []
    assert not scene.backlog.parked  # the other one waits again
    assert scene.suspicions.ready() == [1]


def test_a_failure_won_over_a_run_that_was_still_going() -> None:
    scene = Scene("slow", "bad")
    scene.well((7, 0), "bad")
    running, second = scene.sent((0, 0)), scene.sent((0, 0))
    assert scene.suspicions.judge(second, (0, 0), failure("bad", ValueError("no"))) == []
    assert scene.backlog.open(running) == [(0, 0)]
    assert not scene.backlog.open(second)
    scene.well((0, 0), "slow")
    assert scene.left_out() == []  # one that may be chance


def test_the_run_that_was_still_going_fails_too() -> None:
    scene = Scene("one")  # two engines of one host
    running, second = scene.sent((0, 0)), scene.sent((0, 0))
    assert scene.suspicions.judge(second, (0, 0), failure("one", ValueError("no"))) == []
    assert len(scene.suspicions.judge(running, (0, 0), failure("one", ValueError("no")))) == 1


def test_what_two_hosts_agree_on_is_asked_about_no_more() -> None:
    scene = Scene("a", "b")
    same = ImportError("No module named 'x'")
    assert scene.fails((0, 0), "a", same) == []
    assert scene.fails((1, 0), "b", same) == []
    assert scene.fails((0, 0), "b", same) == [(0, 0), (1, 0)]
    assert scene.fails((2, 0), "a", same) == [(2, 0)]
    assert scene.left_out() == []


def test_names_of_files_differ_between_hosts_that_agree() -> None:
    scene = Scene("a", "b")
    assert scene.fails((0, 0), "a", FileNotFoundError(2, "No such file", "/tmp/a")) == []
    assert scene.fails((0, 0), "b", FileNotFoundError(2, "No such file", "/tmp/b")) == [(0, 0)]


def test_hosts_that_lack_different_modules_do_not_agree() -> None:
    scene = Scene("a", "b", "c")
    assert scene.fails((0, 0), "a", ImportError("No module named 'x'")) == []
    assert scene.fails((0, 0), "b", ImportError("No module named 'y'")) == []
    scene.well((0, 0), "c")
    assert scene.left_out() == ["a", "b"]


def test_a_host_on_which_nothing_goes_well_failed_whatever_it_was_given() -> None:
    scene = Scene("no-gpu", "good")
    for key in KEYS[:3]:
        assert scene.fails(key, "no-gpu", RuntimeError("Found no NVIDIA driver")) == []
    assert scene.suspicions.ready() == [1]  # it has had enough
    for key in KEYS[:3]:
        scene.well(key, "good")
    assert scene.left_out() == ["no-gpu"]
    assert scene.fails((4, 0), "good", ValueError("bad parameter")) == [(4, 0)]


def test_hosts_that_all_wait_for_an_answer_give_one() -> None:
    scene = Scene("a", "b")
    for n in range(3):
        assert scene.fails((n, 0), "a", ImportError(f"No module named 'x{n}'")) == []
        assert scene.fails((n + 3, 0), "b", ImportError(f"No module named 'x{n}'")) == []
    assert scene.suspicions.ready() == []
    assert scene.suspicions.ready({"a"}) == [1]
    assert scene.suspicions.ready({"b"}) == [0]


def test_an_only_host_is_believed() -> None:
    scene = Scene("only")
    assert scene.fails((0, 0), "only", ImportError("No module named 'x'")) == [(0, 0)]


def test_a_failure_waited_for_hosts_that_had_gone() -> None:
    scene = Scene("a", "b")
    assert scene.fails((0, 0), "a", ImportError("No module named 'x'")) == []
    assert scene.suspicions.unanswered() == []
    del scene.roster.engines[1]
    assert [key for key, _ in scene.suspicions.unanswered()] == [(0, 0)]


def test_an_evaluation_that_took_too_long_was_run_on_another_host_too() -> None:
    text = "TimeoutError: It took longer than timeout=2 s and was stopped."
    scene = Scene("a", "b")
    late = Failure({"node": "a", "uuid": "a"}, {"error": f"  File x\n{text}", "took": 2.0})
    assert len(scene.suspicions.judge(scene.sent((0, 0)), (0, 0), late)) == 1


def test_what_was_missing_is_found_behind_another_error() -> None:
    first = error(ImportError("no libcuda"))
    text = f"{first}\nThe above exception was the direct cause of the following exception:\n\n"
    text += error(ValueError("This solver\ncannot be used."))
    found = Failure({"node": "a"}, {"error": text})
    assert found.environment
    assert found.said == "ValueError: This solver"
    assert not failure("a", ValueError("ImportError: not really")).environment


def test_a_search_that_nobody_can_do_waited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hope, "SETTLE", -1.0)
    scene = Scene("a", "b")
    looked = hope.Hope(scene.roster, scene.backlog)
    scene.roster.leave_out("a", "ModuleNotFoundError: No module named 'x'")
    looked.check(known=False)
    scene.roster.leave_out("b", "ModuleNotFoundError: No module named 'x'")
    with pytest.raises(SearchError, match=r"No module named 'x' \(on a, b\)\."):
        looked.check(known=False)
    looked.check(known=True)  # another node may come in place of the one that could
    scene.roster.proved("b")
    looked.check(known=False)


def test_a_run_that_timed_out_won_over_another_that_was_still_going() -> None:
    engines, bundle, ignored = Mock(pack=parcel), Mock(splits=[]), Mock()
    made = Dispatcher(engines, bundle, KEYS, {}, ignored, ignored, ignored, -1.0, {(0, 0): 2})
    messages: list[Any] = [Message(((0, 0),), Mock(), sent=0.0, limit=1.0) for _ in range(2)]
    for message in messages:
        made._backlog.count_on(message)
    made._verdicts.lost(messages[0], Loss("engine 4 on a died", death=True))
    assert (0, 0) in made._backlog.unfinished
    messages[1].who = {"node": "b", "engine": 5, "uuid": "u", "pid": 7}
    made._verdicts.lost(messages[1], Loss("engine 5 on b died", death=True))
    (given_up,) = [item for item in made._verdicts.news if hasattr(item, "killed")]
    assert (given_up.node, given_up.engine) == ("b", 5)  # which was empty

"""Nodes that are set up together wait for all that come, and for no others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from spotcluster.cluster.bringup.failures import GivenUp
from spotcluster.cluster.bringup.together import gathering
from spotcluster.cluster.bringup.together.gathering import Gathering
from spotcluster.errors import ClusterError, NodeError, SpotclusterError


class Node:
    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.is_master = alias == "master"


class Scene:
    """Nodes that come to one gathering, each in a thread; what came of each is in `outcome`."""

    def __init__(self, *coming: str) -> None:
        self.coming = set(coming)
        self.gathering = Gathering("mine", lambda: self.coming)
        self.rounds: list[list[str]] = []
        self.outcome: dict[str, SpotclusterError | None] = {}
        self.fails: Callable[[Sequence[str]], SpotclusterError | None] = lambda _: None
        self.stop: str | None = None
        self.threads: list[threading.Thread] = []

    def do(self, nodes: Sequence[Any]) -> None:
        aliases = sorted(node.alias for node in nodes)
        self.rounds.append(aliases)
        if error := self.fails(aliases):
            raise error

    def join(self, alias: str, timeout: float = 60) -> None:
        def joining() -> None:
            try:
                self.gathering.join(
                    Node(alias),  # type: ignore[arg-type]
                    self.do,
                    timeout=timeout,
                    should_stop=lambda: self.stop,
                )
            except SpotclusterError as error:
                self.outcome[alias] = error
            else:
                self.outcome[alias] = None

        self.threads.append(threading.Thread(target=joining, name=alias))
        self.threads[-1].start()

    def wait(self) -> None:
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), thread.name


def test_it_is_done_once_when_all_are_there() -> None:
    scene = Scene("master", "node001", "node002")
    scene.join("node001")
    scene.join("master")
    assert scene.rounds == []
    scene.join("node002")
    scene.wait()
    assert scene.rounds == [["master", "node001", "node002"]]
    assert scene.outcome == dict.fromkeys(["master", "node001", "node002"])


def test_node_that_was_dropped_is_not_waited_for() -> None:
    scene = Scene("master", "node001")
    scene.join("master")
    scene.coming.discard("node001")
    scene.wait()
    assert scene.rounds == [["master"]]


def test_node_that_fails_in_it_is_the_only_one_and_the_others_wait_for_its_successor() -> None:
    scene = Scene("master", "node001", "node002")
    failed = threading.Event()

    def once(aliases: Sequence[str]) -> SpotclusterError | None:
        if failed.is_set():
            return None
        failed.set()
        return NodeError("node002", "no disk")

    scene.fails = once
    for alias in ("master", "node001", "node002"):
        scene.join(alias)
    scene.threads[2].join(60)
    assert str(scene.outcome["node002"]) == "node002: no disk"
    assert list(scene.outcome) == ["node002"]
    scene.gathering.failed("node002")
    scene.join("node002")  # another machine of that name
    scene.wait()
    assert scene.rounds == [["master", "node001", "node002"]] * 2
    assert scene.outcome == dict.fromkeys(["master", "node001", "node002"])


def test_what_fails_on_no_node_in_particular_is_the_masters() -> None:
    scene = Scene("master", "node001")
    scene.fails = lambda _: ClusterError("plugin mine raised KeyError: 'x'")
    scene.join("master")
    scene.join("node001")
    scene.wait()
    assert str(scene.outcome["master"]) == "plugin mine raised KeyError: 'x'"
    assert isinstance(scene.outcome["node001"], GivenUp)
    assert str(scene.outcome["node001"]) == "node001: given up, since plugin mine failed."


def test_error_of_a_node_that_was_there_before_is_not_tried_again_for_ever() -> None:
    scene = Scene("node002")
    scene.fails = lambda _: NodeError("node001", "no disk")
    scene.join("node002")
    scene.wait()
    assert scene.rounds == [["node002"]]
    assert str(scene.outcome["node002"]) == "node001: no disk"


def test_node_that_comes_later_finds_the_others_done() -> None:
    scene = Scene("master", "node001")
    scene.join("master")
    scene.join("node001")
    scene.wait()
    scene.gathering.failed("node001")
    scene.join("node001")
    scene.wait()
    assert scene.rounds == [["master", "node001"], ["node001"]]


def test_waiting_ends_at_its_limit_and_when_nothing_is_to_go_on() -> None:
    scene = Scene("master", "node001")
    scene.join("master", timeout=0.05)
    scene.wait()
    said = "master: plugin mine waited 0 s for other nodes."
    assert str(scene.outcome["master"]) == said
    scene.join("master")
    scene.stop = "given up, since you interrupted."
    scene.wait()
    assert str(scene.outcome["master"]) == "master: given up, since you interrupted."
    scene.stop = None
    scene.coming = {"node001"}
    scene.join("node001")
    scene.wait()
    assert scene.rounds == [["node001"]]


def test_those_who_wait_are_not_all_woken_by_each_that_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "_STEP", 60.0)
    names = ["master", *(f"node{one:03}" for one in range(1, 40))]
    scene = Scene(*names)
    looks: list[int] = []

    def coming() -> set[str]:
        looks.append(1)
        return scene.coming

    scene.gathering = Gathering("mine", coming)
    for alias in names:
        scene.join(alias)
    scene.wait()
    assert scene.rounds == [sorted(names)]
    assert len(looks) == len(names)  # each as it came; not each at each


@pytest.mark.parametrize("number", [40])
def test_crowd_is_one_round(number: int) -> None:
    names = ["master", *(f"node{one:03}" for one in range(1, number))]
    scene = Scene(*names)
    for alias in names:
        scene.join(alias)
    scene.wait()
    assert scene.rounds == [sorted(names)]

"""Nodes come up side by side: gates make them wait for the master; an interrupt waits for them."""

from __future__ import annotations

import threading
import time
from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.aws.instances import Instance
from spotcluster.cluster import limits
from spotcluster.cluster.bringup.member import Member
from spotcluster.cluster.bringup.pipeline import Pipeline
from spotcluster.cluster.bringup.together.gates import Gate
from spotcluster.errors import ClusterError, NodeError


def test_open_gate_lets_through() -> None:
    Gate(is_open=True).wait("node001", "its set-up", 0)


def test_gate_opens_for_those_who_wait() -> None:
    gate = Gate(is_open=False)
    passed = threading.Event()

    def worker() -> None:
        gate.wait("node001", "its set-up", 10)
        passed.set()

    thread = threading.Thread(target=worker)
    thread.start()
    assert not passed.wait(0.1)
    gate.open()
    thread.join(10)
    assert passed.is_set()


def test_gate_that_fails_says_so_at_once() -> None:
    gate = Gate(is_open=False)
    gate.fail(ClusterError("the master broke"))
    with pytest.raises(
        NodeError, match=r"node001: given up, since the master failed in its set-up"
    ):
        gate.wait("node001", "its set-up", 100)


def test_gate_that_was_open_stays_open_when_the_master_fails_later() -> None:
    gate = Gate(is_open=False)
    gate.open()
    gate.fail(ClusterError("later"))
    gate.wait("node001", "its set-up", 0)


def test_gate_names_the_limit() -> None:
    with pytest.raises(NodeError, match="had not finished plugin x after 0 s"):
        Gate(is_open=False).wait("node001", "plugin x", 0)


def test_time_in_which_the_master_is_waited_for_is_not_the_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    with limits.limit(10):
        now[0] += 4
        with limits.paused():
            now[0] += 1000
        assert limits.within(60, "node001", "its set-up") == 6
        now[0] += 6
        with pytest.raises(NodeError, match="had not ended after 10 s"):
            limits.within(60, "node001", "its set-up")
    with limits.paused():
        assert limits.within(60, "node001", "its set-up") == 60


def test_ctrl_c_while_the_first_nodes_begin_did_not_wait_for_their_launches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, made = threading.Event(), []

    def launch() -> Instance:
        begun.set()
        time.sleep(0.2)  # as EC2 takes, so that who does not wait for it is found out
        made.append("i-1")
        raise ClusterError("no more of it is needed here")

    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        begun.wait(10)
        raise KeyboardInterrupt

    cluster: Any = Mock(nodes=[])
    limits = {"launch_timeout": 1.0, "ssh_timeout": 1.0, "setup_timeout": 1.0}
    pipeline = Pipeline(cluster, [], Mock(), Mock(), **limits)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run([Member("node001", launch, Mock()), Member("node002", launch, Mock())])
    assert made == ["i-1"]

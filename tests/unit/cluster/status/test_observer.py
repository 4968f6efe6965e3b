"""Watching a cluster whose machines change while it is watched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster import ssh
from spotcluster.aws import tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import cluster as clusters
from spotcluster.cluster.node import Node
from spotcluster.cluster.records import Record, Snapshot
from spotcluster.cluster.status import observer as observers
from spotcluster.cluster.status.observer import Observer, Status
from spotcluster.config import Template
from spotcluster.errors import ClusterError, HostKeyMismatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAID = (
    "cores=4\nload=1.50 1.00 0.50\nmemory_total_kb=8388608\nmemory_free_kb=6291456\nclock={}\n"
    "draining=0\n"
)
LIMIT = 30.0  # against waiting for ever only


def instance(alias: str, host_key: str, address: str = "198.51.100.1") -> Instance:
    own = {tags.ALIAS: alias, tags.ROLE: alias, tags.HOST_KEY: host_key, tags.STATE: "ready"}
    own |= {tags.CLUSTER: "c", tags.ID: "abc"}
    return Instance(
        *(f"i-{alias}", "running", "c5.large", "us-east-1a", "10.0.0.1", address, "", True),
        *(NOON, "", own),
    )


class Machine:
    """One that has one key and one address, and answers whoever expects these."""

    def __init__(self, host_key: str, address: str = "198.51.100.1") -> None:
        self.host_key, self.address = host_key, address
        self.connected = 0

    def connect(self, target: ssh.Target, **_: Any) -> Any:
        if (target.host_key, target.host) != (self.host_key, self.address):
            raise HostKeyMismatch(target.alias, "the machine has another host key.")
        self.connected += 1
        said = SimpleNamespace(stdout=SAID.format(int(time.time())))
        return SimpleNamespace(alive=True, run=lambda *_, **__: said, close=lambda: None)


@contextmanager
def watched(*shown: Instance) -> Iterator[tuple[Observer, Any, list[Instance]]]:
    """Watch a cluster of which EC2 shows what is in the list that is returned."""
    there = list(shown)
    template = Template(name="t", keyname="k", cluster_size=1, node_instance_type="c5.large")
    record = Record("c", "abc", "sg-1", "vpc-1", 1, NOON, template)
    session: Any = SimpleNamespace(region="us-east-1")
    nodes = [Node(one, Path("key")) for one in there]
    cluster = clusters.Cluster(session, record, Path("key"), nodes)

    def look() -> Snapshot:
        return Snapshot(record, tuple(there), time.monotonic())

    with Observer(cluster, watching=True, often=0.01, look=look, priced=False) as observer:
        yield observer, cluster, there


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, spotcluster_home: Path) -> None:
    monkeypatch.setattr(observers, "_SELDOM", 0.01)


def wait_until(observer: Observer, true: Callable[[Status], bool]) -> Status:
    end = time.monotonic() + LIMIT
    while not true(seen := observer.look()):
        assert time.monotonic() < end, seen
        time.sleep(0.01)  # between two looks
    return seen


def test_node_that_was_first_seen_with_the_key_that_it_is_set_up_with_stayed_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A keeper that had asked for it never heard its notice, and replaced it when it was gone."""
    machine = Machine("own")
    monkeypatch.setattr(ssh, "connect", machine.connect)
    with watched(instance("node001", "that of its set-up")) as (observer, _, there):
        wait_until(observer, lambda seen: "another host key" in seen.nodes[0].problem)
        there[:] = [instance("node001", "own")]
        seen = wait_until(observer, lambda seen: seen.nodes[0].vitals is not None)
        assert not seen.nodes[0].problem
        assert machine.connected == 1


def test_node_that_has_another_address_after_a_stop_is_asked_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine("own", "198.51.100.2")
    monkeypatch.setattr(ssh, "connect", machine.connect)
    with watched(instance("node001", "own")) as (observer, _, there):
        wait_until(observer, lambda seen: bool(seen.nodes[0].problem))
        there[:] = [instance("node001", "own", "198.51.100.2")]
        wait_until(observer, lambda seen: seen.nodes[0].vitals is not None)


def test_problem_of_a_node_began_with_its_name_which_was_said_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssh, "connect", Machine("own").connect)
    with watched(instance("node001", "another")) as (observer, _, _there):
        seen = wait_until(observer, lambda seen: bool(seen.nodes[0].problem))
        assert not seen.nodes[0].problem.startswith("node001")


def test_controller_is_asked_at_the_master_that_is_there_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssh, "connect", Machine("own").connect)
    asked: list[str] = []

    def ask(self: Any, timeout: float) -> Any:
        asked.append(self._cluster.master.target.host_key)
        raise ClusterError("it does not answer.")

    monkeypatch.setattr(observers.Controller, "ask", ask)
    with watched(instance("master", "that of its set-up")) as (observer, cluster, there):
        known = cluster.master
        wait_until(observer, lambda _: "that of its set-up" in asked)
        assert cluster.master is known  # which others may be connected to
        there[:] = [replace(instance("master", "own"), id="i-another")]
        wait_until(observer, lambda _: asked[-1] == "own")

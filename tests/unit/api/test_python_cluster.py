"""A cluster as an object of Python: what it ends, closes, says and shows; machines are stubs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import spotcluster
from spotcluster import notify
from spotcluster.api import clusters, start, starting
from spotcluster.api.scope import Scope
from spotcluster.aws.instances import Instance
from spotcluster.cluster.lifecycle.terminate import Ended
from spotcluster.cluster.status import listing
from spotcluster.cluster.status.listing import Listed
from spotcluster.errors import CloudError, ConfigError, NoSuchCluster, SpotclusterError

EVIL = '<script>alert("x")</script>'


class Closed:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Found(Closed):
    """What `lookup.locate` would have found."""

    name, region = "mycluster", "us-east-1"
    session = SimpleNamespace(region="us-east-1")


class World:
    """One cluster, until it is ended; and what was done with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.refuses: BaseException | None = None
        self.found: list[Found] = []
        self.clients: list[Closed] = []
        monkeypatch.setattr(Scope, "cluster", lambda *given, **more: self.cluster(*given))
        monkeypatch.setattr(Scope, "session", lambda _: Found.session)
        monkeypatch.setattr(clusters.ending, "terminate", self.terminate)
        monkeypatch.setattr(notify, "tell", lambda *words: self.done.append(f"told {words[1]}"))
        monkeypatch.setattr("spotcluster.cluster.connect.client_of", self.client)
        monkeypatch.setattr("spotcluster.cluster.connect.tell_of", lambda *_: None)

    def cluster(self, scope: Scope, name: str, *_: Any) -> Found:
        if name != "mycluster" or "ended" in self.done:
            raise NoSuchCluster([name], [scope.region or "us-east-1"])
        self.found.append(Found())
        return self.found[-1]

    def terminate(self, *_: Any, **__: Any) -> Ended:
        if self.refuses:
            raise self.refuses
        self.done.append("ended")
        return Ended(3, None)

    def client(self, _: Found) -> Closed:
        self.clients.append(Closed())
        return self.clients[-1]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def started() -> spotcluster.Cluster:
    return spotcluster.Cluster("mycluster", ends=True)


def leave(cluster: spotcluster.Cluster, error: BaseException | None = None) -> None:
    with cluster:
        if error is not None:
            raise error


def test_the_end_of_the_block_ends_what_start_has_made(world: World) -> None:
    cluster = started()
    leave(cluster)
    assert world.done == ["ended", "told stopped"]
    assert cluster.state == "terminated"
    assert cluster.nodes == []
    leave(cluster)  # there is nothing to end twice
    assert world.done.count("ended") == 1
    with pytest.raises(NoSuchCluster):
        cluster.add(1)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_an_exception_ends_it_too_and_is_passed_on(world: World, error: BaseException) -> None:
    with pytest.raises(type(error)):
        leave(started(), error)
    assert "ended" in world.done


def test_what_was_there_before_is_not_ended_by_a_block(world: World) -> None:
    cluster = spotcluster.Cluster("mycluster")
    client = cluster.client
    assert cluster.client is client
    leave(cluster)
    assert world.done == []
    assert world.clients[0].closed == 1
    assert cluster.client is not client  # it may be used again


def test_what_could_not_be_ended_is_said(world: World) -> None:
    world.refuses = CloudError("EC2 does not answer.")
    with pytest.raises(CloudError) as caught:
        leave(started(), ValueError("mine"))
    assert isinstance(caught.value.__context__, ValueError)
    assert "`spotcluster -r us-east-1 terminate mycluster` ends it" in caught.value.__notes__[0]


def test_somebody_else_has_ended_it_meanwhile(world: World) -> None:
    world.refuses = NoSuchCluster(["mycluster"], ["us-east-1"])
    cluster = started()
    leave(cluster)
    assert cluster.state == "terminated"


def test_no_connection_is_left_open(world: World) -> None:
    spotcluster.Cluster("mycluster")
    assert [one.closed for one in world.found] == [1]


# --- starting -------------------------------------------------------------------------------------


def result(*, failed: tuple[str, ...] = ()) -> Any:
    problem = SpotclusterError("1 of 2 nodes did not get ready: node001.") if failed else None
    members = [SimpleNamespace(alias=one, is_master=one == "master") for one in failed]
    return SimpleNamespace(cluster=Found(), failed=members, problem=problem)


def begin(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> None:
    def begun(*_: Any, **__: Any) -> Any:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(starting, "begun", begun)
    monkeypatch.setattr(starting, "concluded", lambda result, _: result)


def test_workers_that_failed_are_warned_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, result(failed=("node001",)))
    with pytest.warns(UserWarning, match="1 of 2 nodes did not get ready"):
        cluster = start.start(None, "mycluster")
    leave(cluster)
    assert "ended" in world.done


@pytest.mark.parametrize(
    "outcome", [result(failed=("master",)), CloudError("No."), KeyboardInterrupt()]
)
def test_a_start_that_failed_says_what_ends_the_bill(
    world: World, monkeypatch: pytest.MonkeyPatch, outcome: Any
) -> None:
    begin(monkeypatch, outcome)
    with pytest.raises((SpotclusterError, KeyboardInterrupt)) as caught:
        start.start(None, "mycluster", region="eu-west-1")
    assert "`spotcluster -r eu-west-1 terminate mycluster`" in caught.value.__notes__[0]


def test_a_start_that_made_nothing_does_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, ConfigError(["it is wrong"]))
    with pytest.raises(ConfigError) as caught:
        start.start(None, "mycluster")
    assert not hasattr(caught.value, "__notes__")


def test_what_no_flag_says_is_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'bidd'"):
        start.plan(None, "mycluster", bidd=3)


# --- what it shows --------------------------------------------------------------------------------


def seen(**more: Any) -> Listed:
    node = Instance(
        id="i-1",
        state="running",
        type="c5.large",
        zone="us-east-1a",
        public_ip=EVIL,
        private_ip="10.0.0.1",
        launched=datetime(2026, 1, 1, tzinfo=UTC),
        tags={},
        spot=True,
        spot_request="",
        reason="",
    )
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return Listed("mycluster", "us-east-1", EVIL, created, None, 2, 0.17, 1.234, (node,), **more)


def test_a_cell_shows_state_price_cost_and_nodes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "clusters", lambda _: [seen()])
    page = spotcluster.Cluster("mycluster")._repr_html_()
    for words in ("mycluster", "1 of 2 nodes", "$0.17/h", "about $1.23 so far", "c5.large", "spot"):
        assert words in page
    assert "<script" not in page


def test_a_cell_shows_what_is_wrong_instead_of_a_traceback(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> Any:
        raise CloudError(f"EC2 says {EVIL}.")

    monkeypatch.setattr(listing, "clusters", refuse)
    page = spotcluster.Cluster("mycluster")._repr_html_()
    assert "EC2 says" in page
    assert "<script" not in page


def test_the_config_is_found_where_it_is_said(world: World, tmp_path: Path) -> None:
    cluster = spotcluster.Cluster("mycluster", config=tmp_path / "mine")
    assert cluster._scope.config_path == tmp_path / "mine"
    assert repr(cluster) == "<Cluster 'mycluster' in us-east-1>"

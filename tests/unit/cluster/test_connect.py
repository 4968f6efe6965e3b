"""The connection info that a client on this computer is given."""

from __future__ import annotations

import json
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.session import Session
from traitlets.log import get_logger

from spotcluster import clients, ssh
from spotcluster.cluster import connect, records
from spotcluster.errors import ClusterError
from spotcluster.ipyparallel_private import signed_by_curve
from spotcluster.search.backends.ipyparallel import IPyParallel


def test_file_of_the_master_names_no_code_and_no_place_of_this_computer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`status` reads it too, and whoever is on the master may write it."""
    written = {
        "registration": 5001,
        "control": 5002,
        "location": "172.31.0.9",
        "key": "k",
        "interface": "ipc:///tmp/theirs",
        "ssh": "theirs.example",
        "pack": "pickle",
        "unpack": "os.system",
    }
    account = SimpleNamespace(get=lambda _: json.dumps(written).encode())
    cluster: Any = SimpleNamespace(
        name="mycluster", master=SimpleNamespace(account=account, target=None)
    )
    opened: Any = SimpleNamespace(start=lambda: None, local_port=lambda port: port + 1000)
    monkeypatch.setattr(ssh, "Tunnel", lambda *_: opened)
    _, info = connect.tunnel(cluster)
    assert info == {
        "registration": 6001,
        "control": 6002,
        "location": "127.0.0.1",
        "key": "k",
        "interface": "tcp://127.0.0.1",
        "ssh": "",
        "pack": "json",
        "unpack": "json",
    }


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b"{}", b'{"registration": 1, "key": "", "location": 5}',
     b'{"registration": "x", "key": "", "location": "a"}'],
)  # fmt: skip
def test_damaged_connection_file_is_named_with_what_makes_it_anew(content: bytes) -> None:
    """It was a JSONDecodeError that nobody had foreseen."""
    account = SimpleNamespace(get=lambda _: content, name="ipuser")
    cluster: Any = SimpleNamespace(name="c", master=SimpleNamespace(account=account, target=None))
    with pytest.raises(ClusterError, match=r"ipcontroller-client.json on the master .* is damaged"):
        connect.tunnel(cluster)


@pytest.mark.parametrize(("info", "warned"), [({"curve_serverkey": "k"}, 0), ({}, 1)])
def test_session_does_not_warn_of_what_curve_does(info: dict[str, str], warned: int) -> None:
    """In IPython, `connect` said that messages are not signed and that this is insecure."""
    heard: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger: Any = get_logger()
    handler = Heard()
    logger.addHandler(handler)
    try:
        with signed_by_curve(info):
            Session(key=b"")
        before = len(heard)
        Session(key=b"")
    finally:
        logger.removeHandler(handler)
    assert (before, len(heard)) == (warned, warned + 1)


LOST, HELD = SimpleNamespace(alive=False), SimpleNamespace(alive=True)


def record(**changed: Any) -> Any:
    """Return what EC2 knows of a cluster."""
    plain = {"name": "mycluster", "id": "a", "ending": False, "stopped": False}
    return SimpleNamespace(**{**plain, **changed})


@pytest.mark.parametrize(
    ("tunnel", "known", "how"),
    [
        (LOST, None, "terminated"),
        (LOST, record(id="b"), "terminated"),  # another one has its name
        (LOST, record(ending=True), "terminated"),
        (LOST, record(stopped=True), "stopped"),
        (LOST, record(), None),
        (LOST, ClusterError("There is no network."), None),
        (HELD, None, None),
    ],
)
def test_search_waited_for_ever_for_a_cluster_that_was_ended_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tunnel: Any, known: Any, how: str | None
) -> None:
    """One whose connection is only lost goes on when that is back."""

    def find(_: Any, name: str) -> Any:
        assert name == "mycluster"
        if isinstance(known, Exception):
            raise known
        return known

    monkeypatch.setattr(records, "find", find)
    monkeypatch.setattr(connect, "_PATIENCE", 0.0)
    cluster: Any = SimpleNamespace(session=SimpleNamespace(region="local"), record=record())
    end = connect._End(tunnel, cluster)
    end.told()
    for thread in threading.enumerate():
        if thread.name == "spotcluster end":
            thread.join()
    client = clients.Client.__new__(clients.Client)  # it has connected to nothing
    client.ended = end.told  # type: ignore[method-assign]
    closed = IPyParallel(SimpleNamespace(client=client)).closed()
    assert closed == (how and (f"The cluster 'mycluster' was {how}.", CURE))


CURE = (
    "`spotcluster -r local start mycluster`, connect to it, and resume the search from its ledger."
)

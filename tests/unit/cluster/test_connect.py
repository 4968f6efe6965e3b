"""The connection info that a client on this computer is given."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster import ssh
from spotcluster.cluster import connect


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

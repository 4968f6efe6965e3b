"""What the master says of its dask scheduler, and what is done where that does not do."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.cluster.reach import dask as reach
from spotcluster.errors import ClusterError, UsageError
from spotcluster.plugins.dask import INFO, KEYS, TOKEN

OWN = {
    "Python": "{}.{}".format(*sys.version_info),
    **{name: metadata.version(name) for name in ("dask", "distributed")},
}
SAID = {"address": "tls://172.31.0.9:8786", "dashboard": 8787, "versions": OWN}


def cluster(said: object) -> Any:
    """Return one whose master has what is said in its scheduler's file."""
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    files = {INFO: text, KEYS: b"keys", TOKEN: b"token\n"}
    return SimpleNamespace(
        name="mycluster", master=SimpleNamespace(account=SimpleNamespace(get=files.__getitem__))
    )


def test_it_is_found_and_its_secrets_are_not_shown() -> None:
    found = reach._Scheduler.of(cluster(SAID))
    assert (found.host, found.port, found.dashboard) == ("172.31.0.9", 8786, 8787)
    assert (found.keys, found.token) == ("keys", "token")
    assert "keys" not in repr(found)
    assert "token" not in repr(found)


def test_cluster_without_a_scheduler_says_what_gives_it_one() -> None:
    def get(path: str) -> bytes:
        raise FileNotFoundError(path)

    master = SimpleNamespace(account=SimpleNamespace(get=get))
    without: Any = SimpleNamespace(name="mycluster", master=master)
    with pytest.raises(ClusterError, match=r"'mycluster' has no dask scheduler.*runplugin dask my"):
        reach._Scheduler.of(without)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{}",
        {**SAID, "address": "tls://172.31.0.9"},
        {**SAID, "versions": None},
        {**SAID, "dashboard": None},
    ],
)
def test_damaged_file_is_named_with_what_makes_it_anew(said: object) -> None:
    with pytest.raises(ClusterError, match=r"scheduler.json, is damaged.*restart mycluster"):
        reach._Scheduler.of(cluster(said))


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"Python": "3.9"}, r"has Python .* 'mycluster' Python 3\.9, .*Connect from a Python 3\.9"),
        (
            {"dask": "2024.1.0", "distributed": "2024.1.1"},
            r"has dask .*, distributed .* dask 2024\.1\.0, distributed 2024\.1\.1, .*"
            r"`pip install dask==2024\.1\.0 distributed==2024\.1\.1`",
        ),
    ],
)
def test_other_versions_are_said_before_anything_is_sent(theirs: dict[str, str], said: str) -> None:
    found = reach._Scheduler.of(cluster({**SAID, "versions": {**OWN, **theirs}}))
    with pytest.raises(ClusterError, match=said):
        reach._client(cluster(SAID), found, reach._versions(), 1.0)


def test_without_dask_here_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"not installed here.*spotcluster\[dask\]"):
        reach.connect_dask("mycluster")

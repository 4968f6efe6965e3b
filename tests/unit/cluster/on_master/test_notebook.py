"""The command that holds the tunnel to JupyterLab ends when nothing is behind it any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.aws import instances
from spotcluster.cluster.on_master import notebook
from spotcluster.cluster.reach import forward
from spotcluster.errors import CloudError, ClusterError


@dataclass(frozen=True)
class Seen:
    id: str
    state: str
    address: str


MASTER = Seen("i-1", "running", "192.0.2.1")


class NothingMore(Exception):
    """Not KeyboardInterrupt, which would end the whole run of a test that fails."""


def keep_open(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
    """Keep a tunnel open that is down, while EC2 answers so."""
    monkeypatch.setattr(forward, "_LOOK", 0.0)
    monkeypatch.setattr(instances, "describe", Mock(side_effect=[*answers, NothingMore]))
    cluster: Any = Mock()
    cluster.name, cluster.master.instance = "mycluster", MASTER
    notebook.keep_open(cluster, Mock(tunnel=Mock(alive=False)))


@pytest.mark.parametrize(
    "found",
    [[], [Seen("i-1", "stopped", "192.0.2.1")], [Seen("i-1", "running", "192.0.2.9")]],
    ids=["ended", "stopped", "stopped and started"],
)
def test_notebook_command_went_on_for_ever_when_its_cluster_had_ended(
    monkeypatch: pytest.MonkeyPatch, found: list[Seen]
) -> None:
    with pytest.raises(ClusterError, match="The master of 'mycluster' has stopped or ended"):
        keep_open(monkeypatch, found)


def test_tunnel_that_is_down_for_a_while_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NothingMore):
        keep_open(monkeypatch, [MASTER], CloudError("EC2 did not answer"), [MASTER])

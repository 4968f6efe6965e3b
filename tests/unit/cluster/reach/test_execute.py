"""Which nodes a command is run on."""

from __future__ import annotations

from typing import Any

import pytest

from spotcluster.cluster.reach import execute
from spotcluster.errors import UsageError


class Node:
    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.is_master = alias == "master"


class Cluster:
    name = "mine"

    def __init__(self, *aliases: str) -> None:
        self.nodes = [Node(alias) for alias in aliases]


def chosen(*patterns: str) -> list[str]:
    cluster: Any = Cluster("master", "node001", "node002", "node003")
    return [node.alias for node in execute.choose(cluster, patterns)]


@pytest.mark.parametrize("pattern", ["", " ", ",", "node[003-001]"])
def test_pattern_that_names_nothing_is_not_all_nodes(pattern: str) -> None:
    with pytest.raises(UsageError, match="No node of 'mine' is named"):
        chosen(pattern)
    with pytest.raises(UsageError):
        chosen("node001", pattern)


def test_nodes_come_in_their_order_and_once() -> None:
    assert chosen() == ["master", "node001", "node002", "node003"]
    assert chosen("node003,master", "node00[2-3]") == ["master", "node002", "node003"]
    assert chosen("node*") == ["node001", "node002", "node003"]

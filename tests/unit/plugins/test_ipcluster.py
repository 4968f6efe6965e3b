"""What goes to a node for its engines, run by a real shell in a home of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.errors import NodeError
from spotcluster.plugins import ipcluster
from spotcluster.steps import Step

NODE: Any = SimpleNamespace(alias="node001", account=SimpleNamespace(name="me"))


def run(step: Step, home: Path) -> int:
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{step.script}"],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        cwd=home,
        check=False,
    )
    return done.returncode


def test_connection_file_of_another_controller_is_replaced_only_when_engines_have_ended(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".spotcluster/ipython/security/ipcontroller-engine.json"
    first, second = '{"key": "it\'s one"}', '{"key": "two"}'
    for _ in range(2):  # a repeated start finds its own
        assert run(ipcluster._giving(NODE, first), tmp_path) == 0
        assert path.read_text() == first
    assert run(ipcluster._giving(NODE, second), tmp_path) == ipcluster._ANOTHER
    assert path.read_text() == first
    assert run(ipcluster._giving(NODE, second, anyway=True), tmp_path) == 0
    assert path.read_text() == second
    assert path.stat().st_mode & 0o777 == 0o600


class Cluster:
    """A cluster whose master says what is told here, one after the other."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.asked: list[str] = []
        self.master = SimpleNamespace(alias="master", account=self)

    def run(self, script: str, **_: object) -> str:
        self.asked.append(script.rpartition("ipcontroller-client.json ")[2])
        return self.said.pop(0)

    def together(self, what: object, node: Any, do: Any) -> Any:
        return do([node])


def test_node_whose_engines_are_late_is_asked_for_again() -> None:
    cluster: Any = Cluster("node001 0 of 2 registered\n", "node002 1 of 2 registered\n")
    ipcluster._await_engines(cluster, NODE, lambda _: 2)
    assert cluster.asked == ["90 node001 node001_,node001. 2"] * 2


def test_node_whose_engines_do_not_come_is_the_one_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ipcluster, "_REGISTERING", -1.0)
    cluster: Any = Cluster("node001 1 of 2 registered\n")
    with pytest.raises(NodeError, match=r"^node001: its engines were not ready .*1 of 2 regis"):
        ipcluster._await_engines(cluster, NODE, lambda _: 2)

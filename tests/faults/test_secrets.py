"""Secret settings of plugins are on the computers whose config has them, and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from .world import World

PLUGIN = """
from pydantic import SecretStr
from spotcluster.plugins.base import Plugin

class Login(Plugin):
    key: SecretStr
    other: SecretStr | None = None
    api_token: str = ""
    mirror: str = ""
    user: str = "somebody"

    def setup(self, cluster, node):
        node.put(self.key.get_secret_value().encode(), "~/login")

    def remove(self, cluster, node):
        node.run("rm ~/login", what="forgetting the login")
"""
SECTION = """
[plugin login]
SETUP_CLASS = login.Login
KEY = hush-1
API_TOKEN = hush-2
MIRROR = https://me:hush-3@mirror.example/simple
USER = jane
"""


@pytest.fixture
def config(world: World, spotcluster_home: Path) -> Path:
    folder = spotcluster_home / "plugins"
    folder.mkdir(mode=0o700)
    (folder / "login.py").write_text(PLUGIN)
    path = spotcluster_home / "config"
    text = path.read_text().replace("PLUGINS = ipcluster", "PLUGINS = ipcluster, login")
    path.write_text(text + SECTION)
    return path


def shown(world: World, home: Path) -> str:
    """Return everything that others may read: EC2's tags, and our logs."""
    with world.cloud.lock:
        tags: Any = dict(world.cloud.backend("123456789012", "us-east-1").tags)
    logs = [path.read_text() for path in (home / "logs").rglob("*.log")]
    return repr(tags) + "".join(logs)


def test_secrets_are_in_no_tag_and_reach_the_nodes(
    world: World, config: Path, spotcluster_home: Path
) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.run("addnode", "mycluster")
    said = shown(world, spotcluster_home)
    assert "jane" in said
    assert "hush" not in said
    for found in world.instances().values():
        assert world.machines.files[found[0].id]["~/login"] == "hush-1"


def test_connection_files_that_are_read_from_nodes_are_in_no_log(
    world: World, spotcluster_home: Path
) -> None:
    """Who has the keys in them may run anything on the engines; in base64 they are no less keys."""
    content = '{"key": "hush-4"}'

    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        if "reading" in asked["what"] and "ipcontroller" in asked["what"]:
            return {"out": base64.b64encode(content.encode()).decode()}
        return None

    world.machines.faults.append(fault)
    world.run("-d", "start", "-c", "bare", "mycluster")
    (copy,) = (spotcluster_home / "connections").rglob("mycluster.json")
    assert copy.read_text() == content
    said = shown(world, spotcluster_home)
    assert "reading ~/.spotcluster/ipython/security/ipcontroller-client.json" in said
    assert base64.b64encode(content.encode()).decode() not in said
    assert "hush" not in said


def test_computer_that_lacks_a_secret_says_which(world: World, config: Path) -> None:
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    config.write_text(config.read_text().replace(SECTION, "").replace(", login", ""))
    done = world.run("addnode", "mycluster", status=1)
    said = " ".join(done.err.split())
    assert "KEY and API_TOKEN and MIRROR of [plugin login] is a secret" in said
    assert "Write it into the section [plugin login]" in said
    assert list(world.instances()) == ["master", "node001"]
    world.run("stop", "-y", "mycluster")
    for more in ((), ("--dry-run",)):  # which passed, and then `start` said so
        done = world.run("start", *more, "mycluster", status=1)
        assert "of [plugin login] is a secret" in " ".join(done.err.split())
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_node_is_removed_by_a_computer_that_lacks_a_secret(world: World, config: Path) -> None:
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    config.write_text(config.read_text().replace(SECTION, "").replace(", login", ""))
    done = world.run("removenode", "-y", "mycluster", "node001")  # it must not cost money for ever
    assert "plugin login is left out" in done.err
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []

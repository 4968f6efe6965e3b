"""`ssh-config`: names of nodes for the user's own ssh; and PROXY_JUMP, for both kinds of ssh."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .world import World

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH")


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own config of ssh."""
    home = tmp_path / "a home"
    config = home / ".ssh" / "config"
    config.parent.mkdir(mode=0o700, parents=True)
    config.write_text("Host *\n    User somebody\n    RemoteCommand true\n")
    config.chmod(0o640)
    monkeypatch.setenv("HOME", str(home))
    return config


def seen(config: Path, name: str) -> dict[str, str]:
    """Return what ssh makes of a name."""
    done = subprocess.run(
        ["ssh", "-G", "-F", str(config), name], capture_output=True, text=True, check=True
    )
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {key: value for key, _, value in lines}


@needs_ssh
def test_alias_is_there_until_the_cluster_ends_and_follows_its_nodes(
    world: World, theirs: Path
) -> None:
    before = theirs.read_text()
    world.run("start", "-c", "bare", "mycluster")
    said = world.run("ssh-config", "mycluster")
    assert said.out.splitlines() == ["ssh mycluster", "ssh mycluster-node001"]
    once = theirs.read_text()
    assert once.endswith(f"\n{before}")
    assert theirs.stat().st_mode & 0o777 == 0o640
    (master,) = world.instances()["master"]
    found = seen(theirs, "mycluster")
    assert (found["hostname"], found["user"]) == (master.public_ip, "ubuntu")
    assert found.get("remotecommand", "none") == "none"
    assert found["hostkeyalias"] == master.id
    world.run("ssh-config", "mycluster")
    assert theirs.read_text() == once
    world.run("addnode", "mycluster")
    (node,) = world.instances()["node002"]
    assert seen(theirs, "mycluster-node002")["hostname"] == node.public_ip
    world.run("terminate", "-y", "mycluster")
    assert seen(theirs, "mycluster")["user"] == "somebody"


def test_alias_without_a_config_of_ones_own(world: World, theirs: Path) -> None:
    theirs.unlink()
    theirs.parent.rmdir()
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    shown = world.run("ssh-config", "--print", "mycluster").out
    assert shown.startswith("Host mycluster\n")
    assert not theirs.exists()
    world.run("ssh-config", "mycluster")
    assert theirs.read_text().startswith("# The clusters of `spotcluster ssh-config`")
    assert theirs.stat().st_mode & 0o777 == 0o600


def test_nodes_behind_a_host_in_between_are_reached_by_their_private_addresses(
    world: World, theirs: Path, spotcluster_home: Path
) -> None:
    config = spotcluster_home / "config"
    config.write_text(
        config.read_text()
        + "\n[cluster private]\nEXTENDS = bare\nPUBLIC_IPS = False\n"
        + "PROXY_JUMP = me@bastion.example\n"
    )
    world.run("start", "-c", "private", "-s", "2", "mycluster")
    (master,) = world.instances()["master"]
    shown = world.run("ssh-config", "--print", "mycluster").out
    assert f"HostName {master.private_ip}\n" in shown
    (proxy, _) = [line for line in shown.splitlines() if "ProxyCommand" in line]
    assert "-l me" in proxy
    assert proxy.endswith("-W '[%h]:%p' -- bastion.example")
    config.write_text(config.read_text().replace("me@bastion.example", "-oProxyCommand=x"))
    said = world.run("start", "-c", "private", "other", status=2).err
    assert "PROXY_JUMP" in said
    assert "is not a host to go through" in said

"""What goes wrong on the computer before which the user sits."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from . import changes
from .world import World


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_disk_that_cannot_be_written_to_replaces_no_node_and_keeps_no_cluster(
    world: World, spotcluster_home: Path, number: int
) -> None:
    world.change(changes.cannot_write, spotcluster_home, number)
    done = world.run("start", "-c", "bare", "mycluster")
    assert [world.calls.count(one) for one in ("RunInstances", "CreateFleet")] == [1, 1]
    assert world.ready() == ["master", "node001"]
    assert f"cannot be written down on this computer: {os.strerror(number)}" in done.err
    assert ("This run has no log file" in done.err) == (number == errno.EROFS)
    world.run("removenode", "-y", "mycluster", "node001")
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_log_file_on_a_disk_that_got_full_does_not_cover_the_terminal(world: World) -> None:
    world.change(changes.log_on_a_full_disk)
    done = world.run("start", "-c", "bare", "-s", "1", "mycluster")
    assert "Logging error" not in done.err


def test_command_that_needs_the_disk_says_that_it_is_full(
    world: World, spotcluster_home: Path
) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.change(changes.cannot_write, spotcluster_home, errno.ENOSPC)
    done = world.run("sshmaster", "mycluster", "true", status=1)
    assert "cannot write what it has to keep: No space left on device" in done.err
    assert "bug" not in done.err


def test_second_ctrl_c_still_says_what_ends_the_cluster(world: World) -> None:
    world.frozen = {"node001"}
    terminal = world.terminal("start", "-c", "bare", "mycluster")
    while not world.instances().get("node001"):
        assert not terminal.ended()
    asked: list[str] = []

    def hold(_: int, name: str, do: Any) -> Any:
        if name == "DescribeVolumes":  # only asked for what there is after an interrupt
            asked.append(name)
            terminal.interrupt()
            time.sleep(0.3)
        return do()

    world.on_call = hold
    terminal.interrupt()
    done = terminal.wait()
    assert asked
    assert done.status == 130
    assert "terminate mycluster   ends it" in done.err


def test_credentials_that_expire_in_the_middle_are_said_at_once(
    world: World, spotcluster_home: Path
) -> None:
    """It waited until LAUNCH_TIMEOUT, with nodes that cost money."""
    from werkzeug.wrappers import Response

    assert "LAUNCH_TIMEOUT = 120" in (spotcluster_home / "config").read_text()
    launched: list[str] = []
    expired = (
        "<Response><Errors><Error><Code>ExpiredToken</Code><Message>expired</Message></Error>"
        "</Errors><RequestID>r</RequestID></Response>"
    )

    making = {"RunInstances", "CreateLaunchTemplate", "CreateFleet"}

    def expire(_: int, name: str, do: Any) -> Any:
        if name in making:
            launched.append(name)
        elif launched and ":" not in name:
            return Response(expired, status=400, mimetype="text/xml")
        return do()

    world.on_call = expire
    done = world.terminal("start", "-c", "bare", "mycluster").wait(60)
    assert done.status == 1
    assert set(launched) == making
    assert "terminate mycluster   ends it" in done.err
    world.on_call = None
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_key_with_a_passphrase_and_no_agent_is_refused_before_anything_is_launched(
    world: World, spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--dry-run` passed, and `start` said so when the nodes cost money."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = spotcluster_home / "mykey.pem"
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "word", "-f", str(key)], check=True)
    for words in (
        ("start", "-c", "bare", "--dry-run", "other"),
        ("start", "-c", "bare", "other"),
        ("start", "mycluster"),
        ("addnode", "mycluster"),
        ("restart", "mycluster"),
    ):
        world.begin()
        done = world.run(*words, status=2)
        assert "has a passphrase and no ssh-agent is running" in done.err
        assert not [one for one in world.calls if not one.startswith("Describe")], words

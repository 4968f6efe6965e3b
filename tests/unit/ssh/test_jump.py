"""A way through a host in between, for our connections and for the system's ssh alike."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, HostKeyMismatch, UsageError
from spotcluster.ssh import jump

from .conftest import USER, Server

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH")


@pytest.fixture
def bastion(
    server: Server,
    make_server: Callable[..., Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A host in between that lets the key of the machine in; its name for PROXY_JUMP."""
    # ssh has its known hosts where the system says that its user's home is, not where HOME says.
    plain = jump._command
    known = f"-oUserKnownHostsFile={tmp_path / 'met'}"
    monkeypatch.setattr(jump, "_command", lambda target: [*plain(target), known, "-F", "none"])
    host = make_server()
    host.user_key = server.user_key
    host.start()
    return f"{USER}@127.0.0.1:{host.port}"


def through(server: Server, way: str) -> ssh.Target:
    return replace(server.target, proxy_jump=way)


def test_our_connection_and_the_systems_ssh_go_through_it(
    server: Server, bastion: str, tmp_path: Path
) -> None:
    target = through(server, bastion)
    with ssh.connect(target, timeout=60) as connection:
        assert connection.run("echo hi").stdout == "hi\n"
    known = tmp_path / "known"
    known.write_text(ssh.known_hosts_text([target]))
    words = ssh.command_line(target, known, command=["echo", "hi"])
    # The ssh that makes the way has the same standard error, and may go on for a while: it is told
    # of the end by SIGHUP, which it ignores where whoever runs this does, as under nohup.
    with (tmp_path / "errors").open("w+") as errors:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stdout) == (0, "hi\n"), (tmp_path / "errors").read_text()


def test_machine_behind_it_has_to_be_the_right_one(server: Server, bastion: str) -> None:
    """What is in between carries bytes, and may be anybody's."""
    other = replace(through(server, bastion), host_key=ssh.keys.generate().public)
    with pytest.raises(HostKeyMismatch):
        ssh.connect(other, timeout=60)


def test_process_in_between_ends_with_the_connection(server: Server, bastion: str) -> None:
    way = jump.Way(through(server, bastion))
    way.socket.close()
    assert way._process.wait(30) is not None


def test_machine_that_is_booting_is_waited_for(server: Server, bastion: str) -> None:
    closed = replace(through(server, bastion), port=1)
    with pytest.raises(ConnectionFailed) as failed:
        ssh.wait_for(closed, timeout=4)
    assert "no way through" not in failed.value.message
    assert "did not let us in within" in failed.value.message


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("nowhere.invalid", "Could not resolve hostname nowhere.invalid"),
        (f"{USER}@127.0.0.1:1", "Connection refused"),
    ],
)
def test_host_in_between_that_cannot_be_used_is_named(server: Server, way: str, said: str) -> None:
    begin = time.monotonic()
    with pytest.raises(ConnectionFailed, match="there is no way through") as failed:
        ssh.connect(through(server, way), timeout=30)
    assert said in failed.value.message
    assert way in failed.value.hint
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("way", ["-oProxyCommand=x", "a b", "a;b", "a@-b", "", ",", "a:x", "$(x)"])
def test_way_is_no_option_and_no_script(server: Server, way: str) -> None:
    """It is kept in EC2's tags, which others may write."""
    with pytest.raises(UsageError, match="is no way to"):
        jump.proxy_command(through(server, way))

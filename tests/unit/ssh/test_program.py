"""The system's own ssh, against our server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from spotcluster import ssh
from spotcluster.errors import UsageError

from .conftest import Server

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH")


def pin(folder: Path, *targets: ssh.Target) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "known_hosts"
    path.write_text(ssh.known_hosts_text(targets))
    return path


def call(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"},
    )


@needs_ssh
def test_runs_a_command_and_passes_its_status_on(server: Server, tmp_path: Path) -> None:
    known_hosts = pin(tmp_path, server.target)
    done = call(ssh.command_line(server.target, known_hosts, command=["echo hi; exit 7"]))
    assert (done.returncode, done.stdout) == (7, "hi\n"), done.stderr


@needs_ssh
def test_command_may_begin_with_a_dash(server: Server, tmp_path: Path) -> None:
    known_hosts = pin(tmp_path, server.target)
    call(ssh.command_line(server.target, known_hosts, command=["-v", "x"]))
    assert server.commands == ["-v x"]


@needs_ssh
@pytest.mark.parametrize("name", ["a b", "100%h", "quote\"d'", "back\\slash", "ü"])
def test_any_path_will_do(server: Server, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    known_hosts = pin(folder, server.target)
    key = shutil.copy2(server.key_path, folder / "key")
    target = replace(server.target, key_path=key)
    done = call(ssh.command_line(target, known_hosts, command=["echo", "hi"]))
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr


@needs_ssh
def test_other_host_key_is_refused(
    server: Server, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    other = replace(server.target, host_key=ssh.keys.generate().public)
    done = call(ssh.command_line(server.target, pin(tmp_path, other), command=["echo", "hi"]))
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr
    assert server.commands == []


@needs_ssh
def test_unknown_host_key_is_refused(server: Server, tmp_path: Path) -> None:
    done = call(ssh.command_line(server.target, pin(tmp_path), command=["echo", "hi"]))
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_options(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    target = replace(server.target, user="ubuntu")
    plain = ssh.command_line(target, tmp_path / "known")
    assert plain[:3] == ["/usr/bin/ssh", "-i", str(target.key_path)]
    assert plain[-3:] == ["-l", "ubuntu", "127.0.0.1"]
    assert plain[plain.index("-p") + 1] == str(target.port)
    for option in (
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f'UserKnownHostsFile="{tmp_path / "known"}"',
        "GlobalKnownHostsFile=/dev/null",
        "HostKeyAlias=i-0123",
    ):
        assert plain[plain.index(option) - 1] == "-o"
    assert "-A" not in plain
    assert not {"-t", "-T", "-X"} & set(plain)
    assert "-X" in ssh.command_line(target, tmp_path, x11=True)
    assert "-A" in ssh.command_line(target, tmp_path, agent_forward=True)
    assert "-t" in ssh.command_line(target, tmp_path, tty=True)
    assert "-T" in ssh.command_line(target, tmp_path, tty=False)
    assert ssh.command_line(target, tmp_path, command=("a", "b"))[-3:] == ["--", "a", "b"]


def test_missing_program_is_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no ssh program") as caught:
        ssh.command_line(server.target, tmp_path)
    assert "Install OpenSSH" in caught.value.hint


def test_known_hosts_has_a_line_for_each_alias(server: Server) -> None:
    other = replace(server.target, alias="node002", host_key_alias="i-9")
    key = " ".join(server.host_key.public.split()[:2])
    text = ssh.known_hosts_text([server.target, other])
    assert text == f"i-0123 {key}\ni-9 {key}\n"


def test_a_user_cannot_be_an_option(server: Server, tmp_path: Path) -> None:
    target = replace(server.target, user="-oProxyCommand=touch pwned")
    words = ssh.command_line(target, tmp_path / "known")
    assert words[words.index(target.user) - 1] == "-l"


@pytest.mark.parametrize("alias", ["a b", "*", "a,b", "a\nb", "@revoked"])
def test_alias_that_known_hosts_would_misread_is_refused(server: Server, alias: str) -> None:
    with pytest.raises(UsageError, match="cannot name a host key"):
        ssh.known_hosts_text([replace(server.target, host_key_alias=alias)])


def test_broken_key_is_not_written(server: Server) -> None:
    with pytest.raises(UsageError, match="not a public key"):
        ssh.known_hosts_text([replace(server.target, host_key="ssh-ed25519 A\nevil")])


def test_host_key_alias_is_the_alias_unless_given(server: Server) -> None:
    assert replace(server.target, host_key_alias="").host_key_alias == "node001"


BREAKING = {
    "ProxyJump": "nowhere.invalid",
    "ProxyCommand": "false",
    "RemoteCommand": "echo mine",
    "PubkeyAuthentication": "no",
    "PreferredAuthentications": "password",
    "PubkeyAcceptedAlgorithms": "rsa-sha2-512",
    "HostKeyAlgorithms": "ecdsa-sha2-nistp256",
    "HostName": "nowhere.invalid",
    "Port": "1",
    "User": "somebody",
    "AddressFamily": "inet6",
    "CanonicalizeHostname": "always",
    "IdentityAgent": "/none",
    "IdentityFile": "/none",
    "SessionType": "none",
    "StdinNull": "yes",
    "ForkAfterAuthentication": "yes",
    "RequestTTY": "force",
    "PermitLocalCommand": "yes\n    LocalCommand exit 9",
    "ControlMaster": "auto\n    ControlPath /none/%C",
    "ExitOnForwardFailure": "yes\n    LocalForward 1 127.0.0.1:1",
    "StrictHostKeyChecking": "ask",
    "UserKnownHostsFile": "/none",
    "ProxyUseFdpass": "yes",
    "BatchMode": "yes",
}
"""What people have under ``Host *`` for their other machines."""


@needs_ssh
@pytest.mark.parametrize("option", BREAKING)
def test_no_option_of_the_users_breaks_what_works_for_our_own_connections(
    server: Server, tmp_path: Path, option: str
) -> None:
    """`sshmaster` failed where `start` worked, as only the system's ssh reads ~/.ssh/config."""
    theirs = tmp_path / "config"
    theirs.write_text(f"Host *\n    {option} {BREAKING[option]}\n")
    words = ssh.command_line(server.target, pin(tmp_path / "pins", server.target), command=["cat"])
    words[1:1] = ["-F", str(theirs)]
    done = subprocess.run(words, input="hi\n", capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr


@needs_ssh
def test_what_breaks_nothing_still_holds(server: Server, tmp_path: Path) -> None:
    theirs = tmp_path / "config"
    theirs.write_text("Host *\n    LogLevel DEBUG1\n")
    words = ssh.command_line(server.target, pin(tmp_path / "pins", server.target), command=["true"])
    words[1:1] = ["-F", str(theirs)]
    assert "debug1: Authentications that can continue" in call(words).stderr


@needs_ssh
def test_host_key_is_checked_whatever_the_users_config_says(server: Server, tmp_path: Path) -> None:
    theirs = tmp_path / "config"
    theirs.write_text(
        "Host *\n    NoHostAuthenticationForLocalhost yes\n    VerifyHostKeyDNS yes\n"
    )
    other = replace(server.target, host_key=ssh.keys.generate().public)
    words = ssh.command_line(server.target, pin(tmp_path / "pins", other), command=["true"])
    words[1:1] = ["-F", str(theirs)]
    assert call(words).returncode == 255
    assert server.commands == []


@needs_ssh
def test_alias_in_sshs_config_reaches_the_machine(server: Server, tmp_path: Path) -> None:
    pins = pin(tmp_path / "a b", server.target)
    block = ssh.config_text("mycluster", server.target, pins)
    config = tmp_path / "config"
    config.write_text(f"{block}\nHost *\n    RemoteCommand echo no\n    ProxyCommand false\n")
    done = call(["ssh", "-F", str(config), "mycluster", "echo hi"])
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    with pytest.raises(UsageError, match="cannot be a name"):
        ssh.config_text("a b", server.target, pins)

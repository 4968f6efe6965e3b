"""The arguments and known hosts for the system's own ssh, for terminals and the user's commands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from spotcluster.errors import UsageError
from spotcluster.ssh import jump, keys
from spotcluster.ssh.target import Target

_SAFE_NAME = re.compile(r"[A-Za-z0-9._-]+")  # no pattern, list or marker of known_hosts


def command_line(
    target: Target,
    known_hosts: Path,
    *,
    agent_forward: bool = False,
    x11: bool = False,
    tty: bool | None = None,
    command: Sequence[str] = (),
) -> list[str]:
    """Return the arguments that run the system's ssh, held to our key and the pinned host key.

    What the user's ``~/.ssh/config`` says still holds, but for what would keep it from working.

    Parameters
    ----------
    target : Target
        The machine.
    known_hosts : Path
        A file with `known_hosts_text`.
    agent_forward : bool
        Whether the machine may use the caller's ssh agent.
    x11 : bool
        Whether programs there may open windows here, where this computer has an X server.
    tty : bool, optional
        Whether it gets a terminal; as ssh decides, unless given.
    command : sequence of str
        The command; ssh joins its words with spaces and the machine's shell reads them.

    Raises
    ------
    UsageError
        There is no ssh on this computer.
    """
    arguments = [jump.program(), *_identity(target.key_path)]
    for name, value in _options(target, known_hosts).items():
        arguments += ["-o", f"{name}={value}"]
    arguments.append("-A" if agent_forward else "-a")
    if x11:
        arguments.append("-X")
    if tty is not None:
        arguments.append("-t" if tty else "-T")
    # As USER@HOST a user that begins with "-" would be an option.
    arguments += ["-p", str(target.port), "-l", target.user, target.host]
    return [*arguments, "--", *command] if command else arguments


def config_text(name: str, target: Target, known_hosts: Path) -> str:
    """Return a block for ssh's config file, with which ``ssh NAME`` is as `command_line` has it."""
    if not _SAFE_NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be a name of ssh's.", "Use letters, digits, '-' and '_'."
        )
    lines = {
        "HostName": target.host,
        "Port": str(target.port),
        "User": target.user,
        "IdentityFile": jump.quoted(target.key_path),
        **_options(target, known_hosts),
    }
    # Whether there is a terminal, and what is forwarded, is for who types `ssh NAME` to say.
    own = [f"    {key} {value}\n" for key, value in lines.items() if key not in _OF_A_COMMAND]
    return f"Host {name}\n{''.join(own)}"


def _options(target: Target, known_hosts: Path) -> dict[str, str]:
    """Return what ssh is told, whatever the user's ``~/.ssh/config`` says to all hosts.

    That is read by the system's ssh only. What it says there is right for other machines, and would
    keep this one from working where our own connections do; all else that it says still holds.
    """
    kind = target.host_key.split()[0]
    host_keys = "rsa-sha2-512,rsa-sha2-256,ssh-rsa" if kind == "ssh-rsa" else kind
    return {
        # Of options that an older ssh does not have.
        "IgnoreUnknown": "SessionType,StdinNull,ForkAfterAuthentication,KnownHostsCommand",
        # Who is there.
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": jump.quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "KnownHostsCommand": "none",
        "HostKeyAlias": _safe(target),
        "HostKeyAlgorithms": host_keys,
        "NoHostAuthenticationForLocalhost": "no",
        "VerifyHostKeyDNS": "no",
        "UpdateHostKeys": "no",  # the file is ours, and is written anew
        "CheckHostIP": "no",  # addresses are used again, for other machines
        "ControlPath": "none",  # so is the name of a shared connection, which skips the host key
        # Who we are.
        "IdentitiesOnly": "yes",
        "IdentityAgent": "SSH_AUTH_SOCK",
        "PubkeyAuthentication": "yes",
        "PreferredAuthentications": "publickey",
        "PubkeyAcceptedKeyTypes": "+ssh-ed25519",  # those that ssh takes unless told otherwise
        # How to get there.
        "HostName": target.host,
        "CanonicalizeHostname": "no",
        "AddressFamily": "any",
        "ProxyCommand": jump.proxy_command(target) if target.proxy_jump else "none",
        "ProxyUseFdpass": "no",
        "ServerAliveInterval": "15",
        # What is done there.
        "RemoteCommand": "none",
        "PermitLocalCommand": "no",
        "SessionType": "default",
        "StdinNull": "no",
        "ForkAfterAuthentication": "no",
        "ExitOnForwardFailure": "no",
        "RequestTTY": "auto",
    }


_OF_A_COMMAND = (
    "RequestTTY",
    "ExitOnForwardFailure",
    "SessionType",
    "StdinNull",
    "ForkAfterAuthentication",
)


def known_hosts_text(targets: Iterable[Target]) -> str:
    """Return the content of a known_hosts file that pins the targets' host keys by their alias."""
    return "".join(
        f"{_safe(one)} {keys.bare(key)}\n" for one in _checked(targets) for key in one.host_keys
    )


def _checked(targets: Iterable[Target]) -> Iterable[Target]:
    for target in targets:
        for key in target.host_keys:
            keys.parse_public(key)
        yield target


def _safe(target: Target) -> str:
    if not _SAFE_NAME.fullmatch(target.host_key_alias):
        raise UsageError(
            f"'{target.host_key_alias}' cannot name a host key.",
            "Use letters, digits, '.', '_' and '-'.",
        )
    return target.host_key_alias


def _identity(path: Path) -> list[str]:
    # -i takes the path as it is and then expands % in it, so that such a path never fits.
    if "%" in str(path):
        return ["-o", f"IdentityFile={jump.quoted(path)}"]
    return ["-i", str(path)]

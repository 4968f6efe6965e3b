"""The arguments and known hosts for the system's own ssh, for terminals and the user's commands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from spotcluster.errors import UsageError
from spotcluster.ssh import keys
from spotcluster.ssh.target import Target

_SAFE_NAME = re.compile(r"[A-Za-z0-9._-]+")  # no pattern, list or marker of known_hosts


def command_line(
    target: Target,
    known_hosts: Path,
    *,
    agent_forward: bool = False,
    tty: bool | None = None,
    command: Sequence[str] = (),
) -> list[str]:
    """Return the arguments that run the system's ssh, held to our key and the pinned host key.

    What the user's ``~/.ssh/config`` says otherwise still holds; what we give here comes first.

    Parameters
    ----------
    target : Target
        The machine.
    known_hosts : Path
        A file with `known_hosts_text`.
    agent_forward : bool
        Whether the machine may use the caller's ssh agent.
    tty : bool, optional
        Whether it gets a terminal; as ssh decides, unless given.
    command : sequence of str
        The command; ssh joins its words with spaces and the machine's shell reads them.

    Raises
    ------
    UsageError
        There is no ssh on this computer.
    """
    program = shutil.which("ssh")
    if program is None:
        raise UsageError(
            "There is no ssh program on this computer's PATH.",
            "Install OpenSSH's client (the package openssh-client or openssh-clients).",
        )
    arguments = [program, *_identity(target.key_path)]
    options = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": _safe(target),
        "UpdateHostKeys": "no",  # the file is ours, and is written anew
        "CheckHostIP": "no",  # addresses are used again, for other machines
        "ControlPath": "none",  # so is the name of a shared connection, which skips the host key
        "ServerAliveInterval": "15",
    }
    for name, value in options.items():
        arguments += ["-o", f"{name}={value}"]
    arguments.append("-A" if agent_forward else "-a")
    if tty is not None:
        arguments.append("-t" if tty else "-T")
    # As USER@HOST a user that begins with "-" would be an option.
    arguments += ["-p", str(target.port), "-l", target.user, target.host]
    return [*arguments, "--", *command] if command else arguments


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
        return ["-o", f"IdentityFile={_quoted(path)}"]
    return ["-i", str(path)]


def _quoted(path: Path) -> str:
    """Quote a path for an option of ssh's config, where spaces separate and % expands."""
    escaped = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""The way through a host between here and a machine (PROXY_JUMP): the system's ssh makes it.

How to get into that host is the user's own affair (keys, agent, names in ``~/.ssh/config``), which
the system's ssh knows. So our connections go through the same command as the user's own, and what
works for one works for the other. The host carries bytes only: the machine behind it has to prove
its own key, as everywhere.
"""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from spotcluster.errors import UsageError
from spotcluster.ssh.target import Target

_HOP = re.compile(
    r"(?:(?P<user>[^\s@:-][^\s@:]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)(?::(?P<port>\d{1,5}))?"
)
_OWN_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_LAST_WORDS = 2.0  # seconds for ssh to end and to say why
_BEHIND = ("open failed", "stdio forwarding failed")  # said of the machine, not of the host


def program() -> str:
    """Return the path of the system's ssh.

    Raises
    ------
    UsageError
        There is none on this computer.
    """
    found = shutil.which("ssh")
    if found is None:
        raise UsageError(
            "There is no ssh program on this computer's PATH.",
            "Install OpenSSH's client (the package openssh-client or openssh-clients).",
        )
    return found


def proxy_command(target: Target) -> str:
    """Return what ssh is to run for a connection to `target`, for its option ProxyCommand.

    Raises
    ------
    UsageError
        There is no ssh on this computer, or the target's `proxy_jump` is none.
    """
    words = [part.replace("%", "%%") for part in _command(target)]
    return shlex.join([*words, "-W"]) + " '[%h]:%p' -- " + shlex.quote(_hops(target)[-1]["host"])


def _command(target: Target) -> list[str]:
    """Return the system's ssh with all that it is told of the last host, but for its name."""
    *earlier, last = _hops(target)
    options = {
        "BatchMode": "yes",  # nobody is there to answer, nor would paramiko show the question
        # A host that nobody has met is taken as it is: it only passes on what is encrypted for, and
        # signed by, a machine whose key we know. One whose key has changed is refused.
        "StrictHostKeyChecking": "accept-new",
        "ConnectTimeout": "15",
        "ServerAliveInterval": "15",
        "RemoteCommand": "none",
        "PermitLocalCommand": "no",
        "LogLevel": "ERROR",
    }
    words = [program(), *(f"-o{name}={value}" for name, value in options.items())]
    # A key that is named keeps ssh from trying the usual ones.
    usual = [Path.home() / ".ssh" / name for name in _OWN_KEYS]
    offered = [target.key_path, *(path for path in usual if path.exists())]
    words += [f"-oIdentityFile={quoted(key)}" for key in offered]
    if earlier:
        words += ["-J", ",".join(hop["whole"] for hop in earlier)]
    if last["user"]:
        words += ["-l", last["user"]]
    if last["port"]:
        words += ["-p", last["port"]]
    return words


def quoted(path: Path) -> str:
    """Quote a path for an option of ssh's config, where spaces separate and % expands."""
    escaped = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _hops(target: Target) -> list[dict[str, str]]:
    hops = []
    for one in target.proxy_jump.split(","):
        found = _HOP.fullmatch(one.strip())
        if not found:
            raise UsageError(
                f"'{target.proxy_jump}' is no way to {target.alias}.",
                "PROXY_JUMP is a host to go through, as user@bastion.example:22.",
            )
        parts = {name: value or "" for name, value in found.groupdict().items()}
        hops.append({**parts, "host": parts["host"].strip("[]"), "whole": one.strip()})
    return hops


class Way:
    """A way to a machine, through the system's ssh; `socket` is our end of it.

    Raises
    ------
    UsageError
        There is no ssh on this computer.
    """

    def __init__(self, target: Target) -> None:
        self.host = target.proxy_jump
        words = [*_command(target), "-W", f"[{target.host}]:{target.port}"]
        words += ["--", _hops(target)[-1]["host"]]
        self.socket, theirs = socket.socketpair()
        self._said = b""
        with theirs:
            self._process = subprocess.Popen(
                words,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is for us to hear, who end it in order
            )
        # It ends when our end of the socket is closed.
        self._reader = threading.Thread(target=self._read, name="jump", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr
        with self._process.stderr as errors:
            for line in errors:
                self._said = line.strip() or self._said
        self._process.wait()

    def failure(self) -> str:
        """Return why there was no way through the host, empty where that is not what failed."""
        self._reader.join(_LAST_WORDS)
        if self._process.poll() is None:
            return ""
        said = self._said.decode(errors="replace")
        return "" if any(one in said for one in _BEHIND) else said or "ssh ended without a word"

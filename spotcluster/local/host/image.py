"""The image of a local host: the programs in its ``bin`` and the first files in its home."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from . import names
from .environment import SYSTEM_PATH
from .layout import Layout

_SUDO = """\
#!/bin/sh
# Nothing that runs on a local host may touch the computer outside the host's folder, so there is no
# way to become root here, even when the local cloud itself runs as root.
echo "sudo: not available on a local host" >&2
exit 1
"""

_PIP = """\
#!/bin/sh
# What is installed goes below the host's home, never into the Python of the computer.
export PIP_USER=1 PIP_BREAK_SYSTEM_PACKAGES=1
{python} -m pip --version >/dev/null 2>&1 || {python} -m ensurepip --user >&2 || exit 1
exec {python} -m pip "$@"
"""

_HOSTNAME = """\
#!/bin/sh
# The computer's name stays as it is, whatever this host is called.
case "$1" in
    "" | -s | -f | --short | --fqdn | --long) cat {file} 2>/dev/null || echo {name} ;;
    *) echo "hostname: not available on a local host" >&2; exit 1 ;;
esac
"""

_SHUTDOWN = """\
#!/bin/sh
# Ends this host, never the computer that it runs on: the local cloud looks for this file.
for word; do
    case $word in
        -h | -P | -p | --halt | --poweroff | now | +0) ;;
        *) echo "${{0##*/}} $word: not available on a local host, which shuts down at once" >&2
            exit 1 ;;
    esac
done
: >{mark}
"""

_SSH = """\
#!/bin/sh
# OpenSSH ignores $HOME and would read the files of the account that the local cloud runs under.
exec {program} -F {config} "$@"
"""

_SSH_CONFIG = """\
Include "{home}/.ssh/config"
Host *
    UserKnownHostsFile "{home}/.ssh/known_hosts"
    IdentityFile "{home}/.ssh/id_ed25519"
    IdentityFile "{home}/.ssh/id_ecdsa"
    IdentityFile "{home}/.ssh/id_rsa"
"""

_PROFILE = """\
# ~/.profile: read by login shells, after /etc/profile, which sets PATH anew.
case ":$PATH:" in
    *:{bin}:*) ;;
    *) PATH={bin}:"$PATH" ;;
esac
if [ -n "$BASH_VERSION" ] && [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi
"""

_BASHRC = """\
# ~/.bashrc: read by interactive shells.
case $- in
    *i*) ;;
      *) return;;
esac
PS1='$USER@$HOSTNAME:\\w\\$ '
"""


def make_image(layout: Layout) -> None:
    """Put the image in place: programs at every boot, files in the home where they are missing."""
    _make_programs(layout)
    skeleton = {
        ".profile": _PROFILE.format(bin=shlex.quote(str(layout.bin))),
        ".bashrc": _BASHRC,
    }
    for name, text in skeleton.items():
        path = layout.home / name
        if not path.exists():
            path.write_text(text)


def _make_programs(layout: Layout) -> None:
    for path in layout.bin.iterdir():
        path.unlink()
    python = base_python()
    _link(layout.bin / "python3", python)
    _link(layout.bin / f"python3.{sys.version_info.minor}", python)
    uv = _uv()
    if uv is not None:
        _link(layout.bin / "uv", uv)
    _script(layout.bin / "sudo", _SUDO)
    for name in ("shutdown", "poweroff", "halt"):
        _script(layout.bin / name, _SHUTDOWN.format(mark=shlex.quote(str(layout.shut_down))))
    for name in ("pip", "pip3"):
        _script(layout.bin / name, _PIP.format(python=shlex.quote(str(python))))
    called = shlex.quote(str(layout.hostname))
    _script(layout.bin / "hostname", _HOSTNAME.format(file=called, name=layout.instance_id))
    layout.python_site.mkdir(mode=0o700, exist_ok=True)
    (layout.python_site / "sitecustomize.py").write_text(
        Path(names.__file__).read_text(encoding="utf-8"), encoding="utf-8"
    )
    layout.ssh_config.write_text(_SSH_CONFIG.format(home=layout.home))
    for name in ("ssh", "scp", "sftp"):
        program = shutil.which(name, path=SYSTEM_PATH)
        if program is not None:
            config = shlex.quote(str(layout.ssh_config))
            _script(layout.bin / name, _SSH.format(program=program, config=config))


def base_python() -> Path:
    """Return the interpreter that runs us: the real one, not a virtual environment's or a shim.

    A host must find a Python that stays when the environment that the local cloud was started from
    goes, and whose packages are not the laptop's.
    """
    version = f"python3.{sys.version_info.minor}"
    for name in (version, "python3"):
        candidate = Path(sys.base_prefix) / "bin" / name
        if candidate.exists():
            return candidate.resolve()
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _uv() -> Path | None:
    try:
        from uv import find_uv_bin  # only where the uv package is installed
    except ImportError:
        return None
    try:
        return Path(os.fsdecode(find_uv_bin()))
    except FileNotFoundError:
        return None


def _link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)

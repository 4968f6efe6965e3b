"""The image that machines boot from: Debian (or Ubuntu) as its cloud image would be.

It is built from the same distribution as this computer's, with its package sources, by mmdebstrap.
The programs that this needs are unpacked beside it; nothing is installed on this computer.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import cache
from .contained import contained

USER = "ubuntu"
"""Whom the image lets in, as the name of the default image of the local cloud promises."""

_TOOLS = ("mmdebstrap", "systemd-container", "libsystemd-shared")
_PACKAGES = (
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus", "dbus-user-session"),
    *(
        "openssh-server",
        "libnss-myhostname",
        "sudo",
        "cloud-init",
        "ca-certificates",
        "rsync",
        "tmux",
        "procps",
    ),
    *("python3", "python3-venv"),
    *("iproute2", "iputils-ping", "nftables", "curl", "e2fsprogs", "fuse3", "nfs-common"),
)
_OPTIONS = (
    '--aptopt=APT::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
    "--dpkgopt=force-unsafe-io",  # what a crash leaves half written is thrown away
)
_SEAL, _STAGES = (Path(__file__).with_name(name) for name in ("seal.sh", "stages.py"))
_LIMIT = 600


def tools() -> Path:
    """Return the folder with mmdebstrap and systemd-nspawn."""
    return cache.made("tools", "\n".join([_codename(), *_TOOLS]), _unpack_tools)


def image(*more: str) -> Path:
    """Return the image's root folder, with more packages; built if its recipe has changed."""
    packages = (*_PACKAGES, *more)
    recipe = "\n".join(
        [
            *(_codename(), platform.machine(), *packages, *_OPTIONS, USER),
            *(_SEAL.read_text(), _STAGES.read_text()),
        ]
    )
    return cache.made("image", recipe, lambda place: _build(place, packages)) / "root"


def python_version() -> str:
    """Return the Python minor version of the image, ``3.11``."""
    names = [path.name for path in (image() / "usr" / "bin").glob("python3.*")]
    return next(name.removeprefix("python") for name in names if name[8:].isdigit())


def environment() -> dict[str, str]:
    """Return the environment in which the tools run."""
    place = tools() / "usr"
    libraries = next(place.glob("lib/*/systemd"))
    return {
        **os.environ,
        "PATH": f"{place / 'bin'}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "LD_LIBRARY_PATH": str(libraries),
    }


def _codename() -> str:
    release = platform.freedesktop_os_release()
    return release.get("VERSION_CODENAME", "bookworm")


def _sources() -> str:
    for name in ("sources.list.d/debian.sources", "sources.list.d/ubuntu.sources", "sources.list"):
        path = Path("/etc/apt") / name
        if path.exists():
            return str(path)
    raise FileNotFoundError("this computer has no package sources that we know of in /etc/apt")


def _unpack_tools(place: Path) -> None:
    download = ["apt-get", "download", "-q", *_TOOLS]
    if subprocess.run(download, cwd=place, capture_output=True, timeout=_LIMIT).returncode:
        _run(["apt-get", "update", "-q"], place)  # its lists are older than what the mirror has
        _run(download, place)
    for package in place.glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(place)], place)
        package.unlink()


def _build(place: Path, packages: Sequence[str]) -> None:
    root = place / "root"
    own = sorted(Path("/etc/apt/apt.conf.d").glob("99*"))  # a mirror's settings, where there is one
    _run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--quiet"),
            f"--include={','.join(packages)}",
            *(f"--aptopt={path}" for path in own),
            *_OPTIONS,
            *(_codename(), str(root), _sources()),
        ],
        place,
    )
    _run(["bash", "-eu", str(_SEAL), str(root), USER, str(_STAGES)], place)


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(
        contained(command, network=False),
        cwd=place,
        # What a killed one leaves goes with the folder that it was making.
        env={**environment(), "TMPDIR": str(place)} if command[0] == "mmdebstrap" else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-20:])
        raise RuntimeError(f"{command[0]} failed:\n{last}")

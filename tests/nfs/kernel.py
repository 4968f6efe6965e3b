"""What machines with a kernel of their own boot from: user-mode Linux, and the bed's image for it.

The kernel is a program, of the distribution's package ``user-mode-linux``; it needs no help of the
processor, and has NFS. Nothing is installed on this computer.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

from machines.bed import cache, image
from machines.bed.contained import contained

_PACKAGE = "user-mode-linux"
_MORE = ("kmod", "nfs-kernel-server")
_SEAL = Path(__file__).with_name("seal.sh")
_SIZE = "3G"
_LIMIT = 600


def why_not() -> str:
    """Return why there is no such kernel here, in a sentence; empty where there is."""
    if platform.machine() != "x86_64":
        return f"user-mode Linux is for x86_64, and this computer is {platform.machine()}"
    if not Path("/dev/net/tun").exists():
        return "machines with a kernel of their own need /dev/net/tun"
    shown = subprocess.run(["apt-cache", "show", _PACKAGE], capture_output=True, timeout=60)
    return f"apt has no {_PACKAGE} here" if shown.returncode else ""


def kernel() -> Path:
    """Return the folder with the kernel, ``usr/bin/linux.uml``, and its modules."""
    return cache.made("kernel", _PACKAGE, _unpack)


def disk() -> Path:
    """Return what is on the disk of a machine that has not booted yet: an ext4 file system."""
    root = image.image(*_MORE)
    recipe = "\n".join([root.parent.name, kernel().name, _SIZE, _SEAL.read_text()])
    return cache.made("disk", recipe, lambda place: _make(place, root)) / "disk"


def _unpack(place: Path) -> None:
    download = ["apt-get", "download", "-q", _PACKAGE]
    if subprocess.run(download, cwd=place, capture_output=True, timeout=_LIMIT).returncode:
        _run(["apt-get", "update", "-q"], place)
        _run(download, place)
    for package in place.glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(place)], place)
        package.unlink()


def _make(place: Path, image_root: Path) -> None:
    root = place / "root"
    _run(["cp", "-a", f"{image_root}", str(root)], place)
    _run(["bash", "-eu", str(_SEAL), str(root), str(kernel() / "usr/lib/uml/modules")], place)
    options = "nodiscard,lazy_itable_init=1,lazy_journal_init=1"
    made = ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, "-d", str(root)]
    _run([*made, str(place / "disk"), _SIZE], place)
    shutil.rmtree(root)


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(
        contained(command, network=False),
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}")

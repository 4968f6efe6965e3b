"""What machines need of the computer that they are to boot on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_PROGRAMS = (
    *("unshare", "nsenter", "setpriv", "mount", "ip", "tc", "mkfs.ext4", "ssh"),
    *("apt-get", "dpkg", "perl", "chroot"),
)


def why_not() -> str:
    """Return why no machine can boot here, in a sentence; empty when they can."""
    if not sys.platform.startswith("linux"):
        return "machines need Linux"
    if os.geteuid():
        return "machines need root; run pytest as root to test with them"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"machines need {', '.join(missing)}, which this computer does not have"
    if not Path("/dev/loop-control").exists():
        return "machines need loop devices, which this kernel does not have or does not let us use"
    for kind in ("overlay", "cgroup2", "ext4"):
        if kind not in Path("/proc/filesystems").read_text().split():
            return f"machines need the file system {kind}, which this kernel does not have"
    if "cgroup2" not in {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}:
        return "machines need cgroup v2, which is not mounted here"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True
    )
    return f"the kernel refuses namespaces: {tried.stderr.strip()}" if tried.returncode else ""

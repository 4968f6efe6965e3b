"""The wheels that the lab's index offers: what nodes install, in the versions of this computer."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from spotcluster.cluster.lifecycle.keeping import on_master
from spotcluster.plugins import environment

from . import cache
from .contained import contained

PACKAGES = (*dict.fromkeys((*environment.BASE, "scikit-learn", "uv", *on_master.PACKAGES)),)


def folder() -> Path:
    """Return the folder of wheels, downloaded if the versions here have changed."""
    recipe = "\n".join(
        [
            *(platform.machine(), environment.laptop_python(), *PACKAGES),
            environment.constraints(),
        ]
    )
    return cache.made("wheels", recipe, _download)


def _download(place: Path) -> None:
    constraints = place / "constraints.txt"
    constraints.write_text(environment.constraints())
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"),
        *("--dest", str(place), "--constraint", str(constraints), *PACKAGES),
    ]
    done = subprocess.run(
        contained(command, network=False),
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise RuntimeError(f"the wheels could not be downloaded: {done.stderr.strip()[-2000:]}")

"""A lab whose machines have a kernel of their own; everything else is the bed's."""

from __future__ import annotations

import shlex
from pathlib import Path

from machines.bed.lab import Lab
from machines.bed.machine import LabError, Machine

from . import kernel


class VirtualLab(Lab):
    """A lab of user-mode Linux machines; a context manager."""

    _inside = f"{__package__}.inside"

    def _image(self) -> Path:
        kernel.kernel()
        kernel.disk()
        return super()._image()


def root(machine: Machine, script: str, *, timeout: float = 60.0) -> str:
    """Run a script as root on a machine; return what it prints."""
    done = machine.ssh(f"sudo -n bash -c {shlex.quote(script)}", timeout=timeout)
    if done.returncode:
        raise LabError(f"{machine.id}: {script!r} ended with {done.returncode}: {done.stderr}")
    return done.stdout

"""Machines with a kernel of their own, in the place of the bed's: user-mode Linux, one for each."""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path

from machines.bed.disks import Disk
from machines.bed.machines import Machine, Machines
from machines.bed.network import GATEWAY, Link, Network, ip

from spotcluster.local.host.layout import Running
from spotcluster.local.instances import LocalInstance

from . import kernel, mconsole

log = logging.getLogger(__name__)

_BOOT = Path(__file__).with_name("boot.sh")
_MEMORY = "384M"
_NAME = "m"


class VirtualNetwork(Network):
    """Links whose other end is a kernel's own."""

    def _make(self, link: Link) -> None:
        ip(f"tuntap add dev {link.outer} mode tap")
        # Packets as long as the link takes: this kernel cannot cut those that are longer.
        ip(f"link set {link.outer} gso_max_segs 1")

    def _forget(self, link: Link) -> None:
        """Nothing is left of it."""


class VirtualMachines(Machines):
    """Machines with kernels."""

    def boot(self, instance_id: str) -> Running:
        """Power a machine on; return when its process 1 is there."""
        shutil.rmtree(self._machines[instance_id].folder / _NAME, ignore_errors=True)
        return super().boot(instance_id)

    def follow(self, instance: LocalInstance) -> None:
        """Do what all machines do; a kernel that does not answer now is asked again."""
        try:
            super().follow(instance)
        except OSError as error:
            log.warning("%s: %s", instance.id, error)

    def _fill(self, root: Disk) -> None:
        root.fill(kernel.disk())

    def _command(self, machine: Machine) -> list[str]:
        link = self._network.links[machine.id]
        return [
            *("bash", str(_BOOT)),
            *(str(kernel.kernel() / "usr/bin/linux.uml"), f"mem={_MEMORY}"),
            *(f"ubd0={machine.root.path}", "root=/dev/ubda", "rw", "noreboot"),
            *(f"umid={_NAME}", f"uml_dir={machine.folder}"),
            *("con=null", "con0=null,fd:1", "console=tty0", "systemd.show_status=0"),
            f"vec0:transport=tap,ifname={link.outer},depth=64,gro=1,mac={link.mac}",
            *(f"lab.address={machine.address}", f"lab.gateway={GATEWAY}"),
            f"systemd.setenv=AWS_ENDPOINT_URL={self._api}",
        ]

    def _variables(self, machine: Machine) -> dict[str, str]:
        return {"TMPDIR": "/dev/shm", "HOME": str(machine.folder)}

    def _first(self, machine: Machine) -> int | None:
        said = (machine.folder / "console").read_bytes().rpartition(b"power on\n")[2]
        if b" as init process" not in said:  # until then its drivers take no disk
            return None
        with contextlib.suppress(OSError):
            return self._console(machine).stat().st_ino  # a reboot begins with a new one
        return None

    def _plug(self, machine: Machine, device: str, disk: Disk) -> None:
        mconsole.ask(self._console(machine), f"config {_drive(device)}={disk.path}")

    def _pull(self, machine: Machine, device: str) -> None:
        with contextlib.suppress(OSError):
            mconsole.ask(self._console(machine), f"remove {_drive(device)}")

    def _ask_to_power_off(self, machine: Machine) -> None:
        with contextlib.suppress(OSError):
            mconsole.ask(self._console(machine), "cad")

    def _console(self, machine: Machine) -> Path:
        return machine.folder / _NAME / "mconsole"


def _drive(device: str) -> str:
    """Return what this kernel calls the device that EC2 calls ``/dev/sdf``."""
    return f"ubd{ord(device[-1]) - ord('a')}"

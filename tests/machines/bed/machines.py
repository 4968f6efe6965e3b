"""Machines as the reconciler sees them: a kind of hosts beside `spotcluster.local.hosts`.

A machine is a system of its own, with systemd as its process 1, in namespaces of its own: its root
disk is a volume over the image, its network a link to the lab's bridge.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spotcluster.local.access.roles import Roles
from spotcluster.local.cloud import Cloud
from spotcluster.local.host.layout import Running
from spotcluster.local.instances import LocalInstance

from . import imds
from .cgroups import Cgroups, Group
from .disks import Disk
from .network import Network, Opening

log = logging.getLogger(__name__)

SSH_PORT = 22
# EC2 gives a system minutes to shut down; one that is slow must not lose what it was writing.
BOOT_LIMIT = 120.0
SHUTDOWN_LIMIT = 90.0
KILL_LIMIT = 60.0
_LOOK_AGAIN = 0.01
_POWER_OFF_AGAIN = 1.0
_CONSOLE = 64 * 1024
_DISK_GROUP = 6
_BOOT = Path(__file__).with_name("boot.sh")


@dataclass
class Machine:
    """What there is of one machine, whether it runs or not."""

    id: str
    address: str
    folder: Path
    group: Group
    root: Disk
    boot: subprocess.Popen[bytes] | None = None
    booted: float = 0.0
    attached: dict[str, str] = field(default_factory=dict)
    attached_to: int | None = None
    unnoticed: Running | None = None

    @property
    def running(self) -> bool:
        """Whether it is between power on and power off."""
        return self.boot is not None and self.boot.poll() is None

    @property
    def host(self) -> str:
        """Its name, as EC2 would give it."""
        return "ip-" + self.address.replace(".", "-")


class Machines:
    """All machines of a lab.

    Parameters
    ----------
    folder : Path
        For what is small and goes with the lab.
    disks : Path
        On a file system with room for the volumes; nothing there has a name.
    api : str
        Where machines reach EC2's API: programs on them find it in their environment.
    """

    def __init__(
        self,
        cloud: Cloud,
        network: Network,
        cgroups: Cgroups,
        roles: Roles,
        *,
        api: str,
        folder: Path,
        disks: Path,
        image: Path,
        nspawn: Path,
        libraries: str,
    ) -> None:
        self._cloud = cloud
        self._network = network
        self._cgroups = cgroups
        self._roles = roles
        self._folder = folder
        self._api = api
        self._settings = folder.with_name("system.conf")
        self._settings.write_text(f"[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL={api}\n")
        self._disks_folder = disks
        self._image = image
        self._nspawn = nspawn
        self._libraries = libraries
        self._machines: dict[str, Machine] = {}
        self._disks: dict[str, Disk] = {}
        self._lock = threading.Lock()
        self.notices: dict[str, Mapping[str, str]] = {}

    # What the reconciler asks; see `spotcluster.local.kind.HostKind`.

    def known(self) -> list[str]:
        """Return the ids of all machines."""
        return sorted(self._machines)

    def prepare(
        self,
        instance_id: str,
        *,
        address: str,
        port: int,
        authorized_keys: tuple[str, ...],
        user_data: bytes,
        aws: Mapping[str, str],
        snapshot: str,
    ) -> None:
        """Give a machine its root disk and its link; the rest it asks of the metadata service."""
        if instance_id in self._machines:
            return
        with self._cloud.lock:
            volume_id, size = _root_volume(self.instance(instance_id))
        root = self._disk(volume_id, size, snapshot)
        if not snapshot:
            self._fill(root)
        folder = self._folder / instance_id
        folder.mkdir(parents=True)
        self._network.add(instance_id, address)
        group = self._cgroups.group(instance_id)
        self._machines[instance_id] = Machine(instance_id, address, folder, group, root)

    def keep(self, instance_id: str, snapshot: str) -> None:
        """Keep what is on the root disk of a machine, as if its power had been cut."""
        source = self._machines[instance_id].root
        taken = Disk(snapshot, source.size, self._disks_folder)
        source.copy_to(taken)
        with self._lock:
            self._disks[snapshot] = taken

    def drop(self, snapshot: str) -> None:
        """Do nothing: `bury` sees that the snapshot is gone."""

    def boot(self, instance_id: str) -> Running:
        """Power a machine on; return when its process 1 is there, as EC2 does, not its SSH."""
        machine = self._machines[instance_id]
        self._network.set_up(instance_id, up=True)
        with (machine.folder / "console").open("ab") as console:
            machine.boot = subprocess.Popen(
                self._command(machine),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "place": str(machine.folder),
                    "groups": " ".join(str(path) for path in machine.group.paths),
                    **self._variables(machine),
                },
                start_new_session=True,
            )
        machine.booted = time.time()
        end = time.monotonic() + BOOT_LIMIT
        while self._first(machine) is None:
            if not machine.running or time.monotonic() > end:
                last = self.console(instance_id).strip().splitlines()[-3:]
                raise OSError(f"{instance_id} does not boot: {' / '.join(last)}")
            time.sleep(_LOOK_AGAIN)
        return self._running(machine)

    def follow(self, instance: LocalInstance) -> None:
        """Open the link as the security groups say, and plug in the volumes that are attached."""
        machine = self._machines.get(instance.id)
        if machine is None:
            return
        self._network.admit(instance.id, self._openings(instance))
        wanted = {
            device: mapping.volume_id
            for device, mapping in instance.block_device_mapping.items()
            if device != instance.root_device_name
        }
        if not wanted and not machine.attached:
            return
        first = self._first(machine) if machine.running else None
        if first != machine.attached_to:
            # It has booted since, so its /dev is a new one.
            machine.attached, machine.attached_to = {}, first
        if first is None:
            return
        for device in [d for d, volume in machine.attached.items() if wanted.get(d) != volume]:
            self._pull(machine, device)
            del machine.attached[device]
        for device, volume_id in wanted.items():
            volume = instance.ec2_backend.get_volume(volume_id)
            disk = self._disk(volume_id, volume.size, volume.snapshot_id)
            disk.grow(volume.size)
            if device not in machine.attached:
                self._plug(machine, device, disk)
                machine.attached[device] = volume_id

    def find(self, instance_id: str) -> Running | None:
        """Return where a machine listens, None when it is off."""
        machine = self._machines.get(instance_id)
        if machine is None:
            return None
        return self._running(machine) if machine.running else machine.unnoticed

    def has_shut_down(self, instance_id: str) -> bool:
        """Return whether a machine that is off was powered off from inside."""
        try:
            return (self._machines[instance_id].folder / "exit").read_text().strip() == "0"
        except (FileNotFoundError, KeyError):
            return False

    def end(self, instance_id: str, *, politely: bool) -> None:
        """Power a machine off: as by its button, then as by its cable."""
        machine = self._machines.get(instance_id)
        if machine is None:
            return
        machine.unnoticed = None
        if politely and machine.running and not machine.group.frozen:
            self._press_button(machine)
        machine.group.kill()
        end = time.monotonic() + KILL_LIMIT
        while machine.group.populated or machine.running:
            if time.monotonic() > end:
                raise OSError(f"processes of {instance_id} do not end")
            time.sleep(_LOOK_AGAIN)
        machine.group.freeze(on=False)
        # What is off does not answer, not even that nobody listens.
        self._network.set_up(instance_id, up=False)

    def remove(self, instance_id: str) -> None:
        """Take a machine that is off away; its volumes stay for as long as the cloud has them."""
        self._network.remove(instance_id)
        machine = self._machines.get(instance_id)
        if machine is None:
            return
        machine.group.remove()
        shutil.rmtree(machine.folder, ignore_errors=True)
        self.notices.pop(instance_id, None)
        del self._machines[instance_id]

    def bury(self) -> None:
        """Give back the disks of volumes and snapshots that were deleted; take new snapshots."""
        with self._cloud.lock:
            there = {volume for backend in self._cloud.backends() for volume in backend.volumes}
            for backend in self._cloud.backends():
                for snapshot in backend.snapshots.values():
                    there.add(snapshot.id)
                    self._take(snapshot)
        with self._lock:
            for volume_id in [one for one in self._disks if one not in there]:
                self._disks.pop(volume_id).close()

    def console(self, instance_id: str) -> str:
        """Return the end of what a machine wrote to its console."""
        machine = self._machines.get(instance_id)
        try:
            data = (machine.folder / "console").read_bytes() if machine else b""
        except FileNotFoundError:
            return ""
        return data[-_CONSOLE:].decode(errors="replace")

    # What others ask.

    def get(self, instance_id: str) -> Machine:
        """Return one machine."""
        if instance_id not in self._machines:
            raise LookupError(f"{instance_id} has not been switched on, or is no more")
        return self._machines[instance_id]

    def instance(self, instance_id: str) -> Any:
        """Return the instance that a machine stands for; with the cloud's lock held."""
        return next(one for one in self._cloud.instances() if one.id == instance_id)

    def answer(self, address: str) -> imds.Answer | None:
        """Return what the metadata service says to an address."""
        with self._cloud.lock:
            for instance in self._cloud.instances():
                machine = self._machines.get(instance.id)
                if instance.address == address and instance.is_live and machine is not None:
                    mac = self._network.links[instance.id].mac
                    notice = self.notices.get(instance.id)
                    return imds.Answer(
                        imds.tree_of(instance, mac, machine.host, notice, self._roles),
                        imds.identity_of(instance),
                        imds.user_data_of(instance),
                        instance.key_name or "",
                        tokens_required=instance.metadata_options.http_tokens == "required",
                    )
        return None

    def lose_power(self, instance_id: str, *, noticed: bool) -> None:
        """Cut a machine off, then kill it: the other ends of its connections hear nothing.

        Parameters
        ----------
        noticed : bool
            Whether EC2 sees it; if not, the instance goes on as running until it is stopped.
        """
        machine = self._machines[instance_id]
        if not noticed:
            machine.unnoticed = self._running(machine)
        self._network.set_up(instance_id, up=False)
        machine.group.kill()

    # What makes a machine one of this kind.

    def _fill(self, root: Disk) -> None:
        """Put on a root disk what the image has."""
        root.format()

    def _command(self, machine: Machine) -> list[str]:
        """Return what runs around a machine."""
        fuse = ["--bind=/dev/fuse"] if Path("/dev/fuse").exists() else []
        return [
            *("unshare", "--mount", "--propagation", "private"),
            *("bash", str(_BOOT), *fuse),
            f"--bind-ro={self._settings}:/etc/systemd/system.conf.d/api.conf",
        ]

    def _variables(self, machine: Machine) -> dict[str, str]:
        """Return what that needs in its environment."""
        return {
            "LD_LIBRARY_PATH": self._libraries,
            "id": machine.id,
            "host": machine.host,
            "image": str(self._image),
            "disk": machine.root.path,
            "netns": str(self._network.links[machine.id].netns_path),
            "nspawn": str(self._nspawn),
        }

    def _first(self, machine: Machine) -> int | None:
        """Return a number that a machine has for as long as its kernel runs, None before."""
        return machine.group.init()

    def _plug(self, machine: Machine, device: str, disk: Disk) -> None:
        """Plug a volume in."""
        assert machine.attached_to is not None
        node = _node(machine.attached_to, device)
        os.mknod(node, stat.S_IFBLK | 0o660, os.makedev(disk.major, disk.minor))
        os.chown(node, 0, _DISK_GROUP)
        node.chmod(0o660)

    def _pull(self, machine: Machine, device: str) -> None:
        """Pull a volume out."""
        assert machine.attached_to is not None
        with contextlib.suppress(FileNotFoundError):
            _node(machine.attached_to, device).unlink()

    def _ask_to_power_off(self, machine: Machine) -> None:
        """Press a machine's button."""
        init = machine.group.init()
        if init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGRTMIN + 4)

    def _press_button(self, machine: Machine) -> None:
        end = time.monotonic() + SHUTDOWN_LIMIT
        again = 0.0
        while machine.running and time.monotonic() < end:
            if time.monotonic() >= again:
                # Again and again: systemd does not hear it before it has come up itself.
                again = time.monotonic() + _POWER_OFF_AGAIN
                self._ask_to_power_off(machine)
            time.sleep(_LOOK_AGAIN)

    def _running(self, machine: Machine) -> Running:
        assert machine.boot is not None
        return Running(machine.boot.pid, machine.booted, machine.address, SSH_PORT)

    def _disk(self, volume_id: str, size: int, snapshot_id: str | None = None) -> Disk:
        with self._lock:
            if volume_id not in self._disks:
                made = self._disks[volume_id] = Disk(volume_id, size, self._disks_folder)
                if snapshot_id in self._disks:
                    self._disks[snapshot_id].copy_to(made)
            return self._disks[volume_id]

    def _take(self, snapshot: Any) -> None:
        """Keep what is on a snapshot's volume now, which is when EC2 says that it was taken."""
        with self._lock:
            source = self._disks.get(snapshot.volume_id)
            if source is not None and snapshot.id not in self._disks:
                taken = Disk(snapshot.id, source.size, self._disks_folder)
                source.copy_to(taken)
                self._disks[snapshot.id] = taken

    def _openings(self, instance: LocalInstance) -> Iterator[Opening]:
        for group in instance.security_groups:
            for rule in group.ingress_rules:
                if rule.source_group:
                    sources = self._members(rule.source_group.get("GroupId"))
                else:
                    sources = [rule.ip_range["CidrIp"]] if rule.ip_range.get("CidrIp") else []
                for source in sources:
                    ports = (rule.from_port or 0, rule.to_port or 0)
                    yield Opening(str(rule.ip_protocol), *ports, source)

    def _members(self, group_id: str | None) -> list[str]:
        return [
            one.address
            for one in self._cloud.instances()
            if one.is_live and any(group.id == group_id for group in one.security_groups)
        ]


def _root_volume(instance: Any) -> tuple[str, int]:
    volume_id = instance.block_device_mapping[instance.root_device_name].volume_id
    return volume_id, instance.ec2_backend.get_volume(volume_id).size


def _node(init: int, device: str) -> Path:
    """Return where a machine's device is, seen from outside."""
    return Path(f"/proc/{init}/root/dev") / Path(device).name

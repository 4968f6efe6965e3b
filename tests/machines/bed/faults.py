"""What can be done to machines: each fault is one call. Tests reach them through `bed.machine`."""

from __future__ import annotations

import subprocess
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from spotcluster.local.cloud import Cloud

from .machines import Machines
from .network import Network


class Faults:
    """The calls, by name; all arguments and results are JSON."""

    def __init__(self, cloud: Cloud, machines: Machines, network: Network) -> None:
        self._cloud = cloud
        self._machines = machines
        self._network = network

    def power_loss(self, machine: str, *, noticed: bool) -> None:
        self._machines.lose_power(machine, noticed=noticed)

    def freeze(self, machine: str, *, on: bool) -> None:
        self._machines.get(machine).group.freeze(on=on)

    def unplug(self, machine: str, *, on: bool) -> None:
        self._network.set_up(machine, up=not on)

    def partition(self, one: str, other: str, *, on: bool) -> None:
        self._network.partition(one, other, on=on)

    def loss(self, machine: str, share: float) -> None:
        self._network.lose(machine, share)

    def delay(self, machine: str, round_trip: float, jitter: float) -> None:
        self._network.delay(machine, round_trip, jitter)

    def slow_link(self, machine: str, bits_per_second: int | None) -> None:
        self._network.limit_rate(machine, bits_per_second)

    def slow_cpu(self, machine: str, share: float | None) -> None:
        self._machines.get(machine).group.limit_cpu(share)

    def little_memory(self, machine: str, size: int | None) -> None:
        self._machines.get(machine).group.limit_memory(size)

    def full_disk(self, machine: str, *, on: bool) -> None:
        """Fill the root disk from below, where nobody on the machine can find it."""
        found = self._machines.get(machine)
        assert found.boot is not None
        filler = f"{found.folder}/disk/filler"
        script = f"rm -f {filler} {filler}.rest {filler}.last"
        if on:
            # Most of it at once, without writing; then the rest, until not a block is left.
            script = f"""
                free=$(($(stat -f -c '%a * %S' {found.folder}/disk)))
                fallocate -l $((free - free / 64)) {filler} || exit 1
                dd if=/dev/zero of={filler}.rest bs=64k 2>/dev/null
                dd if=/dev/zero of={filler}.last bs=1k 2>/dev/null
                true"""
        subprocess.run(
            ["nsenter", "-t", str(found.boot.pid), "-m", "bash", "-c", script],
            check=True,
            timeout=240,
        )

    def spot_notice(self, machine: str, action: str, seconds: float, *, then: bool) -> None:
        """Say in the metadata that the instance is taken back, and take it when that time comes."""
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        time = when.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._machines.notices[machine] = {"action": action, "time": time}
        if then:
            timer = threading.Timer(seconds, self._take_back, (machine,))
            timer.daemon = True
            timer.start()

    def _take_back(self, machine: str) -> None:
        with self._cloud.lock:
            for instance in self._cloud.instances():
                if instance.id == machine and instance.state == "running":
                    instance.ec2_backend.host_died(instance)

    def look(self, machine: str) -> dict[str, Any]:
        """Return what cannot be seen through the API."""
        found = self._machines.get(machine)
        return {
            "init": found.group.init(),
            "processes": found.group.count(),
            "netns": self._network.links[machine].netns,
            "disk": found.root.path,
        }

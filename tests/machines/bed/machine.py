"""A machine of a lab, as a test sees it and does things to it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import image

if TYPE_CHECKING:
    from .lab import Lab

_HOST_KEY = "spotcluster:host-key"


class LabError(Exception):
    """Something in the lab did not do what it was told."""


class Machine:
    """One machine of a lab, by its instance id; everything else is asked when it is needed."""

    def __init__(self, lab: Lab, instance_id: str) -> None:
        self.lab = lab
        self.id = instance_id

    def __repr__(self) -> str:
        return f"<Machine {self.id}>"

    # What the API says.

    @property
    def described(self) -> dict[str, Any]:
        """The instance, as DescribeInstances has it."""
        answer = self.lab.ec2.describe_instances(InstanceIds=[self.id])
        return dict(answer["Reservations"][0]["Instances"][0])

    @property
    def state(self) -> str:
        """The instance's state."""
        return str(self.described["State"]["Name"])

    @property
    def tags(self) -> dict[str, str]:
        """The instance's tags."""
        return {tag["Key"]: tag["Value"] for tag in self.described.get("Tags", [])}

    @property
    def address(self) -> str:
        """Its address, the same inside the VPC and outside."""
        return str(self.described["PrivateIpAddress"])

    @property
    def console(self) -> str:
        """What GetConsoleOutput gives."""
        return str(self.lab.ec2.get_console_output(InstanceId=self.id).get("Output", ""))

    def wait(self, state: str, timeout: float = 60) -> Machine:
        """Wait until the instance is in a state."""
        wait_until(f"{self.id} to be {state}", lambda: self.state == state, timeout)
        return self

    # Being on it.

    def ssh(
        self, command: str, *, user: str = image.USER, key: Path | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command over SSH from the lab's laptop, by a program that is not the product's.

        The key is that of its key pair, and the host key must be the one that its launch gave it:
        for a node, what its tag says.
        """
        described = self.described
        tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
        known = self.lab.folder / "known_hosts"
        if _HOST_KEY in tags:
            known = self.lab.folder / f"known_hosts.{self.id}"
            known.write_text(f"{self.id} {tags[_HOST_KEY]}\n")
        own = self.lab.home / "keys" / f"{described.get('KeyName')}.pem"
        path = key or (own if own.exists() else self.lab.key_path)
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "3",
            "ServerAliveInterval": "2",
            "ServerAliveCountMax": "2",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "HostKeyAlias": self.id,
            "UserKnownHostsFile": str(known),
            "LogLevel": "ERROR",
        }
        given = [f"-o{name}={value}" for name, value in options.items()]
        where = f"{user}@{described['PrivateIpAddress']}"
        # -F none: not what the developer's own configuration says.
        return self.lab.call(
            ["ssh", "-F", "none", *given, "-i", str(path), where, command], timeout=timeout
        )

    def wait_ssh(self, timeout: float = 90) -> Machine:
        """Wait until SSH lets in."""
        wait_until(f"ssh on {self.id}", lambda: self.ssh("true").returncode == 0, timeout)
        return self

    def wait_up(self, timeout: float = 120) -> Machine:
        """Wait until systemd and cloud-init have done everything of the boot."""
        self.wait_ssh(timeout)
        waiting = "cloud-init status --wait; systemctl is-system-running --wait"
        done = self.ssh(waiting, timeout=timeout)
        if "running" not in done.stdout:
            failed = self.ssh("systemctl --failed; cloud-init status --long").stdout
            raise LabError(f"{self.id} did not come up: {done.stdout}{failed}")
        return self

    def inside(self, script: str, *, timeout: float = 60) -> str:
        """Run a script as root on the machine, whatever its sshd, keys and network do."""
        init = self.look()["init"]
        command = ["nsenter", "-t", str(init), "-m", "-u", "-i", "-n", "-p", "--"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        done = self.lab.call([*command, *clean, "bash", "-c", script], timeout=timeout)
        if done.returncode:
            raise LabError(f"{self.id}: {script!r} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def look(self) -> dict[str, Any]:
        """Return what only the lab knows: process 1, how many processes, namespace, root disk."""
        return dict(self.lab.fault("look", self.id))

    # What can be done to it, each by one call; those with a value are taken back without one.

    def power_loss(self, *, noticed: bool = True) -> None:
        """Cut it off, then kill it. EC2 sees that, unless it is not `noticed`."""
        self.lab.fault("power_loss", self.id, noticed=noticed)

    def freeze(self) -> None:
        """Stop every process where it is; the kernel goes on answering for them."""
        self.lab.fault("freeze", self.id, on=True)

    def thaw(self) -> None:
        """Let them go on."""
        self.lab.fault("freeze", self.id, on=False)

    def unplug(self) -> None:
        """Cut it off from everything."""
        self.lab.fault("unplug", self.id, on=True)

    def plug(self) -> None:
        """Plug it in again."""
        self.lab.fault("unplug", self.id, on=False)

    def loss(self, share: float = 0.0) -> None:
        """Lose a share of the packets to and from it."""
        self.lab.fault("loss", self.id, share)

    def delay(self, round_trip: float = 0.0, *, jitter: float = 0.0) -> None:
        """Make every round trip to it this many seconds longer."""
        self.lab.fault("delay", self.id, round_trip, jitter)

    def slow_link(self, megabits: float | None = None) -> None:
        """Let through so many Mbit/s each way."""
        self.lab.fault("slow_link", self.id, megabits and int(megabits * 1e6))

    def slow_cpu(self, share: float | None = None) -> None:
        """Give it this share of one core."""
        self.lab.fault("slow_cpu", self.id, share)

    def little_memory(self, megabytes: float | None = None) -> None:
        """Give it this much memory; who asks for more is killed."""
        self.lab.fault("little_memory", self.id, megabytes and int(megabytes * (1 << 20)))

    def full_disk(self) -> None:
        """Leave no free block on its root disk."""
        self.lab.fault("full_disk", self.id, on=True)

    def free_disk(self) -> None:
        """Give the blocks back."""
        self.lab.fault("full_disk", self.id, on=False)

    def spot_notice(
        self, *, action: str = "terminate", seconds: float = 120, then: bool = True
    ) -> None:
        """Announce in its metadata that EC2 takes it back in so many seconds, and do it `then`."""
        self.lab.fault("spot_notice", self.id, action, seconds, then=then)


def wait_until(what: str, true: Callable[[], Any], timeout: float = 60) -> None:
    """Wait until something is true; say what, when it does not become so."""
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.05)

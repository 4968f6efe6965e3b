"""A machine of a lab, as a test sees it and does things to it."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import image

if TYPE_CHECKING:
    from .lab import Lab

_HOST_KEY = "spotcluster:host-key"
# These guard against waiting for ever only: machines boot on computers that have much else to do.
_LIMIT = 180.0
_BOOT_LIMIT = 300.0
_PATIENCE = 30.0
_PAUSE = 1.0


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

    def wait(self, state: str, timeout: float = _BOOT_LIMIT) -> Machine:
        """Wait until the instance is in a state."""
        wait_until(f"{self.id} to be {state}", lambda: self.state == state, timeout)
        return self

    # Being on it.

    def ssh(
        self,
        command: str,
        *,
        user: str = image.USER,
        key: Path | None = None,
        timeout: float = _LIMIT,
        patience: float = _PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command over SSH from the lab's laptop, by a program that is not the product's.

        The key is that of its key pair, and the host key must be the one that its launch gave it:
        for a node, what its tag says.

        Parameters
        ----------
        patience : float
            Seconds of silence after which ssh gives up; short ones where silence is expected, since
            a machine that is slow is silent too.
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
            "ConnectTimeout": f"{patience:.0f}",
            "ServerAliveInterval": f"{patience / 3:.0f}",
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

    def wait_ssh(self, timeout: float = _BOOT_LIMIT) -> Machine:
        """Wait until SSH lets in."""
        # The first attempts may be lost on a machine that has no power yet; of those that are
        # answered, one has to get the time that it takes.
        patience = itertools.chain(range(3, int(_PATIENCE), 3), itertools.repeat(_PATIENCE))

        def is_in() -> bool:
            return self.ssh("true", patience=next(patience)).returncode == 0

        wait_until(f"ssh on {self.id}", is_in, timeout)
        return self

    @contextlib.contextmanager
    def rebooting(self, timeout: float = _BOOT_LIMIT) -> Iterator[None]:
        """Wait, after a block that has it reboot, until it has done so and is up again.

        Who only waits for it to be up may find it up because it has not gone down yet.
        """
        former = self.look()["init"]
        yield
        wait_until(
            f"{self.id} to reboot", lambda: self.look()["init"] not in (None, former), timeout
        )
        self.wait_up(timeout)

    def wait_up(self, timeout: float = _BOOT_LIMIT) -> Machine:
        """Wait until systemd and cloud-init have done everything of the boot."""
        self.wait_ssh(timeout)
        # cloud-init's own way to wait is a Python that imports all of it, and looks time and again.
        waiting = "systemctl is-system-running --wait && ls /run/cloud-init/result.json"
        done = self.ssh(waiting, timeout=timeout)
        if done.returncode:
            failed = self.ssh("systemctl --failed; cloud-init status --long").stdout
            raise LabError(f"{self.id} did not come up: {done.stdout}{failed}")
        return self

    def inside(self, script: str, *, timeout: float = _LIMIT) -> str:
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


def wait_until(what: str, true: Callable[[], Any], timeout: float = _LIMIT) -> None:
    """Wait until something is true; say what, when it does not become so."""
    begin = asked = time.monotonic()
    while not true():
        now = time.monotonic()
        if now > begin + timeout:
            raise LabError(f"waited {timeout:.0f} s for {what}")
        # Twice as long as it took to ask: most asks start a process, and what is waited for, a
        # boot for the most part, needs the same cores.
        time.sleep(min(max(0.05, 2 * (now - asked)), _PAUSE))
        asked = time.monotonic()

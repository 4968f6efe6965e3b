"""What is left of a lab whose owner is killed, or whose owner ends: nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from .bed import cgroups, disks
from .bed.lab import Lab
from .bed.machine import wait_until

_TESTS = Path(__file__).parents[1]

OWNER = """
import json, sys, time
from machines.bed.lab import Lab
lab = Lab().start()
machine = lab.launch().wait_ssh()
zone = machine.described["Placement"]["AvailabilityZone"]
volume = lab.ec2.create_volume(Size=1, AvailabilityZone=zone)
lab.ec2.attach_volume(VolumeId=volume["VolumeId"], InstanceId=machine.id, Device="/dev/sdf")
machine.ssh("while ! test -b /dev/sdf; do sleep 0.05; done; sudo mkfs.ext4 -q /dev/sdf")
assert machine.ssh("sudo mount /dev/sdf /mnt").returncode == 0
machine.delay(0.05)
lab.popen(["sleep", "1000.25"])
volumes = [one["VolumeId"] for one in lab.ec2.describe_volumes()["Volumes"]]
print(json.dumps([machine.id, str(lab.folder), volumes]), flush=True)
time.sleep(1000)
"""

INTERRUPTED = """
import time
try:
    print("up", flush=True)
    time.sleep(1000)
except KeyboardInterrupt:
    print("seen")
"""


def spaces(processes: Iterable[psutil.Process]) -> set[str]:
    """Return the namespaces that some processes are in."""
    found = set()
    for process in processes:
        for kind in ("net", "pid", "mnt"):
            try:
                found.add(Path("/proc", str(process.pid), "ns", kind).readlink().name)
            except OSError:
                continue
    return found


def groups(owner: str) -> list[str]:
    """Return the groups of processes that there are of a lab."""
    every = (folder for folder, _, _ in os.walk("/sys/fs/cgroup"))
    return [one for one in every if Path(one).name.startswith(f"spotcluster-lab-{owner}")]


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Footprint:
    """What one lab has on this computer, on which others may begin and end at the same time.

    Parameters
    ----------
    top : int
        The process below which everything of the lab is.
    volumes : collection of str
        Its volumes.
    """

    def __init__(self, top: int, volumes: Iterable[str]) -> None:
        self._processes = psutil.Process(top).children(recursive=True)
        self._others = list(psutil.process_iter())
        self._spaces = spaces(self._processes) - spaces([psutil.Process()])
        self._volumes = set(volumes)
        self.begun = self.left()

    def left(self) -> dict[str, set[str]]:
        """Return what there is still of it, by kind."""
        # Numbers of namespaces are given anew at once: those of later processes are others.
        survivors = [one for one in self._others if lives(one)]
        every = {
            "processes": {str(one.pid) for one in self._processes if lives(one)},
            "namespaces": self._spaces & spaces(survivors),
            "disks": self._volumes & disks.names(),
        }
        return {kind: found for kind, found in every.items() if found}


def mounts() -> set[str]:
    """Return what is mounted outside of all labs, and their names for networks there."""
    names = {str(path) for path in Path("/run/netns").glob("*")}
    return names | set(Path("/proc/self/mounts").read_text().splitlines())


def processes() -> list[str]:
    said = subprocess.run(["ps", "ax", "-o", "args="], capture_output=True, text=True)
    return said.stdout.splitlines()


def assert_nothing_left(during: Footprint, mounted: set[str], instance_id: str) -> None:
    wait_until("the lab to be gone", lambda: not during.left())
    assert mounts() <= mounted
    assert not [line for line in processes() if instance_id in line]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_owner_leaves_no_process_mount_namespace_or_loop_device(
    bed: None, number: signal.Signals
) -> None:
    mounted = mounts()
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        instance_id, folder, volumes = json.loads(owner.stdout.readline())
        wait_until("the program in the lab", lambda: "sleep 1000.25" in processes())
        during = Footprint(owner.pid, volumes)
        assert set(during.begun) == {"processes", "namespaces", "disks"}
        assert groups(f"{owner.pid}-")
        os.kill(owner.pid, number)
        owner.wait(60)
    assert_nothing_left(during, mounted, instance_id)
    # Empty groups cannot go by themselves; whoever starts the next lab removes them.
    cgroups.sweep()
    assert not groups(f"{owner.pid}-")
    shutil.rmtree(folder, ignore_errors=True)  # which the next lab does too


def test_closing_a_lab_leaves_nothing_either(bed: None) -> None:
    mounted = mounts()
    with Lab() as lab:
        machine = lab.launch().wait_ssh()
        volumes = [one["VolumeId"] for one in lab.ec2.describe_volumes()["Volumes"]]
        during = Footprint(lab.pid, volumes)
        assert set(during.begun) == {"processes", "namespaces", "disks"}
        folder, group = lab.folder, lab.folder.name.removeprefix("spotcluster-lab-")
    assert_nothing_left(during, mounted, machine.id)
    assert not folder.exists()
    assert not groups(group.rpartition("-")[0])


def test_ordinary_user_is_told_why_these_tests_skip(bed: None) -> None:
    program = "import os; from machines.bed import needs; os.setuid(65534); print(needs.why_not())"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(_TESTS), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert said.stdout == "machines need root; run pytest as root to test with them\n", said.stderr


def test_program_in_a_lab_takes_signals_and_ends_with_who_waits_for_it(bed: None) -> None:
    listed = ["ps", "ax", "-o", "args="]
    with Lab() as lab:
        with lab.popen([sys.executable, "-c", INTERRUPTED]) as started:
            assert started.stdout is not None
            assert started.stdout.readline() == "up\n"
            lab.signal(started, signal.SIGINT)
            assert started.stdout.read() == "seen\n"
        assert started.returncode == 0
        with lab.popen(["sleep", "1000.5"]) as started:
            # Not what is about to become it, which does not know yet whom it is to end with.
            wait_until("sleep", lambda: "sleep 1000.5" in lab.call(listed).stdout.splitlines())
            started.kill()
        wait_until("it to end", lambda: "sleep 1000.5" not in lab.call(listed).stdout)
        with pytest.raises(subprocess.TimeoutExpired):
            lab.call(["sleep", "1000.5"], timeout=2)
        wait_until("it to end", lambda: "sleep 1000.5" not in lab.call(listed).stdout)

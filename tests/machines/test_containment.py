"""What is left of a lab whose owner is killed, or whose owner ends: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .bed import cgroups
from .bed.lab import Lab
from .bed.machine import wait_until

_TESTS = Path(__file__).parents[1]

OWNER = """
import sys, time
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
print(lab.pid, machine.id, lab.folder, flush=True)
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


def footprint() -> dict[str, set[str]]:
    """Return what a lab could leave on this computer."""
    loops = subprocess.run(["losetup", "-l", "-n", "-O", "NAME"], capture_output=True, text=True)
    spaces = set()
    for process in Path("/proc").glob("[0-9]*"):
        for kind in ("net", "pid", "mnt"):
            try:
                spaces.add((process / "ns" / kind).readlink().name)
            except OSError:
                continue
    return {
        "loops": set(loops.stdout.split()),
        "mounts": set(Path("/proc/self/mounts").read_text().splitlines()),
        "namespaces": spaces,
        "netns": {path.name for path in Path("/run/netns").glob("*")},
    }


def processes() -> str:
    return subprocess.run(["ps", "ax", "-o", "pid,args"], capture_output=True, text=True).stdout


def assert_nothing_left(before: dict[str, set[str]], instance_id: str) -> None:
    def left() -> dict[str, set[str]]:
        now = footprint()
        return {kind: now[kind] - before[kind] for kind in before if now[kind] - before[kind]}

    wait_until("the lab to be gone", lambda: not left(), 20)
    said = processes()
    assert instance_id not in said
    assert "sleep 1000.25" not in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_owner_leaves_no_process_mount_namespace_or_loop_device(
    bed: None, number: signal.Signals
) -> None:
    before = footprint()
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        said = owner.stdout.readline().split()
        pid, instance_id, folder = int(said[0]), said[1], Path(said[2])
        during = footprint()
        assert all(during[kind] - before[kind] for kind in ("loops", "namespaces"))
        assert "sleep 1000.25" in processes()
        os.kill(owner.pid, number)
        owner.wait(10)
    assert_nothing_left(before, instance_id)
    assert not Path("/proc", str(pid)).exists()
    # Empty groups cannot go by themselves; whoever starts the next lab removes them.
    cgroups.sweep()
    assert not list(Path("/sys/fs/cgroup").rglob(f"spotcluster-lab-{owner.pid}-*"))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


def test_closing_a_lab_leaves_nothing_either(bed: None) -> None:
    before = footprint()
    with Lab() as lab:
        machine = lab.launch().wait_ssh()
        folder = lab.folder
    assert_nothing_left(before, machine.id)
    assert not folder.exists()
    mine = f"spotcluster-lab-{os.getpid()}-*"
    assert not list(Path("/sys/fs/cgroup").rglob(mine))


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
    with Lab() as lab:
        with lab.popen([sys.executable, "-c", INTERRUPTED]) as started:
            assert started.stdout is not None
            assert started.stdout.readline() == "up\n"
            lab.signal(started, signal.SIGINT)
            assert started.stdout.read() == "seen\n"
        assert started.returncode == 0
        with lab.popen(["sleep", "1000.5"]) as started:
            wait_until("sleep", lambda: "sleep 1000.5" in processes())
            started.kill()
        wait_until("it to end", lambda: "sleep 1000.5" not in processes())
        with pytest.raises(subprocess.TimeoutExpired):
            lab.call(["sleep", "1000.5"], timeout=0.5)
        wait_until("it to end", lambda: "sleep 1000.5" not in processes())

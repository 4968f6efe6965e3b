"""Nodes that fail, and a program that is killed, on machines that boot."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from .bed.lab import Lab, LabError, Machine, wait_until

BARE = """
[cluster bare]
EXTENDS = iptemplate
PLUGINS =
SPOT_BID = 0.5
CLUSTER_SIZE = 2
SSH_TIMEOUT = 25
SETUP_TIMEOUT = 25
"""
START = ("start", "-c", "bare", "mycluster")


@pytest.fixture(autouse=True)
def empty(lab: Lab) -> Iterator[None]:
    """No cluster, before and after."""
    lab.configure(BARE)
    yield
    if lab.ec2.describe_security_groups(Filters=[OURS])["SecurityGroups"]:
        lab.run("terminate", "-y", "mycluster")
    assert left(lab) == []


OURS = {"Name": "tag-key", "Values": ["spotcluster:cluster"]}


def left(lab: Lab) -> list[str]:
    """Return the ids of everything that EC2 still has of a cluster."""
    groups = lab.ec2.describe_security_groups(Filters=[OURS])["SecurityGroups"]
    volumes = lab.ec2.describe_volumes(Filters=[OURS])["Volumes"]
    requests = lab.ec2.describe_spot_instance_requests(
        Filters=[OURS, {"Name": "state", "Values": ["open", "active"]}]
    )["SpotInstanceRequests"]
    return [
        *(one.id for one in lab.machines),
        *(one["GroupId"] for one in groups),
        *(one["VolumeId"] for one in volumes),
        *(one["SpotInstanceRequestId"] for one in requests),
    ]


@dataclass
class Ended:
    """What a command printed, and its exit status."""

    status: int
    said: str


def start(lab: Lab, *words: str, harm: Callable[[Machine], None]) -> Ended:
    """Start a cluster, and harm the first machine called node001 as soon as it has power."""
    with lab.popen(
        [sys.executable, "-m", "spotcluster", *START[:-1], *words, START[-1]]
    ) as program:
        problems: list[str] = []

        def find_and_harm() -> None:
            try:
                wait_until("node001 has power", lambda: powered(lab, "node001"), 60)
                harm(lab.machine("node001"))
            except LabError as error:
                problems.append(str(error))

        harming = threading.Thread(target=find_and_harm)
        harming.start()
        out, err = program.communicate(timeout=280)
        harming.join()
    assert not problems
    return Ended(program.returncode, out + err)


def powered(lab: Lab, name: str) -> bool:
    try:
        return bool(lab.machine(name).look()["init"])
    except (LabError, KeyError):
        return False


def before_anyone_gets_in(machine: Machine, script: str) -> None:
    """Run a script as root once the machine has booted, before the program can reach it."""
    machine.lab.partition(machine, "laptop")

    def booted() -> bool:
        try:
            machine.inside("test -e /var/lib/cloud/instance/boot-finished")
        except LabError:  # it is at its beginning still
            return False
        return True

    wait_until("its boot", booted, 60)
    machine.inside(script)


def dead_sshd(machine: Machine) -> None:
    before_anyone_gets_in(machine, "systemctl mask --now ssh.service ssh.socket")
    machine.lab.heal(machine, "laptop")


def full_disk(machine: Machine) -> None:
    before_anyone_gets_in(machine, "true")
    machine.full_disk()
    machine.lab.heal(machine, "laptop")


def another_host_key(machine: Machine) -> None:
    before_anyone_gets_in(
        machine,
        "rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key;"
        " systemctl restart ssh",
    )
    machine.lab.heal(machine, "laptop")


def power_loss(machine: Machine) -> None:
    machine.power_loss(noticed=False)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (dead_sshd, "node001"),
        (power_loss, "node001"),
        (another_host_key, "host key"),
        (full_disk, "No space left"),
    ],
)
def test_a_node_that_fails_is_dropped_and_the_others_go_on(
    lab: Lab, harm: Callable[[Machine], None], says: str
) -> None:
    done = start(lab, "--on-failure", "drop", harm=harm)
    assert done.status == 1
    assert says in done.said
    assert "Its log file: " in done.said
    assert "Traceback" not in done.said
    assert [one.tags["spotcluster:alias"] for one in lab.machines] == ["master"]
    assert lab.run("sshmaster", "mycluster", "hostname").strip()


def test_a_node_that_fails_is_replaced_by_another_machine(lab: Lab) -> None:
    harmed: list[str] = []

    def harm(machine: Machine) -> None:
        harmed.append(machine.id)
        dead_sshd(machine)

    done = start(lab, harm=harm)
    assert done.status == 0, done.said
    nodes = {one.tags["spotcluster:alias"]: one.id for one in lab.machines}
    assert len(nodes) == 2
    assert harmed[0] not in nodes.values()


MOMENTS = ["master: launch", "node001: ssh", "master: set-up"]


def killed(lab: Lab, moment: str) -> None:
    """Start a cluster, and kill the program as soon as it says `moment`."""
    words = [sys.executable, "-m", "spotcluster", *START]
    with lab.popen(words, stdout=subprocess.DEVNULL) as program:
        assert program.stderr
        for line in program.stderr:
            if moment in line:
                lab.signal(program, signal.SIGKILL)
                break
        else:
            pytest.fail(f"the program never said {moment!r}")
        program.communicate(timeout=60)


@pytest.mark.parametrize("moment", MOMENTS)
def test_terminate_leaves_nothing_of_a_start_that_was_killed(lab: Lab, moment: str) -> None:
    killed(lab, moment)
    if left(lab):
        lab.run("terminate", "-y", "mycluster")
    assert left(lab) == []


def test_start_goes_on_after_a_start_that_was_killed(lab: Lab) -> None:
    killed(lab, "node001: ssh")
    lab.run(*START)
    assert len(lab.machines) == 2
    assert lab.run("sshnode", "mycluster", "node001", "id -un").strip() == "ubuntu"

"""Nodes that fail, and a program that is killed, on machines that boot."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from .bed.lab import Lab
from .bed.machine import LabError, Machine, wait_until
from .bed.network import GATEWAY

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


PACKED = """
[cluster packed]
EXTENDS = bare
PLUGINS = pypackages
CLUSTER_SIZE = 4
REPLACEMENTS = 1
SSH_TIMEOUT = 45
SETUP_TIMEOUT = 200
"""


def never_boots(machine: Machine) -> None:
    wait_until("the first words of its console", lambda: machine.console, 60)
    machine.freeze()


def cannot_install(machine: Machine) -> None:
    before_anyone_gets_in(machine, f"ip route add prohibit {GATEWAY}")  # where the index is
    machine.lab.heal(machine, "laptop")


def dies_while_it_installs(machine: Machine) -> None:
    def installs() -> bool:
        try:
            return bool(machine.inside("pgrep -u ipuser -f -- '-m (venv|pip) |uv pip' || true"))
        except LabError:  # it is at its beginning still
            return False

    wait_until("its installation", installs, 120)
    machine.power_loss(noticed=False)


def test_each_node_that_fails_in_its_way_is_said_to_and_replaced(lab: Lab) -> None:
    """All at once: one never boots, one cannot install packages, one dies while it installs."""
    lab.configure(BARE + PACKED)
    harms = {
        "node001": never_boots,
        "node002": cannot_install,
        "node003": dies_while_it_installs,
    }
    harmed: dict[str, str] = {}
    problems: list[str] = []

    def find_and_harm(alias: str) -> None:
        try:
            wait_until(f"{alias} has power", lambda: powered(lab, alias), 60)
            machine = lab.machine(alias)
            harmed[alias] = machine.id
            harms[alias](machine)
        except LabError as error:
            problems.append(str(error))

    words = [sys.executable, "-m", "spotcluster", "start", "-c", "packed", "mycluster"]
    with lab.popen(words) as program:
        harming = [threading.Thread(target=find_and_harm, args=(alias,)) for alias in harms]
        for one in harming:
            one.start()
        _, err = program.communicate(timeout=400)
        for one in harming:
            one.join()
    assert not problems
    assert program.returncode == 0, err
    said = {
        alias: re.search(rf"{alias} FAILED: (.*?Its log file: \S+)", err, re.DOTALL)
        for alias in harms
    }
    for alias, machine in harmed.items():
        found = said[alias]
        assert found, f"{alias} did not fail:\n{err}"
        assert f"mycluster-{alias}-{machine}.log" in found[1]
        assert f"{alias}, {machine}, failed at" in log_of(lab, alias, machine)
        assert f"The console of {machine} says last:" in found[1]
        assert f"{alias}: {machine} is replaced (1 of 1)" in err
    assert said["node001"]
    assert "SSH" in said["node001"][1]
    assert said["node002"]
    assert "plugin pypackages, installing packages" in said["node002"][1]
    assert "failed at pypackages" in log_of(lab, "node003", harmed["node003"])
    assert sorted(one.tags["spotcluster:alias"] for one in lab.machines) == ["master", *harms]
    assert not {one.id for one in lab.machines} & set(harmed.values())
    for alias in harms:
        assert lab.run("sshnode", "mycluster", alias, "hostname").strip() == alias


def log_of(lab: Lab, alias: str, machine: str) -> str:
    name = f"us-east-1-mycluster-{alias}-{machine}.log"
    return (lab.home / "logs" / "nodes" / name).read_text()


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

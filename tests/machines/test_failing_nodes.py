"""Nodes that fail, and a program that is killed, on machines that boot."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
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
# What never answers is given up after so long, and what is healthy has to be quicker, also where
# many boot at once on a busy computer: so those that never answer fail at the same time.
SSH_TIMEOUT = 100
SETUP_TIMEOUT = 400

[cluster four]
EXTENDS = bare
CLUSTER_SIZE = 5
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
class Started:
    """What a start printed, its exit status, and the first machines of the nodes that failed."""

    status: int
    said: str
    harmed: dict[str, str]

    def failed(self, alias: str) -> str:
        """Return what it said of a node that failed."""
        found = re.search(rf"{alias} FAILED: (.*?Its log file: \S+)", self.said, re.DOTALL)
        assert found, f"{alias} did not fail:\n{self.said}"
        return found[1]


def start(lab: Lab, *words: str, harms: Mapping[str, Callable[[Machine], None]]) -> Started:
    """Start a cluster, and harm the first machine of each of some names when it has power."""
    harmed: dict[str, str] = {}
    problems: list[str] = []

    def find_and_harm(alias: str) -> None:
        try:
            wait_until(f"{alias} has power", lambda: powered(lab, alias))
            machine = lab.machine(alias)
            harmed[alias] = machine.id
            harms[alias](machine)
        except LabError as error:
            problems.append(f"{alias}: {error}")

    with lab.popen([sys.executable, "-m", "spotcluster", "start", *words]) as program:
        harming = [threading.Thread(target=find_and_harm, args=(alias,)) for alias in harms]
        for one in harming:
            one.start()
        out, err = program.communicate(timeout=1200)
        for one in harming:
            one.join()
    assert not problems, err
    return Started(program.returncode, out + err, harmed)


def powered(lab: Lab, name: str) -> bool:
    try:
        return lab.machine(name).state == "running"
    except LabError:  # it has not been launched
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

    wait_until("its boot", booted)
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


def test_nodes_that_fail_are_dropped_and_the_others_go_on(lab: Lab) -> None:
    failing = {
        "node001": (dead_sshd, "SSH did not let us in within"),
        "node002": (power_loss, "SSH did not let us in within"),
        "node003": (another_host_key, "host key"),
        "node004": (full_disk, "No space left"),
    }
    harms = {alias: harm for alias, (harm, _) in failing.items()}
    done = start(lab, "--on-failure", "drop", "-c", "four", "mycluster", harms=harms)
    assert done.status == 1
    assert "Traceback" not in done.said
    for alias, (_, says) in failing.items():
        assert says in done.failed(alias)
    assert [one.tags["spotcluster:alias"] for one in lab.machines] == ["master"]
    assert lab.run("sshmaster", "mycluster", "hostname").strip()


PACKED = """
[cluster packed]
EXTENDS = bare
PLUGINS = pypackages
CLUSTER_SIZE = 5
REPLACEMENTS = 1
"""


def never_boots(machine: Machine) -> None:
    wait_until("the first words of its console", lambda: machine.console)
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

    wait_until("its installation", installs)
    machine.power_loss(noticed=False)


def test_each_node_that_fails_in_its_way_is_said_to_and_replaced(lab: Lab) -> None:
    """All at once: never booted, no way to packages, died while it installed, no SSH."""
    lab.configure(BARE + PACKED)
    harms = {
        "node001": never_boots,
        "node002": cannot_install,
        "node003": dies_while_it_installs,
        "node004": dead_sshd,
    }
    done = start(lab, "-c", "packed", "mycluster", harms=harms)
    assert done.status == 0, done.said
    for alias, machine in done.harmed.items():
        said = done.failed(alias)
        assert f"mycluster-{alias}-{machine}.log" in said
        assert f"{alias}, {machine}, failed at" in log_of(lab, alias, machine)
        assert f"The console of {machine} says last:" in said
        assert f"{alias}: {machine} is replaced (1 of 1)" in done.said
    assert "SSH" in done.failed("node001")
    assert "plugin pypackages, installing packages" in done.failed("node002")
    assert "failed at pypackages" in log_of(lab, "node003", done.harmed["node003"])
    assert "SSH" in done.failed("node004")
    assert sorted(one.tags["spotcluster:alias"] for one in lab.machines) == ["master", *harms]
    assert not {one.id for one in lab.machines} & set(done.harmed.values())
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

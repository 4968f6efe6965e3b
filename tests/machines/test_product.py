"""The product on machines that boot: its main job, and what a machine becomes in a cluster.

One cluster lives through the whole module; each test leaves it as it was.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from spotcluster import templates
from spotcluster.cluster.node import Facts
from spotcluster.plugins import environment, ipcluster

from .bed.image import USER, python_version
from .bed.lab import Lab
from .bed.machine import Machine, wait_until
from .bed.network import LAPTOP

NODES = ("master", "node001")
FORMER = Path(__file__).parents[1] / "faults" / "data" / "a45db88" / "cluster.json"
OF_THE_IMAGE = ("rpcbind", 111)
"""The test image has NFS's programs; nobody outside the cluster reaches that port either."""

ENGINES = """
import ipyparallel
import spotcluster
client = spotcluster.connect("mycluster", timeout=300)
try:
    print(len(client[:].apply(int).get(timeout=10)))
except (ipyparallel.error.KernelError, TimeoutError) as error:
    print(error, 0)
client.close()
"""
"""Counts the engines that answer: one that has died is listed for some seconds still."""
JOB = """
import getpass, os, subprocess, sys, time
import ipyparallel

subprocess.Popen(["setsid", "sleep", "12345"])
print(*sys.argv[1:], getpass.getuser(), os.getcwd(), len(ipyparallel.Client().ids))
for i in range(10**6):
    print(i)
    time.sleep(0.1)
"""
SEARCH = """
import json
import time
from sklearn.datasets import load_digits
from sklearn.svm import SVC
import spotcluster
from spotcluster.search import GridSearch, persist_cv_splits

client = spotcluster.connect("mycluster")
# An engine that still imports when the other one has done all would have no part in it.
client[:].execute("import sklearn.svm", block=True)
digits = load_digits()
splits = persist_cv_splits(digits.data, digits.target, name="digits", random_state=42)
search = GridSearch(client.load_balanced_view())
grid = {"C": [1.0, 10.0], "gamma": [0.001]}
search.launch_for_splits(SVC(), grid, splits, pace=1.0)
while search.completed() < 2:
    time.sleep(0.05)
print("running", flush=True)
assert search.wait(timeout=500)
best = max(search.cv_results_["mean_test_score"])
print(json.dumps({"best": round(float(best), 5), "nodes": search.evaluations_per_node()}))
client.close()
"""
HELD_SEARCH = """
import time
from sklearn.datasets import load_digits
from sklearn.svm import SVC
import spotcluster
from spotcluster.search import GridSearch, persist_cv_splits

client = spotcluster.connect("mycluster")
digits = load_digits()
splits = persist_cv_splits(digits.data, digits.target, name="held", random_state=7)
search = GridSearch(client.load_balanced_view())
grid = {"C": [float(n) for n in range(1, 100)]}
search.launch_for_splits(SVC(), grid, splits, pace=6.0)
while len(search.delivered()) < 2 or not all(map(sum, search.delivered().values())):
    time.sleep(0.05)
print("running", flush=True)
input()
search.abort()
client.close()
"""
"""A search with data of its own, until it is told to end."""
KNOCK = """
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def opens(where):
    try:
        socket.create_connection(tuple(where), timeout=5).close()
    except OSError:
        return False
    return True


places = json.loads(sys.argv[1])
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(opens, places))))
"""
"""Says which of some TCP ports let one in."""


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[str]:
    mine = environment.laptop_python()
    if python_version() != mine:
        pytest.skip(f"engines need Python {mine}, and the image has {python_version()}")
    lab.configure()
    lab.run("start", "-s", "2", "-b", "0.5", "mycluster")
    yield "mycluster"
    lab.run("terminate", "-y", "mycluster")
    assert lab.machines == []


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest, lab: Lab, cluster: str) -> Machine:
    return lab.machine(request.param)


def unit(machine: Machine, name: str) -> dict[str, str]:
    """Return what systemd says of a unit of ours."""
    said = machine.inside(
        f"systemctl show -p MainPID,ActiveState,UnitFileState,User,NRestarts spotcluster-{name}"
    )
    return dict(line.split("=", 1) for line in said.splitlines())


def engines(lab: Lab) -> int:
    return int(lab.python(ENGINES).split()[-1])


def test_start_of_a_master_and_a_worker(lab: Lab, cluster: str) -> None:
    (found,) = json.loads(lab.run("listclusters", "--json", cluster))
    assert [node["alias"] for node in found["nodes"]] == list(NODES)
    assert all(node["ready"] for node in found["nodes"])
    assert len(lab.machines) == 2


def test_nodes_are_machines_with_ssh_on_port_22(lab: Lab, cluster: str) -> None:
    for alias in NODES:
        assert "spotcluster:ssh-port" not in lab.machine(alias).tags
    said = lab.run("sshnode", cluster, "node001", "id -un; sudo -n id -un; cat /proc/1/comm")
    assert said.split() == [USER, "root", "systemd"]
    said = lab.run("sshmaster", cluster, "ssh -o BatchMode=yes node001 'echo $SSH_CONNECTION'")
    assert said.split()[-1] == "22"


def test_search_runs_on_all_nodes(lab: Lab, cluster: str) -> None:
    found = json.loads(lab.python(SEARCH).splitlines()[-1])
    assert found["best"] == 0.99022
    assert set(found["nodes"]) == set(NODES)


def test_cluster_user_has_one_number_and_cannot_become_root(
    node: Machine, lab: Lab, cluster: str
) -> None:
    number, shell = node.inside("id -u ipuser; getent passwd ipuser | cut -d : -f 7").split()
    assert (number, shell.rpartition("/")[2]) == ("2016", "bash")
    said = node.ssh("sudo -n id -un", user="ipuser")
    assert said.returncode != 0
    assert "root" not in said.stdout
    assert node.ssh("sudo -n id -un").stdout == "root\n"
    assert node.inside("id -nG ipuser").split() == ["ipuser"]


def test_python_is_the_clusters_for_both_users_and_is_run_as_the_cluster_user(
    node: Machine, lab: Lab, cluster: str
) -> None:
    asked = "import os, sys, sklearn; print(os.getuid(), sys.prefix)"
    for user in (USER, "ipuser"):
        for python in ("python", "python3"):
            said = node.ssh(f'{python} -c "{asked}"', user=user)
            assert said.stdout == "2016 /home/ipuser/.spotcluster/env\n", said.stderr
    unreadable = node.ssh("umask 077; touch own.py; python own.py")
    assert unreadable.returncode == 1
    assert "put -u ipuser" in unreadable.stderr


def test_sshmaster_lets_the_cluster_user_in(lab: Lab, cluster: str) -> None:
    said = lab.run("sshmaster", "-u", "ipuser", cluster, "id -un; pwd; ls .spotcluster/logs")
    assert said.split() == [
        "ipuser",
        "/home/ipuser",
        "controller.log",
        "engine-1.log",
        "engines.log",
    ]


def test_master_reaches_nodes_by_name_as_either_user_without_an_agent(
    lab: Lab, cluster: str
) -> None:
    for user in (USER, "ipuser"):
        said = lab.run(
            "sshmaster", "-u", user, cluster, "ssh -o BatchMode=yes node001 'id -un; hostname'"
        )
        assert said.split() == [user, "node001"]


def test_cluster_user_cannot_have_root_read_or_believe_what_it_writes(
    lab: Lab, cluster: str
) -> None:
    """Its public key is asked for by the login, which may become root."""
    master = lab.machine("master")
    prepare = templates.read("prepare.sh")
    key = ".ssh/id_ed25519.pub"
    before = Facts.parse(master.ssh(prepare).stdout)
    assert master.ssh(f"mv {key} {key}.kept", user="ipuser").returncode == 0
    try:
        master.ssh(f"ln -s /etc/shadow {key}", user="ipuser")
        assert "root:" not in master.ssh(prepare).stdout
        lying = "account=root\\naccount_home=/root\\nsystemd=0"
        master.ssh(f"rm {key}; printf 'ssh-ed25519 x\\n{lying}\\n' >{key}", user="ipuser")
        said = Facts.parse(master.ssh(prepare).stdout)
        assert said == replace(before, account_key="ssh-ed25519 x")
    finally:
        master.ssh(f"mv {key}.kept {key}", user="ipuser")


def test_key_of_the_cluster_user_does_not_open_the_login_that_can_become_root(
    lab: Lab, cluster: str
) -> None:
    said = lab.machine("master").ssh(f"ssh -o BatchMode=yes {USER}@node001 true", user="ipuser")
    assert said.returncode == 255
    assert "Permission denied" in said.stderr


def test_nodes_have_their_names(lab: Lab, cluster: str) -> None:
    own = {alias: lab.machine(alias) for alias in NODES}
    for alias, machine in own.items():
        assert machine.ssh("hostname").stdout == f"{alias}\n"
        assert machine.ssh("cat /etc/hostname").stdout == f"{alias}\n"
        for other in NODES:
            said = machine.ssh(f"getent ahostsv4 {other}").stdout.split()
            assert said[0] == own[other].address


def test_services_are_units_of_the_cluster_users(lab: Lab, cluster: str) -> None:
    wanted = {"master": ("controller", "engines"), "node001": ("engines",)}
    for alias, names in wanted.items():
        for name in names:
            found = unit(lab.machine(alias), name)
            assert (found["ActiveState"], found["UnitFileState"]) == ("active", "enabled")
            owner = lab.machine(alias).inside(f"ps -o user= -p {found['MainPID']}").strip()
            assert owner == found["User"] == "ipuser"
    owners = set(lab.machine("master").inside("ps -o user= -C python").split())
    assert owners == {"ipuser"}


def test_files_of_the_cluster_are_its_users_alone(node: Machine) -> None:
    bad = node.inside(
        "cd /home/ipuser; stat -c '%a %U %n' . .ssh .spotcluster;"
        " find .spotcluster -path .spotcluster/env -prune -o -path .spotcluster/uv -prune"
        " -o -perm /077 -print -o ! -user ipuser -print"
    ).splitlines()
    assert bad == ["700 ipuser .", "700 ipuser .ssh", "700 ipuser .spotcluster"]
    assert node.inside("stat -c %a /home/ipuser/.ssh/authorized_keys") == "600\n"


def test_no_secret_is_in_a_unit_or_a_command_line(lab: Lab, cluster: str) -> None:
    master = lab.machine("master")
    info = json.loads(
        master.inside("cat /home/ipuser/.spotcluster/ipython/security/ipcontroller-client.json")
    )
    pair = master.inside("cat /home/ipuser/.spotcluster/ipython/security/curve").split()
    seen = master.inside("cat /etc/systemd/system/spotcluster-*; ps -eo args=; journalctl -b")
    logs = master.inside("cat /home/ipuser/.spotcluster/logs/*")
    assert info["curve_serverkey"] == pair[0]
    assert pair[1] not in seen
    assert pair[1] not in logs


@dataclass(frozen=True)
class Socket:
    """A socket of a node that others could send to."""

    alias: str
    protocol: str
    address: str
    port: int
    program: str
    unit: str

    @property
    def is_on_loopback(self) -> bool:
        return self.address.startswith("127.") or self.address == "[::1]"

    @property
    def serves_files(self) -> bool:
        """Whether it is an engine's, where it reaches the controller."""
        return self.unit.startswith("spotcluster-engines.") and not self.is_on_loopback

    def is_expected(self, lab: Lab) -> bool:
        if self.is_on_loopback or (self.program, self.port) in (("sshd", 22), OF_THE_IMAGE):
            return True
        own = self.protocol == "tcp" and self.address == lab.machine(self.alias).address
        if self.unit == "spotcluster-controller.service":
            return own and self.alias == "master"
        return own and self.serves_files


def inventory(lab: Lab) -> list[Socket]:
    """Return everything that listens on any node."""
    found = []
    for alias in NODES:
        said = lab.machine(alias).inside(
            "ss -Hltnup | while read -r line; do"
            " pid=$(grep -o 'pid=[0-9]*' <<<\"$line\" | head -n 1 | cut -d = -f 2);"
            " unit=$(grep -om 1 'spotcluster-[a-z0-9@]*[.]service' /proc/$pid/cgroup | head -n 1);"
            ' echo "${unit:-?} $line"; done'
        )
        for line in said.splitlines():
            unit, protocol, _, _, _, local, *rest = line.split()
            address, _, port = local.rpartition(":")
            program = re.search(r'"([^"]+)"', " ".join(rest))
            name = program[1] if program else "?"
            found.append(Socket(alias, protocol, address, int(port), name, unit))
    return found


def reached(lab: Lab, sockets: list[Socket], stranger: Machine) -> dict[str, set[Socket]]:
    """Try every TCP port from the laptop, both nodes, and a machine beside the cluster."""
    ports = [one for one in sockets if one.protocol == "tcp"]
    places = json.dumps([(lab.machine(one.alias).address, one.port) for one in ports])
    found = {}
    for who in ("laptop", *NODES, "stranger"):
        if who == "laptop":
            said = lab.call([sys.executable, "-c", KNOCK, places]).stdout
        else:
            machine = stranger if who == "stranger" else lab.machine(who)
            said = machine.inside(f"python3 -c '{KNOCK}' '{places}'")
        found[who] = {one for one, opens in zip(ports, json.loads(said), strict=True) if opens}
    return found


def test_every_socket_and_who_can_reach_it(lab: Lab, cluster: str) -> None:
    stranger = lab.launch("stranger").wait_up()

    def at_rest() -> bool:
        return not any(one.serves_files for one in inventory(lab))

    # A search that has just ended takes half a second to take its servers away.
    wait_until("the file servers of earlier searches to end", at_rest)
    with lab.popen([sys.executable, "-c", HELD_SEARCH], stdin=subprocess.PIPE) as search:
        assert search.stdin
        assert search.stdout
        assert search.stdout.readline() == "running\n"
        sockets = inventory(lab)
        opened = reached(lab, sockets, stranger)
        search.stdin.write("\n")
        search.stdin.flush()
        assert search.wait(200) == 0
    wait_until("the file servers to end with the last evaluation", at_rest)
    assert [one for one in sockets if not one.is_expected(lab)] == []
    assert sum(one.unit == "spotcluster-controller.service" for one in sockets) >= 7
    assert {one.alias for one in sockets if one.serves_files} == set(NODES)
    sshd = {one for one in sockets if one.program == "sshd"}
    open_to_nodes = {one for one in sockets if one.protocol == "tcp" and not one.is_on_loopback}
    assert opened["stranger"] == set()
    assert {one.port for one in opened["laptop"]} == {22}
    assert opened["laptop"] <= sshd
    for node in NODES:
        # What is on loopback is reached at no address but its own machine's 127.0.0.1.
        assert {one.port for one in opened[node]} <= {one.port for one in open_to_nodes}
        assert {one for one in sockets if one.serves_files} <= opened[node]
    lab.ec2.terminate_instances(InstanceIds=[stranger.id])
    stranger.wait("terminated")


def test_group_lets_in_the_caller_on_port_22_and_the_nodes(lab: Lab, cluster: str) -> None:
    (group,) = lab.machine("master").described["SecurityGroups"]
    answer = lab.ec2.describe_security_groups(GroupIds=[group["GroupId"]])
    rules = [
        (
            one["IpProtocol"],
            one.get("FromPort"),
            one.get("ToPort"),
            [r["CidrIp"] for r in one["IpRanges"]],
            [pair["GroupId"] for pair in one["UserIdGroupPairs"]],
        )
        for one in answer["SecurityGroups"][0]["IpPermissions"]
    ]
    assert sorted(rules, key=str) == [
        ("-1", None, None, [], [group["GroupId"]]),
        ("tcp", 22, 22, [f"{LAPTOP}/32"], []),
    ] or sorted(rules, key=str) == [
        ("-1", -1, -1, [], [group["GroupId"]]),
        ("tcp", 22, 22, [f"{LAPTOP}/32"], []),
    ]


@pytest.mark.parametrize(("alias", "name"), [("node001", "engines"), ("master", "controller")])
def test_killed_service_comes_back_and_all_engines_with_it(
    lab: Lab, cluster: str, alias: str, name: str
) -> None:
    machine = lab.machine(alias)
    former = unit(machine, name)["MainPID"]
    assert former != "0"
    machine.inside(f"kill -9 {former}")

    def is_back() -> bool:
        return unit(machine, name)["MainPID"] not in ("0", former)

    wait_until(f"{name} to be started again", is_back)
    wait_until("both engines", lambda: engines(lab) == 2)


HUNGRY = """
import time
import spotcluster
client = spotcluster.connect("mycluster")
mine = [i for i, who in client._engines.items() if who.startswith("node001_")]
eating = client[mine].apply_async(lambda: len(bytearray(4 << 30)))
while set(mine) & set(client.ids):
    time.sleep(0.1)
client.close()
"""


def test_engine_that_asked_for_too_much_memory_is_made_again_without_its_service(
    lab: Lab, cluster: str
) -> None:
    """Who is killed is the engine, not what engines are forked of: others would end with it."""
    machine = lab.machine("node001")
    service = unit(machine, "engines")
    machine.little_memory(1000)
    try:
        lab.python(HUNGRY)
    finally:
        machine.little_memory()
    wait_until("both engines", lambda: engines(lab) == 2)
    assert unit(machine, "engines")["MainPID"] == service["MainPID"]
    log = machine.inside("cat /home/ipuser/.spotcluster/logs/engines.log")
    assert "ended (signal 9)" in log.splitlines()[-1]
    assert machine.inside("cat /home/ipuser/.spotcluster/engines/running").count("\n") == 1


FORMER_UNIT = """
[Service]
User=ipuser
WorkingDirectory=~
ExecStart=/bin/bash /home/ipuser/.spotcluster/services/engine %i
UMask=0077
Restart=always
RestartSec=1
SuccessExitStatus=78
RestartPreventExitStatus=78
TimeoutStopSec=5

[Install]
WantedBy=multi-user.target
"""


def former_engine() -> str:
    """Return what a45db88 has started as each engine of node001."""
    kept = json.loads(FORMER.read_text())["machines"].values()
    scripts = [files.get("~/.spotcluster/services/engine", "") for files in kept]
    (script,) = [one for one in scripts if one.startswith("alias=node001\n")]
    return str(script)


def test_engines_of_an_earlier_version_go_on_until_they_are_restarted(
    lab: Lab, cluster: str
) -> None:
    machine = lab.machine("node001")
    again = f"SETUP_CLASS = {ipcluster.__name__}.IPClusterRestartEngines\nENGINES_PER_NODE = 1"
    lab.configure(f"\n[plugin again]\n{again}\n")
    machine.inside("systemctl disable -q --now spotcluster-engines")
    script = former_engine().replace("imds=1", "imds=0")
    place = "/home/ipuser/.spotcluster/services/engine"
    machine.inside(
        f"printf %s {shlex.quote(script)} >{place}; chown ipuser: {place};"
        f" printf %s {shlex.quote(FORMER_UNIT)} >/etc/systemd/system/spotcluster-engine@.service;"
        " systemctl enable -q --now spotcluster-engine@1"
    )
    wait_until("both engines", lambda: engines(lab) == 2)
    before = unit(machine, "engine@1")["MainPID"]
    lab.run("runplugin", "ipcluster", cluster)
    assert unit(machine, "engine@1")["MainPID"] == before != "0"
    assert unit(machine, "engines")["MainPID"] == "0"
    lab.run("runplugin", "again", cluster)
    former = unit(machine, "engine@1")
    assert (former["MainPID"], former["UnitFileState"]) == ("0", "disabled")
    assert unit(machine, "engines")["UnitFileState"] == "enabled"
    # The controller may take the former one for there, whose nanny its unit has ended with it.
    wait_until("both engines", lambda: engines(lab) == 2)


def test_worker_reboots_while_a_search_runs(lab: Lab, cluster: str) -> None:
    with lab.popen([sys.executable, "-c", SEARCH]) as search:
        assert search.stdout is not None
        assert search.stdout.readline() == "running\n"
        with lab.machine("node001").rebooting():
            lab.machine("node001").ssh("sudo reboot")
        out, err = search.communicate(timeout=600)
    assert json.loads(out)["best"] == 0.99022, err
    wait_until("both engines", lambda: engines(lab) == 2)


def test_master_reboots_and_every_engine_comes_back_to_it(lab: Lab, cluster: str) -> None:
    with lab.machine("master").rebooting():
        lab.ec2.reboot_instances(InstanceIds=[lab.machine("master").id])
    wait_until("both engines", lambda: engines(lab) == 2)
    assert lab.machine("master").ssh("hostname").stdout == "master\n"
    found = json.loads(lab.python(SEARCH).splitlines()[-1])
    assert found["best"] == 0.99022
    assert set(found["nodes"]) == set(NODES)


def test_job_is_a_unit_that_outlives_the_connection_and_is_lost_when_the_master_reboots(
    lab: Lab, cluster: str
) -> None:
    master = lab.machine("master")
    (lab.home / "job.py").write_text(JOB)
    number = lab.run("run", "-D", cluster, str(lab.home / "job.py"), "a b").strip()

    def output() -> str:
        return lab.run("logs", cluster, number)

    wait_until("the job to count", lambda: "3" in output().split())
    assert output().splitlines()[0] == f"a b ipuser /home/ipuser/jobs/{number} 2"
    found = unit(master, f"job-{number}")
    assert (found["ActiveState"], found["User"]) == ("active", "ipuser")
    find = "pgrep -fx 'sleep 12345'"  # engines' own scripts sleep too
    (stray,) = master.inside(find).split()
    cgroup = master.inside(f"cat /proc/{stray}/cgroup")
    assert f"spotcluster-job-{number}.service" in cgroup
    second = lab.run("run", "-D", cluster, str(lab.home / "job.py")).strip()
    assert "cancelled" in lab.run("cancel", cluster, second)
    # What has written down its end has yet to end itself.
    wait_until(
        "the unit to end", lambda: unit(master, f"job-{second}")["ActiveState"] == "inactive"
    )

    def is_lost() -> bool:
        found = json.loads(lab.run("jobs", "--json", cluster))
        return [one["state"] for one in found] == ["lost", "cancelled"]

    with master.rebooting():
        master.ssh("sudo reboot")
    wait_until("the job to be lost", is_lost)
    assert "shut down" in lab.run("attach", cluster, number, status=1)
    assert master.inside(f"{find} || true") == ""
    wait_until("both engines", lambda: engines(lab) == 2)


def test_node_that_joins_is_named_on_the_master_and_one_that_is_taken_back_drains_and_is_not(
    lab: Lab, cluster: str
) -> None:
    before = unit(lab.machine("node001"), "engines")["MainPID"]
    hosts = lab.machine("node001").inside("cat /etc/hosts")
    lab.run("addnode", "-s", "1", "-b", "0.5", cluster)
    said = lab.run("sshmaster", "-u", "ipuser", cluster, "ssh -o BatchMode=yes node002 hostname")
    assert said == "node002\n"
    assert unit(lab.machine("node001"), "engines")["MainPID"] == before
    assert lab.machine("node001").inside("cat /etc/hosts") == hosts
    leaving = lab.machine("node002")
    assert "yes" not in leaving.inside("test ! -e /home/ipuser/.spotcluster/drain || echo yes")
    leaving.spot_notice(then=False)
    noticed = "test -e /home/ipuser/.spotcluster/drain && echo yes || true"
    wait_until("the node to drain", lambda: "yes" in leaving.inside(noticed))
    lab.run("removenode", "-y", cluster, "node002")
    left = lab.machine("master").inside(
        "grep -r node002 /etc/hosts /etc/spotcluster /home/*/.ssh || true"
    )
    assert left == ""
    assert engines(lab) == 2


def test_services_that_were_stopped_stay_stopped_until_they_are_started(
    lab: Lab, cluster: str
) -> None:
    lab.configure("\n[plugin stop]\nSETUP_CLASS = spotcluster.plugins.ipcluster.IPClusterStop\n")
    lab.run("runplugin", "stop", cluster)
    for alias in NODES:
        found = unit(lab.machine(alias), "engines")
        assert found["MainPID"] == "0"
        assert found["UnitFileState"] != "enabled"
    journal = lab.machine("master").inside("journalctl -b -u 'spotcluster-*' | tail -n 20")
    assert "SIGKILL" not in journal
    lab.run("runplugin", "ipcluster", cluster)
    assert engines(lab) == 2

"""The local cloud from outside: real ssh, sftp and aws commands before a real daemon."""

from __future__ import annotations

import base64
import json
import os
import pty
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fcntl import ioctl
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from spotcluster import files, local
from spotcluster.errors import LocalCloudError
from spotcluster.local import processes, record

LIMIT = 30.0

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the ssh command")


def wait_for(what: str, is_so: Callable[[], Any], limit: float = LIMIT) -> Any:
    """Return the first true value of `is_so`."""
    deadline = time.monotonic() + limit
    while not (value := is_so()):
        assert time.monotonic() < deadline, f"waited {limit} s for {what}"
        time.sleep(0.02)
    return value


def client_of(endpoint: local.Endpoint) -> Any:
    return boto3.client(
        "ec2",
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        config=Config(proxies={}),
    )


def new_key(path: Path) -> str:
    """Write a new private key; return the public one."""
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class Machine:
    """An instance and the ways to reach it."""

    def __init__(self, ec2: Any, instance_id: str, folder: Path) -> None:
        self.ec2 = ec2
        self.id = instance_id
        self.folder = folder

    def describe(self) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[self.id])
        instance: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return instance

    @property
    def state(self) -> str:
        return str(self.describe()["State"]["Name"])

    def wait(self, state: str) -> Machine:
        wait_for(f"{self.id} to be {state}", lambda: self.state == state)
        return self

    @property
    def address(self) -> tuple[str, int]:
        found = self.describe()
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        return found["PublicIpAddress"], int(tags["spotcluster:ssh-port"])

    def command(self, program: str, *options: str, key: str = "key") -> list[str]:
        """Return ssh, sftp or scp with what they need to log in."""
        port = "-p" if program == "ssh" else "-P"
        return [
            *(program, "-F", "none", port, str(self.address[1]), "-i", str(self.folder / key)),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *options,
        ]

    def ssh(self, script: str, *options: str, key: str = "key", **more: Any) -> Any:
        return subprocess.run(
            [*self.command("ssh", *options, key=key), f"ubuntu@{self.address[0]}", script],
            capture_output=True,
            text=more.pop("text", True),
            timeout=LIMIT,
            **{"stdin": subprocess.DEVNULL, **more} if "input" not in more else more,
        )

    def processes(self) -> list[psutil.Process]:
        return processes.marks().get(self.id, [])


@pytest.fixture(scope="module")
def ec2(module_cloud: local.Endpoint) -> Any:
    client = client_of(module_cloud)
    (group,) = client.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    client.authorize_security_group_ingress(
        GroupId=group["GroupId"], CidrIp="127.0.0.1/32", IpProtocol="tcp", FromPort=22, ToPort=22
    )
    return client


@pytest.fixture(scope="module")
def launch(ec2: Any, module_home: Path) -> Callable[..., Machine]:
    public = new_key(module_home / "key")
    ec2.import_key_pair(KeyName="k", PublicKeyMaterial=public.encode())

    def one(**params: Any) -> Machine:
        given = {"ImageId": "ami-5b3fb632", "InstanceType": "c1.xlarge", "KeyName": "k", **params}
        answer = ec2.run_instances(MinCount=1, MaxCount=1, **given)
        return Machine(ec2, answer["Instances"][0]["InstanceId"], module_home)

    return one


@pytest.fixture(scope="module")
def machine(launch: Any) -> Machine:
    """Give the tests that change nothing one machine."""
    found: Machine = launch().wait("running")
    return found


pytestmark = [pytestmark, pytest.mark.usefixtures("in_module_cloud")]


# Logging in.


def test_a_command_has_its_own_output_error_and_status(machine: Machine) -> None:
    done = machine.ssh("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_a_command_reads_what_is_sent_until_its_end(machine: Machine) -> None:
    data = os.urandom(3_000_000)
    done = machine.ssh("cat; echo end >&2", input=data, text=False)
    assert done.stdout == data
    assert done.stderr == b"end\n"


def test_a_signal_that_ends_a_command_is_told(machine: Machine) -> None:
    assert machine.ssh("kill -TERM $$").returncode == 255


def test_many_sessions_at_once(machine: Machine) -> None:
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda n: machine.ssh(f"sleep 0.1; echo {n}").stdout, range(12)))
    assert results == [f"{n}\n" for n in range(12)]


def test_only_the_right_key_logs_in(machine: Machine) -> None:
    new_key(machine.folder / "other")
    refused = machine.ssh("true", key="other")
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr
    methods = machine.ssh(
        "true", "-o", "PreferredAuthentications=none", "-o", "PasswordAuthentication=yes"
    )
    assert "Permission denied (publickey)" in methods.stderr


def test_a_key_that_the_user_authorises_logs_in(launch: Any) -> None:
    machine: Machine = launch().wait("running")
    public = new_key(machine.folder / "added")
    assert machine.ssh("true", key="added").returncode == 255
    machine.ssh(f"mkdir -p .ssh; echo {shlex.quote(public)} >> .ssh/authorized_keys")
    assert machine.ssh("true", key="added").returncode == 0


def test_host_key_and_authorised_keys_come_from_user_data(launch: Any, module_home: Path) -> None:
    host_public = new_key(module_home / "host-key")
    private = (module_home / "host-key").read_text()
    login_public = new_key(module_home / "from-user-data")
    config = {
        "ssh_keys": {"ed25519_private": private, "ed25519_public": host_public},
        "ssh_authorized_keys": [login_public],
    }
    data = "#cloud-config\n" + json.dumps(config)
    machine: Machine = launch(UserData=data).wait("running")
    address, port = machine.address
    pinned = module_home / "pinned"
    pinned.write_text(f"[{address}]:{port} {host_public}\n")
    strict = machine.command("ssh", key="from-user-data")
    options = [o.replace("StrictHostKeyChecking=no", "StrictHostKeyChecking=yes") for o in strict]
    options = [o.replace("/dev/null", str(pinned)) for o in options]
    done = subprocess.run(
        [*options, f"ubuntu@{address}", "echo in"], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.stdout == "in\n", done.stderr


def test_a_group_that_does_not_open_ssh_keeps_it_closed(ec2: Any, launch: Any) -> None:
    group = ec2.create_security_group(GroupName="closed", Description="closed")["GroupId"]
    machine: Machine = launch(SecurityGroupIds=[group]).wait("running")
    assert machine.ssh("true").returncode == 255
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "127.0.0.1/32"}
    ec2.authorize_security_group_ingress(GroupId=group, **rule)
    wait_for("the group to open", lambda: machine.ssh("true").returncode == 0)


# Terminals.


class Terminal:
    """ssh on a terminal of ours."""

    def __init__(self, command: list[str], rows: int = 24, columns: int = 80) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.resize(rows, columns)
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def expect(self, text: str) -> None:
        deadline = time.monotonic() + LIMIT
        while text not in self.seen:
            ready, _, _ = select.select([self.end], [], [], deadline - time.monotonic())
            assert ready, f"waited for {text!r} and saw {self.seen!r}"
            self.seen += os.read(self.end, 65536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def close(self) -> int:
        """Wait until ssh has ended; return its exit status."""
        try:
            while os.read(self.end, 65536):
                pass
        except OSError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.end)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def terminal(machine: Machine) -> Terminal:
    return Terminal([*machine.command("ssh", "-t"), f"ubuntu@{machine.address[0]}"])


def test_a_login_has_a_terminal_that_follows_its_window(terminal: Terminal) -> None:
    terminal.type("PS1=; tty; stty size\n")
    terminal.expect("/dev/")
    terminal.expect("24 80")
    terminal.resize(50, 132)
    terminal.type("until [ \"$(stty size)\" = '50 132' ]; do :; done; echo re''sized\n")
    terminal.expect("resized")
    terminal.type("exit 3\n")
    assert terminal.close() == 3


def test_ctrl_c_interrupts_the_program_and_not_the_shell(
    terminal: Terminal, machine: Machine
) -> None:
    terminal.type("PS1='rea''dy '\n")
    terminal.expect("ready ")
    terminal.type("sleep 7777\n")
    wait_for("the program", lambda: running(machine, "sleep 7777"))
    terminal.type("\x03")
    terminal.expect("ready ")
    terminal.type("echo still he''re\n")
    terminal.expect("still here")
    terminal.type("exit\n")
    terminal.close()


def test_the_shell_is_a_login_shell_with_the_hosts_own_programs(terminal: Terminal) -> None:
    terminal.type("shopt -q login_shell && command -v sudo && echo lo''gin\n")
    terminal.expect("/bin/sudo")
    terminal.expect("login")
    terminal.type("exit 0\n")
    assert terminal.close() == 0


def test_a_terminal_that_goes_hangs_up_what_ran_on_it(machine: Machine) -> None:
    terminal = Terminal([*machine.command("ssh", "-t"), f"ubuntu@{machine.address[0]}"])
    terminal.type("echo pid $$ e''nd; nohup sleep 4444 & sleep 5555\n")
    terminal.expect("pid ")
    terminal.expect("end")
    wait_for("both programs", lambda: running(machine, "sleep 4444", "sleep 5555"))
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.close()
    wait_for("the hangup", lambda: not running(machine, "sleep 5555"))
    (survivor,) = running(machine, "sleep 4444")
    survivor.kill()


def running(machine: Machine, *commands: str) -> list[psutil.Process]:
    """Return the processes of a machine that run `commands`; none if one of them is missing."""
    found = {}
    for process in machine.processes():
        try:
            found[" ".join(process.cmdline())] = process
        except psutil.Error:
            continue
    return [found[c] for c in commands] if all(c in found for c in commands) else []


def test_a_command_without_terminal_runs_on_when_the_client_goes(machine: Machine) -> None:
    client = subprocess.Popen(
        [*machine.command("ssh"), f"ubuntu@{machine.address[0]}", "sleep 6666"]
    )
    wait_for("the program", lambda: running(machine, "sleep 6666"))
    client.kill()
    client.wait()
    assert machine.ssh("true").returncode == 0
    (survivor,) = running(machine, "sleep 6666")
    survivor.kill()


# Files and forwarding.


def test_sftp_starts_at_home(machine: Machine, tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    (tmp_path / "up").write_bytes(data)
    batch = f"put {tmp_path}/up there\nrename there here\nget here {tmp_path}/down\nrm here\n"
    done = subprocess.run(
        [*machine.command("sftp", "-b", "-"), f"ubuntu@{machine.address[0]}"],
        input=batch,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "down").read_bytes() == data


@pytest.mark.parametrize("protocol", ["-s", "-O"])
def test_scp_both_ways(machine: Machine, tmp_path: Path, protocol: str) -> None:
    (tmp_path / "up").write_bytes(b"content")
    there = f"ubuntu@{machine.address[0]}:copy"
    for source, target in ((f"{tmp_path}/up", there), (there, f"{tmp_path}/down")):
        subprocess.run(
            [*machine.command("scp", protocol), source, target], check=True, timeout=LIMIT
        )
    assert (tmp_path / "down").read_bytes() == b"content"


def test_a_port_is_forwarded(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inner, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        forward = f"{port}:127.0.0.1:{inner.getsockname()[1]}"
        tunnel = subprocess.Popen(
            [*machine.command("ssh", "-N", "-L", forward), f"ubuntu@{machine.address[0]}"]
        )
        try:
            outer = wait_for("the tunnel", lambda: connect("127.0.0.1", port))
            with outer, inner.accept()[0] as end:
                outer.sendall(b"through")
                assert end.recv(100) == b"through"
        finally:
            tunnel.kill()
            tunnel.wait()


def connect(host: str, port: int) -> socket.socket | None:
    try:
        return socket.create_connection((host, port), timeout=LIMIT)
    except OSError:
        return None


def test_the_agent_is_forwarded(machine: Machine) -> None:
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True)
    variables = dict(
        word.split("=", 1) for word in agent.stdout.replace(";", "\n").split() if "=" in word
    )
    environment = {**os.environ, **variables}
    try:
        key = str(machine.folder / "key")
        subprocess.run(["ssh-add", "-q", key], env=environment, check=True)
        done = machine.ssh("ssh-add -l", "-A", env=environment)
        assert "ED25519" in done.stdout, done.stderr
        assert "ED25519" not in machine.ssh("ssh-add -l", env=environment).stdout
    finally:
        os.kill(int(variables["SSH_AGENT_PID"]), signal.SIGTERM)


# A machine of its own.


def test_a_session_has_an_environment_of_its_own(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = machine.ssh("env -0; pwd; python3 -c 'import sys; print(sys.prefix == sys.base_prefix)'")
    *variables, rest = done.stdout.split("\0")
    found = dict(line.split("=", 1) for line in variables)
    folder = Path(os.environ["SPOTCLUSTER_HOME"]) / "local" / "hosts" / machine.id
    assert found["HOME"] == str(folder / "home")
    assert found["TMPDIR"] == str(folder / "tmp")
    assert found["PATH"].startswith(f"{folder / 'bin'}:")
    assert found["USER"] == found["LOGNAME"] == "ubuntu"
    assert found["SPOTCLUSTER_HOST_ID"] == machine.id
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "SPOTCLUSTER_HOME", "AWS_PROFILE"} & set(found)
    assert rest.split() == [str(folder / "home"), "True"]


def test_nobody_becomes_root_on_a_host(machine: Machine) -> None:
    done = machine.ssh("sudo -n true")
    assert (done.returncode, done.stderr) == (1, "sudo: not available on a local host\n")


def test_ssh_on_a_host_reads_the_hosts_files(machine: Machine) -> None:
    done = machine.ssh("mkdir -p .ssh; echo 'Host friend\n  Port 77' > .ssh/config; ssh -G friend")
    settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    home = Path(os.environ["SPOTCLUSTER_HOME"]) / "local" / "hosts" / machine.id / "home"
    assert settings["port"] == "77"
    assert settings["userknownhostsfile"] == str(home / ".ssh" / "known_hosts")
    assert str(home) in settings["identityfile"]


def test_the_python_of_a_host_makes_environments(machine: Machine) -> None:
    done = machine.ssh("python3 -m venv --without-pip e && e/bin/python -c 'print(6 * 7)'")
    assert done.stdout == "42\n", done.stderr


def test_nothing_listens_beyond_loopback(machine: Machine, module_cloud: local.Endpoint) -> None:
    daemon = psutil.Process(local.status().pid)
    hosts = machine.processes()
    listening = [
        connection.laddr.ip
        for process in (daemon, *hosts)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert all(address.startswith("127.") for address in listening)


def test_everything_kept_is_for_the_owner_only(machine: Machine) -> None:
    folder = Path(os.environ["SPOTCLUSTER_HOME"]) / "local"
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    for path in (folder / "hosts" / machine.id / "etc").glob("*key*"):
        assert path.stat().st_mode & 0o077 == 0, path


# Life and death.

LEAVE_BEHIND = """
setsid sleep 1111 > /dev/null 2>&1 < /dev/null &
(setsid sh -c 'sleep 2222; :' > /dev/null 2>&1 < /dev/null &)
env -i setsid sleep 3333 > /dev/null 2>&1 < /dev/null &
nohup sh -c 'trap "" TERM HUP INT; while :; do sleep 0.5; done' > /dev/null 2>&1 &
echo done
"""


def tree(machine: Machine) -> list[psutil.Process]:
    """Return the host's server and all that is below it."""
    folder = Path(os.environ["SPOTCLUSTER_HOME"]) / "local" / "hosts" / machine.id
    pid = json.loads((folder / "etc" / "running.json").read_text())["pid"]
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]


def test_terminating_ends_every_process_of_that_host_only(ec2: Any, launch: Any) -> None:
    first, second = launch(), launch()
    trees = []
    for machine in (first.wait("running"), second.wait("running")):
        assert machine.ssh(LEAVE_BEHIND).stdout == "done\n"
        wait_for("the programs", lambda m=machine: len(tree(m)) >= 7)
        trees.append(tree(machine))
    folder = Path(os.environ["SPOTCLUSTER_HOME"]) / "local" / "hosts" / first.id
    ec2.terminate_instances(InstanceIds=[first.id])
    first.wait("terminated")
    assert not [process for process in trees[0] if processes.is_alive(process)]
    assert not folder.exists()
    # the loop of the last program is between two sleeps now and then, the others all are there
    alive = [process for process in trees[1] if processes.is_alive(process)]
    assert len(alive) >= len(trees[1]) - 1
    assert second.ssh("echo alive").stdout == "alive\n"
    ec2.terminate_instances(InstanceIds=[second.id])
    second.wait("terminated")


def test_stopping_keeps_files_and_starting_brings_them_back(ec2: Any, launch: Any) -> None:
    machine: Machine = launch().wait("running")
    address = machine.address
    machine.ssh("echo kept > file; setsid sleep 1111 > /dev/null 2>&1 < /dev/null &")
    before = tree(machine)
    ec2.stop_instances(InstanceIds=[machine.id])
    machine.wait("stopped")
    assert not [process for process in before if processes.is_alive(process)]
    assert connect(*address) is None
    ec2.start_instances(InstanceIds=[machine.id])
    machine.wait("running")
    assert machine.address == address
    assert machine.ssh("cat file").stdout == "kept\n"


def test_a_reboot_keeps_files_and_no_process(ec2: Any, launch: Any) -> None:
    machine: Machine = launch().wait("running")
    machine.ssh("echo kept > file; setsid sleep 1111 > /dev/null 2>&1 < /dev/null &")
    before = tree(machine)
    ec2.reboot_instances(InstanceIds=[machine.id])
    wait_for("the end", lambda: not [p for p in before if processes.is_alive(p)])
    wait_for("the boot", lambda: machine.ssh("cat file").stdout == "kept\n")
    assert machine.state == "running"


def test_a_host_whose_power_is_cut_is_a_failed_machine(launch: Any) -> None:
    machine: Machine = launch().wait("running")
    assert machine.ssh(LEAVE_BEHIND).stdout == "done\n"
    wait_for("the programs", lambda: len(tree(machine)) >= 7)
    before = tree(machine)
    before[0].kill()
    machine.wait("stopped")
    assert machine.describe()["StateReason"]["Code"] == "Server.ScheduledStop"
    assert not [process for process in before if processes.is_alive(process)]


def test_the_console_tells_of_the_boot(ec2: Any, machine: Machine) -> None:
    output = ec2.get_console_output(InstanceId=machine.id)["Output"]
    assert "-----BEGIN SSH HOST KEY KEYS-----" in output
    assert "listening on" in output


def test_the_aws_command_line_sees_it(
    machine: Machine, module_cloud: local.Endpoint, tmp_path: Path
) -> None:
    aws = Path(sys.executable).parent / "aws"
    program = str(aws) if aws.exists() else shutil.which("aws")
    if program is None:
        pytest.skip("needs the aws command")
    lines = "\n".join(local.status().environment_lines)
    query = "Reservations[].Instances[].InstanceId"
    script = f"{lines}\n{shlex.quote(program)} ec2 describe-instances --query '{query}'"
    done = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, "AWS_CONFIG_FILE": str(tmp_path / "none")},
    )
    assert machine.id in json.loads(done.stdout), done.stderr


def test_status_lists_the_hosts(machine: Machine) -> None:
    (found,) = [host for host in local.status().hosts if host.id == machine.id]
    assert (found.state, found.address, found.port) == ("running", *machine.address)
    assert found.processes >= 1
    assert Path(found.folder).is_dir()


# The daemon.


@pytest.fixture
def own_cloud(spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a test a folder in which no local cloud runs yet, and stop the one that it starts."""
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(spotcluster_home))
    yield spotcluster_home
    local.stop()


def test_processes_that_start_it_at_once_share_one(own_cloud: Path) -> None:
    script = "from spotcluster import local; print(local.endpoint().url, local.status().pid)"
    with ThreadPoolExecutor(4) as pool:
        found = set(
            pool.map(
                lambda _: (
                    subprocess.run(
                        [sys.executable, "-c", script],
                        capture_output=True,
                        text=True,
                        check=True,
                        timeout=90,
                    ).stdout
                ),
                range(4),
            )
        )
    assert len(found) == 1


def test_a_crash_is_said_and_start_recovers_from_it(own_cloud: Path) -> None:
    endpoint = local.endpoint()
    ec2 = client_of(endpoint)
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    answer = ec2.run_instances(
        ImageId="ami-5b3fb632", InstanceType="c1.xlarge", MinCount=1, MaxCount=2, KeyName="k"
    )
    machines = [Machine(ec2, i["InstanceId"], own_cloud) for i in answer["Instances"]]
    servers = [tree(machine.wait("running"))[0] for machine in machines]
    pid = local.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for("the end", lambda: not record.read(record.folder()).is_alive())
    assert local.status().crashed
    with pytest.raises(LocalCloudError, match="`spotcluster local start`"):
        local.endpoint()
    servers[1].kill()  # and one host does not outlive it
    again = local.start()
    assert again == endpoint
    assert client_of(again).describe_key_pairs()["KeyPairs"][0]["KeyName"] == "k"
    for machine in machines:
        machine.wait("running")
    assert tree(machines[0])[0] == servers[0], "a host that lived on was restarted"
    assert tree(machines[1])[0] != servers[1]


def test_stop_leaves_no_process_and_start_boots_the_hosts_again(own_cloud: Path) -> None:
    endpoint = local.start()
    ec2 = client_of(endpoint)
    public = new_key(own_cloud / "key")
    ec2.import_key_pair(KeyName="k", PublicKeyMaterial=public.encode())
    answer = ec2.run_instances(
        ImageId="ami-5b3fb632",
        InstanceType="c1.xlarge",
        MinCount=1,
        MaxCount=1,
        KeyName="k",
        UserData=base64.b64encode(b"").decode(),
    )
    (group,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"], CidrIp="0.0.0.0/0", IpProtocol="-1"
    )
    machine = Machine(ec2, answer["Instances"][0]["InstanceId"], own_cloud).wait("running")
    assert machine.ssh(f"echo kept > file; {LEAVE_BEHIND}").stdout == "done\n"
    wait_for("the programs", lambda: len(tree(machine)) >= 7)
    daemon = psutil.Process(local.status().pid)
    everything = [daemon, *tree(machine)]
    local.stop()
    assert not [process for process in everything if processes.is_alive(process)]
    assert not local.status().running
    assert not local.status().crashed
    assert local.endpoint() == endpoint
    machine.wait("running")
    assert machine.ssh("cat file").stdout == "kept\n"


def test_stop_after_a_crash_ends_the_hosts(own_cloud: Path) -> None:
    ec2 = client_of(local.start())
    answer = ec2.run_instances(ImageId="ami-5b3fb632", MinCount=1, MaxCount=1)
    machine = Machine(ec2, answer["Instances"][0]["InstanceId"], own_cloud).wait("running")
    hosts = tree(machine)
    os.kill(local.status().pid or 0, signal.SIGKILL)
    local.stop()
    assert not [process for process in hosts if processes.is_alive(process)]
    assert not local.status().crashed


def test_a_term_signal_is_a_clean_stop(own_cloud: Path) -> None:
    local.start()
    daemon = record.read(record.folder())
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGTERM)
    wait_for("the end", lambda: not daemon.is_alive())
    assert not local.status().crashed


def test_the_daemon_leaves_the_process_that_starts_it(own_cloud: Path) -> None:
    script = "from spotcluster import local; local.endpoint(); print(local.status().pid)"
    # Output to a pipe: were it inherited, this would wait until the daemon ends.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    daemon = psutil.Process(int(done.stdout))
    assert daemon.is_running()
    assert os.getsid(daemon.pid) == daemon.pid


def test_unreadable_state_is_said_and_nothing_started(own_cloud: Path) -> None:
    folder = record.folder()
    files.write_private(folder / "state.pickle", b"nonsense")
    with pytest.raises(LocalCloudError, match=r"state\.pickle cannot be read") as error:
        local.start()
    assert "remove" in str(error.value)
    assert not local.status().running


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_run_it(own_cloud: Path) -> None:
    nobody = 65534
    as_nobody: dict[str, Any] = {"user": nobody, "group": nobody, "extra_groups": []}
    environment = {"HOME": str(own_cloud), "PATH": os.environ["PATH"]}
    # The environment of the tests may be root's alone, and the system's Python do as well.
    places = [str(Path.cwd()), *(path for path in sys.path if path.endswith("-packages"))]
    environment |= {"SPOTCLUSTER_HOME": str(own_cloud / "n"), "PYTHONPATH": ":".join(places)}
    os.chown(own_cloud, nobody, nobody)
    python = next(
        (
            program
            for program in (sys.executable, "/usr/bin/python3")
            if can_run(program, env=environment, cwd="/", **as_nobody)
        ),
        None,
    )
    if python is None:
        pytest.skip("no Python with these packages can be read by other users")
    script = f"""
import boto3, time
from botocore.config import Config
from spotcluster import local
e = local.endpoint()
c = boto3.client("ec2", endpoint_url=e.url, region_name=e.region, config=Config(proxies={{}}),
    aws_access_key_id=e.access_key, aws_secret_access_key=e.secret_key)
c.run_instances(ImageId="ami-5b3fb632", MinCount=1, MaxCount=1)
deadline = time.monotonic() + {LIMIT}
while [h.state for h in local.status().hosts] != ["running"]:
    assert time.monotonic() < deadline, local.status()
    time.sleep(0.05)
local.stop()
print("works")
"""
    try:
        done = subprocess.run(
            [python, "-c", script],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            **as_nobody,
        )
    finally:
        os.chown(own_cloud, 0, 0)  # or it is not ours to clean up
    assert done.stdout == "works\n", done.stderr


def can_run(program: str, **who: Any) -> bool:
    """Return whether somebody can run `program` with what the local cloud needs."""
    needs = "import spotcluster.local, moto.ec2, asyncssh, cryptography.hazmat.bindings._rust"
    try:
        subprocess.run([program, "-c", needs], check=True, capture_output=True, **who)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def test_an_unknown_key_pair_leaves_no_host(ec2: Any, launch: Any) -> None:
    before = {path.name for path in (record.folder() / "hosts").glob("*")}
    with pytest.raises(ClientError, match=r"InvalidKeyPair\.NotFound"):
        launch(KeyName="nobody")
    assert {path.name for path in (record.folder() / "hosts").glob("*")} == before

"""Hosts of the local cloud from outside: real ssh, sftp and scp commands."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import wait_until
from hosts import LIMIT, Machine, new_key, running
from terminal import Terminal

from spotcluster import local

pytestmark = [
    pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the ssh command"),
    pytest.mark.usefixtures("in_module_cloud"),
]


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


def test_a_subsystem_that_is_not_there_is_no_shell(machine: Machine) -> None:
    done = machine.ssh("nonesuch", "-s", input="echo a shell\n")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "subsystem request failed" in done.stderr


def test_a_host_has_a_name_of_its_own(launch: Any) -> None:
    """So that a dictionary of engines by `socket.gethostname()` has one for each host."""
    machines = [launch().wait("running") for _ in range(2)]
    ask = "python3 -c 'import socket; print(socket.gethostname())'; hostname"
    said = [machine.ssh(ask).stdout.split() for machine in machines]
    assert said == [[machine.id] * 2 for machine in machines]


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
    wait_until("the group to open", lambda: machine.ssh("true").returncode == 0)


# Terminals.


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
    wait_until("the program", lambda: running(machine, "sleep 7777"))
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
    wait_until("both programs", lambda: running(machine, "sleep 4444", "sleep 5555"))
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.close()
    wait_until("the hangup", lambda: not running(machine, "sleep 5555"))
    (survivor,) = running(machine, "sleep 4444")
    survivor.kill()


def test_a_command_without_terminal_runs_on_when_the_client_goes(machine: Machine) -> None:
    client = subprocess.Popen(
        [*machine.command("ssh"), f"ubuntu@{machine.address[0]}", "sleep 6666"]
    )
    wait_until("the program", lambda: running(machine, "sleep 6666"))
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
    # Our end is no port, which anybody could take before ssh does.
    path = machine.folder / "forwarded"
    with socket.create_server(("127.0.0.1", 0)) as inner, socket.socket(socket.AF_UNIX) as outer:
        inner.settimeout(LIMIT)
        forward = f"{path}:127.0.0.1:{inner.getsockname()[1]}"
        tunnel = subprocess.Popen(
            [*machine.command("ssh", "-N", "-L", forward), f"ubuntu@{machine.address[0]}"]
        )
        try:
            wait_until("the tunnel", lambda: outer.connect_ex(str(path)) == 0)
            with inner.accept()[0] as end:
                outer.sendall(b"through")
                assert end.recv(100) == b"through"
        finally:
            tunnel.kill()
            tunnel.wait()


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
    assert not {"VIRTUAL_ENV", "SPOTCLUSTER_HOME", "AWS_PROFILE"} & set(found)
    assert Path(found["PYTHONPATH"]).is_relative_to(folder)
    assert rest.split() == [str(folder / "home"), "True"]


def test_nobody_becomes_root_on_a_host(machine: Machine) -> None:
    done = machine.ssh("sudo -n true")
    assert (done.returncode, done.stderr) == (1, "sudo: not available on a local host\n")


def test_a_host_ends_itself_as_a_machine_does(ec2: Any, launch: Any) -> None:
    machine = launch().wait("running")
    assert machine.ssh("shutdown -r now").returncode == 1
    machine.ssh("shutdown -h now")
    machine.wait("stopped")
    (group,) = ec2.describe_instances(InstanceIds=[machine.id])["Reservations"]
    assert group["Instances"][0]["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    ec2.start_instances(InstanceIds=[machine.id])
    machine.wait("running")


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
    listening = []
    for process in (daemon, *hosts):
        with contextlib.suppress(psutil.NoSuchProcess):  # of a session that was just ending
            listening += [
                connection.laddr.ip
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
    assert len(listening) >= 2
    assert all(address.startswith("127.") for address in listening)


def test_everything_kept_is_for_the_owner_only(machine: Machine) -> None:
    folder = Path(os.environ["SPOTCLUSTER_HOME"]) / "local"
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # the state is written aside
            assert path.stat().st_mode & 0o077 == 0, path
    for path in (folder / "hosts" / machine.id / "etc").glob("*key*"):
        assert path.stat().st_mode & 0o077 == 0, path


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

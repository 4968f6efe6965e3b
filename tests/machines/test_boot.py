"""Machines boot, and are what the API says that they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spotcluster.ssh import keys

from .bed.image import USER
from .bed.lab import INDEX_URL, Lab
from .bed.machine import Machine, wait_until
from .bed.network import LAPTOP


def metadata(path: str) -> str:
    """Return the command that asks the metadata service."""
    return (
        "token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'"
        " http://169.254.169.254/latest/api/token)"
        f' && curl -sf -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/{path}'
    )


def test_an_instance_is_a_system_of_its_own(lab: Lab, shared: Machine) -> None:
    said = shared.ssh("cat /proc/1/comm; systemctl is-system-running; id -un; hostname; cloud-id")
    host = "ip-" + shared.address.replace(".", "-")
    assert said.stdout.split() == ["systemd", "running", USER, host, "aws"]
    assert shared.ssh("sudo -n id -un").stdout.strip() == "root"
    assert shared.ssh("pgrep -c sshd").stdout.strip() != "0"
    assert shared.ssh("python3 -m venv /tmp/env && /tmp/env/bin/pip --version").returncode == 0
    assert lab.fault("look", shared.id)["processes"] > 5


def test_only_the_key_pairs_key_opens_only_the_images_user(
    lab: Lab, shared: Machine, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_text(keys.generate().private)
    assert shared.ssh("true").returncode == 0
    for user, key in ((USER, other), ("root", lab.key_path), ("admin", lab.key_path)):
        refused = shared.ssh("echo in", user=user, key=key)
        # An image's root says whom to log in as, and ends.
        assert "in\n" not in refused.stdout, user
        assert refused.returncode != 0, user
    methods = lab.call(
        [
            *("ssh", "-F", "none", "-o", "PreferredAuthentications=none", "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            f"{USER}@{shared.address}",
        ]
    )
    assert "(publickey)" in methods.stderr


def test_user_data_reaches_cloud_init(lab: Lab) -> None:
    script = '#!/bin/bash\necho "$0 as $(id -un)" >/var/tmp/mark\n'
    machine = lab.launch("marked", UserData=script)
    wait_until("a machine", lambda: machine.state == "running")
    wait_until("the mark", lambda: "root" in machine.inside("cat /var/tmp/mark || true"))
    assert machine.inside("cat /var/lib/cloud/instance/user-data.txt") == script
    lab.ec2.terminate_instances(InstanceIds=[machine.id])


def test_metadata_needs_a_token_of_ones_own(lab: Lab, shared: Machine) -> None:
    asked = "curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/"
    assert shared.ssh(asked).stdout == "401"
    assert shared.ssh(metadata("meta-data/instance-id")).stdout == shared.id
    assert shared.ssh(metadata("meta-data/instance-type")).stdout == "c5.large"
    assert "PRIVATE KEY" in shared.ssh(metadata("user-data")).stdout
    # Its token is good for its own address only.
    token = shared.ssh(
        "curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'"
        " http://169.254.169.254/latest/api/token"
    ).stdout
    foreign = lab.call(
        [
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"),
            *("-H", f"X-aws-ec2-metadata-token: {token}"),
            "http://169.254.169.254/latest/meta-data/instance-id",
        ]
    )
    assert foreign.stdout == "404"


def test_console_output_is_served_and_has_the_host_key(lab: Lab, shared: Machine) -> None:
    known = dict(
        line.split(maxsplit=1) for line in (lab.folder / "known_hosts").read_text().splitlines()
    )
    # What a machine prints takes a moment to get into its console.
    wait_until("its last words", lambda: "END SSH HOST KEY KEYS" in shared.console)
    assert known[shared.id].split()[1] in shared.console


def test_machines_have_no_way_out(shared: Machine) -> None:
    said = shared.ssh("ip route; timeout 5 bash -c '</dev/tcp/1.1.1.1/443' 2>&1; echo $?")
    assert said.stdout.splitlines()[-1] != "0"
    assert shared.ssh("timeout 5 getent hosts example.com").returncode != 0


def test_security_groups_say_who_reaches_a_machine(lab: Lab, shared: Machine) -> None:
    group = lab.ec2.create_security_group(GroupName="closed", Description="SSH from the laptop")
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    here = {**ssh, "IpRanges": [{"CidrIp": f"{LAPTOP}/32"}]}
    lab.ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[here])
    closed = lab.launch("closed", SecurityGroups=["closed"]).wait_ssh()
    address = closed.address
    closed.inside("systemd-run python3 -m http.server 8000")
    knock = f"timeout 1 bash -c '</dev/tcp/{address}/%d' 2>/dev/null; echo $?"
    wait_until("a server", lambda: ":8000" in closed.inside("ss -ltn"))
    assert shared.ssh(knock % 22).stdout.strip() == "124"
    assert shared.ssh(knock % 8000).stdout.strip() == "124"
    assert lab.call(["bash", "-c", knock % 8000]).stdout.strip() == "124"
    lab.ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"],
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 8000,
                "ToPort": 8000,
                "UserIdGroupPairs": [{"GroupId": shared.described["SecurityGroups"][0]["GroupId"]}],
            }
        ],
    )
    wait_until("the group", lambda: shared.ssh(knock % 8000).stdout.strip() == "0")
    assert shared.ssh(knock % 22).stdout.strip() == "124"
    lab.ec2.terminate_instances(InstanceIds=[closed.id])


def test_three_machines_boot_at_the_same_time(lab: Lab) -> None:
    found = [lab.launch(f"three-{number}") for number in range(3)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(Machine.wait_up, found))
    first = found[0]
    for other in found[1:]:
        assert first.ssh(f"ping -c 1 -W 2 {other.address}").returncode == 0
    lab.ec2.terminate_instances(InstanceIds=[one.id for one in found])
    for one in found:
        one.wait("terminated")


@pytest.mark.parametrize("program", ["uv", "pip"])
def test_packages_come_from_the_index_in_the_lab(lab: Lab, shared: Machine, program: str) -> None:
    host = INDEX_URL.split("/")[2]
    install = f"pip install -q --index-url {INDEX_URL} --trusted-host {host}"
    script = f"python3 -m venv /tmp/{program} && cd /tmp/{program}/bin && ./{install} uv"
    if program == "uv":
        script += f" && ./uv pip install -q --python ./python --index-url {INDEX_URL} joblib"
    else:
        script += f" && ./{install} joblib"
    done = shared.ssh(f"{script} && ./python -c 'import joblib'", timeout=600)
    assert done.returncode == 0, done.stderr

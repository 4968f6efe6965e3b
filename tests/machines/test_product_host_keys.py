"""The host key from the user data is good for the first contact only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotcluster import ssh, templates
from spotcluster.aws import tags

from .bed.lab import Lab
from .bed.machine import Machine

ALONE = """
[cluster alone]
EXTENDS = iptemplate
PLUGINS =
"""
IMDS = """
token=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
    http://169.254.169.254/latest/api/token)
curl -s -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/user-data
"""


@pytest.fixture(scope="module")
def master(lab: Lab) -> Iterator[Machine]:
    lab.configure(ALONE)
    lab.run("start", "-c", "alone", "-s", "1", "mycluster")
    yield lab.machine("master")
    lab.run("terminate", "-y", "mycluster")


def key_of(machine: Machine) -> str:
    """Return the host key that a machine's sshd uses, as the machine itself says."""
    said = machine.inside("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key")
    return " ".join(said.split()[:2])


def first_key(machine: Machine) -> dict[str, str]:
    """Return the pair that came in the user data, as everything on the machine can read it."""
    said = machine.ssh(IMDS, user="ipuser").stdout
    return dict(json.loads(said.removeprefix("#cloud-config\n"))["ssh_keys"])


def test_node_makes_a_key_and_the_tag_says_so(master: Machine) -> None:
    own = key_of(master)
    assert master.tags[tags.HOST_KEY] == master.tags[tags.NEXT_HOST_KEY] == own
    assert own != " ".join(first_key(master)["ed25519_public"].split()[:2])


def test_laptops_file_pins_the_nodes_own_key_alone(lab: Lab, master: Machine) -> None:
    assert lab.run("sshmaster", "mycluster", "echo here") == "here\n"
    known = (lab.home / "known_hosts" / "us-east-1" / "mycluster").read_text()
    assert known == f"{master.id} {key_of(master)}\n"


def test_nothing_on_the_node_keeps_the_first_key(master: Machine) -> None:
    master.wait_up()
    secret = first_key(master)["ed25519_private"].splitlines()[3]
    found = master.inside(
        f"grep -rlsF -e '{secret}' /etc /var/lib /var/log /run /root /home /tmp || true"
    )
    assert found == ""


def test_systemd_can_read_what_forgets_the_first_key_again(master: Machine) -> None:
    """It waits for cloud-init, which may install packages, and systemd reads its units then."""
    master.inside("mv /run/cloud-init/result.json /run/result.json")
    try:
        master.inside(f"set -euo pipefail\n{templates.script('host_key.sh', step='change')}")
        master.inside("systemctl daemon-reload")
        said = master.inside("systemctl show -P LoadState -P ActiveState spotcluster-forget")
        assert said.split() == ["loaded", "active"]
        log = master.inside("journalctl -b -o cat")
        assert [line for line in log.splitlines() if "transient/spotcluster-" in line] == []
    finally:
        master.inside("mv /run/result.json /run/cloud-init/result.json")


def test_machine_with_the_first_key_on_the_nodes_address_is_refused(
    lab: Lab, master: Machine
) -> None:
    """Whoever reads the user data can take the address, but not the node's name."""
    private = first_key(master)["ed25519_private"]
    master.inside(
        f"mkdir -p /run/other && umask 077 && cat >/run/other/key <<'EOF'\n{private}\nEOF\n"
        "sed -E 's|^#?HostKey .*||' /etc/ssh/sshd_config >/run/other/config\n"
        "echo 'HostKey /run/other/key' >>/run/other/config\n"
        "systemctl stop ssh.service\n"
        "mkdir -p /run/sshd\n"
        "systemd-run --quiet --unit=other /usr/sbin/sshd -D -f /run/other/config\n"
        "for _ in $(seq 2000); do ss -Hltn | grep -q ':22 ' && exit; sleep 0.05; done; exit 1\n"
    )
    try:
        said = lab.run("runplugin", "ipcluster", "mycluster", status=1)
        assert "has the host key SHA256:" in said
        assert "it may be another machine on the same address" in said
        assert ssh.keys.fingerprint(key_of(master)) in said
        lab.run("sshmaster", "mycluster", "true", status=255)
    finally:
        master.inside("systemctl stop other; systemctl start ssh.service")
    assert lab.run("sshmaster", "mycluster", "echo here") == "here\n"


KILLED = """
import os, sys
from spotcluster.aws import network
from spotcluster.cluster import node
from spotcluster.cli.main import main

step = int(sys.argv.pop(1))
tagging, running = network.tag, node.Node.run_each
count = 0


def may_end(do, *args, **named):
    global count
    begin = count
    count += 1
    if begin == step:
        os._exit(9)
    return do(*args, **named)


def tag(session, ids, own):
    if "spotcluster:next-host-key" in own or set(own) == {"spotcluster:host-key"}:
        return may_end(tagging, session, ids, own)
    return tagging(session, ids, own)


def run_each(self, steps):
    if any("its host key" in step.what for step in steps):
        return may_end(running, self, steps)
    return running(self, steps)


network.tag, node.Node.run_each = tag, run_each
sys.exit(main())
"""
"""The program, killed right before the n-th step of changing the host key."""


def test_program_killed_while_a_key_changes_goes_on_when_it_is_repeated(
    lab: Lab, tmp_path: Path
) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    lab.configure(ALONE)
    keys = []
    for step in range(4):
        words = ["start", "-c", "alone", "-s", "1", "cut"]
        done = lab.call([sys.executable, str(program), str(step), *words])
        assert done.returncode == 9, done.stderr
        keys.append(key_of(lab.machines[-1]))
    assert len(set(keys[:3])) == 1, "it changed before its tag said so"
    assert keys[3] != keys[2]
    lab.run("start", "cut")
    assert lab.run("sshmaster", "cut", "echo here") == "here\n"
    assert lab.machines[-1].tags[tags.HOST_KEY] == keys[3] == key_of(lab.machines[-1])
    lab.run("terminate", "-y", "cut")

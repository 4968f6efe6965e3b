"""A StarCluster setup class on machines that boot: root by sudo, as StarCluster's login was."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from .bed.lab import Lab
from .bed.machine import Machine

SETUP = """
from starcluster.clustersetup import DefaultClusterSetup
from starcluster.logger import log
from starcluster.utils import print_timing


class Motd(DefaultClusterSetup):
    @print_timing("all nodes")
    def run(self, nodes, master, user, user_shell, volumes):
        for node in nodes:
            self.pool.simple_job(self.welcome, (node, user), jobid=node.alias)
        self.pool.wait(len(nodes))
        hosts = master.ssh.remote_file("/etc/motd.hosts", "w")
        hosts.write("".join("%s %s\\n" % (n.private_ip_address, n.alias) for n in nodes))
        hosts.close()

    def welcome(self, node, user):
        node.ssh.execute("echo 'welcome to %s' > /etc/motd.mine" % node.alias)
        node.ssh.chmod(0o600, "/etc/motd.mine")
        uid = node.getpwnam(user).pw_uid
        node.ssh.switch_user(user)
        node.ssh.execute("id -un > ~/who; pwd >> ~/who")
        node.ssh.switch_user("root")
        log.info("%s: %s is %d, root is %s", node.alias, user, uid, node.ssh.execute("id -un; pwd"))
        node.add_user("colleague", uid=2100, gid=2100)

    def on_add_node(self, node, nodes, master, user, user_shell, volumes):
        self.welcome(node, user)

    def on_remove_node(self, node, nodes, master, user, user_shell, volumes):
        master.ssh.remove_lines_from_file("/etc/motd.hosts", node.alias)
"""
CONFIG = """
[plugin motd]
SETUP_CLASS = motd.Motd

[cluster with_setup]
EXTENDS = iptemplate
PLUGINS = motd
"""


@pytest.fixture(scope="module")
def said(lab: Lab) -> Iterator[str]:
    """Give what `start` said of a cluster with the plugin."""
    (lab.home / "plugins").mkdir(mode=0o700)
    (lab.home / "plugins" / "motd.py").write_text(SETUP)
    (lab.home / "plugins" / "motd.py").chmod(0o600)
    lab.configure(CONFIG)
    command = [sys.executable, "-m", "spotcluster", "start", "-c", "with_setup", "-s", "2"]
    done = lab.program([*command, "mycluster"])
    assert done.returncode == 0, done.stderr
    yield done.stderr
    lab.run("terminate", "-y", "mycluster")


def is_set_up(machine: Machine) -> bool:
    alias = machine.tags["spotcluster:alias"]
    stat = machine.inside("stat -c '%U %a' /etc/motd.mine").split()
    assert machine.inside("cat /etc/motd.mine") == f"welcome to {alias}\n"
    assert machine.inside("cat /home/ipuser/who").split() == ["ipuser", "/home/ipuser"]
    assert machine.inside("id -u colleague").split() == ["2100"]
    return stat == ["root", "600"]


def test_it_is_root_and_whom_it_switches_to(lab: Lab, said: str) -> None:
    assert is_set_up(lab.machine("master"))
    assert is_set_up(lab.machine("node001"))
    assert "Motd: node001: ipuser is 2016, root is ['root', '/root']" in said
    assert "is not root" not in said
    hosts = lab.machine("master").inside("cat /etc/motd.hosts").splitlines()
    assert [line.split()[1] for line in hosts] == ["master", "node001"]


def test_node_that_joins_is_set_up_and_one_that_leaves_is_forgotten(lab: Lab, said: str) -> None:
    lab.run("addnode", "mycluster")
    assert is_set_up(lab.machine("node002"))
    lab.run("removenode", "-y", "mycluster", "node001")
    assert lab.machine("master").inside("cat /etc/motd.hosts").split()[1:] == ["master"]
    lab.run("removenode", "-y", "mycluster", "node002")

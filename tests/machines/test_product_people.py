"""Several people, packages of the distribution, and a private index, on machines that boot.

One cluster lives through the whole module; its tests come in the order of its life.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotcluster.plugins import environment, users
from spotcluster.ssh import keys

from .bed import mirrors
from .bed.image import python_version
from .bed.lab import INDEX_URL, Lab
from .bed.machine import Machine, wait_until

PASSWORD = "pa55word-of-the-index"
NAMES = ("alice", "bob")
NODES = ("master", "node001")
DEBS = [("hello-sc", "1.0"), ("hello-sc", "1.2"), ("other-sc", "3")]
SOURCES = f"""#!/bin/bash
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo '{mirrors.SOURCES}' >/etc/apt/sources.list
systemd-run --unit watch-words python3 -c '
import contextlib, glob, time
wanted, seen = ("{PASSWORD[::-1]}"[::-1].encode(), b"uv\\0pip\\0install"), set()
while True:
    for one in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError), open(one, "rb") as file:
            content = file.read()
            seen.update(word for word in wanted if word in content)
    with open("/run/seen", "wb") as file:
        file.write(b" ".join(sorted(seen)))
    time.sleep(0.05)
'
"""
"""Gives apt the lab's repository, and notes whether any process shows the password to others."""

CONFIG = """
[plugin system]
SETUP_CLASS = spotcluster.plugins.packages.PackageInstaller
PACKAGES = hello-sc=1.2
LOCK_TIMEOUT = {lock}

[plugin private]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = -r requirements.txt
INDEX_URL = {index}
EXTRA_INDEX_URL = {private}
INDEX_LOGIN = netrc

[plugin people]
SETUP_CLASS = spotcluster.plugins.users.CreateUsers
USERS = {users}
SUDO = bob

[cluster people]
EXTENDS = iptemplate
PLUGINS = system, private, people, ipcluster
USERDATA_SCRIPTS = {home}/sources.sh
"""
ENGINES = """
import ipyparallel, os
client = ipyparallel.Client(os.path.expanduser(
    "~ipuser/.spotcluster/ipython/security/ipcontroller-client.json"))
print(sorted(client[:].apply_sync(lambda: __import__("mylib").ANSWER)))
"""


def configure(lab: Lab, *names: str, lock: int = 120) -> None:
    given = "".join(f"\n    {name}: keys/{name}.pub" for name in names)
    lab.configure(
        CONFIG.format(index=INDEX_URL, private=mirrors.URL, users=given, home=lab.home, lock=lock)
    )


@pytest.fixture(scope="module")
def served(lab: Lab) -> Iterator[str]:
    """Serve the private index and the repository; give the hash of the private package."""
    folder = lab.folder / "mirrors"
    folder.mkdir()
    digest = mirrors.make(folder, DEBS)
    with mirrors.serving(lab, folder, f"me:{PASSWORD}"):
        yield digest


@pytest.fixture(scope="module")
def cluster(lab: Lab, served: str) -> Iterator[str]:
    mine = environment.laptop_python()
    if python_version() != mine:
        pytest.skip(f"engines need Python {mine}, and the image has {python_version()}")
    (lab.home / "keys").mkdir(mode=0o700, exist_ok=True)
    for name in NAMES:
        pair = keys.generate(f"{name}@laptop")
        (lab.home / "keys" / f"{name}.pub").write_text(f"{pair.public}\n")
        path = key_of(lab, name)
        path.touch(mode=0o600)
        path.write_text(pair.private)
    (lab.home / "sources.sh").write_text(SOURCES)
    (lab.home / "requirements.txt").write_text(f"mylib==1.0 --hash=sha256:{served}\n")
    netrc = lab.home / "netrc"
    netrc.touch(mode=0o600)
    netrc.write_text(f"machine 172.31.0.1 login me password {PASSWORD}\n")
    configure(lab, *NAMES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NETRC", str(netrc))
        yield "mycluster"
        lab.run("terminate", "-y", "mycluster")
    assert lab.machines == []


def key_of(lab: Lab, name: str) -> Path:
    return lab.home / "keys" / name


def as_user(machine: Machine, name: str, command: str) -> subprocess.CompletedProcess[str]:
    return machine.ssh(command, user=name, key=key_of(machine.lab, name))


def said(machine: Machine, name: str, command: str) -> str:
    done = as_user(machine, name, command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_login_for_the_index_that_is_not_there_is_said_before_anything_is_made(
    lab: Lab, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(lab.home / "nothing"))
    told = lab.run("start", "-c", "people", "-s", "2", cluster, status=2)
    assert f"INDEX_LOGIN: there is no {lab.home}/nothing." in told
    assert lab.machines == []


def test_private_key_is_refused_before_anything_is_made(lab: Lab, cluster: str) -> None:
    (lab.home / "keys" / "carol.pub").write_text(key_of(lab, "bob").read_text())
    configure(lab, *NAMES, "carol")
    told = lab.run("start", "-c", "people", "-s", "2", cluster, status=2)
    assert "carol.pub' is a private key" in told
    assert lab.machines == []
    configure(lab, *NAMES)


def test_nodes_have_the_packages_of_the_distribution_and_of_the_private_index(
    lab: Lab, cluster: str
) -> None:
    lab.run("start", "-c", "people", "-s", "2", cluster)
    for alias in NODES:
        node = lab.machine(alias)
        assert node.inside("hello-sc").strip() == "1.2"
        listed = node.inside("/home/ipuser/.spotcluster/env/bin/python -m pip list")
        assert "mylib" in listed


def test_password_of_the_index_is_nowhere(lab: Lab, cluster: str) -> None:
    """Neither where it could stay nor, while it is used, where others of the node could see it."""
    for alias in NODES:
        node = lab.machine(alias)
        node.inside("systemctl is-active watch-words")
        assert node.inside("tr '\\0' ' ' </run/seen") == "uv pip install"
        node.inside("systemctl stop watch-words")  # it reads of all processes, again and again
        look = "grep -rlsF --devices=skip --exclude-dir=proc --exclude-dir=sys -f - /"
        word = f"""python3 -c 'print("{PASSWORD[::-1]}"[::-1])'"""  # which this does not show
        assert node.inside(f"{word} | {look} || true") == ""
    answers = [
        lab.ec2.describe_tags(),
        lab.ec2.describe_instances(),
        lab.ec2.describe_launch_templates(),
        lab.ec2.describe_security_groups(),
    ]
    assert PASSWORD not in json.dumps(answers, default=str)
    for path in lab.home.rglob("*"):
        if path.is_file() and path.name != "netrc":
            assert PASSWORD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("alias", NODES)
def test_users_are_the_same_on_every_node(lab: Lab, cluster: str, alias: str) -> None:
    node = lab.machine(alias)
    for name in NAMES:
        number = str(users.number(name))
        assert said(node, name, "id -u; pwd; stat -c %a .").split() == [
            number,
            f"/home/{name}",
            "700",
        ]
    assert said(node, "bob", "sudo -n id -un") == "root"
    assert as_user(node, "alice", "sudo -n id -un").returncode == 1
    assert as_user(node, "alice", "cat /home/bob/.bashrc").returncode == 1
    other = node.ssh("true", user="alice", key=key_of(lab, "bob"))
    assert "Permission denied" in other.stderr


def test_user_reaches_nodes_from_the_master_without_an_agent(lab: Lab, cluster: str) -> None:
    found = said(lab.machine("master"), "alice", "ssh -o BatchMode=yes node001 'id -un; hostname'")
    assert found.split() == ["alice", "node001"]


def test_users_share_a_folder(lab: Lab, cluster: str) -> None:
    master = lab.machine("master")
    said(master, "alice", "mkdir /srv/shared/data; echo alices >/srv/shared/data/one")
    assert said(
        master, "bob", "cat /srv/shared/data/one; stat -c %G /srv/shared/data/one"
    ).split() == [
        "alices",
        "spotcluster",
    ]
    assert master.ssh("sudo -n -u ipuser cat /srv/shared/data/one").stdout == "alices\n"
    assert master.inside("stat -c %A /srv/shared").strip() == "drwxrws---"


def test_user_computes_on_the_engines(lab: Lab, cluster: str) -> None:
    master = lab.machine("master")
    said(master, "alice", f"cat >/srv/shared/engines.py <<'END'\n{ENGINES}\nEND")
    found = said(master, "alice", "sudo -n -u ipuser -i python /srv/shared/engines.py")
    assert found == "[42, 42]"


def test_user_with_aws_credentials_logs_in_by_the_command(lab: Lab, cluster: str) -> None:
    config = lab.home / "alices"
    config.touch(mode=0o600)
    config.write_text(f"[key mykey]\nKEY_LOCATION = {key_of(lab, 'alice')}\n")
    found = lab.run("-c", str(config), "sshmaster", "-u", "alice", cluster, "id -un")
    assert found.strip() == "alice"


def test_node_that_joins_has_users_and_packages(lab: Lab, cluster: str) -> None:
    needed = lab.home / "requirements.txt"
    needed.rename(needed.with_suffix(".away"))  # as on another computer
    lab.run("addnode", cluster)
    needed.with_suffix(".away").rename(needed)
    node = lab.machine("node002")
    assert said(node, "alice", "id -u; hello-sc").split() == [str(users.number("alice")), "1.2"]
    assert "mylib" in node.inside("/home/ipuser/.spotcluster/env/bin/python -m pip list")
    found = said(lab.machine("master"), "alice", "ssh -o BatchMode=yes node002 hostname")
    assert found == "node002"
    lab.run("removenode", "-y", cluster, "node002")


def test_package_that_is_not_there_is_named_with_its_node(lab: Lab, cluster: str) -> None:
    path = lab.home / "config"
    path.write_text(path.read_text().replace("hello-sc=1.2", "other-sc, no-such, hello-sc=7"))
    told = lab.run("runplugin", "system", cluster, status=1)
    assert "master FAILED: plugin system, installing other-sc, no-such, hello-sc=7 failed" in told
    assert "has no package no-such, hello-sc=7." in told
    assert lab.machine("master").inside("command -v other-sc || echo none").strip() == "none"
    configure(lab, *NAMES)


def test_packages_wait_for_who_else_installs_something(lab: Lab, cluster: str) -> None:
    master = lab.machine("master")
    hold = (
        "systemd-run --unit holding python3 -c 'import fcntl, time;"
        ' locks = [open(one, "w") for one in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock",'
        ' "/var/lib/apt/lists/lock")];'
        " [fcntl.lockf(one, fcntl.LOCK_EX) for one in locks]; time.sleep({})'; sleep 1"
    )
    path = lab.home / "config"
    configure(lab, *NAMES, lock=2)
    path.write_text(path.read_text().replace("hello-sc=1.2", "hello-sc=1.0, other-sc"))
    master.inside(hold.format(600))
    told = lab.run("runplugin", "system", cluster, status=1)
    assert "Another program has been installing something for 2 s (LOCK_TIMEOUT)." in told
    master.inside("systemctl stop holding; systemctl reset-failed holding || true")
    master.inside(hold.format(6))
    configure(lab, *NAMES)
    path.write_text(path.read_text().replace("hello-sc=1.2", "hello-sc=1.0, other-sc"))
    lab.run("runplugin", "system", cluster)
    for alias in NODES:
        assert lab.machine(alias).inside("hello-sc; other-sc").split() == ["1.0", "3"]
    configure(lab, *NAMES)


def test_who_is_no_longer_listed_is_locked_out_and_may_come_back(lab: Lab, cluster: str) -> None:
    nodes = [lab.machine(alias) for alias in NODES]
    for node in nodes:
        said(node, "alice", "echo mine >file; setsid sleep 11111 >/dev/null 2>&1 & echo")
    said(nodes[0], "alice", "setsid sudo -n -u ipuser sleep 22222 >/dev/null 2>&1 & echo")
    wait_until("it to run", lambda: "22222" in nodes[0].inside("pgrep -af sleep || true"))
    configure(lab, "bob")
    command = [sys.executable, "-m", "spotcluster", "runplugin", "people", cluster]
    done = lab.program(command)
    assert done.returncode == 0, done.stderr
    for node in nodes:
        alias = node.tags["spotcluster:alias"]
        assert f"{alias}: alice is locked out; /home/alice is as it was" in done.stderr
        assert as_user(node, "alice", "true").returncode == 255
        assert "1111" not in node.inside("pgrep -af sleep || true")
        assert "2222" not in node.inside("pgrep -af sleep || true")
        assert node.inside("cat /home/alice/file; id -nG alice").split() == ["mine", "alice"]
        assert said(node, "bob", "id -nG").split() == ["bob", "spotcluster"]
    configure(lab, *NAMES)
    lab.run("runplugin", "people", cluster)
    for node in nodes:
        assert said(node, "alice", "cat file") == "mine"


def test_reboot_brings_them_back(lab: Lab, cluster: str) -> None:
    lab.run("restart", cluster)
    for alias in NODES:
        assert said(lab.machine(alias), "alice", "id -un; hello-sc").split() == ["alice", "1.0"]

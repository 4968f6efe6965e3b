"""The master of machines that boot keeps its cluster by its role, with the laptop gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from roles import make_profile

from spotcluster.plugins import environment

from .bed.image import USER, python_version
from .bed.lab import INDEX_URL, Lab
from .bed.machine import Machine, wait_until

CONFIG = f"""
[plugin mirror]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
INDEX_URL = {INDEX_URL}

[cluster kept]
EXTENDS = iptemplate
PLUGINS = mirror
INSTANCE_PROFILE = keeper
"""
FOLDER = f"/home/{USER}/.spotcluster/keeper"


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[str]:
    mine = environment.laptop_python()
    if python_version() != mine:
        pytest.skip(f"the keeper needs Python {mine}, and the image has {python_version()}")
    lab.configure(CONFIG)
    make_profile(lab.client("iam"), "keeper", lab.run("iam-policy", "--keep"))
    lab.run("start", "-c", "kept", "-s", "2", "-b", "0.5", "mycluster")
    yield "mycluster"
    lab.run("terminate", "-y", "mycluster")
    assert lab.machines == []


def log_of(master: Machine) -> str:
    return master.inside(f"cat {FOLDER}/log || true")


def test_master_replaces_a_machine_that_is_lost_with_the_laptop_gone(
    lab: Lab, cluster: str, tmp_path: Path
) -> None:
    master = lab.machine("master")
    unit = "systemctl is-active spotcluster-keeper; systemctl is-enabled spotcluster-keeper"
    assert master.inside(unit).split() == ["active", "enabled"]
    wait_until("the keeper to look", lambda: "keeping 'mycluster'" in log_of(master), 300)
    away = tmp_path / "away"
    shutil.move(lab.home, away)
    lab.home.mkdir(mode=0o700)
    lost = lab.machine("node001")
    lab.ec2.terminate_instances(InstanceIds=[lost.id])
    wait_until("node002", lambda: "node002 is ready" in log_of(master), 600)
    assert list(lab.home.iterdir()) == []
    lab.home.rmdir()
    shutil.move(away, lab.home)

    assert "asking for 1 node(s)" in lab.run("keep", "--log", cluster)
    assert {one.tags["spotcluster:alias"] for one in lab.machines} == {"master", "node002"}
    assert lab.run("sshnode", cluster, "node002", "hostname") == "node002\n"
    hop = "ssh -o BatchMode=yes node002 hostname"
    assert lab.run("sshmaster", "-u", "ipuser", cluster, hop) == "node002\n"
    assert "Its master replaces what is lost" in lab.run("status", cluster)
    assert "ASIA" not in log_of(master)  # which the role's keys begin with

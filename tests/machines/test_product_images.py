"""An image of a machine that boots: what root may clean, and what boots from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from spotcluster.plugins import environment

from .bed.image import python_version
from .bed.lab import Lab

PASSWORD = "a-password-of-somebody"


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[str]:
    mine = environment.laptop_python()
    if python_version() != mine:
        pytest.skip(f"engines need Python {mine}, and the image has {python_version()}")
    lab.configure()
    lab.run("start", "-s", "2", "mycluster")
    yield "mycluster"
    lab.run("terminate", "-y", "mycluster")
    assert lab.machines == []


@pytest.fixture(scope="module")
def image(lab: Lab, cluster: str) -> dict[str, Any]:
    node = lab.machine("node001")
    node.inside(f"echo {PASSWORD} >>/root/.bash_history; echo mine >/opt/own; mkdir -p /srv/data")
    made: dict[str, Any] = json.loads(lab.run("ebsimage", cluster, "node001", "tools", "--json"))
    return made


def test_the_node_goes_on_as_it_was(lab: Lab, image: dict[str, Any], cluster: str) -> None:
    node = lab.machine("node001")
    assert PASSWORD in node.inside("cat /root/.bash_history")
    assert node.inside("ls /etc/spotcluster/account")
    aliases = {one.tags.get("spotcluster:alias") for one in lab.machines}
    assert aliases == {"master", "node001"}
    assert "running" in lab.run("listclusters", cluster)


def test_a_machine_of_it_is_a_new_one_that_has_what_was_installed(
    lab: Lab, image: dict[str, Any], cluster: str
) -> None:
    before = lab.machine("node001")
    key = before.inside("cat /etc/ssh/ssh_host_ed25519_key.pub")
    identity = before.inside("cat /etc/machine-id")
    lab.run("start", "-s", "1", "-n", "tools:latest", "other")
    try:
        (node,) = [one for one in lab.machines if one.tags["spotcluster:cluster"] == "other"]
        assert node.inside("cat /opt/own").strip() == "mine"
        assert node.inside("cat /etc/machine-id") != identity
        assert node.inside("cat /etc/ssh/ssh_host_ed25519_key.pub") != key
        assert "No such file" in node.inside("cat /root/.bash_history 2>&1 || true")
        assert node.inside("ls /home/*/.spotcluster/env/bin/python")
        units = node.inside("ls /etc/systemd/system/").split()
        assert "spotcluster-autostop.service" in units
        assert node.inside("hostname").strip() == "master"
        assert f"{before.tags['spotcluster:cluster']}-" not in node.inside("cat /etc/hosts")
    finally:
        lab.run("terminate", "-y", "other")

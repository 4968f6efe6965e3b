"""Clusters of machines that boot end by themselves: when they are idle, and at their ceiling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .bed.lab import Lab
from .bed.machine import Machine, wait_until

TIMER = "/var/lib/spotcluster/ceiling"
OF_TIMER = "$(systemctl show -P MainPID spotcluster-ceiling)"


@pytest.fixture(scope="module")
def configured(lab: Lab) -> Iterator[Lab]:
    lab.configure("[cluster bare]\nEXTENDS = iptemplate\nPLUGINS =")
    yield lab
    for one in listed(lab):
        lab.run("terminate", "-y", one["name"])
    assert lab.machines == []


def listed(lab: Lab) -> list[dict[str, Any]]:
    return list(json.loads(lab.run("listclusters", "--json")))


def seen(machine: Machine) -> dict[str, Any]:
    """Return what a node's own service has seen."""
    said = machine.inside("cat /etc/spotcluster/services/autostop.state || true")
    return dict(json.loads(said or "{}"))


def test_idle_cluster_ends_by_itself_and_comes_back(configured: Lab) -> None:
    lab = configured
    lab.run("start", "-c", "bare", "-s", "2", "--autostop", "60s", "idle")
    master, worker = lab.machine("master"), lab.machine("node001")
    assert master.inside("systemctl is-enabled spotcluster-autostop").split() == ["enabled"]
    wait_until("the worker to see its master", lambda: seen(worker)["busy"])
    wait_until("the master to be idle", lambda: (seen(master)["left"] or 99) < 50)
    master.wait("stopped")
    worker.wait("terminated")
    (one,) = listed(lab)
    assert (one["state"], one["ended_by_itself"]) == ("stopped", True)
    said = " ".join(lab.run("listclusters").split())
    assert "'idle' was idle and ended by itself" in said
    assert "the disk of master costs money" in said

    lab.run("start", "--autostop", "off", "idle")
    assert lab.machine("master").id == master.id
    assert len(lab.machines) == 2
    wait_until("off to be known", lambda: seen(master)["limit"] == 0)
    lab.run("terminate", "-y", "idle")
    assert lab.machines == []


def test_ceiling_ends_a_worker_whose_master_has_no_power_and_which_nothing_else_looks_after(
    configured: Lab,
) -> None:
    lab = configured
    lab.run("start", "-c", "bare", "-s", "2", "--budget", "20", "--autostop", "off", "spending")
    master, worker = lab.machine("master"), lab.machine("node001")
    assert seen(worker)["ceiling"] > 3600
    for one in (master, worker):
        assert int(one.inside(f"cat {TIMER}")) > 3600
        assert one.inside("systemctl is-active spotcluster-ceiling").split() == ["active"]
    # systemd has read its units again, as when packages are installed: it can start it again.
    worker.inside(f"systemctl daemon-reload; kill -9 {OF_TIMER}")
    wait_until(
        "the timer to count again", lambda: worker.inside(f"pgrep -P {OF_TIMER} -x sleep || true")
    )
    with worker.rebooting():
        worker.inside(f"systemctl stop spotcluster-autostop; echo 5000 >{TIMER}; reboot")
    wait_until("the timer to go on", lambda: 900 < int(worker.inside(f"cat {TIMER}")) <= 7200)
    master.power_loss()
    worker.inside(f"systemctl stop spotcluster-autostop spotcluster-ceiling; echo 40 >{TIMER}")
    with worker.rebooting():
        worker.inside("systemctl disable -q spotcluster-autostop; reboot")
    # A machine that is started when all is over has a while, in which it is told more.
    assert 0 < int(worker.inside(f"cat {TIMER}")) <= 900
    worker.inside(f"echo 5 >{TIMER}")
    worker.wait("terminated")
    lab.run("terminate", "-y", "spending")
    assert lab.machines == []

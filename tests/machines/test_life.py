"""Stop, start, reboot, terminate: from outside by the API, from inside by the system."""

from __future__ import annotations

import pytest

from .bed import disks
from .bed.lab import Lab
from .bed.machine import Machine, wait_until


def boot_id(machine: Machine) -> str:
    return machine.ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip()


def boots(machine: Machine) -> int:
    """Return how many boots the system's own journal knows of."""
    return len(machine.ssh("sudo journalctl --list-boots --no-pager -q").stdout.splitlines())


def test_stop_shuts_down_and_start_boots_with_the_same_disk(lab: Lab, machine: Machine) -> None:
    machine.ssh("echo kept >~/file; sudo systemctl enable -q ssh; sync")
    identity = machine.ssh("cat /etc/machine-id").stdout
    assert boots(machine) == 1
    lab.ec2.stop_instances(InstanceIds=[machine.id])
    machine.wait("stopped")
    assert machine.look()["processes"] == 0
    assert "Power-Off" in machine.console or "power" in machine.console.lower()
    # What is off does not answer, as a machine of which nothing is left does not.
    refused = machine.ssh("true", patience=3)
    assert refused.returncode == 255
    assert "timed out" in refused.stderr
    lab.ec2.start_instances(InstanceIds=[machine.id])
    machine.wait("running").wait_up()
    assert machine.ssh("cat ~/file").stdout == "kept\n"
    assert machine.ssh("cat /etc/machine-id").stdout == identity
    assert boots(machine) == 2
    assert "running" in machine.ssh("systemctl is-system-running").stdout


def test_reboot_through_the_api(lab: Lab, machine: Machine) -> None:
    with machine.rebooting():
        lab.ec2.reboot_instances(InstanceIds=[machine.id])
    assert boots(machine) == 2
    assert machine.state == "running"


def test_reboot_from_inside(lab: Lab, machine: Machine) -> None:
    with machine.rebooting():
        machine.ssh("sudo reboot")
    assert boots(machine) == 2
    assert machine.state == "running"


@pytest.mark.parametrize(("behaviour", "state"), [("stop", "stopped"), ("terminate", "terminated")])
def test_poweroff_inside_shows_as_the_instance_was_told_to(
    lab: Lab, behaviour: str, state: str
) -> None:
    machine = lab.launch("leaving", InstanceInitiatedShutdownBehavior=behaviour).wait_ssh()
    machine.ssh("sudo poweroff")
    machine.wait(state)
    described = machine.described
    assert described["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    if state == "stopped":
        lab.ec2.start_instances(InstanceIds=[machine.id])
        machine.wait("running").wait_ssh()
    lab.ec2.terminate_instances(InstanceIds=[machine.id])
    machine.wait("terminated")


def test_poweroff_inside_a_one_time_spot_instance_terminates_it(lab: Lab) -> None:
    machine = lab.launch("spot", InstanceMarketOptions={"MarketType": "spot"}).wait_ssh()
    machine.ssh("sudo poweroff")
    machine.wait("terminated")
    (request,) = lab.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["State"] == "closed"


def test_terminate_leaves_nothing_of_the_machine(lab: Lab) -> None:
    machine = lab.launch("short").wait_ssh()
    before = machine.look()
    (disk,) = [one["Ebs"]["VolumeId"] for one in machine.described["BlockDeviceMappings"]]
    assert disk in disks.names()
    lab.ec2.terminate_instances(InstanceIds=[machine.id])
    machine.wait("terminated")
    found = lab.call(["ip", "netns", "list"]).stdout
    assert before["netns"] not in found.split()
    assert machine.id not in lab.call(["ps", "ax", "-o", "args"]).stdout
    # By its name: its number may be another lab's by now.
    wait_until("the root disk to be given back", lambda: disk not in disks.names())
    assert "BEGIN SSH HOST KEY" in machine.console or "systemd" in machine.console


def test_machine_that_hangs_is_stopped_all_the_same(lab: Lab, machine: Machine) -> None:
    machine.freeze()
    lab.ec2.stop_instances(InstanceIds=[machine.id])
    machine.wait("stopped")
    lab.ec2.start_instances(InstanceIds=[machine.id])
    machine.wait("running").wait_ssh()

"""EBS volumes are disks that outlive the machine they are attached to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .bed import disks
from .bed.lab import Lab
from .bed.machine import Machine, wait_until


@pytest.fixture
def volume(lab: Lab) -> Iterator[str]:
    made = lab.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    yield made
    lab.ec2.delete_volume(VolumeId=made)


def attach(lab: Lab, machine: Machine, volume: str) -> None:
    zone = machine.described["Placement"]["AvailabilityZone"]
    found = lab.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["AvailabilityZone"]
    assert zone == found
    lab.ec2.attach_volume(VolumeId=volume, InstanceId=machine.id, Device="/dev/sdf")
    wait_until("the device", lambda: machine.ssh("test -b /dev/sdf").returncode == 0)


def done(machine: Machine, script: str) -> str:
    result = machine.ssh(script)
    assert result.returncode == 0, result.stderr
    return result.stdout


def launch(lab: Lab, name: str) -> Machine:
    return lab.launch(name, Placement={"AvailabilityZone": "us-east-1a"}).wait_ssh()


def test_volume_keeps_its_data_over_stop_start_and_into_another_machine(
    lab: Lab, volume: str
) -> None:
    first, second = (
        launch(lab, "first"),
        lab.launch("second", Placement={"AvailabilityZone": "us-east-1a"}),
    )
    attach(lab, first, volume)
    done(first, "sudo mkfs.ext4 -q /dev/sdf && sudo mount /dev/sdf /mnt")
    done(first, "echo data | sudo tee /mnt/file && df --output=size -BM /mnt")
    lab.ec2.stop_instances(InstanceIds=[first.id])
    first.wait("stopped")
    lab.ec2.start_instances(InstanceIds=[first.id])
    first.wait("running").wait_ssh()
    wait_until("the device", lambda: first.ssh("test -b /dev/sdf").returncode == 0)
    assert done(first, "sudo mount /dev/sdf /mnt && cat /mnt/file") == "data\n"
    done(first, "sudo umount /mnt")
    lab.ec2.detach_volume(VolumeId=volume)
    wait_until("no device", lambda: first.ssh("test -b /dev/sdf").returncode != 0)
    lab.ec2.terminate_instances(InstanceIds=[first.id])
    first.wait("terminated")
    second.wait_ssh()
    attach(lab, second, volume)
    assert done(second, "sudo mount /dev/sdf /mnt && cat /mnt/file") == "data\n"
    second.power_loss()
    second.wait("stopped")
    lab.ec2.start_instances(InstanceIds=[second.id])
    second.wait("running").wait_ssh()
    wait_until("the device", lambda: second.ssh("test -b /dev/sdf").returncode == 0)
    assert done(second, "sudo mount /dev/sdf /mnt && cat /mnt/file") == "data\n"
    lab.ec2.terminate_instances(InstanceIds=[second.id])
    second.wait("terminated")


def test_disk_of_a_deleted_volume_is_given_back(lab: Lab) -> None:
    machine = launch(lab, "one")
    volume = lab.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    attach(lab, machine, volume)
    assert volume in disks.names()
    lab.ec2.detach_volume(VolumeId=volume)
    lab.ec2.delete_volume(VolumeId=volume)
    wait_until("the disk to go", lambda: volume not in disks.names())
    lab.ec2.terminate_instances(InstanceIds=[machine.id])


def test_root_volume_has_the_size_that_was_asked_for(lab: Lab) -> None:
    disks = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 12, "VolumeType": "gp3"}}]
    machine = lab.launch("large", BlockDeviceMappings=disks).wait_ssh()
    (size,) = done(machine, "df --output=size -BG / | tail -1").split()
    assert size in ("12G", "11G")
    lab.ec2.terminate_instances(InstanceIds=[machine.id])

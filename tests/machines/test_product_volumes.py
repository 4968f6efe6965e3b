"""Volumes on machines that boot: mounted, found again, grown, kept, and never formatted twice.

One story in the order of the file: a cluster keeps data on a volume and ends, another one goes on
with it and is given more volumes, some of which are not to be touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from .bed.lab import Lab
from .bed.machine import Machine, wait_until
from .bed.network import LAPTOP

ZONE = "us-east-1b"
CAP_SYS_RESOURCE = 24
# A partition table of one partition, which nobody else wrote: its bytes are to stay.
TABLE = (
    "printf '\\x00\\x00\\x00\\x00\\x83\\x00\\x00\\x00\\x00\\x08\\x00\\x00\\x00\\x08\\x00\\x00' |"
    " dd of=/dev/sdz bs=1 seek=446 conv=notrunc status=none;"
    " printf '\\x55\\xaa' | dd of=/dev/sdz bs=1 seek=510 conv=notrunc status=none; sync"
)
CONFIG = f"""
[volume data]
VOLUME_ID = data
MOUNT_PATH = /data

[volume copy]
VOLUME_ID = copy
MOUNT_PATH = /data/copy

[volume theirs]
VOLUME_ID = theirs
MOUNT_PATH = /theirs

[volume blank]
VOLUME_ID = blank
MOUNT_PATH = /blank

[cluster one]
KEYNAME = mykey
REGION = us-east-1
NODE_INSTANCE_TYPE = c5.large
ALLOW = {LAPTOP}
VOLUMES = data

[cluster more]
EXTENDS = one
VOLUMES = copy, data, theirs, blank
"""


@pytest.fixture(scope="module")
def made(lab: Lab) -> Iterator[dict[str, str]]:
    """The ids of the volumes by name; `theirs` and `blank` are not made by us."""
    lab.configure(CONFIG)
    ids = {"data": json.loads(lab.run("createvolume", "1", ZONE, "-n", "data", "--json"))["id"]}
    for name in ("theirs", "blank"):
        tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name}]}]
        answer = lab.ec2.create_volume(Size=1, AvailabilityZone=ZONE, TagSpecifications=tags)
        ids[name] = answer["VolumeId"]
    yield ids
    lab.clear()


def listed(lab: Lab, name: str) -> dict[str, Any]:
    every = json.loads(lab.run("listvolumes", "--json"))
    (found,) = [one for one in every if one["name"] == name]
    return dict(found)


def gigabytes(master: Machine, path: str) -> float:
    return int(master.inside(f"df -B1 --output=size {path} | tail -n 1")) / 2**30


def test_new_volume_is_not_formatted_unasked_and_nothing_is_made(
    lab: Lab, made: dict[str, str]
) -> None:
    said = lab.run("start", "-c", "one", "first", status=2)
    assert made["data"] in said
    assert "--format" in said
    assert lab.machines == []


def test_volume_is_formatted_mounted_and_back_after_a_reboot(
    lab: Lab, made: dict[str, str]
) -> None:
    lab.run("start", "-c", "one", "--format", "first")
    master = lab.machine("master")
    assert master.described["Placement"]["AvailabilityZone"] == ZONE
    own = ("sshmaster", "-u", "ipuser", "first")
    lab.run(*own, "echo kept > /data/file")
    assert listed(lab, "data")["cluster"] == "first"
    assert listed(lab, "data")["mount"] == "/data"
    with master.rebooting():
        lab.ec2.reboot_instances(InstanceIds=[master.id])
    assert lab.run(*own, "cat /data/file") == "kept\n"
    assert master.inside("findmnt -n -o FSTYPE --mountpoint /data") == "ext4\n"


def test_volume_is_there_again_when_a_stopped_cluster_comes_back(
    lab: Lab, made: dict[str, str]
) -> None:
    lab.run("stop", "-y", "first")
    assert listed(lab, "data")["cluster"] == "first"
    lab.run("start", "first")
    assert lab.run("sshmaster", "-u", "ipuser", "first", "cat /data/file") == "kept\n"


def kernel_grows_what_is_mounted(master: Machine) -> bool:
    """Tell whether root may grow a mounted ext4; some containers that tests run in keep that."""
    capabilities = int(master.inside("awk '/^CapEff/ {print $2}' /proc/1/status"), 16)
    return bool(capabilities & 1 << CAP_SYS_RESOURCE)


def test_file_system_grows_with_its_volume(lab: Lab, made: dict[str, str]) -> None:
    master = lab.machine("master")
    assert gigabytes(master, "/data") < 1
    master.inside("systemd-run -q --unit=user -p WorkingDirectory=/data sleep infinity")
    if kernel_grows_what_is_mounted(master):
        said = lab.run("resizevolume", "data", "3")
        master.inside("systemctl stop user")
    else:  # then it has to be unmounted for it
        said = lab.run("resizevolume", "data", "3", status=1)
        assert re.search("could not be made as large as the volume: .*it is in use", said)
        master.inside("systemctl stop user")
        said = lab.run("resizevolume", "data", "3")
    assert "ext4 file system on /data has 2.9 GiB" in said
    assert gigabytes(master, "/data") > 2.8
    assert lab.run("sshmaster", "-u", "ipuser", "first", "cat /data/file") == "kept\n"
    assert "smaller" in lab.run("resizevolume", "data", "2", status=2)


def test_device_is_found_by_its_serial_or_by_the_name_that_another_kernel_gives_it(
    lab: Lab, made: dict[str, str]
) -> None:
    master = lab.machine("master")
    serial = made["data"].replace("-", "")
    source = "findmnt -n -o SOURCE --mountpoint /data"
    master.inside(
        "umount /data; mv /dev/sdf /dev/nvme1n1; mount -t tmpfs none /sys/block;"
        f" mkdir -p /sys/block/nvme1n1/device; echo '{serial}   ' >/sys/block/nvme1n1/device/serial"
    )
    lab.run("start", "first")
    assert master.inside(source) == "/dev/nvme1n1\n"
    master.inside("umount /data /sys/block; mv /dev/nvme1n1 /dev/xvdf")
    lab.run("start", "first")
    assert master.inside(source) == "/dev/xvdf\n"
    master.inside("umount /data; mv /dev/xvdf /dev/sdf")
    lab.run("start", "first")
    assert lab.run("sshmaster", "-u", "ipuser", "first", "cat /data/file") == "kept\n"


def test_volume_outlives_its_cluster_which_says_so(lab: Lab, made: dict[str, str]) -> None:
    master = lab.machine("master")
    device = {"VolumeId": made["theirs"], "InstanceId": master.id, "Device": "/dev/sdz"}
    lab.ec2.attach_volume(**device)
    wait_until("the device", lambda: master.ssh("test -b /dev/sdz").returncode == 0)
    master.inside(TABLE)
    lab.ec2.detach_volume(VolumeId=made["theirs"])
    said = lab.run("terminate", "-y", "first")
    assert re.search(rf"Volumes that are kept: 'data' \({made['data']}\), 3 GiB", said)
    assert lab.machines == []
    (log,) = (lab.home / "logs").glob("*terminate*")
    assert "the volumes of" not in log.read_text()  # that they could not be unmounted
    assert listed(lab, "data")["state"] == "available"
    snapshot = lab.ec2.create_snapshot(VolumeId=made["data"])["SnapshotId"]
    lab.run("createvolume", "4", ZONE, "--snapshot", snapshot, "-n", "copy")


def test_next_cluster_finds_the_same_files_and_formats_nothing_that_is_in_use(
    lab: Lab, made: dict[str, str]
) -> None:
    said = lab.run("start", "-c", "more", "second", status=1)
    assert f"'theirs' ({made['theirs']}) is not mounted on /theirs: what is on it is no" in said
    assert f"'blank' ({made['blank']}) is not mounted on /blank: it has no file system" in said
    master = lab.machine("master")
    both = lab.run("sshmaster", "-u", "ipuser", "second", "cat /data/file /data/copy/file")
    assert both == "kept\nkept\n"
    assert gigabytes(master, "/data/copy") > 3.7  # the snapshot's was of 3
    said = lab.run("start", "--format", "second", status=1)
    assert "'theirs'" in said
    assert "'blank'" not in said
    assert master.inside("findmnt -n -o FSTYPE --mountpoint /blank") == "ext4\n"
    assert lab.run("sshmaster", "-u", "ipuser", "second", "cat /data/file") == "kept\n"
    device = listed(lab, "theirs")["device"]
    assert master.inside(f"od -An -tx1 -j 510 -N 2 {device}").split() == ["55", "aa"]
    assert master.inside(f"od -An -tx1 -j 1080 -N 2 {device}").split() == ["00", "00"]


def test_volumes_are_deleted_by_name_only_when_nobody_has_them(
    lab: Lab, made: dict[str, str]
) -> None:
    assert "is attached to" in lab.run("removevolume", "-y", "data", status=2)
    lab.run("terminate", "-y", "second")
    lab.run("removevolume", "-y", "data", "copy", made["blank"])
    left = [one["name"] for one in json.loads(lab.run("listvolumes", "--json"))]
    assert left == ["theirs"]

"""Images of instances: what EC2 refuses, and what a host's disk brings to others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster.local.cloud import Cloud
from spotcluster.local.host import disk
from spotcluster.local.host.layout import Layout

TAGS = [
    {"ResourceType": kind, "Tags": [{"Key": "spotcluster:image", "Value": "tools"}]}
    for kind in ("image", "snapshot")
]


@pytest.fixture
def instance(run: Any, settle: Any) -> str:
    (made,) = run()
    settle()
    return str(made["InstanceId"])


def refusal(call: Any, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**given)
    return str(caught.value.response["Error"]["Code"])


def test_an_image_has_the_disk_as_it_was_and_tags_from_the_call(
    ec2: Any, cloud: Cloud, instance: str
) -> None:
    kept: list[tuple[str, str]] = []
    cloud.keep = lambda *what: kept.append(what)
    made = ec2.create_image(InstanceId=instance, Name="one", TagSpecifications=TAGS)["ImageId"]
    own = [{"Name": "tag:spotcluster:image", "Values": ["tools"]}]
    (image,) = ec2.describe_images(Owners=["self"], Filters=own)["Images"]
    (snapshot,) = ec2.describe_snapshots(Filters=own)["Snapshots"]
    assert image["ImageId"] == made
    (mapped,) = image["BlockDeviceMappings"]
    assert mapped["Ebs"]["SnapshotId"] == snapshot["SnapshotId"]
    assert kept == [(instance, snapshot["SnapshotId"])]


def test_snapshots_of_the_account_were_those_of_all_images(ec2: Any, instance: str) -> None:
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    ec2.create_image(InstanceId=instance, Name="one")
    (own,) = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert ec2.describe_snapshots(OwnerIds=[own["OwnerId"]])["Snapshots"] == [own]
    assert len(ec2.describe_snapshots()["Snapshots"]) > 1


def test_volumes_of_the_instance_are_in_its_image_unless_they_are_left_out(
    ec2: Any, instance: str
) -> None:
    zone = ec2.describe_instances()["Reservations"][0]["Instances"][0]["Placement"]
    volume = ec2.create_volume(Size=3, AvailabilityZone=zone["AvailabilityZone"])["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    left_out = [{"DeviceName": "/dev/sdf", "NoDevice": ""}]
    devices = []
    for name, mappings in (("with", []), ("without", left_out)):
        made = ec2.create_image(InstanceId=instance, Name=name, BlockDeviceMappings=mappings)
        (image,) = ec2.describe_images(ImageIds=[made["ImageId"]])["Images"]
        devices.append([one["DeviceName"] for one in image["BlockDeviceMappings"]])
    assert devices == [["/dev/sda1", "/dev/sdf"], ["/dev/sda1"]]


def test_what_ec2_refuses(ec2: Any, cloud: Cloud, instance: str) -> None:
    made = ec2.create_image(InstanceId=instance, Name="one")["ImageId"]
    (image,) = ec2.describe_images(ImageIds=[made])["Images"]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    make = ec2.create_image
    assert refusal(make, InstanceId=instance, Name="one") == "InvalidAMIName.Duplicate"
    assert refusal(make, InstanceId=instance, Name="a?b") == "InvalidAMIName.Malformed"
    assert refusal(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    dropped: list[str] = []
    cloud.drop = dropped.append
    ec2.deregister_image(ImageId=made)
    assert not dropped
    ec2.delete_snapshot(SnapshotId=snapshot)
    assert dropped == [snapshot]
    ec2.stop_instances(InstanceIds=[instance])
    assert refusal(make, InstanceId=instance, Name="two") == "IncorrectState"


def test_an_instance_begins_with_the_snapshot_of_its_image(
    ec2: Any, cloud: Cloud, instance: str, run: Any
) -> None:
    made = ec2.create_image(InstanceId=instance, Name="one")["ImageId"]
    (image,) = ec2.describe_images(ImageIds=[made])["Images"]
    (copy,) = run(ImageId=made)
    begun = {one.id: one.snapshot for one in cloud.instances()}
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert begun == {instance: "", copy["InstanceId"]: snapshot}


@pytest.fixture
def host(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "hosts" / "i-0123456789abcdef0")
    made.make()
    return made


def other(host: Layout) -> Layout:
    return Layout(host.folder.with_name("i-fedcba98765432100"))


def test_programs_on_a_copy_find_themselves_where_they_are(host: Layout, tmp_path: Path) -> None:
    """A virtual environment has the path of its own Python in its programs."""
    (host.home / "pip").write_text(f"#!{host.home}/env/bin/python\n")
    (host.home / "compiled").write_bytes(b"\0" + os.fsencode(host.home) + b"\xff")
    (host.home / "python").symlink_to(host.bin / "python3")
    (host.etc / "ssh_host_ed25519_key").write_text("of the host")
    disk.keep(host, tmp_path / "snap")
    copy = other(host)
    disk.bring(tmp_path / "snap", copy)
    assert (copy.home / "pip").read_text() == f"#!{copy.home}/env/bin/python\n"
    assert (copy.home / "compiled").read_bytes() == b"\0" + os.fsencode(copy.home) + b"\xff"
    assert (copy.home / "python").readlink() == copy.bin / "python3"
    assert not copy.etc.exists()


def test_copies_do_not_share_what_is_written_later(host: Layout, tmp_path: Path) -> None:
    (host.home / "file").write_text("then")
    disk.keep(host, tmp_path / "snap")
    (host.home / "file").write_text("later")
    copy = other(host)
    disk.bring(tmp_path / "snap", copy)
    assert (copy.home / "file").read_text() == "then"

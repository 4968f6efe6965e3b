"""Answers that boto3 reads as EC2's: no field lost, no 500 where EC2 has an answer or an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core import serialize
from moto.ec2.models import ec2_backends

from spotcluster.local import images, instances
from spotcluster.local.cloud import Cloud
from spotcluster.local.images import UBUNTU

OURS = [instances.LocalInstance, images.LocalImage]


def test_the_status_of_an_instance_names_it(ec2: Any, run: Any) -> None:
    (made,) = run()
    (status,) = ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert status["InstanceId"] == made["InstanceId"]
    assert status["AvailabilityZone"] == made["Placement"]["AvailabilityZone"]


@pytest.mark.parametrize("ours", OURS)
def test_moto_finds_the_same_fields_in_classes_of_ours(ours: type, cloud: Cloud) -> None:
    """Its aliases go by the name of the class, which is another one below it."""
    motos = next(base for base in ours.__mro__ if base.__module__.startswith("moto."))
    key = f"{motos.__name__}Id"

    def aliases(kind: type) -> list[str]:
        context = serialize.AttributePickerContext(object.__new__(kind), key, None, "")
        return [*serialize.XFormedAttributePicker().get_possible_keys(context)]

    assert "Id" in aliases(ours)
    assert aliases(ours) == aliases(motos)


def test_a_network_is_deleted_with_the_group_that_came_with_it(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    wanted = [{"Name": "vpc-id", "Values": [vpc]}]
    (default,) = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    with pytest.raises(ClientError, match="CannotDelete"):
        ec2.delete_security_group(GroupId=default["GroupId"])
    own = ec2.create_security_group(GroupName="own", Description="-", VpcId=vpc)["GroupId"]
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_vpc(VpcId=vpc)
    assert len(ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]) == 2
    ec2.delete_security_group(GroupId=own)
    ec2.delete_vpc(VpcId=vpc)
    assert ec2.describe_security_groups(Filters=wanted)["SecurityGroups"] == []
    with pytest.raises(ClientError, match=r"InvalidVpcID\.NotFound"):
        ec2.delete_vpc(VpcId=vpc)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("10.250.1.1", "does not fall within"),
        ("172.31.0.1", "reserved address range"),
        ("x.y", "is invalid"),
    ],
)
def test_an_address_that_is_not_the_subnets_is_refused(
    ec2: Any, run: Any, address: str, said: str
) -> None:
    found = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["172.31.0.0/20"]}])
    subnet = found["Subnets"][0]["SubnetId"]
    nic = {"DeviceIndex": 0, "SubnetId": subnet, "PrivateIpAddress": address}
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    calls: list[Callable[[], Any]] = [
        lambda: run(SubnetId=subnet, PrivateIpAddress=address),
        lambda: run(NetworkInterfaces=[nic]),
        lambda: ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress=address),
        lambda: ec2.assign_private_ip_addresses(
            NetworkInterfaceId=interface["NetworkInterfaceId"], PrivateIpAddresses=[address]
        ),
    ]
    for call in calls:
        with pytest.raises(ClientError, match=f"InvalidParameterValue.*{said}"):
            call()


def test_what_is_copied_comes_from_the_other_regions_own(
    ec2: Any, elsewhere: Any, cloud: Cloud
) -> None:
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    copy = elsewhere.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot)
    assert elsewhere.describe_snapshots(SnapshotIds=[copy["SnapshotId"]])["Snapshots"]
    with pytest.raises(ClientError, match=r"InvalidSnapshot\.NotFound"):
        elsewhere.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId="snap-0123456789abcdef0")
    image = elsewhere.copy_image(SourceRegion="us-east-1", SourceImageId=UBUNTU, Name="mine")
    assert elsewhere.describe_images(ImageIds=[image["ImageId"]])["Images"]


def test_an_interface_that_is_to_stay_outlives_its_instance(
    ec2: Any, run: Any, settle: Callable[[], None]
) -> None:
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    before = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    nics = [
        {"DeviceIndex": 0, "NetworkInterfaceId": before["NetworkInterfaceId"]},
        {"DeviceIndex": 0, "SubnetId": subnet, "DeleteOnTermination": False},
        {"DeviceIndex": 0, "SubnetId": subnet},
    ]
    for nic in nics:
        run(NetworkInterfaces=[nic])
    settle()
    found = ec2.describe_instances()["Reservations"]
    ids = [one["InstanceId"] for group in found for one in group["Instances"]]
    ec2.terminate_instances(InstanceIds=ids)
    settle()
    left = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert len(left) == 2
    assert before["NetworkInterfaceId"] in {one["NetworkInterfaceId"] for one in left}


def test_a_spot_request_says_the_groups_that_came_by_default(ec2: Any) -> None:
    launch = {"ImageId": UBUNTU, "InstanceType": "c5.large"}
    (made,) = ec2.request_spot_instances(LaunchSpecification=launch)["SpotInstanceRequests"]
    (group,) = made["LaunchSpecification"]["SecurityGroups"]
    assert group["GroupName"] == "default"
    assert group["GroupId"].startswith("sg-")


def test_an_unknown_key_leaves_nothing_behind(ec2: Any, run: Any, describe: Any) -> None:
    """Half an instance of moto's would be found by every later launch."""
    config = {
        "TargetCapacity": 1,
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchSpecifications": [
            {"ImageId": UBUNTU, "InstanceType": "c5.large", "KeyName": "nobody"}
        ],
    }
    with pytest.raises(ClientError, match=r"InvalidKeyPair\.NotFound"):
        ec2.request_spot_fleet(SpotFleetRequestConfig=config)
    assert describe() == []
    assert run()


def test_moto_asks_the_cloud_that_answers_while_it_answers(
    cloud: Cloud, ec2: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What else uses moto in the process got the regions of the cloud that had answered last."""
    ec2.create_vpc(CidrBlock="10.9.0.0/16")
    other = Cloud(tmp_path_factory.mktemp("other"))
    account, motos = "123456789012", dict(ec2_backends)
    with other.standing_in():
        assert ec2_backends[account]["us-east-1"] is other.backend(account, "us-east-1")
        assert len(ec2.describe_vpcs()["Vpcs"]) == 2
        assert ec2_backends[account]["us-east-1"] is other.backend(account, "us-east-1")
    assert dict(ec2_backends) == motos
    with cloud.standing_in():
        assert ec2_backends[account]["us-east-1"] is cloud.backend(account, "us-east-1")

"""RunInstances: what EC2 refuses, how many it launches, what its tokens mean."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster.local.cloud import Cloud
from spotcluster.local.images import UBUNTU


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_as_many_as_max_count_are_launched(run: Any, describe: Any) -> None:
    assert len(run(MinCount=2, MaxCount=5)) == 5
    assert len(describe()) == 5


def test_as_many_as_there_is_room_for_are_launched(run: Any, describe: Any, cloud: Cloud) -> None:
    cloud.most_instances = 4
    assert len(run(MinCount=2, MaxCount=10)) == 4
    with pytest.raises(ClientError) as error:
        run(MinCount=1, MaxCount=1)
    assert code(error) == "InsufficientInstanceCapacity"
    assert len(describe()) == 4


@pytest.mark.parametrize(
    ("params", "expected", "words"),
    [
        ({"ImageId": "ami-0000000000000dead"}, "InvalidAMIID.NotFound", "does not exist"),
        ({"ImageId": "ubuntu"}, "InvalidAMIID.Malformed", "ubuntu"),
        ({"InstanceType": "c5.huge"}, "InvalidParameterValue", "'c5.huge' for InstanceType"),
        ({"InstanceType": "t4g.micro"}, "InvalidParameterValue", "architecture 'arm64'"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound", "'nobody' does not exist"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound", "subnet-0123"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound", "sg-0123"),
        ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterCombination", "minCount"),
        ({"MinCount": 0, "MaxCount": 0}, "InvalidParameterValue", "minCount"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue", "limited to 16384"),
        ({"Placement": {"AvailabilityZone": "us-east-1x"}}, "InvalidParameterValue", "us-east-1x"),
        (
            {"InstanceType": "c1.xlarge", "Placement": {"AvailabilityZone": "us-east-1f"}},
            "Unsupported",
            "us-east-1a",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_and_nothing_made(
    run: Any, describe: Any, params: dict[str, Any], expected: str, words: str
) -> None:
    with pytest.raises(ClientError, match=words) as error:
        run(**params)
    assert code(error) == expected
    assert describe() == []


def test_dry_run_makes_nothing(run: Any, describe: Any, ec2: Any) -> None:
    spot = {"MarketType": "spot"}
    with pytest.raises(ClientError) as error:
        run(DryRun=True, InstanceMarketOptions=spot)
    assert code(error) == "DryRunOperation"
    assert describe() == []
    assert ec2.describe_spot_instance_requests()["SpotInstanceRequests"] == []


def test_a_dry_run_of_a_wrong_request_says_what_is_wrong(run: Any) -> None:
    with pytest.raises(ClientError) as error:
        run(DryRun=True, KeyName="nobody")
    assert code(error) == "InvalidKeyPair.NotFound"


def test_the_same_token_gives_the_same_instances(run: Any, describe: Any) -> None:
    first = run(2, ClientToken="once")
    second = run(2, ClientToken="once")
    assert [i["InstanceId"] for i in first] == [i["InstanceId"] for i in second]
    assert len(describe()) == 2
    assert {i["ClientToken"] for i in describe()} == {"once"}


def test_the_same_token_with_other_parameters_is_refused(run: Any, describe: Any) -> None:
    run(1, ClientToken="once")
    with pytest.raises(ClientError) as error:
        run(2, ClientToken="once")
    assert code(error) == "IdempotentParameterMismatch"
    assert len(describe()) == 1


def test_a_token_whose_request_was_refused_may_be_used_again(run: Any) -> None:
    with pytest.raises(ClientError):
        run(KeyName="nobody", ClientToken="once")
    assert len(run(ClientToken="once")) == 1


def test_without_a_subnet_an_instance_is_in_a_default_one_that_has_its_type(
    run: Any, ec2: Any
) -> None:
    (instance,) = run(InstanceType="c1.xlarge")
    (subnet,) = ec2.describe_subnets(SubnetIds=[instance["SubnetId"]])["Subnets"]
    assert subnet["DefaultForAz"]
    assert subnet["AvailabilityZone"] == instance["Placement"]["AvailabilityZone"]


def test_a_root_disk_without_a_size_gets_the_images(run: Any, ec2: Any) -> None:
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "VolumeType": "gp3"}}
    (instance,) = run(BlockDeviceMappings=[disk])
    (volume,) = ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    )["Volumes"]
    assert volume["Size"] == 8
    assert volume["Encrypted"]


def test_addresses_are_the_hosts(run: Any, describe: Any, settle: Any) -> None:
    run(3)
    settle()
    found = describe()
    assert len({i["PrivateIpAddress"] for i in found}) == 3
    for instance in found:
        address = instance["PrivateIpAddress"]
        assert address.startswith("127.")
        assert instance["PublicIpAddress"] == address
        assert instance["PublicDnsName"] == instance["PrivateDnsName"] == address
        (nic,) = instance["NetworkInterfaces"]
        assert nic["PrivateIpAddress"] == nic["Association"]["PublicIp"] == address


def test_a_launch_template_fills_in_what_the_request_leaves_out(
    ec2: Any, run: Any, describe: Any
) -> None:
    user_data = base64.b64encode(b"#cloud-config\n").decode()
    ec2.create_launch_template(
        LaunchTemplateName="nodes",
        LaunchTemplateData={
            "ImageId": UBUNTU,
            "InstanceType": "m5.large",
            "UserData": user_data,
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}
            ],
        },
    )
    answer = ec2.run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "nodes"}
    )
    instance_id = answer["Instances"][0]["InstanceId"]
    (instance,) = describe(InstanceIds=[instance_id])
    assert instance["InstanceType"] == "m5.large"
    assert {"Key": "from", "Value": "template"} in instance["Tags"]
    attribute = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    assert attribute["UserData"]["Value"] == user_data


def test_a_full_subnet_takes_what_fits_or_refuses_all(ec2: Any, run: Any, describe: Any) -> None:
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    subnet = ec2.create_subnet(
        VpcId=vpc["VpcId"], CidrBlock="172.31.255.240/28", AvailabilityZone="us-east-1a"
    )["Subnet"]
    room = subnet["AvailableIpAddressCount"]
    with pytest.raises(ClientError) as error:
        run(room + 1, SubnetId=subnet["SubnetId"])
    assert code(error) == "InsufficientFreeAddressesInSubnet"
    assert describe() == []
    assert len(run(MinCount=1, MaxCount=room + 5, SubnetId=subnet["SubnetId"])) == room

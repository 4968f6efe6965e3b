"""What a launch asks for, and what is looked at before it, against moto in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from spotcluster.aws import fleets, images, instance_types, instances, network, tags
from spotcluster.aws.launching import asked
from spotcluster.aws.launching.asked import Launch, RootDisk
from spotcluster.aws.session import Session
from spotcluster.aws.storage import ebs
from spotcluster.errors import CloudError, UsageError

OWN = {tags.CLUSTER: "demo", tags.ALIAS: "node001", tags.ROLE: "worker"}


@pytest.fixture
def session(few_images: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield Session("us-east-1")


@pytest.fixture
def image(session: Session) -> images.Image:
    return images.describe(session, "ami-03cf127a")  # one of moto's; listing all takes seconds


def vpc(session: Session) -> str:
    found = session.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
    return str(found["Vpcs"][0]["VpcId"])


def what(session: Session, image: images.Image, **changes: Any) -> Launch:
    subnet = network.find_subnet(session, None, None, {"us-east-1a"})
    group = network.create_group(session, "spotcluster-demo", subnet.vpc_id, OWN)
    given: dict[str, Any] = {
        "image": image,
        "type": "c5.large",
        "key_name": "mykey",
        "subnet_id": subnet.id,
        "group_ids": (group,),
        "user_data": b"#cloud-config\n{}",
        "tags": OWN,
        "spot": False,
        "bid": None,
        "token": "t1",
        "public_ip": True,
    }
    return Launch(**{**given, **changes})


# What EC2 is asked for.


def test_usual_launch_asks_for_nothing_more(session: Session, image: images.Image) -> None:
    found = asked.settings(what(session, image), ["instance"])
    assert found["BlockDeviceMappings"][0]["Ebs"] == {
        "Encrypted": True,
        "DeleteOnTermination": True,
        "VolumeType": "gp3",
    }
    assert "IamInstanceProfile" not in found
    assert "Placement" not in found
    assert "CapacityReservationSpecification" not in found


def test_disk_is_made_as_the_template_says(session: Session, image: images.Image) -> None:
    session.client("iam").create_instance_profile(InstanceProfileName="reader")
    key = session.client("kms").create_key()["KeyMetadata"]["Arn"]
    theirs = session.ec2.create_security_group(GroupName="x", Description="x", VpcId=vpc(session))
    launch = what(session, image, disk=RootDisk(40, "gp3", 4_000, 500, key), profile="reader")
    both = (*launch.group_ids, theirs["GroupId"])
    made = instances.launch(session, what_like(launch, group_ids=both))
    (disk,) = ebs.attached_to(session, [made.id])
    assert (disk.size, disk.type, disk.encrypted) == (40, "gp3", True)
    (item,) = session.ec2.describe_volumes(VolumeIds=[disk.id])["Volumes"]
    assert item["KmsKeyId"] == key
    told = session.ec2.describe_instances(InstanceIds=[made.id])["Reservations"][0]["Instances"][0]
    (interface,) = told["NetworkInterfaces"]
    assert {one["GroupId"] for one in interface["Groups"]} == set(both)
    assert told["IamInstanceProfile"]["Arn"].endswith("/reader")


def what_like(launch: Launch, **changes: Any) -> Launch:
    return Launch(**{**vars(launch), **changes})


def test_launch_template_says_the_same(session: Session, image: images.Image) -> None:
    launch = what(
        session,
        image,
        disk=RootDisk(40, "io2", 4_000, None, "alias/x"),
        profile="reader",
        placement_group="near",
        reservation="cr-0123abcd",
    )
    made = fleets.create_mould(session, "spotcluster-demo-x-node001", launch, OWN)
    (version,) = session.ec2.describe_launch_template_versions(LaunchTemplateId=made.id)[
        "LaunchTemplateVersions"
    ]
    data = version["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"]["Iops"] == 4_000
    assert data["BlockDeviceMappings"][0]["Ebs"]["KmsKeyId"] == "alias/x"
    assert data["IamInstanceProfile"] == {"Name": "reader"}
    assert data["Placement"] == {"GroupName": "near"}
    target = data["CapacityReservationSpecification"]["CapacityReservationTarget"]
    assert target == {"CapacityReservationId": "cr-0123abcd"}
    assert "InstanceMarketOptions" not in data


def test_capacity_block_is_a_market_of_its_own(session: Session, image: images.Image) -> None:
    launch = what(session, image, reservation="cr-0123abcd", block=True)
    assert asked.market(launch) == {"MarketType": "capacity-block"}
    made = fleets.create_mould(session, "spotcluster-demo-x-node001", launch, OWN)
    requests: list[dict[str, Any]] = []

    def answer(**given: Any) -> dict[str, Any]:  # moto has no such market
        requests.append(given)
        return {"FleetId": "fleet-1"}

    session.ec2.create_fleet = answer  # type: ignore[method-assign,assignment]
    pool = fleets.Pool("c5.large", launch.subnet_id, "us-east-1a")
    fleets.launch(session, made, [pool], 1, OWN, spot=False, token="t", block=True)
    (request,) = requests
    target = request["TargetCapacitySpecification"]["DefaultTargetCapacityType"]
    assert target == "capacity-block"
    assert "OnDemandOptions" not in request
    (version,) = session.ec2.describe_launch_template_versions(LaunchTemplateId=made.id)[
        "LaunchTemplateVersions"
    ]
    market = version["LaunchTemplateData"]["InstanceMarketOptions"]
    assert market == {"MarketType": "capacity-block"}


# What its disk costs.


@pytest.mark.parametrize(
    ("disk", "month"),
    [
        (RootDisk(), 8.00),
        (RootDisk(iops=3_000, throughput=125), 8.00),
        (RootDisk(iops=4_000, throughput=225), 8.00 + 5.00 + 4.00),
        (RootDisk(kind="gp2"), 10.00),
        (RootDisk(kind="io1", iops=1_000), 12.50 + 65.00),
        (RootDisk(kind="io2", iops=1_000), 12.50 + 65.00),
    ],
    ids=str,
)
def test_disk_costs_as_much_as_so_many_gib_of_gp3(disk: RootDisk, month: float) -> None:
    """By the price list of us-east-1: a disk of 100 GiB, for a month, in USD."""
    assert disk.as_gp3(100) * 0.08 == pytest.approx(month)


# What is looked at before.


def test_groups_that_are_not_there_or_elsewhere_are_all_named(session: Session) -> None:
    other = session.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ours, theirs = (
        session.ec2.create_security_group(GroupName="x", Description="x", VpcId=one)["GroupId"]
        for one in (vpc(session), other)
    )
    network.check_groups(session, [], vpc(session))
    network.check_groups(session, [ours], vpc(session))
    with pytest.raises(UsageError) as caught:
        network.check_groups(session, [ours, theirs, "sg-0123abcd"], vpc(session))
    assert "sg-0123abcd is not there" in caught.value.message
    assert f"{theirs} is of {other}, and the nodes are in {vpc(session)}" in caught.value.message
    assert ours not in caught.value.message


def test_key_that_disks_can_have_is_taken_by_each_of_its_names(session: Session) -> None:
    kms = session.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=key["KeyId"])
    for name in (key["Arn"], key["KeyId"], "alias/mine"):
        ebs.check_key(session, name, "KMS_KEY")


def test_key_that_no_disk_can_have_is_refused(session: Session) -> None:
    kms = session.client("kms")
    with pytest.raises(UsageError, match=r"no key 'alias/none' \(KMS_KEY\) in KMS of us-east-1"):
        ebs.check_key(session, "alias/none", "KMS_KEY")
    off = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=off)
    with pytest.raises(UsageError, match="of KMS is Disabled"):
        ebs.check_key(session, off, "KMS_KEY")
    signs = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    with pytest.raises(UsageError, match="RSA_2048, for SIGN_VERIFY"):
        ebs.check_key(session, signs, "KMS_KEY")


def test_who_may_not_look_at_a_key_may_launch_with_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise CloudError("no", code="AccessDeniedException")

    monkeypatch.setattr(ebs, "call", refused)
    ebs.check_key(session, "alias/none", "KMS_KEY")


def test_volume_is_encrypted_with_the_key_that_is_named(session: Session) -> None:
    key = session.client("kms").create_key()["KeyMetadata"]["Arn"]
    made = ebs.create(
        session, "data", "us-east-1a", size=1, snapshot=None, kind="gp3", token="t", key=key
    )
    (item,) = session.ec2.describe_volumes(VolumeIds=[made.id])["Volumes"]
    assert (item["Encrypted"], item["KmsKeyId"]) == (True, key)


def test_types_say_where_they_may_be(session: Session) -> None:
    found = instance_types.describe(session, ["c5.large", "t3.micro", "m4.large"])
    assert "cluster" in found["c5.large"].strategies
    assert "cluster" not in found["t3.micro"].strategies
    assert (found["c5.large"].nitro, found["m4.large"].nitro) == (True, False)


# Subnets of IPv6 only.


def test_subnet_of_ipv6_only_is_known_and_launched_into(
    session: Session, image: images.Image
) -> None:
    own = session.ec2.create_vpc(CidrBlock="10.9.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    block = own["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    block = block.replace("/56", "/64")
    made = session.ec2.create_subnet(
        VpcId=own["VpcId"], Ipv6CidrBlock=block, Ipv6Native=True, AvailabilityZone="us-east-1a"
    )["Subnet"]
    subnet = network.find_subnet(session, made["SubnetId"], None, {"us-east-1a"})
    assert subnet.ipv6
    assert not network.find_subnet(session, None, None, {"us-east-1a"}).ipv6
    found = asked.settings(what(session, image, ipv6=True), ["instance"], subnet.id)
    (interface,) = found["NetworkInterfaces"]
    assert interface["Ipv6AddressCount"] == 1
    assert "AssociatePublicIpAddress" not in interface
    assert found["MetadataOptions"]["HttpProtocolIpv6"] == "enabled"


def test_instance_with_an_ipv6_address_only_is_reached_by_it() -> None:
    item = {
        "InstanceId": "i-1",
        "State": {"Name": "running"},
        "InstanceType": "c5.large",
        "LaunchTime": None,
        "Ipv6Address": "2600:1f18::7",
    }
    one = instances._instance(item)
    assert (one.address, one.private_ip, one.public_ip) == ("2600:1f18::7", "2600:1f18::7", "")
    assert json.dumps(one.address)

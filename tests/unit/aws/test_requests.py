"""What is asked of EC2, against moto in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from spotcluster.aws import (
    images,
    instance_types,
    instances,
    inventory,
    keypairs,
    network,
    prices,
    tags,
)
from spotcluster.aws.launching.asked import Launch, RootDisk
from spotcluster.aws.session import Credentials, Session
from spotcluster.aws.storage import ebs
from spotcluster.errors import CloudError, UsageError

OWN = {tags.CLUSTER: "demo", tags.ALIAS: "node001", tags.ROLE: "worker", "Name": "demo-node001"}


@pytest.fixture
def session(few_images: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield Session("us-east-1")


@pytest.fixture
def image(session: Session) -> images.Image:
    return images.describe(session, "ami-03cf127a")  # one of moto's; listing all takes seconds


def what(session: Session, image: images.Image, **changes: Any) -> Launch:
    zones = instance_types.zones_with(session, ["c5.large"])
    subnet = network.find_subnet(session, None, None, zones)
    given: dict[str, Any] = {
        "image": image,
        "type": "c5.large",
        "key_name": "mykey",
        "subnet_id": subnet.id,
        "group_ids": (network.create_group(session, "spotcluster-demo", subnet.vpc_id, OWN),),
        "user_data": "#cloud-config\n{}",
        "tags": OWN,
        "spot": False,
        "bid": None,
        "token": "t1",
        "public_ip": True,
        "disk": RootDisk(20),
    }
    return Launch(**{**given, **changes})


def test_launch_is_tagged_encrypted_and_imdsv2_only_in_the_creating_call(
    session: Session, image: images.Image
) -> None:
    asked: list[dict[str, Any]] = []
    session.ec2.meta.events.register(
        "provide-client-params.ec2.RunInstances", lambda params, **_: asked.append(params)
    )
    made = instances.launch(session, what(session, image, spot=True, bid=0.5))
    (request,) = asked
    assert request["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    (disk,) = request["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"]
    assert disk["Ebs"]["DeleteOnTermination"]
    kinds = {one["ResourceType"] for one in request["TagSpecifications"]}
    assert kinds == {"instance", "volume", "network-interface", "spot-instances-request"}
    assert request["ClientToken"] == "t1"
    assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert request["InstanceMarketOptions"]["SpotOptions"] == {
        "SpotInstanceType": "one-time",
        "MaxPrice": "0.500000",
    }
    assert (made.alias, made.cluster, made.is_master, made.ready) == (
        "node001",
        "demo",
        False,
        False,
    )


def test_on_demand_launch_asks_for_no_market(session: Session, image: images.Image) -> None:
    made = instances.launch(session, what(session, image))
    assert not made.spot


def test_describe_finds_a_cluster_by_its_tags(session: Session, image: images.Image) -> None:
    made = instances.launch(session, what(session, image))
    assert [one.id for one in instances.describe(session, "demo")] == [made.id]
    assert instances.describe(session, "other") == []
    assert [one.id for one in instances.live(instances.describe(session))] == [made.id]


def test_describe_reads_every_page(session: Session, image: images.Image) -> None:
    first = what(session, image)
    made = {instances.launch(session, first).id for _ in range(7)}
    paginate = session.ec2.describe_instances

    def small_pages(**given: Any) -> Any:
        return paginate(MaxResults=5, **given)

    session.ec2.describe_instances = small_pages  # type: ignore[method-assign]
    assert {one.id for one in instances.describe(session, "demo")} == made


def test_terminate_takes_those_that_are_gone(session: Session, image: images.Image) -> None:
    made = instances.launch(session, what(session, image))
    instances.terminate(session, [made.id, "i-0123456789abcdef0"])
    assert instances.live(instances.describe(session, "demo")) == []
    instances.terminate(session, [])


def test_group_is_found_with_the_tags_it_was_made_with(
    session: Session, image: images.Image
) -> None:
    (group_id,) = what(session, image).group_ids
    (group,) = network.find_groups(session, "demo")
    assert (group.id, group.tags["Name"]) == (group_id, "demo-node001")
    rules = [network.among_themselves(group_id), network.ssh_from("203.0.113.7/32")]
    network.allow(session, group_id, rules)
    network.allow(session, group_id, rules)
    assert network.delete_group(session, group_id)
    assert network.delete_group(session, group_id)
    assert network.find_groups(session, "demo") == []


def test_zone_without_a_subnet_is_named(session: Session) -> None:
    for one in session.ec2.describe_subnets()["Subnets"]:
        session.ec2.delete_subnet(SubnetId=one["SubnetId"])
    with pytest.raises(CloudError, match="no subnet in us-east-1, zone us-east-1b"):
        network.find_subnet(session, None, "us-east-1b", {"us-east-1b"})


def test_zone_that_the_region_has_not_is_a_wrong_name(session: Session) -> None:
    with pytest.raises(UsageError, match=r"no zone 'us-east-1z'\. Did you mean 'us-east-1a'\?"):
        network.find_subnet(session, None, "us-east-1z", {"us-east-1z"})


def test_missing_default_vpc_is_said_with_the_commands_that_make_one(session: Session) -> None:
    for one in session.ec2.describe_subnets()["Subnets"]:
        session.ec2.delete_subnet(SubnetId=one["SubnetId"])
    with pytest.raises(CloudError, match="There is no default VPC in us-east-1") as caught:
        network.find_subnet(session, None, None, {"us-east-1a"})
    assert "`aws ec2 create-default-vpc --region us-east-1`" in caught.value.hint
    assert "--availability-zone us-east-1a" in caught.value.hint


def test_zone_that_does_not_offer_the_type_names_those_that_do(session: Session) -> None:
    with pytest.raises(CloudError, match=r"us-east-1a does not offer.*us-east-1b"):
        network.find_subnet(session, None, "us-east-1a", {"us-east-1b"})


def test_unknown_instance_type_is_refused(session: Session) -> None:
    with pytest.raises(UsageError, match=r"no instance type 'c5\.huge'"):
        instance_types.describe(session, ["c5.huge"])


def test_unknown_image_is_refused(session: Session) -> None:
    with pytest.raises(CloudError, match=r"ami-0123456789abcdef0"):
        images.describe(session, "ami-0123456789abcdef0")


def test_key_pair_comes_back_with_its_public_half(session: Session) -> None:
    from spotcluster import ssh

    pair = ssh.keys.generate()
    keypairs.upload(session, "mykey", pair.public)
    found = keypairs.find(session, "mykey")
    assert found is not None
    assert found.public.split()[:2] == pair.public.split()[:2]
    assert [one.name for one in keypairs.list_all(session)] == ["mykey"]
    keypairs.delete(session, "mykey")
    assert keypairs.find(session, "mykey") is None
    keypairs.delete(session, "mykey")


def test_missing_key_pair_is_none(session: Session) -> None:
    assert keypairs.find(session, "nokey") is None


def test_what_ec2_lists_in_pages_is_read_to_the_end(session: Session) -> None:
    """`terminate` must see every group, volume and spot request of a cluster, however many."""
    pages = {
        "describe_security_groups": ("SecurityGroups", "GroupId", {"GroupName": "g"}),
        "describe_volumes": ("Volumes", "VolumeId", {"State": "available"}),
        "describe_spot_instance_requests": ("SpotInstanceRequests", "SpotInstanceRequestId", {}),
    }

    def paged(key: str, name: str, more: dict[str, str]) -> Any:
        def answer(NextToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803 - EC2's name
            number = int(NextToken or 0)
            following = {"NextToken": str(number + 1)} if number < 2 else {}
            return {key: [{name: f"x-{number}", **more}], **following}

        return answer

    for call, (key, name, more) in pages.items():
        setattr(session.ec2, call, paged(key, name, more))
    wanted = ["x-0", "x-1", "x-2"]
    assert [one.id for one in network.find_groups(session, "demo")] == wanted
    assert instances.volumes(session, "demo") == wanted
    assert instances.open_spot_requests(session, "demo") == wanted


def test_lists_that_users_see_are_read_to_the_end(session: Session) -> None:
    when = datetime.now(UTC) - timedelta(hours=3)

    def paged(key: str, of: Callable[[int], dict[str, Any]]) -> Any:
        def answer(NextToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803 - EC2's name
            number = int(NextToken or 0)
            return {key: [of(number)], "NextToken": str(number + 1) if number < 2 else ""}

        return answer

    def instance(number: int) -> dict[str, Any]:
        launched = when + timedelta(hours=number)
        found = {"InstanceId": f"i-{number}", "InstanceType": "t3.micro", "LaunchTime": launched}
        return {"Instances": [{**found, "State": {"Name": "running"}}]}

    def request(number: int) -> dict[str, Any]:
        made = when + timedelta(hours=number)
        return {"SpotInstanceRequestId": f"sir-{number}", "State": "open", "CreateTime": made}

    def price(number: int) -> dict[str, Any]:
        zone = {"InstanceType": "t3.micro", "AvailabilityZone": f"us-east-1{'abc'[number]}"}
        return {**zone, "Timestamp": when, "SpotPrice": f"0.{number + 1}"}

    def volume(number: int) -> dict[str, Any]:
        found = {"VolumeId": f"vol-{number}", "Size": 1, "AvailabilityZone": "us-east-1a"}
        return {**found, "State": "available", "CreateTime": when, "VolumeType": "gp3"}

    session.ec2.describe_instances = paged("Reservations", instance)
    session.ec2.describe_spot_instance_requests = paged("SpotInstanceRequests", request)
    session.ec2.describe_spot_price_history = paged("SpotPriceHistory", price)
    session.ec2.describe_volumes = paged("Volumes", volume)
    assert [one.id for one in inventory.instances(session)] == ["i-0", "i-1", "i-2"]
    assert [one.id for one in inventory.spot_requests(session)] == ["sir-2", "sir-1", "sir-0"]
    found = prices.spot_history(session, "t3.micro", days=1)
    assert [one.current for one in found] == [0.1, 0.2, 0.3]
    assert [one.id for one in ebs.attached_to(session, ["i-0"])] == ["vol-0", "vol-1", "vol-2"]


def test_second_client_of_s3_could_not_be_made() -> None:
    """A bucket in another region needs one, and what copies files is added to each once."""
    session = Session("us-east-1", credentials=Credentials("a", "b"))
    for region in ("us-east-1", "eu-west-1"):
        assert callable(session.client("s3", region_name=region).upload_file)
    assert callable(session.afresh().client("s3").upload_file)

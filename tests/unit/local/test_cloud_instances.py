"""States that take time, and the filters that find instances in them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.ec2.models.tags import TagBackend

from spotcluster.local.cloud import Cloud
from spotcluster.local.instances import PORT_TAG

SPOT = {"MarketType": "spot"}


def state(instance: dict[str, Any]) -> str:
    return str(instance["State"]["Name"])


def test_an_instance_is_pending_until_its_host_is_up(run: Any, describe: Any, settle: Any) -> None:
    run()
    assert [state(i) for i in describe()] == ["pending"]
    settle()
    (instance,) = describe()
    assert state(instance) == "running"
    assert {"Key": PORT_TAG, "Value": "2222"} in instance["Tags"]


def test_tags_of_an_instance_are_not_looked_for_through_all_that_there_are(
    ec2: Any, run: Any, describe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand instances took half a minute to describe, by when who asked had given up."""
    instances = run(2)
    own = [{"Key": "k", "Value": "of one"}]
    ec2.create_tags(Resources=[instances[0]["InstanceId"]], Tags=own)
    monkeypatch.setattr(TagBackend, "describe_tags", None)
    found = {one["InstanceId"]: one.get("Tags") for one in describe()}
    assert found[instances[0]["InstanceId"]] == own
    assert len(describe(Filters=[{"Name": "tag:k", "Values": ["of*"]}])) == 1


def test_terminating_takes_as_long_as_the_host_does(
    ec2: Any, run: Any, describe: Any, settle: Any
) -> None:
    (instance,) = run()
    settle()
    answer = ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    (change,) = answer["TerminatingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == (
        "running",
        "shutting-down",
    )
    assert [state(i) for i in describe()] == ["shutting-down"]
    settle()
    (ended,) = describe()
    assert state(ended) == "terminated"
    assert not ended.get("PrivateIpAddress")
    assert not ended.get("PublicIpAddress")
    assert ended["NetworkInterfaces"] == []
    assert ec2.describe_volumes()["Volumes"] == []
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])  # as often as one likes


def test_stop_and_start_keep_the_address(ec2: Any, run: Any, describe: Any, settle: Any) -> None:
    (instance,) = run()
    ids = [instance["InstanceId"]]
    settle()
    address = describe()[0]["PrivateIpAddress"]
    ec2.stop_instances(InstanceIds=ids)
    assert [state(i) for i in describe()] == ["stopping"]
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.start_instances(InstanceIds=ids)
    settle()
    (stopped,) = describe()
    assert state(stopped) == "stopped"
    assert stopped["PrivateIpAddress"] == address
    assert not stopped.get("PublicIpAddress")
    ec2.start_instances(InstanceIds=ids)
    assert [state(i) for i in describe()] == ["pending"]
    settle()
    (started,) = describe()
    assert state(started) == "running"
    assert started["PrivateIpAddress"] == started["PublicIpAddress"] == address


def test_a_terminated_instance_cannot_be_started_or_stopped(
    ec2: Any, run: Any, settle: Any
) -> None:
    (instance,) = run()
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    settle()
    for call in (ec2.start_instances, ec2.stop_instances):
        with pytest.raises(ClientError, match="IncorrectInstanceState"):
            call(InstanceIds=[instance["InstanceId"]])


def test_one_unknown_id_refuses_the_whole_call(
    ec2: Any, run: Any, describe: Any, settle: Any
) -> None:
    (instance,) = run()
    settle()
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        ec2.terminate_instances(InstanceIds=[instance["InstanceId"], "i-0123456789abcdef0"])
    assert [state(i) for i in describe()] == ["running"]


def test_a_protected_instance_is_not_terminated(ec2: Any, run: Any, describe: Any) -> None:
    (instance,) = run(DisableApiTermination=True)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert [state(i) for i in describe()] == ["pending"]


def test_a_killed_host_stops_its_instance(run: Any, describe: Any, settle: Any, cloud: Any) -> None:
    run()
    settle()
    with cloud.lock:
        (instance,) = cloud.instances()
        instance.ec2_backend.host_died(instance)
    (found,) = describe()
    assert state(found) == "stopping"
    assert found["StateReason"]["Code"] == "Server.ScheduledStop"


def test_a_killed_host_ends_its_spot_instance(
    ec2: Any, run: Any, describe: Any, settle: Any, cloud: Any
) -> None:
    run(InstanceMarketOptions=SPOT)
    settle()
    with cloud.lock:
        (instance,) = cloud.instances()
        instance.ec2_backend.host_died(instance)
    settle()
    (found,) = describe()
    assert state(found) == "terminated"
    assert found["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["Status"]["Code"] == "instance-terminated-no-capacity"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("instance-lifecycle", "spot", ["worker"]),
        ("client-token", "token-w", ["worker"]),
        ("client-token", "token-*", ["worker", "master"]),
        ("instance-state-name", "pending", ["worker", "master"]),
        ("instance-state-code", "16", []),
        ("tag:alias", "mast?r", ["master"]),
        ("tag:alias", "mast*", ["master"]),
        ("tag-key", "alias", ["worker", "master"]),
        ("group-name", "default", ["worker", "master"]),
        ("instance-type", "c5.*", ["worker"]),
        ("instance-type", "[mc]5.*", []),
    ],
)
def test_filters(run: Any, describe: Any, name: str, value: str, found: list[str]) -> None:
    def tags(alias: str) -> list[dict[str, Any]]:
        return [{"ResourceType": "instance", "Tags": [{"Key": "alias", "Value": alias}]}]

    run(InstanceMarketOptions=SPOT, ClientToken="token-w", TagSpecifications=tags("worker"))
    run(InstanceType="m5.large", ClientToken="token-m", TagSpecifications=tags("master"))
    aliases = [
        tag["Value"]
        for instance in describe(Filters=[{"Name": name, "Values": [value]}])
        for tag in instance["Tags"]
        if tag["Key"] == "alias"
    ]
    assert sorted(aliases) == sorted(found)


def test_instances_are_found_by_their_spot_request(run: Any, describe: Any) -> None:
    first, second = run(2, InstanceMarketOptions=SPOT)
    wanted = [{"Name": "spot-instance-request-id", "Values": [second["SpotInstanceRequestId"]]}]
    assert [i["InstanceId"] for i in describe(Filters=wanted)] == [second["InstanceId"]]
    assert first["SpotInstanceRequestId"] != second["SpotInstanceRequestId"]


def test_an_unknown_filter_is_refused(run: Any, describe: Any) -> None:
    run()
    with pytest.raises(ClientError, match="The filter 'colour' is invalid"):
        describe(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_a_group_in_use_cannot_be_deleted(ec2: Any, run: Any, settle: Any) -> None:
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    (instance,) = run(SecurityGroupIds=[group])
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    settle()
    ec2.delete_security_group(GroupId=group)


@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_a_group_that_a_rule_of_another_names_cannot_be_deleted(ec2: Any, way: str) -> None:
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    named, other = (
        ec2.create_security_group(GroupName=name, Description="g", VpcId=vpc)["GroupId"]
        for name in ("named", "other")
    )
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    rules = [{**rule, "UserIdGroupPairs": [{"GroupId": named}]}]
    getattr(ec2, f"authorize_security_group_{way}")(GroupId=other, IpPermissions=rules)
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=named)
    getattr(ec2, f"revoke_security_group_{way}")(GroupId=other, IpPermissions=rules)
    ec2.delete_security_group(GroupId=named)


def test_what_is_not_there_cannot_be_tagged(ec2: Any, run: Any) -> None:
    tags = [{"Key": "k", "Value": "v"}]
    for missing, code in (
        ("i-0123456789abcdef0", r"InvalidInstanceID\.NotFound"),
        ("sir-0123456789abcdef0", r"InvalidSpotInstanceRequestID\.NotFound"),
    ):
        with pytest.raises(ClientError, match=code):
            ec2.create_tags(Resources=[missing], Tags=tags)
    (instance,) = run(InstanceMarketOptions=SPOT)
    both = [instance["InstanceId"], instance["SpotInstanceRequestId"]]
    ec2.create_tags(Resources=both, Tags=tags)


def test_a_disk_is_attached_once_and_in_its_own_zone(ec2: Any, run: Any, settle: Any) -> None:
    zones = ({"AvailabilityZone": f"us-east-1{letter}"} for letter in "ab")
    here, there = (run(Placement=zone)[0]["InstanceId"] for zone in zones)
    settle()
    disk = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    with pytest.raises(ClientError, match=r"InvalidVolume\.ZoneMismatch"):
        ec2.attach_volume(VolumeId=disk, InstanceId=there, Device="/dev/sdz")
    ec2.attach_volume(VolumeId=disk, InstanceId=here, Device="/dev/sdz")
    with pytest.raises(ClientError, match="VolumeInUse"):
        ec2.attach_volume(VolumeId=disk, InstanceId=here, Device="/dev/sdy")
    ec2.terminate_instances(InstanceIds=[here])
    settle()
    (left,) = ec2.describe_volumes(VolumeIds=[disk])["Volumes"]
    assert left["State"] == "available"


def test_behavior_at_shut_down_can_be_changed_and_the_groups_stay(ec2: Any, run: Any) -> None:
    """moto took it for an empty list of groups."""
    (before,) = run()
    own, wanted = before["InstanceId"], {"Value": "terminate"}
    ec2.modify_instance_attribute(InstanceId=own, InstanceInitiatedShutdownBehavior=wanted)
    name = "instanceInitiatedShutdownBehavior"
    found = ec2.describe_instance_attribute(InstanceId=own, Attribute=name)
    assert found["InstanceInitiatedShutdownBehavior"] == wanted
    after = ec2.describe_instances(InstanceIds=[own])["Reservations"][0]["Instances"][0]
    assert after["SecurityGroups"] == before["SecurityGroups"] != []


def test_volume_is_made_once_for_a_token_in_a_zone_that_is_there(ec2: Any) -> None:
    asked = {"AvailabilityZone": "us-east-1a", "Size": 2, "ClientToken": "t"}
    first, second = (ec2.create_volume(**asked)["VolumeId"] for _ in range(2))
    assert first == second
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        ec2.create_volume(**{**asked, "Size": 3})
    with pytest.raises(ClientError, match=r"InvalidZone\.NotFound"):
        ec2.create_volume(AvailabilityZone="us-east-1z", Size=1)


def test_volume_becomes_larger_only(ec2: Any) -> None:
    disk = ec2.create_volume(AvailabilityZone="us-east-1a", Size=2)["VolumeId"]
    with pytest.raises(ClientError, match="smaller than existing"):
        ec2.modify_volume(VolumeId=disk, Size=1)
    ec2.modify_volume(VolumeId=disk, Size=3)
    snapshot = ec2.create_snapshot(VolumeId=disk)["SnapshotId"]
    with pytest.raises(ClientError, match="smaller than the snapshot's, 3 GiB"):
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=2, SnapshotId=snapshot)
    made = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)
    assert made["Size"] == 3


def test_two_disks_do_not_have_one_name_on_an_instance(ec2: Any, run: Any, settle: Any) -> None:
    (instance,) = run(Placement={"AvailabilityZone": "us-east-1a"})
    one, other = (
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"] for _ in range(2)
    )
    where = {"InstanceId": instance["InstanceId"], "Device": "/dev/sdz"}
    with pytest.raises(ClientError, match="is not 'running'"):
        ec2.attach_volume(VolumeId=one, **where)
    settle()
    ec2.attach_volume(VolumeId=one, **where)
    with pytest.raises(ClientError, match="already in use"):
        ec2.attach_volume(VolumeId=other, **where)


def test_volume_is_detached_by_its_id_alone(ec2: Any, run: Any, settle: Any) -> None:
    (instance,) = run(Placement={"AvailabilityZone": "us-east-1a"})
    settle()
    disk = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    ec2.attach_volume(VolumeId=disk, InstanceId=instance["InstanceId"], Device="/dev/sdz")
    assert ec2.detach_volume(VolumeId=disk)["InstanceId"] == instance["InstanceId"]
    (left,) = ec2.describe_volumes(VolumeIds=[disk])["Volumes"]
    assert left["State"] == "available"


def test_host_on_port_22_has_no_tag_that_says_so(cloud: Cloud, run: Any, describe: Any) -> None:
    run()
    with cloud.lock:
        (instance,) = cloud.instances()
        instance.has_booted(22)
    (found,) = describe()
    assert PORT_TAG not in {tag["Key"] for tag in found.get("Tags", [])}


@pytest.mark.parametrize(
    ("params", "state_"),
    [
        ({}, "stopping"),
        ({"InstanceInitiatedShutdownBehavior": "terminate"}, "shutting-down"),
        ({"InstanceMarketOptions": SPOT}, "shutting-down"),
    ],
)
def test_instance_that_shuts_itself_down_does_what_it_was_told_to(
    cloud: Cloud, run: Any, describe: Any, settle: Any, params: dict[str, Any], state_: str
) -> None:
    run(**params)
    settle()
    with cloud.lock:
        (instance,) = cloud.instances()
        instance.ec2_backend.host_shut_down(instance)
    (found,) = describe()
    assert state(found) == state_
    assert found["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"

"""Machines with a role: the keys that they get, and that these do what their policy says only."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends
from roles import make_profile

from spotcluster.aws import policy, tags
from spotcluster.local.access.callers import Credentials
from spotcluster.local.access.roles import Roles, role_of
from spotcluster.local.cloud import Cloud
from spotcluster.local.images import UBUNTU

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
OURS = {"Key": tags.CLUSTER, "Value": "c"}


@pytest.fixture(autouse=True)
def no_roles_yet() -> Iterator[None]:
    yield
    iam_backends.reset()


@pytest.fixture
def iam(client: Callable[..., Any]) -> Any:
    made = client("iam")
    make_profile(made, "profile", json.dumps(policy.document(keep=True)))
    return made


@pytest.fixture
def machine(iam: Any, cloud: Cloud, run: Any) -> Any:
    run(
        IamInstanceProfile={"Name": "profile"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [OURS]}],
    )
    (one,) = cloud.instances()
    return one


@pytest.fixture
def roles(cloud: Cloud, access_key: str) -> Roles:
    return Roles(cloud, Credentials(access_key, "secret"))


def asked(url: str, path: str) -> str:
    with OPENER.open(f"{url}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def keys(url: str, roles: Roles, machine: Any) -> dict[str, str]:
    place = f"{roles.page(machine.id)}/latest/meta-data/iam/security-credentials/"
    said: dict[str, str] = json.loads(asked(url, place + asked(url, place)))
    return said


@pytest.fixture
def as_role(url: str, roles: Roles, machine: Any) -> Callable[..., Any]:
    def make(service: str, **other: str) -> Any:
        said = {**keys(url, roles, machine), **other}
        return boto3.Session(
            said["AccessKeyId"], said["SecretAccessKey"], said["Token"], "us-east-1"
        ).client(
            service,
            endpoint_url=url,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    return make


def refusal(call: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**given)
    said = error.value.response["Error"]
    return f"{said['Code']}: {said['Message']}"


def test_boto_finds_the_keys_by_itself(
    url: str, roles: Roles, machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in roles.variables(machine, url).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    found = boto3.Session(region_name="us-east-1").client("ec2").describe_instances()
    assert len(found["Reservations"]) == 1


def test_an_instance_without_a_profile_has_no_keys(
    url: str, cloud: Cloud, roles: Roles, run: Any
) -> None:
    run()
    (one,) = cloud.instances()
    assert roles.variables(one, url) == {}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        keys(url, roles, one)


def test_nobody_finds_the_keys_of_a_machine_without_its_secret(
    url: str, machine: Any, roles: Roles
) -> None:
    for guess in ("", machine.id, "x" * 43):
        place = f"/machines/{guess}/latest/meta-data/iam/security-credentials/"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            asked(url, place)


def test_keys_with_another_token_are_refused(as_role: Any) -> None:
    assert "AuthFailure" in refusal(as_role("ec2", Token="other").describe_instances)


def test_role_ends_what_is_ours_and_nothing_else(as_role: Any, machine: Any, run: Any) -> None:
    other = run()[0]["InstanceId"]
    ec2 = as_role("ec2")
    said = refusal(ec2.terminate_instances, InstanceIds=[other])
    assert said.startswith("UnauthorizedOperation: You are not authorized to perform this")
    assert f"assumed-role/keeper/{machine.id} is not authorized to perform:" in said
    assert "ec2:TerminateInstances on resource: arn:aws:ec2:us-east-1:123456789012:i" in said
    refusal(ec2.terminate_instances, InstanceIds=[machine.id, other])
    ec2.terminate_instances(InstanceIds=[machine.id])


def test_role_makes_what_is_ours_and_nothing_else(as_role: Any, machine: Any, ec2: Any) -> None:
    mine = as_role("ec2")
    group = ec2.create_security_group(
        GroupName="g",
        Description="d",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [OURS]}],
    )["GroupId"]
    whole = [
        {"ResourceType": kind, "Tags": [OURS]}
        for kind in ("instance", "volume", "network-interface")
    ]
    given = {
        "ImageId": UBUNTU,
        "InstanceType": "c5.large",
        "SecurityGroupIds": [group],
        "MinCount": 1,
        "MaxCount": 1,
    }
    assert "UnauthorizedOperation" in refusal(mine.run_instances, **given)
    assert "UnauthorizedOperation" in refusal(
        mine.run_instances, **given, TagSpecifications=whole[:1]
    )
    mine.run_instances(**given, TagSpecifications=whole)
    said = refusal(mine.create_security_group, GroupName="h", Description="d")
    assert "UnauthorizedOperation" in said


def test_role_does_not_take_away_the_tag_by_which_a_thing_is_ours(
    as_role: Any, machine: Any
) -> None:
    ec2 = as_role("ec2")
    ec2.create_tags(Resources=[machine.id], Tags=[{"Key": "a", "Value": "b"}])
    ec2.delete_tags(Resources=[machine.id], Tags=[{"Key": "a"}])
    for key in (tags.CLUSTER, tags.VOLUME):
        said = refusal(ec2.delete_tags, Resources=[machine.id], Tags=[{"Key": key}])
        assert "UnauthorizedOperation" in said


def test_role_reads_the_parameter_that_it_may_and_nothing_of_iam(as_role: Any) -> None:
    name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    as_role("ssm").get_parameter(Name=name)
    assert "AccessDenied" in refusal(as_role("ssm").get_parameter, Name="/other")
    assert "AccessDenied" in refusal(as_role("iam").get_role, RoleName="keeper")


def test_who_has_a_role_does_not_tell_the_local_cloud_what_to_do(
    url: str, roles: Roles, machine: Any
) -> None:
    said = keys(url, roles, machine)
    request = urllib.request.Request(
        f"{url}/control/faults",
        b"[]",
        {
            "Authorization": f"LOCAL Credential={said['AccessKeyId']}/-/-/control/",
            "X-Amz-Security-Token": said["Token"],
        },
    )
    with pytest.raises(urllib.error.HTTPError, match="404"):
        OPENER.open(request, timeout=10)


def test_policy_that_is_changed_holds_at_once_and_a_denial_wins(iam: Any, as_role: Any) -> None:
    ec2 = as_role("ec2")
    ec2.describe_instances()
    denial = {"Effect": "Deny", "Action": "ec2:Describe*", "Resource": "*"}
    iam.put_role_policy(
        RoleName="keeper",
        PolicyName="not",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denial]}),
    )
    assert "UnauthorizedOperation" in refusal(ec2.describe_instances)
    iam.delete_role_policy(RoleName="keeper", PolicyName="not")
    ec2.describe_instances()


def test_roles_are_there_after_a_restart(cloud: Cloud, machine: Any, tmp_path: Path) -> None:
    cloud.save()
    iam_backends.reset()
    again = Cloud(tmp_path)
    again.load()
    (one,) = again.instances()
    assert role_of(one).name == "keeper"
    assert set(role_of(one).policies) == {"keep"}


def test_a_profile_that_is_not_there_is_refused_as_ec2_does(run: Any) -> None:
    said = refusal(run, IamInstanceProfile={"Name": "none"})
    assert "InvalidParameterValue" in said
    assert "Invalid IAM Instance Profile name" in said

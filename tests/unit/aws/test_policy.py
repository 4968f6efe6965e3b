"""The policy that `iam-policy` prints, looked at by others' eyes: parliament and policy_sentry."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any

import pytest

from spotcluster.aws import policy, tags
from spotcluster.errors import UsageError

KMS = "arn:aws:kms:us-east-1:123456789012:key/0a1b"
FORMS: dict[str, dict[str, Any]] = {
    "least": {},
    "all": {
        "bucket": "b",
        "files": "f",
        "kms_key": KMS,
        "volumes": ["vol-12345678", "snap-12345678"],
        "role": ["my-role", "/path/other"],
        "security_groups": ["sg-0123abcd", "sg-4567cdef"],
        "placement_group": "near",
        "capacity_reservation": "cr-0123abcd",
    },
    "keep": {"keep": True},
    "China": {"partition": "aws-cn", "bucket": "b"},
}


def statements(**given: Any) -> list[dict[str, Any]]:
    return list(policy.document(**given)["Statement"])


def resources(statement: Mapping[str, Any]) -> list[str]:
    found = statement["Resource"]
    return list(found) if isinstance(found, list) else [found]


def kinds(document: Mapping[str, Any], action: str) -> set[str]:
    """Return the kinds of things for which some statement allows an action."""
    found = [one for one in document["Statement"] if action in one["Action"]]
    return {name.rpartition(":")[2].partition("/")[0] for one in found for name in resources(one)}


@pytest.mark.parametrize("form", FORMS)
def test_parliament_finds_nothing(form: str) -> None:
    from parliament import analyze_policy_string  # not by each process that collects this

    document = policy.document(**FORMS[form])
    found = analyze_policy_string(json.dumps(document), include_community_auditors=False).findings
    left = []
    for one in found:
        if one.issue == "RESOURCE_MISMATCH":
            # A call is about several kinds of things, which it looks for in one statement; ours are
            # in several, as each kind has a condition of its own.
            left += [
                (detail["action"], detail["required_format"])
                for detail in one.detail
                if detail["required_format"].rpartition(":")[2].partition("/")[0]
                not in kinds(document, detail["action"])
            ]
        else:
            left.append((one.issue, str(one.detail)))
    assert left == []


@pytest.mark.parametrize("form", FORMS)
def test_policy_sentry_knows_every_action_and_its_resources(form: str) -> None:
    from policy_sentry.querying.actions import get_action_data

    for statement in statements(**FORMS[form]):
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            rows: Any = get_action_data(service, name)
            assert rows, action
            known = {row["resource_arn_format"].rpartition(":")[2] for row in rows[service]}
            for one in resources(statement):
                if one == "*" or service in ("s3", "ssm", "iam", "kms"):
                    continue
                kind = one.rpartition(":")[2].partition("/")[0]
                if (name, kind) == ("RunInstances", "spot-instances-request"):
                    continue  # said in EC2's guide, not in the table of actions
                assert any(form.startswith(f"{kind}/") for form in known), (action, one)


def test_every_action_that_is_not_about_looking_names_what_it_is_for() -> None:
    """By a condition, or by resources that are not all there are."""
    for statement in statements(**FORMS["all"]):
        verbs = [one.partition(":")[2] for one in statement["Action"]]
        looking = ("Describe", "GetProducts", "GetServiceQuota", "GetSpot")
        looks = all(one.startswith(looking) for one in verbs)
        assert looks or statement["Resource"] != "*" or "Condition" in statement, statement["Sid"]


def allowed(
    action: str,
    resource: str,
    *,
    request: Mapping[str, str] | None = None,
    on: Mapping[str, str] | None = None,
    keys: tuple[str, ...] = (),
    **given: Any,
) -> bool:
    """Return what IAM says to one resource of a call, as far as our conditions go."""
    context = {f"aws:RequestTag/{key}" for key in request or {}}
    context |= {f"aws:ResourceTag/{key}" for key in on or {}}
    for statement in statements(**given):
        if f"ec2:{action}" not in statement["Action"]:
            continue
        if not any(fnmatch.fnmatchcase(resource, one) for one in resources(statement)):
            continue
        condition = statement.get("Condition", {})
        if "StringEquals" in condition:  # the tags of a call that makes something
            continue
        wanted = condition.get("Null", {})
        refused = condition.get("ForAllValues:StringNotEquals", {}).get("aws:TagKeys", ())
        fits = all((key in context) == (value == "false") for key, value in wanted.items())
        if fits and not set(refused) & set(keys):
            return True
    return False


def arn(kind: str, name: str = "x-1") -> str:
    account = "" if kind in ("image", "snapshot") else "123456789012"
    return f"arn:aws:ec2:us-east-1:{account}:{kind}/{name}"


@pytest.mark.parametrize(
    ("action", "kind", "tag"),
    [
        ("RunInstances", "instance", tags.CLUSTER),
        ("RunInstances", "volume", tags.CLUSTER),
        ("RunInstances", "network-interface", tags.CLUSTER),
        ("RunInstances", "spot-instances-request", tags.CLUSTER),
        ("CreateFleet", "fleet", tags.CLUSTER),
        ("CreateFleet", "instance", tags.CLUSTER),
        ("CreateFleet", "volume", tags.CLUSTER),
        ("CreateLaunchTemplate", "launch-template", tags.CLUSTER),
        ("CreateSecurityGroup", "security-group", tags.CLUSTER),
        ("CreateVolume", "volume", tags.VOLUME),
        ("ImportKeyPair", "key-pair", tags.KEY),
        ("CreateImage", "image", tags.IMAGE),
        ("CreateImage", "snapshot", tags.IMAGE),
        ("CreatePlacementGroup", "placement-group", tags.CLUSTER),
    ],
)
def test_nothing_is_made_that_the_policy_could_not_end(action: str, kind: str, tag: str) -> None:
    assert allowed(action, arn(kind), request={tag: "x"})
    assert not allowed(action, arn(kind))
    assert not allowed(action, arn(kind), request={"Name": "x"})


@pytest.mark.parametrize(
    ("action", "kind", "tag"),
    [
        ("TerminateInstances", "instance", tags.CLUSTER),
        ("StopInstances", "instance", tags.CLUSTER),
        ("RebootInstances", "instance", tags.CLUSTER),
        ("GetConsoleOutput", "instance", tags.CLUSTER),
        ("DeleteSecurityGroup", "security-group", tags.CLUSTER),
        ("AuthorizeSecurityGroupIngress", "security-group", tags.CLUSTER),
        ("RunInstances", "security-group", tags.CLUSTER),
        ("RunInstances", "launch-template", tags.CLUSTER),
        ("CreateFleet", "launch-template", tags.CLUSTER),
        ("DeleteLaunchTemplate", "launch-template", tags.CLUSTER),
        ("DeleteFleets", "fleet", tags.CLUSTER),
        ("CancelSpotInstanceRequests", "spot-instances-request", tags.CLUSTER),
        ("DeleteVolume", "volume", tags.VOLUME),
        ("ModifyVolume", "volume", tags.VOLUME),
        ("AttachVolume", "volume", tags.VOLUME),
        ("DetachVolume", "volume", tags.VOLUME),
        ("AttachVolume", "instance", tags.CLUSTER),
        ("CreateVolume", "snapshot", tags.VOLUME),
        ("DeleteKeyPair", "key-pair", tags.KEY),
        ("CreateImage", "instance", tags.CLUSTER),
        ("DeregisterImage", "image", tags.IMAGE),
        ("DeleteSnapshot", "snapshot", tags.IMAGE),
        ("CreateTags", "instance", tags.CLUSTER),
        ("CreateTags", "volume", tags.VOLUME),
        ("RunInstances", "placement-group", tags.CLUSTER),
        ("CreateFleet", "placement-group", tags.CLUSTER),
        ("DeletePlacementGroup", "placement-group", tags.CLUSTER),
        ("DeleteTags", "security-group", tags.CLUSTER),
    ],
)
def test_what_others_made_is_neither_changed_nor_read(action: str, kind: str, tag: str) -> None:
    """Any key pair could be deleted, any volume attached to a node and so read."""
    assert allowed(action, arn(kind), on={tag: "x"})
    assert not allowed(action, arn(kind))
    assert not allowed(action, arn(kind), on={"Name": "x"})
    assert not allowed(action, arn(kind), request={tag: "x"})


def test_tag_by_which_a_thing_is_ours_is_not_taken_away() -> None:
    on = {tags.CLUSTER: "x"}
    assert allowed("DeleteTags", arn("security-group"), on=on, keys=(tags.STOPPED,))
    assert not allowed("DeleteTags", arn("security-group"), on=on, keys=(tags.CLUSTER,))


def test_disks_of_others_are_those_that_are_named() -> None:
    named = {"volumes": ["vol-12345678", "snap-12345678"]}
    assert allowed("AttachVolume", arn("volume", "vol-12345678"), **named)
    assert not allowed("AttachVolume", arn("volume", "vol-87654321"), **named)
    assert not allowed("DeleteVolume", arn("volume", "vol-12345678"), **named)
    assert allowed("CreateVolume", arn("snapshot", "snap-12345678"), **named)
    assert not allowed("CreateVolume", arn("snapshot", "snap-87654321"), **named)


def test_groups_and_reservations_of_others_are_those_that_are_named() -> None:
    named = {
        "security_groups": ["sg-0123abcd"],
        "placement_group": "near",
        "capacity_reservation": "cr-0123abcd",
    }
    for kind, one in (
        ("security-group", "sg-0123abcd"),
        ("placement-group", "near"),
        ("capacity-reservation", "cr-0123abcd"),
    ):
        assert allowed("RunInstances", arn(kind, one), **named)
        assert not allowed("RunInstances", arn(kind, f"{one}0"), **named)
        assert not allowed("RunInstances", arn(kind, one))
    for action, kind, one in (
        ("AuthorizeSecurityGroupIngress", "security-group", "sg-0123abcd"),
        ("DeleteSecurityGroup", "security-group", "sg-0123abcd"),
        ("DeletePlacementGroup", "placement-group", "near"),
    ):
        assert not allowed(action, arn(kind, one), **named)


def test_roles_are_given_to_instances_and_to_nothing_else() -> None:
    (found,) = [one for one in statements(role=["a", "/path/b"]) if "iam:PassRole" in one["Action"]]
    assert found["Resource"] == ["arn:aws:iam::*:role/a", "arn:aws:iam::*:role/path/b"]
    assert found["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert not [one for one in statements() if "iam:PassRole" in one["Action"]]


@pytest.mark.parametrize(
    "given",
    [
        {"security_groups": ["default"]},
        {"security_groups": ["*"]},
        {"placement_group": "*"},
        {"capacity_reservation": "cr-*"},
        {"role": ["my-role", "*"]},
        {"volumes": ["data"]},
        {"volumes": ["vol-*"]},
        {"kms_key": "alias/aws/ebs"},
        {"kms_key": "arn:aws:kms:us-east-1:123456789012:alias/x"},
        {"kms_key": "*"},
        {"kms_key": KMS, "partition": "aws-cn"},
    ],
    ids=str,
)
def test_what_would_allow_something_else_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"is not the (id|name|ARN)"):
        policy.document(**given)


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-east-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("local", "aws"),
    ],
)
def test_arns_are_of_the_regions_part_of_aws(region: str, partition: str) -> None:
    assert policy.partition_of(region) == partition
    key = KMS.replace("arn:aws:", f"arn:{partition}:")
    text = json.dumps(policy.document("b", "f", partition=partition, kms_key=key))
    assert f'"arn:{partition}:' in text
    assert ("amazonaws.com.cn" in text) == (partition == "aws-cn")
    others = {"aws", "aws-cn", "aws-us-gov"} - {partition}
    assert not [one for one in others if f'"arn:{one}:' in text]


def test_own_key_is_used_for_disks_by_ec2_only() -> None:
    for statement in statements(kms_key=KMS):
        if statement["Resource"] == KMS and statement["Action"] != ["kms:DescribeKey"]:
            assert statement["Condition"]["StringLike"] == {"kms:ViaService": "ec2.*.amazonaws.com"}
    actions = [one["Action"] for one in statements(kms_key=KMS) if one["Resource"] == KMS]
    assert ["kms:CreateGrant"] in actions
    assert any("kms:GenerateDataKeyWithoutPlaintext" in one for one in actions)

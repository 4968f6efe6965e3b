"""What an IAM policy allows of things that others made and templates name: each by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from spotcluster.errors import UsageError

_GROUP = re.compile(r"sg-[0-9a-f]{8,17}")
_PLACE = re.compile(r"[A-Za-z0-9_.@ +-]{1,255}")
_RESERVATION = re.compile(r"cr-[0-9a-f]{8,17}")
_KMS_KEY = re.compile(r"arn:(aws[a-z-]*):kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")
_ROLE = re.compile(r"/?([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}")
_KMS = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)


def launch_into(
    partition: str, groups: Sequence[str], place: str | None, reservation: str | None
) -> list[dict[str, Any]]:
    """Return what launching into things of others' needs, each by its name: they stay as they are.

    Raises
    ------
    UsageError
        One is not the name of such a thing.
    """
    ec2 = f"arn:{partition}:ec2:*"
    for one, shape, what in (
        *((one, _GROUP, "the id of a security group, as in sg-0123abcd") for one in groups),
        (place, _PLACE, "the name of a placement group"),
        (reservation, _RESERVATION, "the id of a capacity reservation, as in cr-0123abcd"),
    ):
        if one is not None and not shape.fullmatch(one):
            raise UsageError(f"'{one}' is not {what}.", "Give it as the template has it.")
    both = ("ec2:CreateFleet", "ec2:RunInstances")
    run = ("ec2:RunInstances",)
    groups = [f"{ec2}:*:security-group/{one}" for one in groups]
    return [
        *([allow("LaunchInNamedGroups", run, *groups)] if groups else []),
        *(
            [allow("LaunchInNamedPlace", both, f"{ec2}:*:placement-group/{place}")]
            if place is not None
            else []
        ),
        *(
            [allow("LaunchIntoReservation", run, f"{ec2}:*:capacity-reservation/{reservation}")]
            if reservation is not None
            else []
        ),
    ]


def kms(key: str, partition: str, *, s3: bool) -> list[dict[str, Any]]:
    """Return what EC2, and S3, do with the account's own key in the holder's name."""
    found = _KMS_KEY.fullmatch(key)
    if found is None or found[1] != partition:
        raise UsageError(
            f"'{key}' is not the ARN of a key of KMS in the partition {partition}.",
            f"It reads like arn:{partition}:kms:REGION:ACCOUNT:key/ID; `aws kms describe-key`"
            " shows it, also for an alias.",
        )
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    by_ec2 = {"StringLike": {"kms:ViaService": f"ec2.*.{suffix}"}}
    by_s3 = {"StringLike": {"kms:ViaService": f"s3.*.{suffix}"}}
    grant = {**by_ec2, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    return [
        allow("LookAtTheKey", ("kms:DescribeKey",), key),
        allow("EncryptDisks", _KMS, key, condition=by_ec2),
        allow("LetEC2EncryptDisks", ("kms:CreateGrant",), key, condition=grant),
        *(
            [allow("EncryptFiles", ("kms:Decrypt", "kms:GenerateDataKey"), key, condition=by_s3)]
            if s3
            else []
        ),
    ]


def profiles(roles: Sequence[str], partition: str) -> list[dict[str, Any]]:
    """Return what launching with instance profiles needs: their roles, and for EC2 only."""
    for role in roles:
        if not _ROLE.fullmatch(role):
            raise UsageError(
                f"'{role}' is not the name of a role.",
                "Give the name alone, after its path where it has one: my-role, or /path/my-role.",
            )
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return [
        allow(
            "GiveNodesTheirRoles",
            ("iam:PassRole",),
            *(f"arn:{partition}:iam::*:role/{role.lstrip('/')}" for role in roles),
            condition={"StringEquals": {"iam:PassedToService": f"ec2.{suffix}"}},
        ),
        allow(
            "LookAtInstanceProfiles",
            ("iam:GetInstanceProfile",),
            f"arn:{partition}:iam::*:instance-profile/*",
        ),
    ]


def allow(
    name: str,
    actions: tuple[str, ...],
    *resources: str,
    condition: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a statement that allows actions on resources."""
    statement: dict[str, Any] = {
        "Sid": name,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources) if len(resources) > 1 else "".join(resources) or "*",
    }
    return {**statement, "Condition": condition} if condition else statement

"""The least that the credentials must be allowed, as an IAM policy.

What is ours carries a tag of ours from the call that makes it, so changing and ending things is
allowed for things with that tag only.
"""

from __future__ import annotations

from typing import Any

from spotcluster.aws import tags
from spotcluster.aws.objects import PREFIX

_LOOK = (
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeRegions",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:DescribeVolumesModifications",
    "pricing:GetProducts",
)
_MAKE = ("ec2:CreateSecurityGroup", "ec2:CreateVolume", "ec2:RunInstances")
_VOLUMES = ("ec2:CreateTags", "ec2:DeleteVolume", "ec2:ModifyVolume")
_ATTACH = ("ec2:AttachVolume", "ec2:DetachVolume")
_KEYS = ("ec2:DeleteKeyPair", "ec2:ImportKeyPair")
_CHANGE = (
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CancelSpotInstanceRequests",
    "ec2:CreateTags",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteTags",
    "ec2:DeleteVolume",
    "ec2:GetConsoleOutput",
    "ec2:RebootInstances",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
)


def document(bucket: str | None = None, files: str | None = None) -> dict[str, Any]:
    """Return the policy.

    Parameters
    ----------
    bucket : str, optional
        A bucket for the split files of searches.
    files : str, optional
        A bucket that `put` reads and `get` writes.
    """
    ours = {"Null": {f"aws:ResourceTag/{tags.CLUSTER}": "false"}}
    our_volume = {"Null": {f"aws:ResourceTag/{tags.VOLUME}": "false"}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("Look", _LOOK),
            _allow(
                "FindTheDefaultImage",
                ("ssm:GetParameter",),
                resource="arn:aws:ssm:*::parameter/aws/service/canonical/*",
            ),
            _allow("Make", _MAKE),
            _allow(
                "TagWhatIsBeingMade",
                ("ec2:CreateTags",),
                condition={
                    "StringEquals": {
                        "ec2:CreateAction": [one.removeprefix("ec2:") for one in _MAKE]
                    }
                },
            ),
            _allow("ChangeAndEndWhatIsOurs", _CHANGE, condition=ours),
            _allow(
                "ChangeAndDeleteVolumesOfOurs",
                _VOLUMES,
                resource="arn:aws:ec2:*:*:volume/*",
                condition=our_volume,
            ),
            # A volume that somebody else made may be named in a config too; the instance is ours.
            _allow("AttachToNodes", _ATTACH, resource="arn:aws:ec2:*:*:instance/*", condition=ours),
            _allow("AttachAnyVolume", _ATTACH, resource="arn:aws:ec2:*:*:volume/*"),
            _allow("KeepKeyPairs", _KEYS, resource="arn:aws:ec2:*:*:key-pair/*"),
            # AWS makes this role when an account asks for spot instances for the first time.
            _allow(
                "FirstSpotInstanceOfTheAccount",
                ("iam:CreateServiceLinkedRole",),
                resource="arn:aws:iam::*:role/aws-service-role/spot.amazonaws.com/*",
                condition={"StringLike": {"iam:AWSServiceName": "spot.amazonaws.com"}},
            ),
            *([] if bucket is None else _splits(f"arn:aws:s3:::{bucket}")),
            *([] if files is None else _files(f"arn:aws:s3:::{files}")),
        ],
    }


def _splits(bucket: str) -> list[dict[str, Any]]:
    return [
        _allow("ListSplitFiles", ("s3:ListBucket",), resource=bucket),
        _allow(
            "KeepSplitFiles",
            ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
            resource=f"{bucket}/{PREFIX}*",
        ),
    ]


def _files(bucket: str) -> list[dict[str, Any]]:
    # A node acts by addresses that these credentials sign, so it needs none of its own.
    return [
        _allow("ListFiles", ("s3:ListBucket", "s3:ListBucketMultipartUploads"), resource=bucket),
        _allow(
            "MoveFiles",
            (
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ),
            resource=f"{bucket}/*",
        ),
    ]


def _allow(
    name: str,
    actions: tuple[str, ...],
    *,
    resource: str = "*",
    condition: dict[str, Any] | None = None,
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": name,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": resource,
    }
    return {**statement, "Condition": condition} if condition else statement

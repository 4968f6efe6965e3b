"""The least that the credentials must be allowed, as an IAM policy.

What is ours carries a tag of ours from the call that makes it. So making things is allowed with
that tag only, and changing and ending them for things that have it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from spotcluster.aws import tags
from spotcluster.aws.buckets.objects import PREFIX
from spotcluster.aws.launching import permissions
from spotcluster.aws.launching.permissions import allow
from spotcluster.aws.session import core_session
from spotcluster.errors import UsageError

_LOOK = (
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeCapacityReservations",
    "ec2:DescribeFleets",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribePlacementGroups",
    "ec2:DescribeRegions",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
    "ec2:DescribeVolumes",
    "ec2:DescribeVolumesModifications",
    "ec2:GetSpotPlacementScores",
    "pricing:GetProducts",
    "servicequotas:GetServiceQuota",
)
_MAKE = (
    "CreateFleet",
    "CreateImage",
    "CreateLaunchTemplate",
    "CreatePlacementGroup",
    "CreateSecurityGroup",
    "CreateVolume",
    "ImportKeyPair",
    "RunInstances",
)
_VOLUMES = ("ec2:CreateTags", "ec2:DeleteVolume", "ec2:ModifyVolume")
_ATTACH = ("ec2:AttachVolume", "ec2:DetachVolume")
_LAUNCHED = ("instance", "network-interface", "spot-instances-request", "volume")
"""What a launch makes, all of which gets our tag."""
_OURS = (*_LAUNCHED, "security-group")
_DISK = re.compile(r"(vol|snap)-[0-9a-f]{8,17}")
_CHANGE = {
    "fleet": ("ec2:DeleteFleets",),
    "instance": (
        "ec2:GetConsoleOutput",
        "ec2:RebootInstances",
        "ec2:StartInstances",
        "ec2:StopInstances",
        "ec2:TerminateInstances",
    ),
    "launch-template": ("ec2:DeleteLaunchTemplate",),
    "placement-group": ("ec2:DeletePlacementGroup",),
    "security-group": (
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:DeleteSecurityGroup",
        "ec2:RevokeSecurityGroupIngress",
    ),
    "spot-instances-request": ("ec2:CancelSpotInstanceRequests",),
    "volume": ("ec2:DeleteVolume",),
}
"""What is done with things of clusters, by their kind."""


_KEEPING = {
    *(one for one in _LOOK if "VolumesModif" not in one and "Snapshot" not in one),
    "ssm:GetParameter",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateFleet",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateTags",
    "ec2:DeleteFleets",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteTags",
    "ec2:GetConsoleOutput",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
}
"""What a keeper calls: it makes workers and ends them, and no clusters, keys or volumes."""


def document(
    bucket: str | None = None,
    files: str | None = None,
    *,
    partition: str = "aws",
    kms_key: str | None = None,
    volumes: Sequence[str] = (),
    keep: bool = False,
    role: str | Sequence[str] | None = None,
    security_groups: Sequence[str] = (),
    placement_group: str | None = None,
    capacity_reservation: str | None = None,
) -> dict[str, Any]:
    """Return the policy.

    Parameters
    ----------
    bucket : str, optional
        A bucket for the split files of searches.
    files : str, optional
        A bucket that `put` reads and `get` writes.
    partition : str
        The part of AWS that the account is in: ``aws``, ``aws-cn``, ``aws-us-gov``.
    kms_key : str, optional
        The ARN of the account's own key, where disks or buckets are encrypted with one.
    volumes : sequence of str
        Ids of volumes that others made and configs name, and of snapshots that volumes are made of.
    keep : bool
        Whether it is for a keeper alone, as for the instance profile of a computer that runs one.
    role : str or sequence of str, optional
        The roles in the instance profiles that nodes are launched with.
    security_groups : sequence of str
        Ids of security groups that others made and templates name.
    placement_group, capacity_reservation : str, optional
        The name of the one, the id of the other, where templates name one that others made.

    Raises
    ------
    UsageError
        One of them is not what it is to be.
    """
    ours = _tagged("Resource", tags.CLUSTER)
    all_of_ours = [f"arn:{partition}:ec2:*:*:{kind}/*" for kind in _OURS]
    statements = [
        allow("Look", _LOOK),
        allow(
            "FindTheDefaultImage",
            ("ssm:GetParameter",),
            f"arn:{partition}:ssm:*:*:parameter/aws/service/canonical/*",
        ),
        allow(
            "KeepReceipts",
            ("ssm:GetParametersByPath", "ssm:PutParameter"),
            f"arn:{partition}:ssm:*:*:parameter/spotcluster/receipts",
            f"arn:{partition}:ssm:*:*:parameter/spotcluster/receipts/*",
        ),
        *_make(partition, ours),
        *permissions.launch_into(partition, security_groups, placement_group, capacity_reservation),
        allow(
            "TagWhatIsBeingMade",
            ("ec2:CreateTags",),
            condition={"StringEquals": {"ec2:CreateAction": list(_MAKE)}},
        ),
        *(
            allow(
                f"ChangeAndEnd{''.join(map(str.title, kind.split('-')))}sOfOurs",
                actions,
                f"arn:{partition}:ec2:*:*:{kind}/*",
                condition=ours,
            )
            for kind, actions in _CHANGE.items()
        ),
        allow("TagWhatIsOurs", ("ec2:CreateTags",), *all_of_ours, condition=ours),
        # But for the tag by which it is ours: without it nothing of this could end it.
        allow(
            "UntagWhatIsOurs",
            ("ec2:DeleteTags",),
            *all_of_ours,
            condition={
                **ours,
                "ForAllValues:StringNotEquals": {"aws:TagKeys": [tags.CLUSTER, tags.VOLUME]},
            },
        ),
        *_volumes(partition, volumes, ours),
        *_images(partition, ours),
        allow(
            "RemoveKeyPairsOfOurs",
            ("ec2:DeleteKeyPair",),
            f"arn:{partition}:ec2:*:*:key-pair/*",
            condition=_tagged("Resource", tags.KEY),
        ),
        # AWS makes these roles when an account asks for spot instances, or a fleet, the first time.
        *(
            allow(
                f"First{what}OfTheAccount",
                ("iam:CreateServiceLinkedRole",),
                f"arn:{partition}:iam::*:role/aws-service-role/{service}.amazonaws.com/*",
                condition={"StringLike": {"iam:AWSServiceName": f"{service}.amazonaws.com"}},
            )
            for what, service in (("SpotInstance", "spot"), ("Fleet", "ec2fleet"))
        ),
    ]
    if keep:
        statements = _for_a_keeper(statements)
    roles = [role] if isinstance(role, str) else list(role or ())
    if roles:
        statements += permissions.profiles(roles, partition)
    if bucket is not None:
        statements += _splits(f"arn:{partition}:s3:::{bucket}")
    if files is not None:
        statements += _files(f"arn:{partition}:s3:::{files}")
    if kms_key is not None:
        statements += permissions.kms(kms_key, partition, s3=bool(bucket or files))
    return {"Version": "2012-10-17", "Statement": statements}


def _for_a_keeper(statements: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for one in statements:
        actions = [action for action in one["Action"] if action in _KEEPING]
        if not actions or one["Sid"] == "KeepVolumesOfOurs":
            continue
        kept = {**one, "Action": actions}
        if one["Sid"] == "TagWhatIsBeingMade":
            made = [name for name in _MAKE if f"ec2:{name}" in _KEEPING]
            kept["Condition"] = {"StringEquals": {"ec2:CreateAction": made}}
        found.append(kept)
    return found


def partition_of(region: str) -> str:
    """Return the part of AWS that a region is in; the local cloud is of the usual one."""
    import botocore.exceptions

    try:
        name: str = core_session(of_the_user=False).get_partition_for_region(region)
    except botocore.exceptions.BotoCoreError:
        return "aws"
    return name


def _make(partition: str, ours: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what makes things: each with our tag from the call that makes it, or not at all.

    Otherwise the holder could make what the rest of the policy does not let them end.
    """
    ec2 = f"arn:{partition}:ec2:*"
    with_cluster = _tagged("Request", tags.CLUSTER)
    return [
        allow(
            "Launch",
            ("ec2:RunInstances",),
            *(f"{ec2}:*:{kind}/*" for kind in _LAUNCHED),
            condition=with_cluster,
        ),
        allow(
            "LaunchWith",
            ("ec2:RunInstances",),
            *(f"{ec2}::image/*", f"{ec2}:*:key-pair/*", f"{ec2}:*:subnet/*"),
        ),
        allow(
            "LaunchInGroupsOfOurs",
            ("ec2:RunInstances",),
            f"{ec2}:*:security-group/*",
            condition=ours,
        ),
        # What a fleet launches is asked of its caller too, as RunInstances.
        allow(
            "LaunchFleets",
            ("ec2:CreateFleet",),
            *(f"{ec2}:*:{kind}/*" for kind in ("fleet", "instance", "volume")),
            condition=with_cluster,
        ),
        allow(
            "LaunchFleetsWith",
            ("ec2:CreateFleet",),
            *(f"{ec2}::image/*", f"{ec2}:*:subnet/*"),
        ),
        allow(
            "LaunchByTemplatesOfOurs",
            ("ec2:CreateFleet", "ec2:RunInstances"),
            f"{ec2}:*:launch-template/*",
            condition=ours,
        ),
        allow(
            "MakeTemplates",
            ("ec2:CreateLaunchTemplate",),
            f"{ec2}:*:launch-template/*",
            condition=with_cluster,
        ),
        allow(
            "MakeGroups",
            ("ec2:CreateSecurityGroup",),
            f"{ec2}:*:security-group/*",
            condition=with_cluster,
        ),
        allow(
            "LaunchInPlacesOfOurs",
            ("ec2:CreateFleet", "ec2:RunInstances"),
            f"{ec2}:*:placement-group/*",
            condition=ours,
        ),
        allow(
            "MakePlaces",
            ("ec2:CreatePlacementGroup",),
            f"{ec2}:*:placement-group/*",
            condition=with_cluster,
        ),
        allow("MakeGroupsIn", ("ec2:CreateSecurityGroup",), f"{ec2}:*:vpc/*"),
        allow(
            "MakeVolumes",
            ("ec2:CreateVolume",),
            f"{ec2}:*:volume/*",
            condition=_tagged("Request", tags.VOLUME),
        ),
        allow(
            "MakeKeyPairs",
            ("ec2:ImportKeyPair",),
            f"{ec2}:*:key-pair/*",
            condition=_tagged("Request", tags.KEY),
        ),
    ]


def _volumes(partition: str, named: Sequence[str], ours: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is done with volumes: who may attach one may read it, so not with any."""
    ec2 = f"arn:{partition}:ec2:*"
    our_volume = _tagged("Resource", tags.VOLUME)
    wrong = [one for one in named if not _DISK.fullmatch(one)]
    if wrong:
        raise UsageError(
            f"'{wrong[0]}' is not the id of a volume or a snapshot.",
            "It reads like vol-0123456789abcdef0 or snap-0123456789abcdef0.",
        )
    others = [f"{ec2}:*:volume/{one}" for one in named if one.startswith("vol-")]
    snapshots = [f"{ec2}::snapshot/{one}" for one in named if one.startswith("snap-")]
    return [
        allow("KeepVolumesOfOurs", _VOLUMES, f"{ec2}:*:volume/*", condition=our_volume),
        allow("AttachToNodes", _ATTACH, f"{ec2}:*:instance/*", condition=ours),
        allow("AttachVolumesOfOurs", _ATTACH, f"{ec2}:*:volume/*", condition=our_volume),
        *([allow("AttachNamedVolumes", _ATTACH, *others)] if others else []),
        allow(
            "MakeVolumesOfSnapshotsOfOurs",
            ("ec2:CreateVolume",),
            f"{ec2}::snapshot/*",
            condition=our_volume,
        ),
        *(
            [allow("MakeVolumesOfNamedSnapshots", ("ec2:CreateVolume",), *snapshots)]
            if snapshots
            else []
        ),
    ]


def _images(partition: str, ours: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is done with images: made of nodes of ours and no other instance, and removed."""
    ec2 = f"arn:{partition}:ec2:*"
    both = (f"{ec2}::image/*", f"{ec2}::snapshot/*")
    our_image = _tagged("Resource", tags.IMAGE)
    return [
        allow("MakeImages", ("ec2:CreateImage",), *both, condition=_tagged("Request", tags.IMAGE)),
        allow("MakeImagesOfNodes", ("ec2:CreateImage",), f"{ec2}:*:instance/*", condition=ours),
        allow("RemoveImagesOfOurs", ("ec2:DeregisterImage",), both[0], condition=our_image),
        allow("RemoveSnapshotsOfOurs", ("ec2:DeleteSnapshot",), both[1], condition=our_image),
    ]


def _tagged(what: str, tag: str) -> dict[str, Any]:
    """Return the condition that what a call makes (Request) or is about (Resource) has a tag."""
    return {"Null": {f"aws:{what}Tag/{tag}": "false"}}


def _splits(bucket: str) -> list[dict[str, Any]]:
    return [
        allow("ListSplitFiles", ("s3:ListBucket",), bucket),
        allow(
            "KeepSplitFiles",
            ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
            f"{bucket}/{PREFIX}*",
        ),
    ]


def _files(bucket: str) -> list[dict[str, Any]]:
    # A node acts by addresses that these credentials sign, so it needs none of its own.
    return [
        allow("ListFiles", ("s3:ListBucket", "s3:ListBucketMultipartUploads"), bucket),
        allow(
            "MoveFiles",
            (
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ),
            f"{bucket}/*",
        ),
    ]

"""iam-policy."""

from __future__ import annotations

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context


@click.command(
    name="iam-policy",
    epilog="""\b
Examples:
  spotcluster iam-policy >policy.json
  spotcluster iam-policy --bucket my-bucket >policy.json
  spotcluster iam-policy --role my-role >policy.json
  spotcluster iam-policy --security-group sg-0123abcd --capacity-reservation cr-0123abcd
  spotcluster iam-policy --keep >role-policy.json
  spotcluster -r cn-north-1 iam-policy >policy.json
""",
)
@click.option(
    "--bucket", metavar="NAME", help="The SPLITS_BUCKET of your templates, if they have one."
)
@click.option("--files", metavar="NAME", help="A bucket that `put` and `get` use as s3://NAME.")
@click.option(
    "--volume",
    "volumes",
    multiple=True,
    metavar="ID",
    help="A volume that `createvolume` did not make and a [volume] section names, or a snapshot for"
    " `createvolume --snapshot`; may be given several times.",
)
@click.option(
    "--kms-key",
    metavar="ARN",
    help="The account's own key of KMS, where disks or buckets are encrypted with one.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="NAME",
    help="The role in the INSTANCE_PROFILE, or NODE_INSTANCE_PROFILE, of your templates; may be"
    " given several times.",
)
@click.option(
    "--security-group",
    "security_groups",
    multiple=True,
    metavar="ID",
    help="One of the SECURITY_GROUPS of your templates; may be given several times.",
)
@click.option(
    "--placement-group",
    metavar="NAME",
    help="The PLACEMENT_GROUP of your templates, where it is not 'cluster'.",
)
@click.option(
    "--capacity-reservation",
    metavar="ID",
    help="The CAPACITY_RESERVATION of your templates, if they have one.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="What `keep` needs and no other command: for the role in an INSTANCE_PROFILE.",
)
@pass_context
def iam_policy(
    context: Context,
    *,
    bucket: str | None,
    files: str | None,
    volumes: tuple[str, ...],
    kms_key: str | None,
    keep: bool,
    roles: tuple[str, ...],
    security_groups: tuple[str, ...],
    placement_group: str | None,
    capacity_reservation: str | None,
) -> None:
    """Print the least IAM policy that the commands need, as JSON.

    It is for the part of AWS (China, GovCloud) that the region is in.
    """
    from spotcluster.aws import policy
    from spotcluster.cluster import lookup

    region = context.region or lookup.default_region(context.config())
    partition = policy.partition_of(region)
    output.document(
        policy.document(
            bucket,
            files,
            partition=partition,
            kms_key=kms_key,
            volumes=volumes,
            keep=keep,
            role=roles,
            security_groups=security_groups,
            placement_group=placement_group,
            capacity_reservation=capacity_reservation,
        )
    )

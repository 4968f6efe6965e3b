"""iam-policy."""

from __future__ import annotations

import click

from spotcluster.cli import output


@click.command(
    name="iam-policy",
    epilog="""\b
Examples:
  spotcluster iam-policy >policy.json
  spotcluster iam-policy --bucket my-bucket >policy.json
""",
)
@click.option(
    "--bucket", metavar="NAME", help="The SPLITS_BUCKET of your templates, if they have one."
)
@click.option("--files", metavar="NAME", help="A bucket that `put` and `get` use as s3://NAME.")
def iam_policy(*, bucket: str | None, files: str | None) -> None:
    """Print the least IAM policy that the commands need, as JSON."""
    from spotcluster.aws import policy

    output.document(policy.document(bucket, files))

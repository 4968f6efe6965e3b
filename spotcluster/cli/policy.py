"""iam-policy."""

from __future__ import annotations

import click

from spotcluster.cli import output


@click.command(
    name="iam-policy",
    epilog="Example: spotcluster iam-policy >policy.json",
)
def iam_policy() -> int:
    """Print the least IAM policy that the commands need, as JSON."""
    from spotcluster.aws import policy

    output.document(policy.document())
    return 0

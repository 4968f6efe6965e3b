"""put, get."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from spotcluster import wording
from spotcluster.cli import output
from spotcluster.cli.commands.nodes.ssh import user_option
from spotcluster.cli.completion import names
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument

if TYPE_CHECKING:
    from spotcluster.ssh.transfer import Report

_SHOWN = 10  # of what was left out or failed, on a terminal; --json has all

_OPTIONS_AND_ARGUMENTS = (
    click.option(
        "-n",
        "--node",
        "alias",
        metavar="ALIAS",
        shell_complete=names.nodes,
        help="The node; the master by default.",
    ),
    user_option,
    click.option("-L", "--follow", is_flag=True, help="Copy what links lead to, in their place."),
    click.option("--json", "as_json", is_flag=True, help="Print what was moved as JSON."),
    cluster_argument(),
    click.argument(
        "sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=names.files
    ),
    click.argument("dest", shell_complete=names.files),
)


def _copying(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command what `put` and `get` have alike."""
    command = pass_context(command)
    for one in reversed(_OPTIONS_AND_ARGUMENTS):
        command = one(command)
    return command


@click.command(
    epilog="""\b
Examples:
  spotcluster put mycluster data.npy ~/project results/      into results/ in the home there
  spotcluster put mycluster --node node001 -u ipuser 'my file' '~/'
  spotcluster put mycluster --all -u ipuser data ~/          to every node, by way of the master
  spotcluster put mycluster s3://my-bucket/data /mnt/data    from S3 to the node directly
  spotcluster put mycluster 's3://my-bucket/data/*.npy' .    a pattern, as a shell has them
""",
)
@click.option(
    "--all", "everywhere", is_flag=True, help="To all nodes: sent to the master, which sends it on."
)
@_copying
def put(context: Context, name: str, *, everywhere: bool, **given: Any) -> int:
    """Copy files and folders to a node, as cp -r would; s3://BUCKET/PREFIX is a SOURCE too.

    A copy that was cut off goes on where it stopped when the command is repeated.
    """
    if everywhere:
        return _spread(context, name, **given)
    return _copy(context, "put", name, **given)


@click.command(
    epilog="""\b
Examples:
  spotcluster get mycluster results.csv .
  spotcluster get mycluster 'logs/*.log' logs/        a pattern, expanded on the node
  spotcluster get mycluster results s3://my-bucket/results
""",
)
@_copying
def get(context: Context, name: str, **given: Any) -> int:
    """Copy files and folders from a node, as cp -r would; DEST may be s3://BUCKET/PREFIX.

    A copy that was cut off goes on where it stopped when the command is repeated.
    """
    return _copy(context, "get", name, **given)


def _copy(
    context: Context,
    verb: str,
    name: str,
    *,
    sources: tuple[str, ...],
    dest: str,
    alias: str | None,
    user: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    from spotcluster.cli.bars import Bar
    from spotcluster.cluster.reach import transfers
    from spotcluster.ssh.transfer import AGAIN

    cluster = context.cluster(name)
    node = cluster.node(alias) if alias else cluster.master
    work = transfers.put if verb == "put" else transfers.get
    try:
        with Bar() as bar:
            report = work(cluster, node, sources, dest, progress=bar, user=user, follow=follow)
    except KeyboardInterrupt:
        output.err.print(AGAIN)
        raise
    finally:
        cluster.close()
    if as_json:
        user = user or node.target.user
        output.document({"cluster": name, "node": node.alias, "user": user, **_told(dest, report)})
    else:
        output.out.print(_sentence(verb, node.alias, report, bar.seconds))
    _list("left out", report.left_out)
    _list("FAILED", report.failed)
    return 1 if report.failed else 0


def _spread(
    context: Context,
    name: str,
    *,
    sources: tuple[str, ...],
    dest: str,
    alias: str | None,
    user: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    from spotcluster.cli.bars import Bar
    from spotcluster.cluster.reach import spreading
    from spotcluster.ssh.transfer import AGAIN

    if alias:
        raise click.UsageError("--all is every node; give it no --node.")
    cluster = context.cluster(name)
    node = cluster.master
    try:
        with Bar() as bar:
            report, passed = spreading.put(
                cluster, sources, dest, progress=bar, user=user, follow=follow
            )
    except KeyboardInterrupt:
        output.err.print(AGAIN)
        raise
    finally:
        cluster.close()
    if as_json:
        user = user or node.target.user
        told = {"cluster": name, "node": node.alias, "user": user, **_told(dest, report)}
        further = [
            {
                "node": one.alias,
                "bytes_sent": one.sent,
                "failed": [{"name": what, "why": why} for what, why in one.failed],
                "problem": one.problem,
            }
            for one in passed
        ]
        output.document({**told, "passed_on": further})
    else:
        output.out.print(_sentence("put", node.alias, report, bar.seconds))
        if there := [one.alias for one in passed if not one.problem]:
            amount = wording.amount(sum(one.sent for one in passed))
            output.out.print(f"From there {amount} went on to {wording.folded(there)}.")
    _list("left out", report.left_out)
    _list("FAILED", report.failed)
    for one in passed:
        if one.problem:
            output.err.print(output.Text(f"FAILED: {one.alias}: {one.problem}"))
        _list(f"FAILED on {one.alias}", one.failed)
    return 1 if report.failed or any(one.problem or one.failed for one in passed) else 0


def _told(dest: str, report: Report) -> dict[str, Any]:
    return {
        "to": dest,
        "bytes": report.size,
        "bytes_sent": report.sent,
        "files": [
            {"name": one.name, "bytes": one.size, "bytes_sent": one.sent, "digest": one.digest}
            for one in report.files
        ],
        "left_out": [{"name": what, "why": why} for what, why in report.left_out],
        "failed": [{"name": what, "why": why} for what, why in report.failed],
    }


def _sentence(verb: str, alias: str, report: Report, seconds: float) -> str:
    way = f"to {alias}" if verb == "put" else f"from {alias}"
    files = f"{len(report.files)} file{'' if len(report.files) == 1 else 's'}"
    there = report.size - report.sent
    rest = f", {wording.amount(there)} of which were there already" if there else ""
    return f"Copied {files} {way}: {wording.amount(report.size)} in {seconds:.1f} s{rest}."


def _list(title: str, what: tuple[tuple[str, str], ...]) -> None:
    from spotcluster.ssh.copying.wire import shown

    for name, why in what[:_SHOWN]:
        output.err.print(f"{title}: {shown(name)}: {why}")
    if len(what) > _SHOWN:
        output.err.print(f"{title}: {len(what) - _SHOWN} more; --json lists all")

"""exec: a command on all nodes at once."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from spotcluster import wording
from spotcluster.cli import output
from spotcluster.cli.commands.nodes.ssh import user_option
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument

if TYPE_CHECKING:
    from spotcluster.cluster.reach.execute import Outcome


@click.command(
    "exec",
    epilog="""\b
Examples:
  spotcluster exec mycluster -- uptime
  spotcluster exec mycluster --workers -- 'df -h / | tail -n 1'      a line for the shell there
  spotcluster exec mycluster --nodes 'node0*' -u ipuser -- nvidia-smi -L
  spotcluster exec mycluster --nodes 'node[001-003,007]' --timeout 60 -- sudo apt-get update
  spotcluster exec mycluster --stdin -- python3 - <script.py
\b
Nodes of which the same came are shown once, under their folded name. The exit status is the largest
that any node had: 124 is a command that --timeout stopped, 255 a node that was not reached. The
commands end with this one: at Ctrl-C, and when the connection is lost.
""",
)
@click.option(
    "--nodes",
    "patterns",
    multiple=True,
    metavar="NAMES",
    help="These only: 'node0*', node001,node002 or 'node[001-003]'; may be given several times.",
)
@click.option("--workers", is_flag=True, help="All but the master.")
@user_option
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="How long it may take on a node; as long as it likes by default.",
)
@click.option(
    "--stdin", "reads", is_flag=True, help="Give each node what comes here on standard input."
)
@click.option("--json", "as_json", is_flag=True, help="Print an object for each node as JSON.")
@cluster_argument()
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_context
def exec_(
    context: Context,
    name: str,
    *,
    patterns: tuple[str, ...],
    workers: bool,
    user: str | None,
    timeout: float | None,
    reads: bool,
    as_json: bool,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND on all nodes at once, and show what came of it, alike outputs together.

    Its words are joined by spaces and read by the shell there, as ssh has it.
    """
    from spotcluster.cluster.reach import execute

    cluster = context.cluster(name)
    nodes = execute.choose(cluster, patterns, workers=workers)
    given = sys.stdin.buffer.read() if reads else b""
    line = " ".join(command)
    try:
        with _counted(len(nodes)) as done:
            came = execute.run(nodes, line, user=user, timeout=timeout, input=given, done=done)
    except KeyboardInterrupt:
        names = wording.folded(node.alias for node in nodes)
        output.err.print(output.Text(f"What ran on {names} is ended with the connections."))
        raise
    finally:
        cluster.close()
    if as_json:
        output.document(
            {"cluster": name, "command": line, "user": user, "nodes": [asdict(one) for one in came]}
        )
    else:
        _show(execute.together(came))
    return max(one.status for one in came)


@contextlib.contextmanager
def _counted(number: int) -> Iterator[Callable[[object], None]]:
    """Give what counts the nodes that are done, on a terminal."""
    lock = threading.Lock()
    done = 0
    with output.err.status(f"0 of {number} nodes") as status:

        def count(_: object) -> None:
            nonlocal done
            with lock:
                done += 1
                status.update(f"{done} of {number} nodes")

        yield count


def _show(groups: Sequence[tuple[list[str], Outcome]]) -> None:
    for aliases, one in groups:
        number = f" ({len(aliases)})" if len(aliases) > 1 else ""
        why = one.problem or (f"status {one.status}" if one.status else "")
        title = f"{wording.folded(aliases)}{number}{f': {why}' if why else ''}"
        output.out.print(output.Text(title, style="bold red" if why else "bold"))
        if one.output:
            output.out.print(output.Text(one.output.removesuffix("\n")), soft_wrap=True)
    if len(groups) > 1 and any(one.status for _, one in groups):
        said = [f"{wording.folded(aliases)}: {one.status}" for aliases, one in groups]
        output.err.print(output.Text(f"Exit statuses: {'; '.join(said)}."))

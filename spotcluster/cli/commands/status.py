"""status."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument, json_option

if TYPE_CHECKING:
    from spotcluster.cluster.reporter import Teller
    from spotcluster.cluster.status.observer import Observer, Status

_REDRAW = 1.0


@click.command(
    epilog="""\b
Examples:
  spotcluster status mycluster
  spotcluster status mycluster --watch
  spotcluster status mycluster --json | jq '.searches[0].bests[0].params'
"""
)
@cluster_argument()
@click.option("-w", "--watch", is_flag=True, help="Redraw it until Ctrl-C.")
@json_option
@pass_context
def status(context: Context, name: str, *, watch: bool, as_json: bool) -> None:
    """Show how a cluster does: nodes, load, memory, engines, queue, jobs, and searches.

    It works from any terminal and any computer that has the AWS credentials and the key, and costs
    the engines nothing. The best five candidates of a search are known on the computer that runs
    it, elsewhere the best one.
    """
    from spotcluster.cluster.reporter import Teller
    from spotcluster.cluster.status import events, plain, searches
    from spotcluster.cluster.status import observer as statuses

    if watch and as_json:
        raise click.UsageError("--json prints one document and ends; leave out --watch.")
    live = watch and output.out.is_terminal
    cluster = context.cluster(name)
    teller = Teller(cluster.session, name, context.hook)
    with statuses.Observer(cluster, watching=live) as observer:
        if live:
            _watch(observer, teller)
            return
        observer.wait(statuses.LIMIT + 3.0)
        seen = observer.look()
        told = searches.of(seen)
    if as_json:
        output.document(plain.as_json(seen, told))
    else:
        _show(seen, told)
    teller.tell([*events.near_ceiling(seen), *events.taken(seen, seen.leaving)])


def _show(seen: Status, told: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console

    from spotcluster.cli.board import picture

    # Where there is no terminal there is no width either: a row is a line.
    console = (
        output.out if output.out.is_terminal else Console(width=240, highlight=False, emoji=False)
    )
    console.print(picture(seen, told, console.width), soft_wrap=False)


def _watch(observer: Observer, teller: Teller) -> None:
    """Redraw until Ctrl-C, which is the way to end it."""
    from rich.console import Console
    from rich.live import Live

    from spotcluster.cli.board import picture
    from spotcluster.cluster.status import events, searches

    console = Console(highlight=False, emoji=False)
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        observer.wait(_REDRAW)
        while True:
            seen = observer.look()
            drawn = picture(seen, searches.of(seen), console.width, console.height - 1)
            live.update(drawn, refresh=True)
            teller.tell([*events.near_ceiling(seen), *events.taken(seen, seen.leaving)])
            time.sleep(_REDRAW)

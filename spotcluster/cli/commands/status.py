"""status."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import click

from spotcluster import files
from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import json_option

if TYPE_CHECKING:
    from spotcluster.cluster.status.observer import Status

_REDRAW = 1.0


@click.command(
    epilog="""\b
Examples:
  spotcluster status mycluster
  spotcluster status mycluster --watch
  spotcluster status mycluster --json | jq '.searches[0].bests[0].params'
"""
)
@click.argument("name")
@click.option("-w", "--watch", is_flag=True, help="Redraw it until Ctrl-C.")
@json_option
@pass_context
def status(context: Context, name: str, *, watch: bool, as_json: bool) -> None:
    """Show how a cluster does: nodes, load, memory, engines, queue, jobs, and searches.

    It works from any terminal and any computer that has the AWS credentials and the key, and costs
    the engines nothing. The best five candidates of a search are known on the computer that runs
    it, elsewhere the best one.
    """
    from spotcluster.cluster.status import observer as statuses

    if watch and as_json:
        raise click.UsageError("--json prints one document and ends; leave out --watch.")
    live = watch and output.out.is_terminal
    cluster = context.cluster(name)
    with statuses.Observer(cluster, watching=live) as observer:
        if live:
            _watch(observer)
            return
        observer.wait(statuses.LIMIT + 3.0)
        seen = observer.look()
        searches = _searches(seen)
    if as_json:
        output.document(statuses.as_json(seen, searches))
        return
    from rich.console import Console

    from spotcluster.cli.board import picture

    # Where there is no terminal there is no width either: a row is a line.
    console = output.out if output.out.is_terminal else Console(width=240, highlight=False)
    console.print(picture(seen, searches, console.width), soft_wrap=False)


def _watch(observer: Any) -> None:
    """Redraw until Ctrl-C, which is the way to end it."""
    from rich.console import Console
    from rich.live import Live

    from spotcluster.cli.board import picture

    console = Console(highlight=False)
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        observer.wait(_REDRAW)
        while True:
            seen = observer.look()
            drawn = picture(seen, _searches(seen), console.width, console.height - 1)
            live.update(drawn, refresh=True)
            time.sleep(_REDRAW)


def _searches(seen: Status) -> list[dict[str, Any]]:
    """Return the searches on the cluster, as files here and there and the controller tell."""
    from spotcluster import published

    answer = seen.controller
    key = answer.key if answer else _known_key(seen)
    local = published.read()
    there = published.parse(seen.searches_on_master)
    shift = seen.clock_ahead
    there = [{**one, "updated": one["updated"] - shift} for one in there]
    labels = answer.labels if answer else ()
    return published.merged([*there, *local], labels, published.controller_of(key), time.time())


def _known_key(seen: Status) -> bytes:
    """Return the key of a controller that does not answer, if this computer knows it."""
    import json

    from spotcluster import published

    with contextlib.suppress(OSError, ValueError, KeyError, AttributeError):
        path = files.connection_file(seen.region, seen.name)
        return published.key_of(json.loads(path.read_text()))
    return b""

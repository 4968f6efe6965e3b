"""shell: a Python prompt with a cluster in it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument

if TYPE_CHECKING:
    from spotcluster.cluster.cluster import Cluster

_ACTIVATE = "_px = client.activate()"  # so that %px and its like mean the engines of this cluster


@click.command(
    epilog="""\b
Examples:
  spotcluster shell mycluster
  echo 'print(len(client))' | spotcluster shell mycluster
  spotcluster shell mycluster -c 'print(view.apply_sync(os.getpid))'
"""
)
@cluster_argument(required=False)
@click.option("-c", "--command", "code", metavar="CODE", help="Run this and end.")
@pass_context
def shell(context: Context, name: str | None, *, code: str | None) -> int:
    """Open a Python prompt with a cluster, a client and views in it.

    Without NAME there are the config and an EC2 client. What comes from a pipe is run as if it had
    been typed; the exit status is 1 if it fails.
    """
    with _namespace(context, name) as (things, banner):
        if code is None and sys.stdin.isatty():
            _prompt(things, banner)
            return 0
        return _run(things, sys.stdin.read() if code is None else code)


@contextlib.contextmanager
def _namespace(context: Context, name: str | None) -> Iterator[tuple[dict[str, Any], str]]:
    """Give what is in the prompt, and the text that says so; close it all at the end."""
    import os

    import spotcluster

    things: dict[str, Any] = {"spotcluster": spotcluster, "os": os}
    if name is None:
        session = context.session()
        things |= {"config": context.config(), "session": session, "ec2": session.ec2}
        yield (
            things,
            f"  config   the config file\n  session  AWS in {session.region}\n"
            "  ec2      boto3's client of EC2 there\n"
            '  spotcluster.connect("NAME") gives a client of a cluster\'s engines\n',
        )
        return
    from spotcluster.cluster import connect

    cluster = context.cluster(name)
    with contextlib.closing(cluster), contextlib.closing(connect.client_of(cluster)) as client:
        connect.tell_of(client, cluster, context.hook)
        things |= {
            "cluster": cluster,
            "client": client,
            "view": client.direct_view("all"),  # those that join later too
            "lview": client.load_balanced_view(),
        }
        yield things, _banner(cluster, client)


def _banner(cluster: Cluster, client: Any) -> str:
    number = len(client.ids)
    engines = f"{number} engine{'' if number == 1 else 's'}"
    return (
        f"'{cluster.name}' in {cluster.region}: {len(cluster.nodes)} nodes, {engines}\n"
        "  cluster  its nodes and record\n"
        "  client   ipyparallel's client; client.ids\n"
        "  view     all engines; %px CODE runs CODE on each\n"
        "  lview    the load-balanced view, for searches and map\n"
    )


def _prompt(things: dict[str, Any], banner: str) -> None:
    from IPython import start_ipython
    from traitlets.config import Config

    settings = Config()
    settings.TerminalInteractiveShell.banner2 = banner
    settings.TerminalInteractiveShell.confirm_exit = False
    if "client" in things:
        settings.InteractiveShellApp.exec_lines = [_ACTIVATE]
    start_ipython(argv=[], user_ns=things, config=settings)


def _run(things: dict[str, Any], code: str) -> int:
    """Run what would be typed; return the exit status."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False  # it is nobody's typing
    if not sys.stdout.isatty():
        settings.InteractiveShell.colors = "nocolor"
    own: Any = InteractiveShell.instance(user_ns=things, config=settings)
    own.set_custom_exc((_End,), lambda *_, **__: None)
    own.user_ns |= {"exit": _end, "quit": _end}
    if "client" in things:
        own.run_cell(_ACTIVATE)
    result = own.run_cell(code)
    sys.stdout.flush()
    error = result.error_in_exec
    if isinstance(error, _End):
        return error.status
    if isinstance(error, KeyboardInterrupt):
        raise error
    return 0 if result.success else 1


class _End(BaseException):
    """`exit` was called, which IPython's own does at a prompt only."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


def _end(status: int = 0) -> None:
    raise _End(status)

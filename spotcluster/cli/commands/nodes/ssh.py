"""sshmaster, sshnode: the system's ssh, with the pinned host keys."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument, node_argument

if TYPE_CHECKING:
    from spotcluster.cluster.cluster import Cluster
    from spotcluster.cluster.node import Node

# A terminal that the node has never heard of is one that does what xterm does.
_ENTER_TMUX = """\
command -v tmux >/dev/null || { echo "This node has no tmux, and it could not be installed." >&2; \
exit 1; }; infocmp >/dev/null 2>&1 || export TERM=xterm-256color; \
exec tmux -u new-session -A -s spotcluster"""

_REST = {"allow_interspersed_args": False}  # what follows the name is the command, as it is

user_option = click.option(
    "-u", "--user", metavar="USER", help="Log in as this user; the image's own by default."
)
tmux_option = click.option(
    "--tmux",
    is_flag=True,
    help="Enter the tmux session that is there for you, or a new one: it outlives the connection.",
)
x11_option = click.option(
    "-X",
    "--forward-x11",
    "x11",
    is_flag=True,
    help="Show windows of programs there on this screen.",
)
tty_option = click.option(
    "-t", "--pseudo-tty", "tty", is_flag=True, help="Give COMMAND a terminal, as htop needs one."
)
agent_option = click.option(
    "-A", "--forward-agent", "agent", is_flag=True, help="Let the node use your ssh agent."
)


@click.command(
    context_settings=_REST,
    epilog="""\b
Examples:
  spotcluster sshmaster mycluster
  spotcluster sshmaster -A mycluster
  spotcluster sshmaster -A -u ipuser            the only cluster there is
  spotcluster sshmaster --tmux -u ipuser mycluster
  spotcluster sshmaster -t mycluster htop
  spotcluster sshmaster -u ipuser mycluster 'tail -n 3 .spotcluster/logs/*.log'
""",
)
@agent_option
@x11_option
@tty_option
@tmux_option
@user_option
@cluster_argument(required=False)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_context
def sshmaster(
    context: Context,
    name: str | None,
    *,
    user: str | None,
    agent: bool,
    x11: bool,
    tty: bool,
    tmux: bool,
    command: tuple[str, ...],
) -> None:
    """Log in to the master, or run COMMAND there; its exit status is passed on.

    NAME may be left out while there is one cluster only.
    """
    if tmux:
        command = _in_tmux(command)
    cluster = context.cluster(name or context.only_cluster())
    _ssh(cluster, cluster.master, user, command, agent=agent, x11=x11, tty=tty or tmux)


@click.command(
    context_settings=_REST,
    epilog="""\b
Examples:
  spotcluster sshnode mycluster node001
  spotcluster sshnode mycluster node001 uptime
""",
)
@agent_option
@x11_option
@tty_option
@tmux_option
@user_option
@cluster_argument()
@node_argument()
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_context
def sshnode(
    context: Context,
    name: str,
    alias: str,
    *,
    user: str | None,
    agent: bool,
    x11: bool,
    tty: bool,
    tmux: bool,
    command: tuple[str, ...],
) -> None:
    """Log in to a node, or run COMMAND there; its exit status is passed on."""
    if tmux:
        command = _in_tmux(command)
    cluster = context.cluster(name)
    _ssh(cluster, cluster.node(alias), user, command, agent=agent, x11=x11, tty=tty or tmux)


@click.command(
    "ssh-config",
    epilog="""\b
Examples:
  spotcluster ssh-config mycluster     then: ssh mycluster, scp, rsync, an editor
  spotcluster ssh-config --print mycluster
""",
)
@cluster_argument()
@click.option("--print", "shown", is_flag=True, help="Print what would be written; write nothing.")
@pass_context
def ssh_config(context: Context, name: str, *, shown: bool) -> None:
    """Let `ssh NAME` reach the master, and `ssh NAME-node001` a node.

    A file of the cluster is written, which ~/.ssh/config includes by one line. This computer's
    commands keep it up to date, and remove it when the cluster ends.
    """
    from spotcluster.cluster import aliases

    cluster = context.cluster(name)
    known_hosts = cluster.pin_host_keys()
    if shown:
        click.echo(aliases.text(name, cluster.nodes, known_hosts), nl=False)
        return
    cluster.master  # noqa: B018 - that there is none is said before anything is written
    aliases.write(cluster.region, name, cluster.nodes, known_hosts)
    for one in aliases.names(name, cluster.nodes):
        output.out.print(f"ssh {one}")


def _in_tmux(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that enters a tmux session."""
    if command:
        raise click.UsageError("--tmux is a session to work in: give it no command.")
    if not sys.stdin.isatty():
        raise click.UsageError("--tmux needs a terminal, and standard input is none.")
    # The login's shell may be any; ssh passes it one string.
    return "sh", "-c", shlex.quote(_ENTER_TMUX)


def _ssh(
    cluster: Cluster,
    node: Node,
    user: str | None,
    command: tuple[str, ...],
    *,
    agent: bool,
    x11: bool,
    tty: bool,
) -> NoReturn:
    """Become ssh: its terminal, its signals and its exit status are the user's."""
    from dataclasses import replace

    from spotcluster import ssh

    known_hosts = cluster.pin_host_keys()
    target = replace(node.target, user=user) if user else node.target
    arguments = ssh.command_line(
        target, known_hosts, agent_forward=agent, x11=x11, tty=tty or None, command=command
    )
    sys.stdout.flush()
    os.execvp(arguments[0], arguments)  # noqa: S606 - no shell is wanted

"""help, completion, and the config template that is offered where there is no config."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from spotcluster import __version__, files
from spotcluster.cli import manual, output, starcluster
from spotcluster.cli.completion import names, shells
from spotcluster.cli.context import Context
from spotcluster.cli.groups import Group
from spotcluster.errors import UsageError


@click.command("help", epilog="Example: spotcluster help start")
@click.argument("command", required=False, shell_complete=names.commands)
@click.pass_context
def help_(context: click.Context, command: str | None) -> int:
    """Show the help of a command; `help config` prints the config template.

    `spotcluster help man | man -l -` shows the manual: all commands with all their options.
    """
    group = context.find_root().command
    if not isinstance(group, Group) or context.parent is None:
        raise click.UsageError("help belongs to a group of commands.")
    if command is None:
        click.echo(group.get_help(context.parent))
        offer_template(context.ensure_object(Context))
        return 0
    if command == "config":
        click.echo(_template(), nl=False)
        return 0
    if command == "man":
        click.echo(manual.page(group, __version__, datetime.now(UTC)), nl=False)
        return 0
    found = group.get_command(context.parent, command)
    if found is None:
        raise group.no_such(command, context.parent)
    with click.Context(found, info_name=found.name, parent=context.parent) as inner:
        click.echo(found.get_help(inner))
    if short := [one for one, name in starcluster.SHORT.items() if name == found.name]:
        click.echo(f"\n  Its short name: {', '.join(short)}")
    return 0


@click.group(
    cls=Group,
    epilog="""\b
Examples:
  spotcluster completion install             for the shell that you use
  spotcluster completion show zsh | less
""",
)
def completion() -> None:
    """Have bash, zsh or fish complete commands, options, clusters, nodes, templates and jobs."""


@completion.command(epilog="Example: spotcluster completion install --shell zsh")
@click.option(
    "--shell", type=click.Choice(list(shells.SHELLS)), help="The shell; the one of $SHELL."
)
@click.pass_context
def install(context: click.Context, *, shell: str | None) -> None:
    """Write what the shell reads to where it looks for that, and say how to begin."""
    shell = shell or shells.of_the_user()
    if shell is None:
        raise UsageError(
            f"$SHELL is none of {', '.join(shells.SHELLS)}.", "Name the shell with --shell."
        )
    path = shells.place(shell)
    text = shells.script(context.find_root().command, shell)
    same = path.is_file() and path.read_bytes() == text.encode()
    if not same:
        files.write_private(path, text, mode=0o644)
    output.out.print(output.Text(f"{path} is {'there already' if same else 'written'}."))
    output.out.print(output.Text(shells.first_steps(shell, path)))


@completion.command(epilog="Example: spotcluster completion show bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(list(shells.SHELLS)))
@click.pass_context
def show(context: click.Context, shell: str) -> None:
    """Print what a shell reads; where `install` would write it is up to you then."""
    click.echo(shells.script(context.find_root().command, shell), nl=False)


def offer_template(context: Context) -> None:
    """Where there is no config, offer to show or to write the template."""
    path = context.config_path or files.config_file()
    if path.exists():
        return
    output.err.print(f"\nThe config file {path} does not exist.")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        output.err.print(
            "`spotcluster config init` writes one; `spotcluster help config` prints a template."
        )
        return
    output.err.print("`spotcluster config init` asks for what it has to say. Or:")
    output.err.print(
        f"\n[1] Show the spotcluster config template\n[2] Write config template to {path}\n"
        "[q] Quit\n",
    )
    choice = click.prompt(
        "Please enter your selection",
        type=click.Choice(["1", "2", "q"]),
        default="q",
        show_choices=False,
        err=True,
    )
    if choice == "1":
        click.echo(_template(), nl=False)
    elif choice == "2":
        files.write_private(path, _template())
        output.err.print("Written. Edit it, then make a key: spotcluster createkey mykey")


def _template() -> str:
    from spotcluster import templates

    return templates.read("config.ini")

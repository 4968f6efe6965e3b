"""help, and the config template that is offered where there is no config."""

from __future__ import annotations

import sys

import click

from spotcluster import files
from spotcluster.cli import output, starcluster
from spotcluster.cli.context import Context


@click.command("help", epilog="Example: spotcluster help start")
@click.argument("command", required=False)
@click.pass_context
def help_(context: click.Context, command: str | None) -> int:
    """Show the help of a command; `help config` prints the config template."""
    group = context.find_root().command
    if not isinstance(group, click.Group) or context.parent is None:
        raise click.UsageError("help belongs to a group of commands.")
    if command is None:
        click.echo(group.get_help(context.parent))
        offer_template(context.ensure_object(Context))
        return 0
    if command == "config":
        click.echo(_template(), nl=False)
        return 0
    found = group.get_command(context.parent, command)
    if found is None:
        raise starcluster.no_such_command(command, context.parent) or click.UsageError(
            f"There is no command '{command}'.", context.parent
        )
    with click.Context(found, info_name=found.name, parent=context.parent) as inner:
        click.echo(found.get_help(inner))
    if short := [one for one, name in starcluster.SHORT.items() if name == found.name]:
        click.echo(f"\n  Its short name: {', '.join(short)}")
    return 0


def offer_template(context: Context) -> None:
    """Where there is no config, offer to show or to write the template."""
    path = context.config_path or files.config_file()
    if path.exists():
        return
    output.err.print(f"\nThe config file {path} does not exist.")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        output.err.print("`spotcluster help config` prints a template for it.")
        return
    output.err.print(
        f"\n[1] Show the spotcluster config template\n[2] Write config template to {path}\n"
        "[q] Quit\n",
        markup=False,
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

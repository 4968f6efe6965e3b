"""createkey, listkeypairs, removekey."""

from __future__ import annotations

import click

from spotcluster.cli import output
from spotcluster.cli.completion import names
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import json_option, yes_option


@click.command(
    epilog="""\b
Examples:
  spotcluster createkey mykey -o ~/.ssh/mykey.rsa
  spotcluster -r local createkey mykey
"""
)
@click.argument("name")
@click.option(
    "-o",
    "--output-file",
    "target",
    metavar="FILE",
    help="Where to write the private key (mode 0600); ~/.spotcluster/keys/NAME.pem by default,"
    " `-` prints it.",
)
@pass_context
def createkey(context: Context, name: str, *, target: str | None) -> int:
    """Create a key pair; the private key is made here and never leaves this computer."""
    from spotcluster.api import keys

    session = context.session()
    path = None if target == "-" else keys.place(name, target)
    private = keys.create(session, name, path)
    if path is None:
        click.echo(private, nl=False)
        return 0
    output.out.print(f"Created the key pair '{name}' in {session.region}; its key is {path}.")
    output.out.print(f"  [key {name}]\n  KEY_LOCATION = {path}")
    return 0


@click.command(epilog="Example: spotcluster listkeypairs")
@json_option
@pass_context
def listkeypairs(context: Context, *, as_json: bool) -> int:
    """List the key pairs of the region."""
    from spotcluster.aws import keypairs

    session = context.session()
    pairs = keypairs.list_all(session)
    if as_json:
        output.document(
            [{"name": one.name, "type": one.kind, "fingerprint": one.fingerprint} for one in pairs]
        )
    elif pairs:
        rows = [(one.name, one.kind, one.fingerprint) for one in pairs]
        output.table("", ("name", "type", "fingerprint"), rows)
    else:
        output.out.print(f"There are no key pairs in {session.region}.")
    return 0


@click.command(epilog="Example: spotcluster removekey mykey")
@click.argument("name", shell_complete=names.keys)
@yes_option
@pass_context
def removekey(context: Context, name: str, *, yes: bool) -> int:
    """Remove a key pair from EC2; the private key's file stays where it is."""
    from spotcluster.api import keys
    from spotcluster.aws import keypairs

    session = context.session()
    keys.check_there(session, name)
    output.confirm(f"Remove the key pair '{name}' from {session.region}?", yes=yes)
    keypairs.delete(session, name)
    output.out.print(f"Removed the key pair '{name}' from {session.region}.")
    return 0

"""createkey, listkeypairs, removekey."""

from __future__ import annotations

import os
from pathlib import Path

import click

from spotcluster import files
from spotcluster.cli import output
from spotcluster.cli.completion import names
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import json_option, yes_option
from spotcluster.errors import UsageError


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
    from spotcluster import ssh
    from spotcluster.aws import keypairs

    session = context.session()
    path = None if target == "-" else files.expand(Path(target or files.key_file(name)))
    if path and path.exists():
        raise UsageError(f"{path} is already there.", "Name another file with -o, or remove it.")
    if keypairs.find(session, name):
        raise UsageError(
            f"There is already a key pair '{name}' in {session.region}.",
            f"Choose another name, or `spotcluster removekey {name}`.",
        )
    pair = ssh.keys.generate()
    if path:
        path = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays the path the user named
        files.write_private(path, pair.private)
    try:
        keypairs.upload(session, name, pair.public)
    except BaseException:
        if path:
            path.unlink(missing_ok=True)  # a key that EC2 does not have opens nothing
        raise
    if path is None:
        click.echo(pair.private, nl=False)
        return 0
    output.out.print(f"Created the key pair '{name}' in {session.region}; its key is {path}.")
    output.out.print(f"  [key {name}]\n  KEY_LOCATION = {path}", markup=False)
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
    from spotcluster.aws import keypairs

    session = context.session()
    if keypairs.find(session, name) is None:
        raise UsageError(
            f"There is no key pair '{name}' in {session.region}.",
            "`spotcluster listkeypairs` shows those there are.",
        )
    output.confirm(f"Remove the key pair '{name}' from {session.region}?", yes=yes)
    keypairs.delete(session, name)
    output.out.print(f"Removed the key pair '{name}' from {session.region}.")
    return 0

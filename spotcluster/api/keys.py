"""Key pairs: a private key that is made here and never leaves, and its public half in EC2."""

from __future__ import annotations

import os
from pathlib import Path

from spotcluster import files, ssh
from spotcluster.aws import keypairs
from spotcluster.aws.session import Session
from spotcluster.errors import UsageError


def create(session: Session, name: str, path: Path | None) -> str:
    """Make a key pair, and write its private key to a file, unless that is None; return the key.

    Raises
    ------
    UsageError
        The file is there, or EC2 has a key pair of that name.
    """
    if path and path.exists():
        raise UsageError(f"{path} is already there.", "Name another file with -o, or remove it.")
    if keypairs.find(session, name):
        raise UsageError(
            f"There is already a key pair '{name}' in {session.region}.",
            f"Choose another name, or `spotcluster removekey {name}`.",
        )
    pair = ssh.keys.generate()
    if path:
        files.write_private(path, pair.private)
    try:
        keypairs.upload(session, name, pair.public)
    except BaseException:
        if path:
            path.unlink(missing_ok=True)  # a key that EC2 does not have opens nothing
        raise
    return pair.private


def place(name: str, target: str | os.PathLike[str] | None) -> Path:
    """Return where a private key goes: where a user said, or a place of our own."""
    path = files.expand(Path(target or files.key_file(name)))
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link stays the path the user named


def check_there(session: Session, name: str) -> None:
    """Refuse a name that no key pair has."""
    if keypairs.find(session, name) is None:
        raise UsageError(
            f"There is no key pair '{name}' in {session.region}.",
            "`spotcluster listkeypairs` shows those there are.",
        )

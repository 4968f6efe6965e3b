"""What is said to whoever interrupts: what was done, what there is now, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from spotcluster.cli import output
from spotcluster.errors import SpotclusterError

if TYPE_CHECKING:
    from spotcluster.aws.instances import Instance
    from spotcluster.aws.session import Session


@contextmanager
def nothing_done_yet(name: str) -> Iterator[None]:
    """Say so to whoever interrupts while a cluster is still looked for, or answers with no."""
    try:
        yield
    except (KeyboardInterrupt, click.Abort, click.exceptions.Exit):
        output.err.print(f"Nothing of '{name}' was changed.")
        raise


@contextmanager
def to_go_on(said: str) -> Iterator[None]:
    """Say how to go on to whoever interrupts what can be repeated and leaves nothing to pay for."""
    try:
        yield
    except KeyboardInterrupt:
        output.err.print(output.Text(said))
        raise


def say_what_exists(session: Session, name: str, going_on: str | None = None) -> None:
    """After an interrupt: what is there now, and the commands that end it and go on with it.

    Parameters
    ----------
    going_on : str, optional
        The command that goes on, `start` by default; empty where it is the one that ends it.
    """
    from spotcluster.cluster.lifecycle import terminate

    try:
        left = terminate.remains(session.afresh(), name)
        there = f"EC2 has this of '{name}' now: {left}." if left else ""
    except SpotclusterError as error:
        there = f"EC2 does not tell what there is of '{name}' now: {error.message}"
    except KeyboardInterrupt:  # once more: what ends it is to be said all the same
        there = f"What there is of '{name}' now was not asked any more."
    if not there:
        output.err.print(f"Nothing of '{name}' exists.")
        return
    output.err.print(f"{there}\n  spotcluster -r {session.region} terminate {name}   ends it")
    if going_on is None:
        going_on = f"start {name}    "
    if going_on:
        output.err.print(f"  spotcluster -r {session.region} {going_on}   goes on with it")


def say_what_is_half_made(session: Session, name: str, going_on: str, *, refused: bool) -> None:
    """After an `addnode` that did not come to its end: as `say_what_exists`, and what undoes it.

    Parameters
    ----------
    going_on : str
        The command that goes on.
    refused : bool
        The cloud has refused something; nothing is said then unless a node has been made before.
    """
    half = _half_made(session, name)
    if refused and not half:
        return
    say_what_exists(session, name, going_on)
    if half:
        aliases = " ".join(one.alias for one in half)
        output.err.print(
            f"  spotcluster -r {session.region} removenode {name} {aliases}"
            "   takes away what is half made"
        )


def _half_made(session: Session, name: str) -> list[Instance]:
    from spotcluster.aws import instances

    try:
        found = instances.staying(instances.describe(session.afresh(), name))
    except (SpotclusterError, KeyboardInterrupt):  # what there is then is said without
        return []
    return [one for one in found if not one.ready and not one.is_master]

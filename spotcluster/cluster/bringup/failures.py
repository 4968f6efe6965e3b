"""What is done about a node that fails, and what is said of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spotcluster import files
from spotcluster.aws import instances
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    NodeError,
    RemoteCommandFailed,
    SpotclusterError,
    UsageError,
)
from spotcluster.wording import plain

log = logging.getLogger("spotcluster.failures")

_CONSOLE_LINES = 8  # on the terminal; the log file has all
_REFUSED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


class OnFailure(StrEnum):
    """What `--on-failure` may say."""

    REPLACE = "replace"
    """Terminate the node and launch another one, as often as REPLACEMENTS says, then drop it."""
    DROP = "drop"
    """Terminate it and go on without."""
    ABORT = "abort"
    """End all that this command has made."""


class GivenUp(NodeError):
    """A node that was given up for another one's sake; replacing it would not help."""


@dataclass(frozen=True)
class Failure:
    """How a node failed.

    Attributes
    ----------
    stage : str
        What it was at.
    console : str
        The last lines of its console; empty when there are none.
    log_file : Path or None
        Where all that is known is written; None when there is nothing more than the error.
    """

    alias: str
    stage: str
    error: SpotclusterError
    instance: Instance | None = None
    console: str = ""
    log_file: Path | None = None

    def __str__(self) -> str:
        parts = [str(self.error)]
        if self.console:
            lines = "\n".join(f"    {line}" for line in self.console.splitlines())
            parts.append(f"  The console of {_id(self.instance)} says last:\n{lines}")
        if self.log_file:
            parts.append(f"  Its log file: {self.log_file}")
        return "\n".join(parts)


def can_be_cured(error: SpotclusterError) -> bool:
    """Return whether another machine may do what this one did not."""
    if isinstance(error, CapacityError):  # a quota or a bid stays as it is
        return error.code == "InsufficientInstanceCapacity"
    if isinstance(error, CloudError):
        return error.code not in _REFUSED and not isinstance(error, CredentialsError)
    return isinstance(error, NodeError) and not isinstance(error, (GivenUp, UsageError))


def examine(
    session: Session,
    cluster: str,
    alias: str,
    stage: str,
    error: SpotclusterError,
    instance: Instance | None,
    stages: Mapping[str, float],
) -> Failure:
    """Ask for what can still be known of a node that failed, and write it down in its log file."""
    if instance is None:
        return Failure(alias, stage, error)
    console = instances.console_tail(session, instance.id, lines=1000)
    took = "".join(f"  {name}: {seconds:.1f} s\n" for name, seconds in stages.items())
    output = error.output if isinstance(error, RemoteCommandFailed) else ""
    text = (
        f"{time.strftime('%Y-%m-%d %H:%M:%S')} {cluster} {alias}, {instance.id}, failed at {stage}."
        f"\n\n{error}\n\nWhat it had done:\n{took or '  nothing'}\n"
        + (f"\nWhat the script that failed printed:\n{output.rstrip()}\n" if output else "")
        + f"\nIts console:\n{console or '(EC2 has nothing of it)'}\n"
    )
    path: Path | None = None
    try:
        folder = files.private_dir("logs", "nodes")
        path = folder / f"{session.region}-{cluster}-{alias}-{instance.id}.log"
        files.write_private(path, text)
    except OSError:  # a full disk here must not hide what is wrong there
        log.exception("the log file of %s cannot be written", alias)
        path = None
    return Failure(alias, stage, error, instance, _tail(console), path)


def _tail(console: str) -> str:
    """Return the last lines without what would move a terminal's cursor."""
    lines = [line for line in plain(console).splitlines() if line.strip()]
    return "\n".join(lines[-_CONSOLE_LINES:])


def _id(instance: Instance | None) -> str:
    return instance.id if instance else "it"

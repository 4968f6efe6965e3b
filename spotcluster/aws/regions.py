"""Looking in several regions: one that cannot be looked in hides nothing of another one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from spotcluster.aws.session import Session
from spotcluster.errors import CloudError

T = TypeVar("T")

log = logging.getLogger("spotcluster.regions")


def first(
    sessions: Iterable[Session], look: Callable[[Session], T | None]
) -> tuple[Session, T] | None:
    """Return what the first region that has it shows, and where; None where none has it.

    Parameters
    ----------
    sessions : iterable of Session
        The regions; those after the one that has it are not asked for.
    look : callable
        Returns what a region has, something empty where it has nothing.

    Raises
    ------
    CloudError
        None of the regions that could be looked in has it, and one could not.
    """
    refused: CloudError | None = None
    for session in sessions:
        try:
            found = look(session)
        except CloudError as error:
            log.info("%s cannot be looked in: %s", session.region, error)
            refused = error
            continue
        if found:
            return session, found
    if refused:
        raise refused
    return None


def each(
    sessions: Iterable[Session], look: Callable[[Session], T]
) -> tuple[list[tuple[Session, T]], dict[str, CloudError]]:
    """Return what each region shows, and of those that cannot be looked in the reason."""
    found: list[tuple[Session, T]] = []
    refused: dict[str, CloudError] = {}
    for session in sessions:
        try:
            found.append((session, look(session)))
        except CloudError as error:
            refused[session.region] = error
    return found, refused

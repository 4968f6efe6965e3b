"""How the cluster tells whoever looks on what it is doing; it never prints."""

from __future__ import annotations

import logging
from typing import Protocol

log = logging.getLogger("spotcluster")


class Reporter(Protocol):
    """Receives what happens, from several threads at once."""

    def stage(self, alias: str, stage: str) -> None:
        """A node has entered a stage."""

    def failed(self, alias: str, message: str) -> None:
        """A node has failed."""

    def note(self, message: str) -> None:
        """Something the user should know, in one line."""


class Quiet:
    """Writes to the log only."""

    def stage(self, alias: str, stage: str) -> None:
        """Log it."""
        log.info("%s: %s", alias, stage)

    def failed(self, alias: str, message: str) -> None:
        """Log it."""
        log.error("%s failed: %s", alias, message)

    def note(self, message: str) -> None:
        """Log it."""
        log.info("%s", message)
